package dataset

import (
	"image"
	"math"
	"testing"

	"ultrafast/picture"
)

// colours is a loader of pictures that are black but for one rectangle, in a colour of
// their own; the rectangle is their label, and the class their index.
func colours(t *testing.T, size int, a Augment) *Loader {
	t.Helper()
	items := make([]Item, 15*15)
	l, err := NewLoader(items, LoaderOptions{Size: size, Train: true, Augment: a})
	if err != nil {
		t.Fatal(err)
	}
	for i := range items {
		p := picture.New(size, size-8*(i%9))
		if i%2 == 1 {
			p.W, p.H = p.H, p.W
		}
		rng := random(7, 0, i)
		w, h := 12+rng.IntN(p.W/2), 12+rng.IntN(p.H/2)
		x0, y0 := rng.IntN(p.W-w+1), rng.IntN(p.H-h+1)
		c := colourOf(i)
		for y := y0; y < y0+h; y++ {
			for x := x0; x < x0+w; x++ {
				copy(p.Pix[3*(y*p.W+x):], c[:])
			}
		}
		items[i].Labels = []Label{{i, (float32(x0) + float32(w)/2) / float32(p.W), (float32(y0) + float32(h)/2) / float32(p.H),
			float32(w) / float32(p.W), float32(h) / float32(p.H)}}
		l.cache.put(i, p)
	}
	return l
}

func colourOf(i int) [3]uint8 { return [3]uint8{255, uint8(17 * (i / 15)), uint8(17 * (i % 15))} }

// An extent is the box of a colour's pixels, and their number.
type extent struct{ x1, y1, x2, y2, n int }

// extents finds the colours in a sample. Red alone tells a rectangle's pixel from one that
// is mixed with something else.
func extents(x []float32, size int) map[int]extent {
	out := make(map[int]extent)
	for i := range size * size {
		r, g, b := x[i]*255, x[size*size+i]*255, x[2*size*size+i]*255
		if r < 247 {
			continue
		}
		class := 15*int(math.Round(float64(g)/17)) + int(math.Round(float64(b)/17))
		px, py := i%size, i/size
		e, ok := out[class]
		if !ok {
			e = extent{px, py, px, py, 0}
		}
		out[class] = extent{min(e.x1, px), min(e.y1, py), max(e.x2, px+1), max(e.y2, py+1), e.n + 1}
	}
	return out
}

// TestTargetsFollowPixels: after any augmentation a target frames the colour that its
// label framed, and a colour without a target is a scrap.
func TestTargetsFollowPixels(t *testing.T) {
	const size = 96
	tests := []struct {
		name  string
		a     Augment
		seeds int
		off   float64 // pixels; a turned corner is thinner than a pixel
	}{
		{"nothing", Augment{}, 20, 0.01},
		{"flips", Augment{FlipLR: 0.5, FlipUD: 0.5}, 20, 0.01},
		{"mosaic", Augment{Mosaic: 1}, 60, 1},
		{"mosaic, scale, translate, flips", Augment{Mosaic: 1, FlipLR: 0.5, FlipUD: 0.5, Scale: 0.5, Translate: 0.2}, 100, 1.5},
		{"letterbox, scale, translate", Augment{Scale: 0.5, Translate: 0.2, FlipLR: 0.5}, 100, 1.5},
		{"turn", Augment{Mosaic: 0.5, Degrees: 10, Scale: 0.2}, 40, 2},
		{"shear", Augment{Mosaic: 0.5, Shear: 10}, 40, 2},
		{"nine", Augment{Mosaic: 1, Mosaic9: 1, Scale: 0.2, FlipLR: 0.5}, 100, 1.5},
		{"perspective", Augment{Mosaic: 0.5, Perspective: 0.0005}, 40, 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := colours(t, size, test.a)
			s := newSampler(l, nil)
			dst := make([]float32, 3*size*size)
			checked := 0
			for seed := range test.seeds {
				targets, err := s.train(dst, random(0, seed, seed*37%len(l.items)), seed*37%len(l.items), image.Pt(size, size))
				if err != nil {
					t.Fatal(err)
				}
				seen := extents(dst, size)
				count := make(map[int]int) // a mosaic may have a picture twice
				for _, g := range targets {
					count[g.Class]++
				}
				for _, g := range targets {
					e, ok := seen[g.Class]
					delete(seen, g.Class)
					x1, x2 := size*float64(g.CX-g.W/2), size*float64(g.CX+g.W/2)
					y1, y2 := size*float64(g.CY-g.H/2), size*float64(g.CY+g.H/2)
					if count[g.Class] > 1 || min(x2-x1, y2-y1) < 4 {
						continue // too thin to keep a pixel that is not mixed
					}
					if turned := test.a.Degrees+test.a.Shear+test.a.Perspective > 0; turned && min(x1, y1, size-x2, size-y2) < 1 {
						continue // the corners are outside, and what is left of the colour is less than the box around them
					}
					off := max(math.Abs(x1-float64(e.x1)), math.Abs(y1-float64(e.y1)), math.Abs(x2-float64(e.x2)), math.Abs(y2-float64(e.y2)))
					if !ok || off > test.off {
						t.Errorf("seed %d, class %d: the target is %.1f %.1f %.1f %.1f and the colour %v", seed, g.Class, x1, y1, x2, y2, e)
					}
					checked++
				}
				for class, e := range seen {
					label := l.items[class].Labels[0]
					if area := label.W * label.H * size * size; float64(e.n) > 0.25*float64(area) && min(e.x2-e.x1, e.y2-e.y1) > 2 {
						t.Errorf("seed %d, class %d: %v of %.0f pixels have no target", seed, class, e, area)
					}
				}
			}
			if checked < test.seeds/2 {
				t.Errorf("only %d targets were seen", checked)
			}
		})
	}
}

