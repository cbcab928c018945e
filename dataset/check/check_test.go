package check

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ultrafast/picture"
	"ultrafast/scene"
)

// put writes files below a new folder and returns it. Text that begins with = names a scene
// by its seed, and by its width where that is not 160.
func put(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		seed, small := strings.CutSuffix(text, " small")
		if !strings.HasPrefix(text, "=") {
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		p, _ := scene.Draw(rand.New(rand.NewPCG(uint64(seed[1]), 0)), 160, 120)
		if small {
			p = p.ResizeArea(120, 90)
		}
		if err := p.SaveJPEG(path, 90); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

const (
	good = "0 .5 .5 .5 .5\n1 .4 .4 .2 .2\n"
	yaml = "train: images/train\nval: images/val\nnames: [a, b]\n"
)

func TestRun(t *testing.T) {
	root := put(t, map[string]string{"data.yaml": yaml,
		"images/train/a.jpg": "=a", "labels/train/a.txt": good,
		"images/train/again.jpg": "=a", "labels/train/again.txt": good,
		"images/train/b.jpg": "=b", "labels/train/b.txt": "0 .5 .5 .5 .5\n0 .5 .5 .5 .5\n0 .5 .5 0 .1\n0 .5 .5 .001 .5\n1 .5 .5 .02 .02\n",
		"images/train/c.jpg": "=c", "labels/train/c.txt": "7 .5 .5 .5 .5\n0 2 .5 .5 .5\n\nx",
		"images/train/d.jpg": "=d", "labels/train/lone.txt": good,
		"images/train/e.jpg": "\xff\xd8 broken",
		"images/val/a.jpg":   "=a", "labels/val/a.txt": "0 .5 .5 .5 .5\n",
		"images/val/b.jpg": "=b small", "labels/val/b.txt": "0 .5 .5 .5 .5\n",
	})
	r, err := Run(root, Options{Width: 160, Height: 160})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{ // an example of each
		"corrupt picture":                             "images/train/e.jpg: JPEG: ",
		"malformed label":                             "labels/train/c.txt:4: 1 columns",
		"class out of range":                          "labels/train/c.txt:1: class 7",
		"box outside the picture":                     "labels/train/c.txt:2: cx 2 is above 1",
		"picture without a label file":                "labels/train/d.txt: is not there",
		"box without an area":                         "labels/train/b.txt:3: ",
		"label given twice":                           "labels/train/b.txt:2: ",
		"label file without a picture":                "labels/train/lone.txt",
		"leak: the same picture in two splits":        "images/val/a.jpg",
		"leak: nearly the same picture in two splits": "images/val/b.jpg",
		"the same picture twice in a split":           "images/train/again.jpg",
		"class without a box in val":                  "1 b",
		"box thinner than 2 pixels at 160x160":        "labels/train/b.txt:4: a 0.2 x 60.0",
		"box of 2 to 8 pixels at 160x160":             "labels/train/b.txt:5: b 3.2 x 2.4",
	}
	for _, f := range r.Findings {
		text, ok := want[f.What]
		if !ok {
			t.Errorf("%s: %q", f.What, f.Examples)
			continue
		}
		delete(want, f.What)
		if f.Count != 1 || len(f.Examples) != 1 || !strings.Contains(strings.ReplaceAll(f.Examples[0], root+"/", ""), text) {
			t.Errorf("%s: %d, %q, want %s", f.What, f.Count, f.Examples, text)
		}
	}
	if len(want) > 0 || !r.Failed() {
		t.Errorf("not found: %v; failed %v", want, r.Failed())
	}
	if s := r.Splits[0]; s.Pictures != 4 || s.Skipped != 2 || s.Backgrounds != 1 {
		t.Errorf("%+v", s)
	}
}

// TestFailed: what is only odd is no failure; a split without boxes, or none, is.
func TestFailed(t *testing.T) {
	files := map[string]string{"data.yaml": yaml, "images/train/a.jpg": "=a", "labels/train/a.txt": good,
		"images/val/b.jpg": "=b", "labels/val/b.txt": good}
	tests := []struct {
		name, file, text string
		failed           bool
		findings         int
	}{
		{"nothing is wrong", "data.yaml", yaml, false, 0},
		{"odd", "labels/val/lone.txt", good, false, 1},
		{"empty labels", "labels/val/b.txt", "", true, 2},          // no boxes, so none of any class
		{"no area", "labels/val/b.txt", "0 .5 .5 0 .5\n", true, 3}, // and no box of class b
		{"no val", "data.yaml", "train: images/train\nnames: [a, b]\n", true, 1},
		{"folder that is not there", "data.yaml", "train: images/train\nval: gone\nnames: [a, b]\n", true, 1},
	}
	for _, test := range tests {
		old := files[test.file]
		files[test.file] = test.text
		r, err := Run(put(t, files), Options{Width: 160, Height: 160})
		if err != nil {
			t.Fatal(err)
		}
		if r.Failed() != test.failed || len(r.Findings) != test.findings {
			t.Errorf("%s: %+v", test.name, r.Findings)
		}
		if files[test.file] = old; old == "" {
			delete(files, test.file)
		}
	}
	if _, err := Run(t.TempDir(), Options{Width: 160, Height: 160}); err == nil {
		t.Error("an empty folder is a data set")
	}
}

// TestProgress: every pass over all files is told to its end, and can be stopped.
func TestProgress(t *testing.T) {
	const xml = `<annotation><object><name>a</name><bndbox><xmin>9</xmin><ymin>9</ymin><xmax>60</xmax><ymax>60</ymax></bndbox></object></annotation>`
	for name, test := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"VOC": {map[string]string{"JPEGImages/a.jpg": "=a", "Annotations/a.xml": xml, "JPEGImages/b.jpg": "=b", "Annotations/b.xml": xml},
			[]string{"reading the names of classes 2/2", "comparing pictures 2/2"}},
		"YOLO": {map[string]string{"images/train/a.jpg": "=a", "labels/train/a.txt": good, "images/train/b.jpg": "=b", "labels/train/b.txt": good},
			[]string{"counting the classes of train 2/2", "comparing pictures 2/2"}},
	} {
		root := put(t, test.files)
		told := make(map[string]bool)
		if _, err := Run(root, Options{Width: 160, Height: 160, Progress: func(what string, done, steps int) { told[fmt.Sprintf("%s %d/%d", what, done, steps)] = true }}); err != nil {
			t.Fatal(err)
		}
		for _, want := range test.want {
			if !told[want] {
				t.Errorf("%s: %q was not told, but %v", name, want, told)
			}
			ctx, cancel := context.WithCancel(t.Context())
			_, err := Run(root, Options{Width: 160, Height: 160, Context: ctx, Progress: func(what string, _, _ int) {
				if strings.HasPrefix(want, what) {
					cancel()
				}
			}})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s, stopped at %q: %v", name, want, err)
			}
			cancel()
		}
	}
}

// TestNear: scaling, recoding and a little light keep pictures alike; other scenes, and
// plain colours, are not alike.
func TestNear(t *testing.T) {
	draw := func(seed uint64) *picture.RGB {
		p, _ := scene.Draw(rand.New(rand.NewPCG(seed, 0)), 320, 256)
		return p
	}
	a := newLook(nil, draw(1))
	small := newLook(nil, draw(1).ResizeArea(160, 128))
	light := draw(1)
	for i, v := range light.Pix {
		light.Pix[i] = min(v, 250) + 5
	}
	lighter := newLook(nil, light)
	if !a.near(&small) || !a.near(&lighter) {
		t.Error("the same scene is not alike")
	}
	for seed := range uint64(50) {
		if b := newLook(nil, draw(seed+2)); a.near(&b) {
			t.Errorf("scene %d is like scene 1", seed+2)
		}
	}
	black, white := picture.New(50, 50), picture.New(50, 50)
	for i := range white.Pix {
		white.Pix[i] = 255
	}
	b, w := newLook(nil, black), newLook(nil, white)
	if b.near(&w) {
		t.Error("black is like white")
	}
}
