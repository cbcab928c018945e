package report

import (
	"image/png"
	"os"
	"path/filepath"
	"testing"
)

func TestAnchors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "anchors.png")
	many := make([][2]float32, 2*maxDots+1)
	for i := range many {
		many[i] = [2]float32{0, float32(i)}
	}
	levels := []AnchorLevel{{8, [][2]float32{{10, 13}}, [][2]float32{{8, 9}, {20, 30}}}, {16, [][2]float32{{30, 61}}, [][2]float32{{60, 70}}}}
	if err := Anchors(path, "boxes", many, levels); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil || img.Bounds().Dx() != 864 || img.Bounds().Dy() != 864 {
		t.Fatalf("%v, %v", img.Bounds(), err)
	}
	colours := map[[3]uint32]int{}
	for y := range 864 {
		for x := range 864 {
			r, g, b, _ := img.At(x, y).RGBA()
			colours[[3]uint32{r, g, b}]++
		}
	}
	if len(colours) < 10 {
		t.Errorf("the picture has %d colours", len(colours))
	}
	if err := Anchors(filepath.Join(t.TempDir(), "none", "a.png"), "", nil, nil); err == nil {
		t.Error("a picture was written to a folder that is not there")
	}
}
