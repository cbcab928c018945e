package picture

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"slices"
	"testing"
)

// libjpeg's triangle filter on three samples, by hand.
func TestWiden(t *testing.T) {
	got := make([]uint8, 6)
	widen(got, []uint8{0, 100, 200})
	if want := []uint8{0, 25, 75, 125, 175, 200}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	// Rounding: 3*1+2+1 = 6 and 3*2+1+2 = 9, in quarters.
	widen(got, []uint8{1, 2, 1})
	if want := []uint8{1, 1, 2, 2, 1, 1}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// Every ratio against weights of 9, 3, 3, 1 in floating point, odd sizes included.
func TestUpsamplePlain(t *testing.T) {
	for _, ratio := range []image.YCbCrSubsampleRatio{
		image.YCbCrSubsampleRatio444, image.YCbCrSubsampleRatio422,
		image.YCbCrSubsampleRatio420, image.YCbCrSubsampleRatio440,
	} {
		for _, size := range [][2]int{{16, 16}, {17, 9}, {5, 1}, {6, 3}, {33, 2}} {
			img := image.NewYCbCr(image.Rect(0, 0, size[0], size[1]), ratio)
			for i := range img.Cb {
				img.Cb[i] = uint8(i * i * 37)
				img.Cr[i] = uint8(255 - i*91)
			}
			halfX, halfY, _ := halved(ratio)
			u := newUpsampler(size[0], size[1], halfX, halfY)
			row := make([]uint8, size[0]+1)
			for y := range size[1] {
				u.row(row, img.Cb, img.CStride, y)
				for x := range size[0] {
					want := plainUpsample(img.Cb, img.CStride, u, x, y)
					if d := float64(row[x]) - want; d > 0.51 || d < -0.51 {
						t.Fatalf("%v %v at %d,%d: %d, want %.3f", ratio, size, x, y, row[x], want)
					}
				}
			}
		}
	}
}

func plainUpsample(plane []uint8, stride int, u *upsampler, x, y int) float64 {
	axis := func(v, n int, half bool) (near, far int) {
		if !half {
			return v, v
		}
		return v / 2, min(max(v/2-1+v%2*2, 0), n-1)
	}
	nx, fx := axis(x, u.w, u.halfX)
	ny, fy := axis(y, u.h, u.halfY)
	at := func(x, y int) float64 { return float64(plane[y*stride+x]) }
	return (9*at(nx, ny) + 3*at(fx, ny) + 3*at(nx, fy) + at(fx, fy)) / 16
}

// On smooth colours the triangle filter is much nearer to the truth than repetition.
func TestSmoothChroma(t *testing.T) {
	truth := New(96, 96)
	for y := range 96 {
		for x := range 96 {
			copy(truth.Pix[3*(y*96+x):], []uint8{uint8(60 + 2*x), uint8(230 - 2*y), uint8(30 + x + y)})
		}
	}
	img, err := jpeg.Decode(bytes.NewReader(encode(t, truth, "JPEG")))
	if err != nil {
		t.Fatal(err)
	}
	ycc := img.(*image.YCbCr)
	if ycc.SubsampleRatio != image.YCbCrSubsampleRatio420 {
		t.Fatalf("the encoder's ratio is %v now", ycc.SubsampleRatio)
	}
	repeated := New(96, 96)
	nearest(repeated, ycc, fullRange)
	distance := func(p *RGB) (sum int) {
		for i := range p.Pix {
			d := int(p.Pix[i]) - int(truth.Pix[i])
			sum += d * d
		}
		return sum
	}
	smooth, rough := distance(fromYCbCr(ycc, fullRange)), distance(repeated)
	if 2*smooth > rough {
		t.Errorf("squared error %d, with repeated colours %d", smooth, rough)
	}
}

// Without subsampling it is Go's own conversion, to within the last bit.
func TestConvert(t *testing.T) {
	for y := 0; y < 256; y += 5 {
		for cb := 0; cb < 256; cb += 5 {
			for cr := 0; cr < 256; cr += 5 {
				var got [3]uint8
				fullRange.convert(got[:], []uint8{uint8(y)}, []uint8{uint8(cb)}, []uint8{uint8(cr)})
				r, g, b := color.YCbCrToRGB(uint8(y), uint8(cb), uint8(cr))
				for i, want := range [3]uint8{r, g, b} {
					if d := int(got[i]) - int(want); d < -1 || d > 1 {
						t.Fatalf("%d,%d,%d: %v, want %d %d %d", y, cb, cr, got, r, g, b)
					}
				}
			}
		}
	}
	for _, c := range []struct{ in, want [3]uint8 }{
		{[3]uint8{16, 128, 128}, [3]uint8{0, 0, 0}},
		{[3]uint8{235, 128, 128}, [3]uint8{255, 255, 255}},
		{[3]uint8{81, 90, 240}, [3]uint8{254, 0, 0}}, // BT.601 red
		{[3]uint8{41, 240, 110}, [3]uint8{0, 0, 255}},
	} {
		var got [3]uint8
		studioRange.convert(got[:], c.in[:1], c.in[1:2], c.in[2:])
		for i := range got {
			if d := int(got[i]) - int(c.want[i]); d < -1 || d > 1 {
				t.Errorf("studio %v: %v, want %v", c.in, got, c.want)
			}
		}
	}
}

// Ratios that libjpeg does not interpolate, and narrow pictures, repeat colours.
func TestNearest(t *testing.T) {
	for _, img := range []*image.YCbCr{
		image.NewYCbCr(image.Rect(0, 0, 13, 5), image.YCbCrSubsampleRatio411),
		image.NewYCbCr(image.Rect(0, 0, 13, 5), image.YCbCrSubsampleRatio410),
		image.NewYCbCr(image.Rect(0, 0, 3, 3), image.YCbCrSubsampleRatio420),
		image.NewYCbCr(image.Rect(4, 2, 13, 5), image.YCbCrSubsampleRatio420),
	} {
		for i := range img.Cb {
			img.Cb[i], img.Cr[i] = uint8(40*i), uint8(255-30*i)
		}
		p, want := fromYCbCr(img, fullRange), FromImage(img)
		if d := worst(t, p, want); d > 1 {
			t.Errorf("%v %v: off by %d", img.Rect, img.SubsampleRatio, d)
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
