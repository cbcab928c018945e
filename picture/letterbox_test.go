package picture

import (
	"fmt"
	"image"
	"math"
	"math/rand/v2"
	"testing"
)

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

// kinds are the pictures that decoders give.
func kinds(p *RGB) map[string]image.Image {
	r := p.Bounds().Add(image.Pt(5, 3))
	grey, rgba, nrgba := image.NewGray(r), image.NewRGBA(r), image.NewNRGBA(r)
	wide := image.NewRGBA64(r)
	ycc := image.NewYCbCr(image.Rect(4, 2, r.Max.X, r.Max.Y), image.YCbCrSubsampleRatio420)
	for i := range ycc.Y {
		ycc.Y[i] = uint8(i * 7)
	}
	for i := range ycc.Cb {
		ycc.Cb[i], ycc.Cr[i] = uint8(i*11), uint8(i*13)
	}
	for y := range p.H {
		for x := range p.W {
			c := p.At(x, y)
			grey.Set(x+5, y+3, c)
			rgba.Set(x+5, y+3, c)
			nrgba.Set(x+5, y+3, c)
			wide.Set(x+5, y+3, c)
		}
	}
	return map[string]image.Image{
		"RGB": p, "grey": grey, "RGBA": rgba, "NRGBA": nrgba, "RGBA64": wide,
		"YCbCr": ycc.SubImage(r), // begins within a sample of colour
	}
}

// Pictures of every kind and size, into memory that holds what was there before, against
// the plain loops.
func TestLetterboxer(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for i := range 60 {
		w, h := size(r), size(r)
		l := NewLetterboxer(w, h, i%4)
		dst := make([]uint8, 3*w*h)
		for range 4 {
			for name, img := range kinds(scrambled(r, size(r), size(r))) {
				name := fmt.Sprintf("%s %v in %dx%d", name, img.Bounds(), w, h)
				fit := l.Letterbox(dst, img)
				p := FromImage(img)
				if fit.W != p.W || fit.H != p.H {
					t.Fatalf("%s: %+v", name, fit)
				}
				if i := differ(dst, boxed(p, w, h, fit).Pix); i >= 0 {
					t.Fatalf("%s: byte %d is %d", name, i, dst[i])
				}
			}
		}
	}
}

// boxed makes a letterbox the plain way.
func boxed(p *RGB, w, h int, fit Fit) *RGB {
	out := New(w, h)
	for i := range out.Pix {
		out.Pix[i] = Grey
	}
	in := p.plain(w-int(2*fit.PadX), h-int(2*fit.PadY))
	left, top := int(math.Ceil(float64(fit.PadX)-0.5)), int(math.Ceil(float64(fit.PadY)-0.5))
	for y := range in.H {
		copy(out.Pix[3*((top+y)*w+left):], in.Pix[3*in.W*y:][:3*in.W])
	}
	return out
}

// A frame after another takes no memory.
func TestLetterboxerAllocates(t *testing.T) {
	const w, h = 640, 400 // enough for two goroutines
	dst := make([]uint8, 3*w*h)
	for name, img := range kinds(pattern(640, 480)) {
		if name == "RGBA64" {
			continue // it goes pixel by pixel, through interfaces
		}
		l := NewLetterboxer(w, h, 2)
		if n := testing.AllocsPerRun(10, func() { l.Letterbox(dst, img) }); n >= 1 {
			t.Errorf("%s: %v allocations a picture", name, n)
		}
	}
}

func benchmarkLetterbox(b *testing.B, w, h int) {
	p := pattern(w, h)
	for _, threads := range []int{1, 2} {
		b.Run(fmt.Sprintf("threads=%d", threads), func(b *testing.B) {
			l, dst := NewLetterboxer(1280, 800, threads), make([]uint8, 3*1280*800)
			for b.Loop() {
				l.Letterbox(dst, p)
			}
		})
	}
}

func BenchmarkLetterbox480p(b *testing.B)  { benchmarkLetterbox(b, 640, 480) }
func BenchmarkLetterbox720p(b *testing.B)  { benchmarkLetterbox(b, 1280, 720) }
func BenchmarkLetterbox1080p(b *testing.B) { benchmarkLetterbox(b, 1920, 1080) }
func BenchmarkLetterbox1440p(b *testing.B) { benchmarkLetterbox(b, 2560, 1440) }
func BenchmarkLetterbox2160p(b *testing.B) { benchmarkLetterbox(b, 3840, 2160) }
func BenchmarkLetterbox12MP(b *testing.B)  { benchmarkLetterbox(b, 4000, 3000) }
