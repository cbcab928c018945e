package picture

import (
	"bytes"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"testing"
)

func TestDrawRect(t *testing.T) {
	p, c := New(12, 10), color.RGBA{10, 20, 30, 255}
	p.DrawRect(3, 2, 9, 8, 2, c)
	want := []string{
		"............",
		"..########..",
		"..########..",
		"..##....##..",
		"..##....##..",
		"..##....##..",
		"..##....##..",
		"..########..",
		"..########..",
		"............",
	}
	for y, row := range want {
		for x, mark := range row {
			if got := p.At(x, y) == c; got != (mark == '#') {
				t.Errorf("at %d,%d: drawn = %v", x, y, got)
			}
		}
	}
}

// inked counts the pixels that are not black.
func inked(p *RGB) (n int) {
	for y := range p.H {
		for x := range p.W {
			if p.At(x, y) != (color.RGBA{0, 0, 0, 255}) {
				n++
			}
		}
	}
	return n
}

// Lines and letters take about the same share of a small and of a large picture.
func TestDrawBoxScales(t *testing.T) {
	share := func(side int) float64 {
		p := New(side, side)
		s := float32(side)
		p.DrawBox(.2*s, .3*s, .8*s, .9*s, "face 0.87", Color(1))
		return float64(inked(p)) / float64(side*side)
	}
	small, large := share(600), share(3000)
	if small < 0.005 || small > 0.1 || math.Abs(small/large-1) > 0.3 {
		t.Errorf("%.4f of a small picture, %.4f of a large one", small, large)
	}
}

// A label has field and letters, and stays in the picture wherever its box lies.
func TestDrawLabelInside(t *testing.T) {
	for _, at := range [][2]float32{{10, 50}, {10, 0}, {190, 50}, {-30, 99}} {
		p, c := New(200, 100), Color(0)
		p.DrawLabel(at[0], at[1], "mask 0.50", 14, c)
		field, letters := 0, 0
		for y := range p.H {
			for x := range p.W {
				switch p.At(x, y) {
				case c:
					field++
				case color.RGBA{255, 255, 255, 255}:
					letters++
				}
			}
		}
		if field < 400 || letters < 40 {
			t.Errorf("at %v: %d pixels of field, %d of letters", at, field, letters)
		}
	}
}

// Boxes of a network gone wrong are drawn as far as they can be.
func TestDrawOutside(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, b := range [][4]float32{
		{-100, -100, 500, 500}, {500, 500, 600, 600}, {30, 30, 10, 10},
		{nan, nan, nan, nan}, {-inf, -inf, inf, inf}, {1e30, 0, 1e38, 3},
	} {
		p := New(40, 30)
		p.DrawBox(b[0], b[1], b[2], b[3], "漢字 \xff", Color(-1))
	}
	New(0, 0).DrawBox(0, 0, 1, 1, "x", Color(0))
}

func TestSaveJPEG(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out.jpg")
	want := gradient(60, 40)
	for range 2 { // the second time over the first
		if err := want.SaveJPEG(path, 95); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := worst(t, got, want); d > 16 {
		t.Errorf("off by %d", d)
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("%d files are left, want 1", len(files))
	}
	// What cannot be written leaves what was there.
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := New(70000, 1).SaveJPEG(path, 95); err == nil {
		t.Error("a JPEG 70000 pixels wide was written")
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("the old file is gone")
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("%d files are left, want 1", len(files))
	}
	if err := want.SaveJPEG(filepath.Join(dir, "none", "out.jpg"), 95); err == nil {
		t.Error("written into a directory that does not exist")
	}
}
