package picture

import (
	"hash/crc32"
	"math"
	"testing"
)

// pattern is a picture without any symmetry: every pixel of it counts in a checksum.
func pattern(w, h int) *RGB {
	p := New(w, h)
	for i := range p.Pix {
		p.Pix[i] = uint8((i*i*7 + i*131 + i/(3*w)*29) % 251)
	}
	return p
}

// gradient changes slowly in all three colours.
func gradient(w, h int) *RGB {
	p := New(w, h)
	for y := range h {
		for x := range w {
			i := 3 * (y*w + x)
			p.Pix[i] = uint8(255 * x / max(1, w-1))
			p.Pix[i+1] = uint8(255 * y / max(1, h-1))
			p.Pix[i+2] = uint8(255 - 255*(x+y)/max(1, w+h-2))
		}
	}
	return p
}

// Checksums (CRC-32 of the bytes) of cv2.resize, OpenCV 4.6.0, on pattern. An area of 0 is
// not compared: a side grows, or whole numbers of pixels are averaged.
func TestResizeLikeOpenCV(t *testing.T) {
	for _, c := range []struct {
		w, h, toW, toH int
		linear, area   uint32
	}{
		{37, 23, 16, 16, 0xad137176, 0x158cf656},
		{37, 23, 18, 11, 0x5588043e, 0xb6c7e852},
		{37, 23, 50, 31, 0x94161ec1, 0},
		{37, 23, 38, 23, 0xe92a059b, 0},
		{37, 23, 33, 20, 0xdf8e1ac8, 0x18bd3e3c},
		{37, 23, 640, 400, 0x62a5c44e, 0},
		{37, 23, 1, 1, 0x8d8b969e, 0x104480f7},
		{64, 48, 16, 16, 0x6b19f903, 0},
		{64, 48, 32, 24, 0xa2a1fe01, 0xa2a1fe01},
		{64, 48, 50, 31, 0x0d16c012, 0x06330cac},
		{64, 48, 65, 48, 0x70dbafe9, 0},
		{64, 48, 33, 20, 0x5cecd1e4, 0x4c4983b6},
		{64, 48, 640, 400, 0x7d68d5f8, 0},
		{64, 48, 1, 1, 0x2229216c, 0x7ddc554e},
		{300, 200, 16, 16, 0x5d71b8ea, 0x802d5ccb},
		{300, 200, 150, 100, 0xabbfe0c8, 0xabbfe0c8},
		{300, 200, 50, 31, 0x54e2c3ef, 0xbe2242dd},
		{300, 200, 301, 200, 0xc87024fd, 0},
		{300, 200, 33, 20, 0x33cf1ae2, 0x4b87bdfe},
		{300, 200, 640, 400, 0xdfc5eeab, 0},
		{300, 200, 1, 1, 0x9577365e, 0x174d282b},
	} {
		p := pattern(c.w, c.h)
		if got := crc32.ChecksumIEEE(p.Resize(c.toW, c.toH).Pix); got != c.linear {
			t.Errorf("Resize %dx%d to %dx%d: 0x%08x, want 0x%08x", c.w, c.h, c.toW, c.toH, got, c.linear)
		}
		if c.area == 0 {
			continue
		}
		if got := crc32.ChecksumIEEE(p.ResizeArea(c.toW, c.toH).Pix); got != c.area {
			t.Errorf("ResizeArea %dx%d to %dx%d: 0x%08x, want 0x%08x", c.w, c.h, c.toW, c.toH, got, c.area)
		}
	}
}

// The plain formula of bilinear interpolation, in floating point.
func TestResizePlain(t *testing.T) {
	p := pattern(31, 17)
	for _, s := range [][2]int{{31, 17}, {20, 40}, {62, 34}, {7, 5}, {1, 90}} {
		got := p.Resize(s[0], s[1])
		for y := range got.H {
			for x := range got.W {
				fx := (float64(x)+0.5)*float64(p.W)/float64(got.W) - 0.5
				fy := (float64(y)+0.5)*float64(p.H)/float64(got.H) - 0.5
				for c := range 3 {
					want := p.bilinear(fx, fy, c)
					if v := got.Pix[3*(y*got.W+x)+c]; math.Abs(float64(v)-want) > 1 {
						t.Fatalf("%v at %d,%d,%d: %d, want %.2f", s, x, y, c, v, want)
					}
				}
			}
		}
	}
}

func (p *RGB) bilinear(fx, fy float64, c int) float64 {
	at := func(x, y int) float64 {
		x, y = min(max(x, 0), p.W-1), min(max(y, 0), p.H-1)
		return float64(p.Pix[3*(y*p.W+x)+c])
	}
	x, y := int(math.Floor(fx)), int(math.Floor(fy))
	dx, dy := fx-float64(x), fy-float64(y)
	return (at(x, y)*(1-dx)+at(x+1, y)*dx)*(1-dy) + (at(x, y+1)*(1-dx)+at(x+1, y+1)*dx)*dy
}

