package dataset

import (
	"image"
	"image/png"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"ultrafast/box"
)

// tree writes files under a new folder and returns it. The text of a picture is its size,
// "40x30".
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if !isPicture(path) || !sizePattern.MatchString(text) {
			if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
			continue
		}
		writePNG(t, path, text)
	}
	return root
}

// writePNG writes a black picture of a size such as "40x30".
func writePNG(t testing.TB, path, size string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := png.Encode(f, image.NewGray(sizeOf(t, size))); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

var sizePattern = regexp.MustCompile(`^\d+x\d+$`)

func sizeOf(t testing.TB, text string) image.Rectangle {
	t.Helper()
	var n [2]int
	for i, s := range strings.SplitN(text, "x", 2) {
		for _, c := range s {
			n[i] = 10*n[i] + int(c-'0')
		}
	}
	return image.Rect(0, 0, n[0], n[1])
}

const (
	yamlText = "path: .\ntrain: images/train\nval: images/val\nnc: 2\nnames: [face, mask]\n"
	boxText  = "1 0.5 0.5 0.5 0.5\n"
)

func TestOpen(t *testing.T) {
	root := tree(t, map[string]string{
		"data.yaml":                 yamlText,
		"images/train/b.png":        "40x30",
		"images/train/a.JPG":        "20x10",
		"images/train/sub/c.png":    "10x20",
		"images/train/empty.png":    "10x10",
		"images/train/notes.txt":    "not a picture",
		"images/train/.b.png":       "hidden",
		"images/train/.hid/b.png":   "hidden",
		"labels/train/b.txt":        boxText + "0 0.1 0.1 0.4 0.2\n" + boxText,
		"labels/train/sub/c.txt":    boxText,
		"labels/train/empty.txt":    "\n",
		"labels/train/no.txt":       "broken, but of no picture",
		"images/val/images/d.e.png": "12x12",
		"images/val/labels/d.e.txt": boxText,
	})
	d, err := Open(filepath.Join(root, "data.yaml"), OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	label := Label{1, 0.5, 0.5, 0.5, 0.5}
	dir := filepath.Join(root, "images", "train")
	labels := filepath.Join(root, "labels", "train")
	want := []Item{
		{Path: filepath.Join(dir, "a.JPG"), W: 20, H: 10, LabelPath: filepath.Join(labels, "a.txt")},
		{Path: filepath.Join(dir, "b.png"), W: 40, H: 30, Labels: []Label{label, {0, 0.1, 0.1, 0.4, 0.2}}, Lines: []int{1, 2}, LabelPath: filepath.Join(labels, "b.txt"), Duplicates: 1},
		{Path: filepath.Join(dir, "empty.png"), W: 10, H: 10, LabelPath: filepath.Join(labels, "empty.txt")},
		{Path: filepath.Join(dir, "sub", "c.png"), W: 10, H: 20, Labels: []Label{label}, Lines: []int{1}, LabelPath: filepath.Join(labels, "sub", "c.txt")},
	}
	if !reflect.DeepEqual(d.Train, want) {
		t.Errorf("train\n%v, want\n%v", d.Train, want)
	}
	// The last images of the path is the one that becomes labels.
	if len(d.Val) != 1 || len(d.Val[0].Labels) != 1 {
		t.Errorf("val %v", d.Val)
	}
	if got, want := d.Count(d.Train), (Counts{4, 2, []int{1, 2}, 1}); !reflect.DeepEqual(got, want) {
		t.Errorf("counts %v, want %v", got, want)
	}
	truth := []box.Truth{{X1: 10, Y1: 7.5, X2: 30, Y2: 22.5, Class: 1}, {X1: 0, Y1: 0, X2: 12, Y2: 6, Class: 0}}
	for i, got := range TruthOf(d.Train[1]) {
		if w := truth[i]; abs(got.X1-w.X1)+abs(got.Y1-w.Y1)+abs(got.X2-w.X2)+abs(got.Y2-w.Y2) > 1e-4 || got.Class != w.Class {
			t.Errorf("truth %v, want %v", got, w)
		}
	}
}

func abs(v float32) float32 { return max(v, -v) }

// TestOpenPaths has every way in which a data.yaml names pictures. Each finds x.png of
// class 1 once.
func TestOpenPaths(t *testing.T) {
	files := map[string]string{"set/images/x.png": "20x20", "set/labels/x.txt": boxText, "set/list.txt": "./images/x.png\n\n images/x.png \n"}
	tests := []struct{ name, path, val string }{
		{"relative to the file", "", "set/images"},
		{"relative to path", "set", "images"},
		{"path up and down", "../" + "ROOT/set", "./images"},
		{"list", "set", "list.txt"},
		{"several", "", "[set/images, set/list.txt, set/images]"},
		{"too far up", "set", "../images"},
		{"one above", "set/labels", "../images"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			root := tree(t, files)
			text := "val: " + test.val + "\nnames: [a, b]\n"
			if test.path != "" {
				text += "path: " + strings.ReplaceAll(test.path, "ROOT", filepath.Base(root)) + "\n"
			}
			file := filepath.Join(root, "data.yaml")
			if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
			d, err := Open(file, OpenOptions{Splits: []string{"val"}})
			if err != nil {
				t.Fatal(err)
			}
			if len(d.Val) != 1 || len(d.Val[0].Labels) != 1 || d.Val[0].Path != filepath.Join(root, "set", "images", "x.png") {
				t.Errorf("val %v", d.Val)
			}
		})
	}
}

func TestOpenLinks(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("links need a privilege there")
	}
	root := tree(t, map[string]string{"data.yaml": yamlText, "store/x.png": "20x20", "labels/train/x.txt": boxText, "images/here": ""})
	for from, to := range map[string]string{"images/train": "../store", "store/loop": "."} {
		if err := os.Symlink(to, filepath.Join(root, from)); err != nil {
			t.Fatal(err)
		}
	}
	d, err := Open(filepath.Join(root, "data.yaml"), OpenOptions{Splits: []string{"train"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Train) != 1 || len(d.Train[0].Labels) != 1 {
		t.Errorf("train %v", d.Train)
	}
}

func TestOpenErrors(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		split string
		err   string // ROOT is the folder
	}{
		{"no file", nil, "val", "ROOT/data.yaml: there is no such file or folder"},
		{"no split", map[string]string{"data.yaml": "names: [a]"}, "val", "ROOT/data.yaml: there is no val: give the folder of its pictures"},
		{"no root", map[string]string{"data.yaml": "names: [a]\npath: gone\nval: x"}, "val", "ROOT/data.yaml:2: path: ROOT/gone is not there"},
		{"no folder", map[string]string{"data.yaml": yamlText}, "val", "ROOT/data.yaml:3: val: ROOT/images/val is not there"},
		{"unknown split", map[string]string{"data.yaml": yamlText}, "vla", `split "vla": there are train, val and test`},
		{"no pictures", map[string]string{"data.yaml": yamlText, "images/val/a.txt": ""}, "val",
			"ROOT/data.yaml:3: val: no pictures (.bmp .jpeg .jpg .mpo .png .tif .tiff .webp) in images/val: put some there, or name another place"},
		{"no boxes", map[string]string{"data.yaml": yamlText, "images/val/a.png": "20x20"}, "val",
			"ROOT/data.yaml:3: val: no boxes for any of 1 pictures; the labels of the first were looked for in ROOT/labels/val/a.txt: put some there"},
		{"boxes without an area", map[string]string{"data.yaml": yamlText, "images/val/a.png": "20x20", "labels/val/a.txt": "0 .5 .5 0 .1"}, "val",
			"ROOT/data.yaml:3: val: no boxes for any of 1 pictures; the labels of the first were looked for in ROOT/labels/val/a.txt: put some there"},
		{"bad class", map[string]string{"data.yaml": yamlText, "images/val/a.png": "20x20", "labels/val/a.txt": boxText + "\n7 0 0 0 0"}, "val",
			"ROOT/data.yaml:3: val: none of 1 pictures can be used; the first: ROOT/labels/val/a.txt:3: class 7, the data set has 2 classes (0..1)"},
		{"not a picture", map[string]string{"data.yaml": yamlText, "images/val/a.png": "broken"}, "val",
			"ROOT/data.yaml:3: val: none of 1 pictures can be used; the first: ROOT/images/val/a.png: not a JPEG, PNG, WebP, BMP, GIF or TIFF picture"},
		{"tiny", map[string]string{"data.yaml": yamlText, "images/val/a.png": "9x100"}, "val",
			"ROOT/data.yaml:3: val: none of 1 pictures can be used; the first: ROOT/images/val/a.png: 9 x 100 pixels, the least is 10 x 10"},
		{"one picture for a split", map[string]string{"data.yaml": "names: [a]\nval: a.png", "a.png": "20x20"}, "val",
			"ROOT/a.png is neither a folder nor a list of pictures (.txt)"},
		{"gone from the list", map[string]string{"data.yaml": "names: [a]\nval: l.txt", "l.txt": "\nb.png"}, "val",
			"ROOT/data.yaml:2: val: none of 1 pictures can be used; the first: ROOT/l.txt:2: open ROOT/b.png: no such file or directory"},
		{"no picture in the list", map[string]string{"data.yaml": "names: [a]\nval: l.txt", "l.txt": "b.gif"}, "val",
			`ROOT/l.txt:1: "b.gif" is not a picture (.bmp .jpeg .jpg .mpo .png .tif .tiff .webp)`},
		{"long line in the list", map[string]string{"data.yaml": "names: [a]\nval: l.txt", "l.txt": "\n" + strings.Repeat("a", 5000)}, "val",
			"ROOT/l.txt:2: a path is at most 4096 bytes"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			root := tree(t, test.files)
			_, err := Open(filepath.Join(root, "data.yaml"), OpenOptions{Splits: []string{test.split}})
			if err == nil || strings.ReplaceAll(err.Error(), root, "ROOT") != test.err {
				t.Errorf("error %v, want %s", err, test.err)
			}
		})
	}
}

