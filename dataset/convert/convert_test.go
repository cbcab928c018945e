package convert

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"ultrafast/dataset"
	"ultrafast/scene"
)

var whole = dataset.OpenOptions{Whole: true}

// source draws a data set whose classes are not in the order of the alphabet.
func source(t *testing.T) *dataset.Data {
	t.Helper()
	path, err := scene.Write(t.TempDir(), scene.Set{Train: 5, Val: 3, Width: 161, Height: 97, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	data, err := dataset.Open(path, whole)
	if err != nil {
		t.Fatal(err)
	}
	data.Names = []string{"zebra: #1", "Bär \"x\""}
	return data
}

func open(t *testing.T, path string) *dataset.Data {
	t.Helper()
	data, err := dataset.Open(path, whole)
	if err != nil {
		t.Fatal(err)
	}
	if len(data.Problems) > 0 {
		t.Fatalf("problems %v", data.Problems)
	}
	return data
}

// same fails unless both hold the same pictures and boxes, to off pixels.
func same(t *testing.T, got, want *dataset.Data, off float64) {
	t.Helper()
	if !reflect.DeepEqual(got.Names, want.Names) {
		t.Errorf("names %q, want %q", got.Names, want.Names)
	}
	for i, pair := range [][2][]dataset.Item{{got.Train, want.Train}, {got.Val, want.Val}, {got.Test, want.Test}} {
		if len(pair[0]) != len(pair[1]) {
			t.Fatalf("split %d: %d pictures, want %d", i, len(pair[0]), len(pair[1]))
		}
		for j, g := range pair[0] {
			w := pair[1][j]
			if filepath.Base(g.Path) != filepath.Base(w.Path) || len(g.Labels) != len(w.Labels) {
				t.Fatalf("%s with %d boxes, want %s with %d", g.Path, len(g.Labels), w.Path, len(w.Labels))
			}
			for k, l := range g.Labels {
				m := w.Labels[k]
				for _, d := range []float64{float64(l.CX-m.CX) * float64(w.W), float64(l.W-m.W) * float64(w.W),
					float64(l.CY-m.CY) * float64(w.H), float64(l.H-m.H) * float64(w.H)} {
					if math.Abs(d) > off || l.Class != m.Class {
						t.Errorf("%s: box %v, want %v", g.Path, l, m)
					}
				}
			}
		}
	}
}

// TestRoundTrips goes through every pair of layouts and back.
func TestRoundTrips(t *testing.T) {
	data := source(t)
	dir := t.TempDir()
	for i, first := range Formats {
		for j, second := range Formats {
			a, b := filepath.Join(dir, first+second+"1"), filepath.Join(dir, first+second+"2")
			if _, err := Write(data, Options{Format: first, Dir: a}); err != nil {
				t.Fatal(err)
			}
			once := open(t, a)
			r, err := Write(once, Options{Format: second, Dir: b})
			if err != nil || r.Linked+r.Copied == 0 || r.Pictures != 8 {
				t.Fatalf("%+v, %v", r, err)
			}
			off := 0.001 // pixels
			if i == 0 && j == 0 {
				off = 0
			}
			// scene.Write names the pictures of both splits alike: in VOC's one folder some are renamed.
			if first != "voc" && second != "voc" {
				same(t, open(t, b), data, off)
			} else if got := open(t, b); len(got.Train) != 5 || len(got.Val) != 3 {
				t.Errorf("%d and %d pictures", len(got.Train), len(got.Val))
			}
		}
	}
	data.Val = nil
	voc := filepath.Join(dir, "voc")
	if _, err := Write(data, Options{Format: "voc", Dir: voc}); err != nil {
		t.Fatal(err)
	}
	same(t, open(t, voc), data, 0.001)
}

// TestNames: pictures whose names meet keep apart, and one that two splits share is one file.
func TestNames(t *testing.T) {
	data := source(t)
	data.Val = append(data.Val, data.Train[4])
	dir := filepath.Join(t.TempDir(), "v")
	r, err := Write(data, Options{Format: "voc", Dir: dir})
	if err != nil || r.Renamed != 3 || r.Linked+r.Copied != 8 || r.Pictures != 9 {
		t.Fatalf("%+v, %v", r, err)
	}
	list, err := os.ReadFile(filepath.Join(dir, "ImageSets", "Main", "val.txt"))
	if err != nil || string(list) != "0000-2\n0001-2\n0002-2\n0004\n" {
		t.Errorf("val.txt holds %q (%v)", list, err)
	}
}

// TestFolderErrors: a new folder that cannot be filled is named as the user has, and a source that
// cannot be read is no fault of it.
func TestFolderErrors(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string // "" for one of the source
	}{
		{&os.PathError{Op: "write", Path: "a/.new-12/labels/x.txt", Err: syscall.ENOSPC}, "a/new/labels/x.txt: no space left on device"},
		{&os.LinkError{Op: "rename", Old: "a/.new-12", New: "a/new", Err: syscall.EEXIST}, "a/new: file exists"},
		{&os.PathError{Op: "open", Path: "b/x.jpg", Err: syscall.EACCES}, ""},
		{errors.New("there are no pictures to convert"), ""},
	} {
		err := ofFolder(c.err, "a/.new-12", "a/new")
		_, is := errors.AsType[*FolderError](err)
		if is != (c.want != "") || is && err.Error() != c.want || !is && err != c.err {
			t.Errorf("%v became %v, want %q", c.err, err, c.want)
		}
	}
}

// TestNothingIsLost: what is there already stays as it is, and what fails leaves nothing.
func TestNothingIsLost(t *testing.T) {
	data := source(t)
	parent := t.TempDir()
	dir := filepath.Join(parent, "there")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Write(data, Options{Format: "yolo", Dir: dir}); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	_, err := Write(data, Options{Format: "yolo", Dir: filepath.Join(parent, "new"), Context: ctx, Progress: func(string, int, int) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if left, _ := os.ReadDir(parent); len(left) != 1 {
		t.Errorf("%v are left", left)
	}
	if _, err := Write(&dataset.Data{}, Options{Format: "coco", Dir: filepath.Join(parent, "none")}); err == nil {
		t.Error("nothing is converted")
	}
}
