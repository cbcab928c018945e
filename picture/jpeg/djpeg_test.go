package jpeg

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// djpeg decodes with libjpeg-turbo, where it is installed.
func djpeg(t *testing.T, file []byte) (pix []uint8, w, h int) {
	t.Helper()
	cmd := exec.Command("djpeg", "-ppm")
	cmd.Stdin = bytes.NewReader(file)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal("djpeg: ", err)
	}
	var kind string
	if _, err := fmt.Fscan(bytes.NewReader(out), &kind, &w, &h); err != nil {
		t.Fatal("djpeg's output: ", err)
	}
	if kind == "P6" {
		return out[len(out)-3*w*h:], w, h
	}
	for _, v := range out[len(out)-w*h:] {
		pix = append(pix, v, v, v)
	}
	return pix, w, h
}

func needs(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skip("libjpeg-turbo-progs is not installed: ", err)
		}
	}
}

func sameAsDjpeg(t *testing.T, name string, file []byte) {
	t.Helper()
	want, ww, wh := djpeg(t, file)
	got, w, h, err := Decode(nil, file, 1e8)
	switch {
	case err != nil:
		t.Errorf("%s: %v", name, err)
	case w != ww || h != wh:
		t.Errorf("%s: %d x %d, want %d x %d", name, w, h, ww, wh)
	case !bytes.Equal(got, want):
		n := 0
		for i := range want {
			if got[i] != want[i] {
				n++
			}
		}
		t.Errorf("%s: %d of %d bytes differ", name, n, len(want))
	}
}

// Every sampling that cjpeg writes, at sizes that end within a block.
func TestSameAsDjpeg(t *testing.T) {
	needs(t, "cjpeg", "djpeg")
	sizes := [][2]int{{1, 1}, {3, 2}, {5, 4}, {17, 15}, {34, 31}, {131, 70}}
	samplings := []string{
		"2x2", "2x1", "1x1", "1x2", "4x1", "4x2", "1x4", "3x1", "1x3",
		"2x2,1x2,1x1", "2x2,2x1,1x2", "1x1,2x2,1x1", "1x4,1x2,1x1",
	}
	if testing.Short() {
		sizes, samplings = [][2]int{{5, 4}, {34, 31}}, samplings[:4]
	}
	for i, size := range sizes {
		ppm := fmt.Appendf(nil, "P6\n%d %d\n255\n", size[0], size[1])
		ppm = append(ppm, noise(3*size[0], size[1], i).Pix...)
		for j, s := range samplings {
			// The other options take turns.
			more := []string{"-quality 75", "-progressive", "-restart 1", "-quality 4", "-progressive -restart 2B -quality 97"}[(i+j)%5]
			args := append(strings.Fields(more), "-sample", s)
			cmd := exec.Command("cjpeg", args...)
			cmd.Stdin = bytes.NewReader(ppm)
			file, err := cmd.Output()
			if err != nil {
				t.Fatal("cjpeg ", args, ": ", err)
			}
			sameAsDjpeg(t, fmt.Sprint(size, args), file)
		}
	}
}

// Samplings that only come about in separate scans, which libjpeg reads too.
func TestSeparateScansSameAsDjpeg(t *testing.T) {
	needs(t, "djpeg")
	const w, h = 45, 38
	for _, factors := range [][]byte{
		{0x44, 0x22, 0x11}, {0x44, 0x24, 0x42}, {0x22, 0x44, 0x41}, {0x42, 0x21, 0x42}, {0x24, 0x12, 0x14},
	} {
		var parts [][]byte
		maxH, maxV := 0, 0
		for _, f := range factors {
			maxH, maxV = max(maxH, int(f>>4)), max(maxV, int(f&15))
		}
		for i, f := range factors {
			parts = append(parts, encode(t, noise(ceil(w*int(f>>4), maxH), ceil(h*int(f&15), maxV), i), 90))
		}
		sameAsDjpeg(t, fmt.Sprintf("%x", factors), glue(t, w, h, "", "\x01\x02\x03", factors, parts...))
	}
}

// Where black is 255, djpeg gives the other inks as they are, and OpenCV one more below 255.
func TestYCCKSameAsDjpeg(t *testing.T) {
	needs(t, "djpeg")
	white := noise(40, 40, 0)
	for i := range white.Pix {
		white.Pix[i] = 255
	}
	var parts [][]byte
	for i := range 3 {
		parts = append(parts, encode(t, noise(40, 40, i), 90))
	}
	parts = append(parts, encode(t, white, 90))
	for _, app := range []string{adobeRGB, adobeYCC} {
		file := glue(t, 40, 40, app, "\x01\x02\x03\x04", []byte{0x11, 0x11, 0x11, 0x11}, parts...)
		want, _, _ := djpeg(t, file)
		got, _, _, err := Decode(nil, file, testPixels)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range want {
			if v < 255 {
				v++
			}
			if got[i] != v {
				t.Fatalf("%q: byte %d is %d, want %d", app, i, got[i], v)
			}
		}
	}
}

// Real pictures, where they lie beside the checkout.
func TestRealPicturesSameAsDjpeg(t *testing.T) {
	needs(t, "djpeg")
	var files []string
	for _, p := range []struct {
		glob string
		step int
	}{
		{"pics/*.jpg", 1}, {"data/coco128/images/train2017/*.jpg", 8}, {"data/mask/images/train/*.jpg", 100},
	} {
		found, err := filepath.Glob("../../../shared/" + p.glob)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(found); i += p.step {
			files = append(files, found[i])
		}
	}
	if len(files) == 0 {
		t.Skip("no pictures in ../shared")
	}
	if testing.Short() {
		files = files[:min(3, len(files))]
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		sameAsDjpeg(t, f, data)
	}
}
