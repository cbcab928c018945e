package box

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestIoU(t *testing.T) {
	unit := Box{X2: 10, Y2: 10}
	for _, c := range []struct {
		name string
		b    Box
		want float32
	}{
		{"itself", Box{X2: 10, Y2: 10}, 1},
		{"half", Box{X1: 5, X2: 15, Y2: 10}, 1. / 3},
		{"inside", Box{X1: 2, Y1: 2, X2: 7, Y2: 7}, .25},
		{"touching", Box{X1: 10, X2: 20, Y2: 10}, 0},
		{"apart", Box{X1: 20, Y1: 20, X2: 30, Y2: 30}, 0},
		{"empty", Box{X1: 5, Y1: 5, X2: 5, Y2: 5}, 0},
	} {
		if got := IoU(unit, c.b); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		if IoU(unit, c.b) != IoU(c.b, unit) {
			t.Errorf("%s: not symmetric", c.name)
		}
	}
	if got := IoU(Box{}, Box{}); got != 0 {
		t.Errorf("two empty boxes: %v, want 0", got)
	}
}

func TestNMS(t *testing.T) {
	at := func(x, conf float32, class int) Box {
		return Box{X1: x, X2: x + 10, Y2: 10, Conf: conf, Class: class}
	}
	in := []Box{
		at(0, .5, 0), at(1, .9, 0), // 9/11 = .82 shared
		at(2, .8, 1), // another class in the same place
		at(6, .7, 0), // a third shared with 1
		at(100, .1, 2), at(100, .1, 2),
	}
	for _, c := range []struct {
		name string
		o    NMSOptions
		want []Box
	}{
		{"zero options", NMSOptions{}, []Box{at(1, .9, 0), at(2, .8, 1), at(6, .7, 0), at(100, .1, 2)}},
		{"agnostic", NMSOptions{Agnostic: true}, []Box{at(1, .9, 0), at(6, .7, 0), at(100, .1, 2)}},
		{"strict", NMSOptions{IoU: .3}, []Box{at(1, .9, 0), at(2, .8, 1), at(100, .1, 2)}},
		{"lax", NMSOptions{IoU: .9}, []Box{at(1, .9, 0), at(2, .8, 1), at(6, .7, 0), at(0, .5, 0), at(100, .1, 2)}},
		{"two at most", NMSOptions{Max: 2}, []Box{at(1, .9, 0), at(2, .8, 1)}},
		{"classes", NMSOptions{Classes: []int{1, 2}}, []Box{at(2, .8, 1), at(100, .1, 2)}},
	} {
		before := slices.Clone(in)
		if got := NMS(in, c.o); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		if !slices.Equal(in, before) {
			t.Errorf("%s: the candidates were changed", c.name)
		}
	}
	if got := NMS(nil, NMSOptions{}); len(got) != 0 {
		t.Errorf("no candidates: %v", got)
	}
}

// The 30000 best are looked at and no more.
func TestNMSCap(t *testing.T) {
	in := make([]Box, maxCandidates+1)
	for i := range in {
		in[i] = Box{X2: 1, Y2: 1, Conf: .5}
	}
	in[0] = Box{X1: 5, Y1: 5, X2: 6, Y2: 6, Conf: .1}
	if got := NMS(in, NMSOptions{}); len(got) != 1 {
		t.Errorf("%d boxes stayed, want 1: the least confident candidate is beyond the limit", len(got))
	}
	if got := NMS(in[:maxCandidates], NMSOptions{}); len(got) != 2 {
		t.Errorf("%d boxes stayed, want 2", len(got))
	}
}

// The properties that define NMS, on random boxes: what stays does not overlap, and what
// went is overlapped by something better that stayed.
func TestNMSProperties(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	in := crowd(r, 600)
	o := NMSOptions{IoU: .4, Max: 1000}
	out := NMS(in, o)
	for i, b := range out {
		for _, a := range out[:i] {
			if a.Conf < b.Conf {
				t.Fatalf("%v comes before %v", a, b)
			}
			if a.Class == b.Class && IoU(a, b) > o.IoU {
				t.Fatalf("%v and %v both stayed", a, b)
			}
		}
	}
	for _, c := range in {
		if !slices.Contains(out, c) && !slices.ContainsFunc(out, func(k Box) bool {
			return k.Class == c.Class && k.Conf >= c.Conf && IoU(k, c) > o.IoU
		}) {
			t.Fatalf("%v went for no reason", c)
		}
	}
}

// plainNMS is NMS as its comment defines it.
func plainNMS(candidates []Box, o NMSOptions) (kept []Box) {
	var sorted []Box
	for _, c := range candidates {
		if len(o.Classes) == 0 || slices.Contains(o.Classes, c.Class) {
			sorted = append(sorted, c)
		}
	}
	slices.SortStableFunc(sorted, func(a, b Box) int { return cmp.Compare(b.Conf, a.Conf) })
	for _, c := range sorted {
		rival := func(k Box) bool { return (o.Agnostic || k.Class == c.Class) && IoU(c, k) > o.IoU }
		if len(kept) < o.Max && !slices.ContainsFunc(kept, rival) {
			kept = append(kept, c)
		}
	}
	return kept
}

func TestNMSSameAsPlain(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for range 300 {
		in := crowd(r, r.IntN(200))
		for i := range in {
			b := &in[i]
			switch r.IntN(12) {
			case 0:
				b.Conf = in[0].Conf
			case 1:
				b.Conf = []float32{0, float32(math.Copysign(0, -1)), -1, nan, inf, -inf}[r.IntN(6)]
			case 2:
				b.X1 = b.X2
			case 3:
				b.Y2 = in[0].Y1 // touches, or is upside down
			case 4:
				b.Class = r.IntN(1000) - 500
			}
		}
		o := NMSOptions{IoU: .05 + .9*r.Float32(), Agnostic: r.IntN(3) == 0, Max: 1 + r.IntN(150)}
		if r.IntN(3) == 0 {
			o.Classes = []int{0, 2}
		}
		got, want := NMS(in, o), plainNMS(in, o)
		same := func(a, b Box) bool { // the zeros and NaN count as what they are
			return math.Float32bits(a.Conf) == math.Float32bits(b.Conf) &&
				[4]float32{a.X1, a.Y1, a.X2, a.Y2} == [4]float32{b.X1, b.Y1, b.X2, b.Y2} && a.Class == b.Class
		}
		if !slices.EqualFunc(got, want, same) {
			t.Fatalf("%+v: %v, want %v", o, got, want)
		}
	}
}

func crowd(r *rand.Rand, n int) []Box {
	out := make([]Box, n)
	for i := range out {
		x, y := 600*r.Float32(), 600*r.Float32()
		out[i] = Box{x, y, x + 10 + 90*r.Float32(), y + 10 + 90*r.Float32(), r.Float32(), r.IntN(3)}
	}
	return out
}

func BenchmarkNMS300(b *testing.B) {
	in := crowd(rand.New(rand.NewPCG(1, 2)), 300)
	for b.Loop() {
		NMS(in, NMSOptions{})
	}
}

func BenchmarkNMS30000(b *testing.B) {
	in := crowd(rand.New(rand.NewPCG(1, 2)), 30000)
	for b.Loop() {
		NMS(in, NMSOptions{IoU: .6})
	}
}