// TestCandidates has the limits of what is kept of a box.
func TestCandidates(t *testing.T) {
	tests := []struct {
		name  string
		r     region
		shift float64 // to the left
		ok    bool
	}{
		{"inside", region{0, 10, 10, 20, 20}, 0, true},
		{"two pixels wide", region{0, 10, 10, 12, 20}, 0, false},
		{"more than two", region{0, 10, 10, 12.1, 20}, 0, true},
		{"a tenth is left", region{0, 0, 10, 40, 20}, 36, false},
		{"more than a tenth", region{0, 0, 10, 40, 20}, 35.9, true},
		{"gone", region{0, 0, 10, 40, 20}, 50, false},
		{"long", region{0, 0, 0, 300, 2.9}, 0, false},
		{"nothing", region{0, 10, 10, 10, 10}, 0, false},
	}
	for _, test := range tests {
		m := matrix{{1, 0, -test.shift}, {0, 1, 0}, {0, 0, 1}}
		if _, ok := test.r.moved(m, 1, image.Pt(320, 320)); ok != test.ok {
			t.Errorf("%s: kept is %v", test.name, ok)
		}
	}
}

// TestMove: turning and scaling keep angles, and what is drawn stays within its limits and
// uses them.
func TestMove(t *testing.T) {
	a := Augment{Degrees: 30, Scale: 0.4, Translate: 0.1}
	low, high := [4]float64{9, 9, 9, 9}, [4]float64{-9, -9, -9, -9}
	for i := range 1000 {
		m, scale := a.move(random(1, 0, i), image.Pt(200, 200), image.Pt(100, 100))
		if math.Abs(m[0][0]-m[1][1]) > 1e-12 || math.Abs(m[0][1]+m[1][0]) > 1e-12 {
			t.Fatalf("%v does not keep angles", m)
		}
		if got := math.Hypot(m[0][0], m[0][1]); math.Abs(got-scale) > 1e-12 {
			t.Fatalf("scaled by %v, said %v", got, scale)
		}
		x, y, _ := m.at(100, 100) // the centre
		for j, v := range [4]float64{math.Atan2(m[0][1], m[0][0]) * 180 / math.Pi / 30, (scale - 1) / 0.4, (x - 50) / 10, (y - 50) / 10} {
			low[j], high[j] = min(low[j], v), max(high[j], v)
		}
	}
	for j := range low {
		if low[j] < -1.0001 || low[j] > -0.98 || high[j] > 1.0001 || high[j] < 0.98 {
			t.Errorf("number %d is %v..%v of its limit", j, low[j], high[j])
		}
	}
}

func TestAugmentCheck(t *testing.T) {
	for _, a := range []Augment{{Mosaic: 1.5}, {Scale: -0.1}, {Degrees: 181}, {HSVh: math.NaN()}, {Perspective: 0.1}} {
		if a.check() == nil {
			t.Errorf("%+v passes", a)
		}
	}
	if err := hyp.check(); err != nil {
		t.Error(err)
	}
}
