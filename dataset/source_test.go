package dataset

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

var staleTime = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// TestYOLOFolders has the layouts of YOLO without a data.yaml.
func TestYOLOFolders(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		open  string
		want  string
		names []string
	}{
		{"split below images", map[string]string{"images/train2017/a.png": "20x10", "labels/train2017/a.txt": boxText, "images/val2017/b.png": "20x10", "labels/val2017/b.txt": "3" + boxText[1:]},
			"", "YOLO: train from images/train2017; val from images/val2017", []string{"class0", "class1", "class2", "class3"}},
		{"split above", map[string]string{"train/images/a.png": "20x10", "train/labels/a.txt": boxText, "Valid/images/b.png": "20x10", "Valid/labels/b.txt": boxText, "classes.txt": "x\n\ny\n"},
			"", "YOLO: train from train/images; val from Valid/images", []string{"x", "y"}},
		{"no split", map[string]string{"one/two/images/a.png": "20x10", "one/two/labels/a.txt": boxText, "one/two/labels/classes.txt": "x\ny"},
			"", "YOLO: train from images", []string{"x", "y"}},
		{"one class", map[string]string{"images/a.png": "20x10", "labels/a.txt": "0 .5 .5 .5 .5"},
			"", "YOLO: train from images", []string{"class0"}},
		{"data.yaml goes first", map[string]string{"images/a.png": "20x10", "labels/a.txt": boxText, "data.yaml": "train: images\nnames: [p, q]\n"},
			"", "YOLO: train from images", []string{"p", "q"}},
		{"a list", map[string]string{"images/a.png": "20x10", "labels/a.txt": boxText, "train.txt": "images/a.png\r\n", "classes.txt": "x\ny\n"},
			"train.txt", "YOLO: train from train.txt", []string{"x", "y"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d, err := Open(filepath.Join(tree(t, test.files), test.open), OpenOptions{Splits: []string{"train"}})
			if err != nil {
				t.Fatal(err)
			}
			if d.Describe() != test.want || !reflect.DeepEqual(d.Names, test.names) || len(d.Train) != 1 || len(d.Train[0].Labels) != 1 {
				t.Errorf("%s with %q and %v, want %s with %q", d.Describe(), d.Names, d.Train, test.want, test.names)
			}
		})
	}
}

func TestRecogniseErrors(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		open  string
		err   string
	}{
		{"nothing", map[string]string{"a.txt": ""}, "", "ROOT: no data set is recognised in this folder: " + accepted},
		{"another file", map[string]string{"a.pt": ""}, "a.pt", "ROOT/a.pt: is no data set: " + accepted},
		{"no such split", map[string]string{"images/a.png": "20x10", "labels/a.txt": boxText}, "", "ROOT: there is no val: this is YOLO: train from images; set pictures apart for val"},
		{"no picture in the split", map[string]string{"images/val/a.gif": "", "labels/a.txt": ""}, "", "ROOT: val: no pictures (.bmp .jpeg .jpg .mpo .png .tif .tiff .webp) in images/val: put some there, or name another place"},
		{"empty labels", map[string]string{"images/val/a.png": "20x10", "labels/val/a.txt": ""}, "", "ROOT: val: no boxes for any of 1 pictures; the labels of the first were looked for in ROOT/labels/val/a.txt: put some there"},
		{"no names", map[string]string{"images/val/a.png": "20x10", "labels/val/a.txt": "", "classes.txt": "\n"}, "", "ROOT/classes.txt: is empty, want the names of the classes, one a line"},
		{"broken archive", map[string]string{"a.zip": "PK"}, "a.zip", "ROOT/a.zip: the archive is cut off or broken, as after a broken download: fetch it again"},
		{"broken tar.gz", map[string]string{"a.tgz": "x"}, "a.tgz", "ROOT/a.tgz: the archive is cut off or broken, as after a broken download: fetch it again"},
		{"zero bytes", map[string]string{"a.json": ""}, "a.json", "ROOT/a.json: the file ends too early (at byte 0)"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			root := tree(t, test.files)
			t.Setenv("XDG_CACHE_HOME", t.TempDir())
			_, err := Open(filepath.Join(root, test.open), OpenOptions{Splits: []string{"val"}})
			if err == nil || strings.ReplaceAll(err.Error(), root, "ROOT") != test.err {
				t.Errorf("error %v, want %s", err, test.err)
			}
		})
	}
}

// TestOpenEdges has pictures of sizes that are odd.
func TestOpenEdges(t *testing.T) {
	root := tree(t, map[string]string{"data.yaml": "names: [a]\nval: images\n",
		"images/smaller than the stride.png": "12x10", "labels/smaller than the stride.txt": bom + "0 .5 .5 .5 .5\r\n",
		"images/wide.png": "20000x10", "labels/wide.txt": "0 .5 .5 .5 .5\r\n\r\n",
		"images/Größe 猫.png": "20x10", "labels/Größe 猫.txt": "0 .5 .5 .5 .5",
		"images/zero.png": "", "images/huge.png": hugePNG})
	d, err := Open(filepath.Join(root, "data.yaml"), OpenOptions{Splits: []string{"val"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Val) != 3 || d.Skipped() != 2 {
		t.Errorf("val %v, problems %v", d.Val, d.Problems)
	}
	for _, i := range d.Val {
		if len(i.Labels) != 1 {
			t.Errorf("%s has labels %v", i.Path, i.Labels)
		}
	}
	if got, want := d.Problems[0].Reason, "PNG: 20000 x 20000 is more than 100 million pixels"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	// All of them make batches.
	for _, rect := range []bool{false, true} {
		sum(t, newTestLoader(t, d.Val, LoaderOptions{Size: 32, Rect: rect}), 0)
	}
	sum(t, newTestLoader(t, d.Val, LoaderOptions{Size: 32, Train: true, Augment: hyp}), 0)
}

// hugePNG is the header of a picture of 20000 x 20000 pixels.
const hugePNG = "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x4e\x20\x00\x00\x4e\x20\x08\x00\x00\x00\x00\xc6\x1b\x19\xe5"

func TestUnreadableFolder(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root reads everything")
	}
	root := tree(t, map[string]string{"images/a.png": "20x10", "labels/a.txt": boxText})
	dir := filepath.Join(root, "images")
	if err := os.Chmod(dir, 0); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(dir, 0o755)
	_, err := Open(root, OpenOptions{Splits: []string{"train"}})
	if err == nil || !strings.Contains(err.Error(), dir+": permission denied") {
		t.Errorf("error %v", err)
	}
}

func TestSplitOf(t *testing.T) {
	for name, want := range map[string]string{"train": "train", "Train2017": "train", "training": "train", "val": "val", "valid": "val", "validation": "val",
		"val_2014": "val", "test-2017": "test", "testing": "test", "trainval": "", "trains": "", "images": "", "": "", "2017": ""} {
		if got := splitOf(name); got != want {
			t.Errorf("%q is %q, want %q", name, got, want)
		}
	}
}