// Bands of rows, worked on at once, meet without a seam.
func TestResizeLarge(t *testing.T) {
	p := gradient(700, 500)
	got, small := p.Resize(901, 777), p.ResizeArea(611, 433)
	for _, q := range []*RGB{got, small} {
		for y := 1; y < q.H; y++ {
			for x := range q.W {
				i := 3 * (y*q.W + x)
				if d := int(q.Pix[i+1]) - int(q.Pix[i+1-3*q.W]); d < 0 || d > 2 {
					t.Fatalf("%dx%d: a step of %d between rows %d and %d", q.W, q.H, d, y-1, y)
				}
			}
		}
	}
}

func TestResizeAreaIsMean(t *testing.T) {
	p := pattern(60, 40)
	got := p.ResizeArea(12, 10) // 5 x 4 pixels each
	for y := range 10 {
		for x := range 12 {
			for c := range 3 {
				sum := 0
				for dy := range 4 {
					for dx := range 5 {
						sum += int(p.Pix[3*((4*y+dy)*60+5*x+dx)+c])
					}
				}
				if v := float64(got.Pix[3*(y*12+x)+c]); math.Abs(v-float64(sum)/20) > 0.501 {
					t.Fatalf("%d,%d,%d: %v, want %v", x, y, c, v, float64(sum)/20)
				}
			}
		}
	}
}

func TestLetterbox(t *testing.T) {
	for _, c := range []struct {
		name                      string
		w, h, toW, toH            int
		left, top, innerW, innerH int
		scale                     float32
		padX, padY                float32
	}{
		{"tall", 810, 1080, 640, 640, 80, 0, 480, 640, 640. / 1080, 80, 0},
		{"wide", 1280, 720, 640, 640, 0, 140, 640, 360, .5, 0, 140},
		{"enlarged", 320, 240, 640, 640, 0, 80, 640, 480, 2, 0, 80},
		{"as it is", 640, 640, 640, 640, 0, 0, 640, 640, 1, 0, 0},
		{"odd padding goes right", 427, 640, 640, 640, 106, 0, 427, 640, 1, 106.5, 0},
		{"odd padding goes below", 500, 333, 320, 320, 0, 53, 320, 213, .64, 0, 53.5},
		{"half to even", 2, 4, 5, 5, 1, 0, 2, 5, 1.25, 1.5, 0},
		{"half to even, up", 6, 4, 9, 9, 0, 1, 9, 6, 1.5, 0, 1.5},
		{"rectangle", 1280, 720, 640, 384, 0, 12, 640, 360, .5, 0, 12},
		{"a line", 1000, 1, 64, 64, 0, 31, 64, 1, .064, 0, 31.5},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := New(c.w, c.h)
			for i := range p.Pix {
				p.Pix[i] = 200
			}
			out, fit := Letterbox(p, c.toW, c.toH)
			if want := (Fit{c.scale, c.padX, c.padY, c.w, c.h}); fit != want {
				t.Errorf("%+v, want %+v", fit, want)
			}
			for y := range out.H {
				for x := range out.W {
					want := uint8(Grey)
					if x >= c.left && x < c.left+c.innerW && y >= c.top && y < c.top+c.innerH {
						want = 200
					}
					if got := out.Pix[3*(y*out.W+x)]; got != want {
						t.Fatalf("at %d,%d: %d, want %d", x, y, got, want)
					}
				}
			}
		})
	}
}

func TestPad(t *testing.T) {
	p := pattern(5, 4)
	out, fit := Pad(p, 8, 8)
	if want := (Fit{1, 1.5, 2, 5, 4}); fit != want {
		t.Errorf("%+v, want %+v", fit, want)
	}
	for y := range 4 {
		for x := range 5 {
			if out.At(1+x, 2+y) != p.At(x, y) {
				t.Fatalf("%d,%d is not where it belongs", x, y)
			}
		}
	}
	if got := out.Pix[0]; got != Grey {
		t.Errorf("corner %d, want %d", got, Grey)
	}
}

func TestFitBack(t *testing.T) {
	_, fit := Letterbox(New(810, 1080), 640, 640)
	for _, c := range [][4]float32{{0, 0, 810, 1080}, {10, 20, 300, 400}, {809, 1, 810, 2}} {
		x1, y1, x2, y2 := fit.Back(
			c[0]*fit.Scale+fit.PadX, c[1]*fit.Scale+fit.PadY,
			c[2]*fit.Scale+fit.PadX, c[3]*fit.Scale+fit.PadY)
		for i, v := range [4]float32{x1, y1, x2, y2} {
			if math.Abs(float64(v-c[i])) > 1e-3 {
				t.Errorf("%v came back as %v %v %v %v", c, x1, y1, x2, y2)
			}
		}
	}
	x1, y1, x2, y2 := fit.Back(0, -50, 640, 700)
	if got, want := [4]float32{x1, y1, x2, y2}, [4]float32{0, 0, 810, 1080}; got != want {
		t.Errorf("not clipped: %v, want %v", got, want)
	}
}

func TestCHW(t *testing.T) {
	p := pattern(401, 333) // large enough for bands
	n := p.W * p.H
	got := make([]float32, 3*n)
	p.CHW(got)
	for i, v := range p.Pix {
		if g := got[i%3*n+i/3]; g != float32(v)/255 {
			t.Fatalf("byte %d: %v, want %v/255", i, g, v)
		}
	}
}
