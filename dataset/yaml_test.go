package dataset

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestDescription(t *testing.T) {
	tests := []struct {
		name, text string
		names      []string
		train      []place
		err        string
	}{
		{name: "list", text: "path: .\ntrain: images/train\nval: v\nnc: 2\nnames: ['face', mask]",
			names: []string{"face", "mask"}, train: []place{{"images/train", 2}}},
		{name: "block list", text: "names:\n- a\n- b\ntrain:\n  - x\n  - y # second\n",
			names: []string{"a", "b"}, train: []place{{"x", 5}, {"y", 6}}},
		{name: "map in any order", text: "names:\n  1: b\n  0: a\n", names: []string{"a", "b"}},
		{name: "flow map", text: "names: {0: a, 1: b}", names: []string{"a", "b"}},
		{name: "one entry", text: "names:\n  0: person\n", names: []string{"person"}},
		{name: "names that look like something else", text: "names: [1, 2.50, yes, true, 007]",
			names: []string{"1", "2.50", "yes", "true", "007"}},
		{name: "no names", text: "nc: 3", names: []string{"class0", "class1", "class2"}},
		{name: "empty split, other keys", text: "names: [a]\ntrain: t # 128 images\ntest:\ndownload: |\n  import os\n  for x in [1]: pass\nflip_idx: [0, {a: b}]",
			names: []string{"a"}, train: []place{{"t", 2}}},

		{name: "empty", text: "", err: "d.yaml: the file is empty"},
		{name: "comment", text: "# nothing\n", err: "d.yaml: the file is empty"},
		{name: "list at the top", text: "- a\n- b", err: "d.yaml:1: keys with values are wanted: train, val, nc, names"},
		{name: "neither nc nor names", text: "train: a", err: "d.yaml: there are no names: give the names of the classes"},
		{name: "more names than nc", text: "nc: 1\nnames: [a, b]", err: "d.yaml:2: names has 2 entries, but nc is 1"},
		{name: "fewer names than nc", text: "nc: 3\nnames: {0: a, 1: b}", err: "d.yaml:2: names has 2 entries, but nc is 3"},
		{name: "no class", text: "nc: 0\nnames: []", err: "d.yaml:1: nc is the number of classes, 1..10000"},
		{name: "no name", text: "names: []", err: "d.yaml:1: names has no entries"},
		{name: "nc of a hostile file", text: "nc: 99999999999", err: "d.yaml:1: nc is the number of classes, 1..10000"},
		{name: "gap", text: "names:\n  0: a\n  2: b\n", err: `d.yaml:3: names: class "2"; the keys of 2 names are 0..1, each once`},
		{name: "twice", text: "names:\n  0: a\n  00: b\n", err: `d.yaml:3: names: class "00"; the keys of 2 names are 0..1, each once`},
		{name: "nested", text: "names: [a, [b]]", err: "d.yaml:1: names: entry 1 is not a name"},
		{name: "names is text", text: "names: a", err: "d.yaml:1: names is a list, or a map from class number to name"},
		{name: "split is a map", text: "names: [a]\ntrain: {a: b}", err: "d.yaml:2: train is a path, or for train, val and test a list of paths"},
		{name: "path is a list", text: "names: [a]\npath: [a]", err: "d.yaml:2: path is a path, or for train, val and test a list of paths"},
		{name: "alias", text: "x: &x [a, b]\nnames: *x", err: "d.yaml:2: names is a list, or a map from class number to name"},
		{name: "deep", text: "names: " + strings.Repeat("[", 20000), err: "d.yaml:1: nested more than 100 deep"},
		{name: "deep sequence", text: "\n" + strings.Repeat("- ", 20000), err: "d.yaml:2: nested more than 100 deep"},
		{name: "large", text: strings.Repeat(" ", maxYAMLBytes+1), err: "d.yaml: a data.yaml is at most 128 kB"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d, err := parseDescription("d.yaml", strings.NewReader(test.text))
			if test.err != "" {
				if err == nil || err.Error() != test.err {
					t.Fatalf("error %v, want %s", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(d.names, test.names) {
				t.Errorf("names %q, want %q", d.names, test.names)
			}
			if !reflect.DeepEqual(d.splits["train"], test.train) {
				t.Errorf("train %v, want %v", d.splits["train"], test.train)
			}
		})
	}
}

func TestDescriptionSyntax(t *testing.T) {
	_, err := parseDescription("d.yaml", strings.NewReader("nc: 1\nnames: [a"))
	if err == nil || !strings.HasPrefix(err.Error(), "d.yaml:2: ") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %q", err)
	}
}

func FuzzYAML(f *testing.F) {
	f.Add("path: .\ntrain: images/train\nval: v\nnc: 2\nnames: ['face', mask]")
	f.Add("names:\n  1: b\n  0: a\ntrain:\n  - x\n  - y\n")
	f.Add("x: &x [a]\nnames: *x\n<<: *x")
	f.Add("download: |\n  a\n  b\nnames: !!set {0: a}\n---\nb")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := parseDescription("d.yaml", strings.NewReader(text))
		switch {
		case err != nil:
			if strings.Contains(fmt.Sprint(err), "\n") {
				t.Errorf("error of more than one line: %q", err)
			}
		case len(d.names) == 0:
			t.Error("no names and no error")
		}
	})
}
