package picture

import (
	"hash/crc32"
	"math"
	"math/rand/v2"
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

// plain is Resize row by row, with nothing but the plain loops.
func (p *RGB) plain(w, h int) *RGB {
	out := New(w, h)
	xs, ys := taps(nil, w, p.W), taps(nil, h, p.H)
	upper, lower := make([]int16, 4*w), make([]int16, 4*w)
	for y, t := range ys {
		scaleRow(upper, p.Pix[3*p.W*int(t.at):][:3*p.W], xs)
		scaleRow(lower, p.Pix[3*p.W*int(t.next):][:3*p.W], xs)
		blend(out.Pix[3*w*y:][:3*w], upper, lower, t.w0, t.w1)
	}
	return out
}

// size is mostly small, where edges are all there is.
func size(r *rand.Rand) int { return 1 + r.IntN(1+r.IntN(1+r.IntN(300))) }

// scrambled is random, with runs of the extremes.
func scrambled(r *rand.Rand, w, h int) *RGB {
	p := New(w, h)
	for i := range p.Pix {
		switch v := r.Uint32(); {
		case v>>30 == 0 && i > 0:
			p.Pix[i] = p.Pix[i-1]
		case v>>30 == 1:
			p.Pix[i] = uint8(int32(v<<2) >> 31)
		default:
			p.Pix[i] = uint8(v)
		}
	}
	return p
}

func TestResizeSameAsPlain(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	sizes := [][4]int{{1, 1, 300, 200}, {300, 200, 1, 1}, {1920, 7, 1280, 5}, {2000, 3, 1000, 6}, {5, 900, 7, 600}, {6, 6, 640, 640}}
	for range 400 {
		sizes = append(sizes, [4]int{size(r), size(r), size(r), size(r)})
	}
	for _, s := range sizes {
		p := scrambled(r, s[0], s[1])
		got, want := p.Resize(s[2], s[3]), p.plain(s[2], s[3])
		if i := differ(got.Pix, want.Pix); i >= 0 {
			t.Fatalf("%dx%d to %dx%d: byte %d is %d, want %d", s[0], s[1], s[2], s[3], i, got.Pix[i], want.Pix[i])
		}
	}
}

// differ returns the first place where a and b differ, -1 if none.
func differ(a, b []uint8) int {
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return -1
}

// Halving is the mean of 2 x 2 pixels.
func TestHalve(t *testing.T) {
	p := pattern(86, 34)
	got := p.Resize(43, 17)
	for y := range 17 {
		for x := range 43 {
			for c := range 3 {
				i := 3*(2*y*p.W+2*x) + c
				sum := int(p.Pix[i]) + int(p.Pix[i+3]) + int(p.Pix[i+3*p.W]) + int(p.Pix[i+3*p.W+3])
				if v := int(got.Pix[3*(y*43+x)+c]); v != (sum+2)>>2 {
					t.Fatalf("%d,%d,%d: %d, want %d", x, y, c, v, (sum+2)>>2)
				}
			}
		}
	}
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
