package picture

import (
	"bytes"
	"image"
	"slices"
	"testing"
)

// The triangle filter on three samples, by hand.
func TestWiden(t *testing.T) {
	got := make([]uint8, 6)
	widen(got, []int32{0, 400, 800})
	if want := []uint8{0, 25, 75, 125, 175, 200}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	// Rounding: 3*4+8+7 = 27, 3*8+4+8 = 36 and 3*8+4+7 = 35, in sixteenths.
	widen(got, []int32{4, 8, 4})
	if want := []uint8{1, 1, 2, 2, 1, 1}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// The whole plane against weights of 9, 3, 3, 1 in floating point, odd sizes included.
func TestUpsamplePlain(t *testing.T) {
	for _, size := range [][2]int{{16, 16}, {17, 9}, {5, 1}, {1, 6}, {6, 3}, {33, 2}} {
		img := image.NewYCbCr(image.Rect(0, 0, size[0], size[1]), image.YCbCrSubsampleRatio420)
		for i := range img.Cb {
			img.Cb[i] = uint8(i * i * 37)
		}
		u := newUpsampler(size[0], size[1])
		row := make([]uint8, size[0]+1)
		for y := range size[1] {
			u.row(row, img.Cb, img.CStride, y)
			for x := range size[0] {
				want := plainUpsample(img.Cb, img.CStride, u, x, y)
				if d := float64(row[x]) - want; d > 0.51 || d < -0.51 {
					t.Fatalf("%v at %d,%d: %d, want %.3f", size, x, y, row[x], want)
				}
			}
		}
	}
}

func plainUpsample(plane []uint8, stride int, u *upsampler, x, y int) float64 {
	axis := func(v, n int) (near, far int) { return v / 2, min(max(v/2-1+v%2*2, 0), n-1) }
	nx, fx := axis(x, len(u.sum))
	ny, fy := axis(y, u.h)
	at := func(x, y int) float64 { return float64(plane[y*stride+x]) }
	return (9*at(nx, ny) + 3*at(fx, ny) + 3*at(nx, fy) + at(fx, fy)) / 16
}

func TestConvertVP8(t *testing.T) {
	for _, c := range []struct{ in, want [3]uint8 }{
		{[3]uint8{16, 128, 128}, [3]uint8{0, 0, 0}},
		{[3]uint8{235, 128, 128}, [3]uint8{255, 255, 255}},
		{[3]uint8{81, 90, 240}, [3]uint8{254, 0, 0}}, // BT.601 red
		{[3]uint8{41, 240, 110}, [3]uint8{0, 0, 255}},
	} {
		var got [3]uint8
		convertVP8(got[:], c.in[:1], c.in[1:2], c.in[2:])
		for i := range got {
			if d := int(got[i]) - int(c.want[i]); d < -1 || d > 1 {
				t.Errorf("%v: %v, want %v", c.in, got, c.want)
			}
		}
	}
}

func BenchmarkDecodeJPEG(b *testing.B) {
	file := encode(b, pattern(1280, 720).Resize(640, 360).Resize(1280, 720), "JPEG")
	for b.Loop() {
		if _, err := Decode(bytes.NewReader(file)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pictures/s")
}

func BenchmarkLetterbox(b *testing.B) {
	p := gradient(1280, 720)
	for b.Loop() {
		Letterbox(p, 416, 416)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pictures/s")
}