// TestOpenLeavesOut: pictures that are bad, or whose labels are, are named and left out,
// with every wrong row.
func TestOpenLeavesOut(t *testing.T) {
	root := tree(t, map[string]string{
		"data.yaml":        "names: [a, b]\nval: images\ntest: l.txt",
		"images/a.png":     "20x20",
		"labels/a.txt":     boxText + boxText + "0 .5 .5 0 .1",
		"images/b.png":     "20x20",
		"labels/b.txt":     "x 0 0 0 0\n" + boxText + "2 .5 .5 .1 .1\n0 1.5 .5 .1 .1\n",
		"images/broken":    "",
		"images/c.png":     "broken",
		"images/d.png":     "9x100",
		"images/e.png":     "20x20",
		"images/empty.jpg": "",
		"l.txt":            "\ufeffimages/a.png\r\nimages/gone.png\r\n",
	})
	d, err := Open(filepath.Join(root, "data.yaml"), OpenOptions{Splits: []string{"val", "test"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Val) != 2 || len(d.Test) != 1 || d.Skipped() != 5 {
		t.Errorf("%d and %d pictures, %d left out; want 2, 1, 5", len(d.Val), len(d.Test), d.Skipped())
	}
	texts := func(list []Problem) (out []string) {
		for _, p := range list {
			out = append(out, p.Split+" "+string(p.Kind)+" "+strings.ReplaceAll(p.String(), root, "ROOT"))
		}
		return out
	}
	if got, want := texts(d.Problems), []string{
		`val malformed label ROOT/labels/b.txt:1: class "x" is not a number`,
		"val class out of range ROOT/labels/b.txt:3: class 2, the data set has 2 classes (0..1)",
		"val box outside the picture ROOT/labels/b.txt:4: cx 1.5 is above 1: coordinates are fractions of the picture",
		"val corrupt picture ROOT/images/c.png: not a JPEG, PNG, WebP, BMP, GIF or TIFF picture",
		"val picture too small ROOT/images/d.png: 9 x 100 pixels, the least is 10 x 10",
		"val corrupt picture ROOT/images/empty.jpg: the file is empty",
		"test missing picture ROOT/l.txt:2: open ROOT/images/gone.png: no such file or directory",
	}; !reflect.DeepEqual(got, want) {
		t.Errorf("problems\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got, want := texts(d.Notes)[:3], []string{
		"val label given twice ROOT/labels/a.txt:2: the same box stands above",
		"val box without an area ROOT/labels/a.txt:3: a box without width or height",
		"val picture without a label file ROOT/labels/e.txt: is not there, the picture counts as background",
	}; !reflect.DeepEqual(got, want) {
		t.Errorf("notes\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestMask opens the development data that may lie beside the checkout.
func TestMask(t *testing.T) {
	file := filepath.Join("..", "..", "shared", "data", "mask", "data.yaml")
	if !exists(file) {
		t.Skip("the mask data set is not beside the checkout")
	}
	d, err := Open(file, OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	train, val := d.Count(d.Train), d.Count(d.Val)
	if train.Pictures != 1898 || !reflect.DeepEqual(train.Boxes, []int{2745, 3596}) {
		t.Errorf("train %+v", train)
	}
	if val.Pictures != 383 || !reflect.DeepEqual(val.Boxes, []int{537, 680}) {
		t.Errorf("val %+v", val)
	}
}
