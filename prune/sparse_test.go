package prune_test

import (
	"math"
	"slices"
	"testing"

	"ultrafast/prune"
	"ultrafast/tensor"
)

// Two groups, a and b, of which b's weight belongs to both: written out by hand.
func TestGroupDecay(t *testing.T) {
	g := parse(t, `
		a = conv x w=f32[3,3,1,1]
		n = batchnorm a c=3 eps=0.001 momentum=0.03
		b = conv n w=f32[2,3,1,1] bias
		c = conv b w=f32[1,2,1,1]
		output c`)
	at := map[string]*tensor.Tensor{}
	for _, p := range g.Params() {
		at[p.Name] = p.Tensor()
		clear(p.Tensor().Data)
	}
	copy(at["a.weight"].Data, []float32{3, 0, 0, 0, 4, 0, 0, 0, 0})
	copy(at["n.weight"].Data, []float32{0, 3, 1})
	copy(at["b.weight"].Data, []float32{0, 0, 0, 4, 0, 0})
	copy(at["c.weight"].Data, []float32{2, 3})
	// a's norms: √(9+16) = 5, √(16+9) = 5, √1 = 1. b's: 2 and √(16+9) = 5.
	const rate = 1e-3
	a, b := []float32{1, 1, 16}, []float32{16, 1}
	want := map[string][]float32{
		"a.weight": {a[0], a[0], a[0], a[1], a[1], a[1], a[2], a[2], a[2]},
		"n.weight": a,
		"b.weight": {b[0] + a[0], b[0] + a[1], b[0] + a[2], b[1] + a[0], b[1] + a[1], b[1] + a[2]},
		"c.weight": b,
	}
	got, err := prune.GroupDecay(g, rate)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, got, want, rate)

	gammas, err := prune.GammaDecay(g, rate)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, gammas, map[string][]float32{"n.weight": {1, 1, 1}}, rate)

	// Where all channels of a group are alike, all decay gently.
	copy(at["c.weight"].Data, []float32{3, 3})
	copy(at["b.weight"].Data, []float32{4, 0, 0, 4, 0, 0})
	if got, err = prune.GroupDecay(g, rate); err != nil {
		t.Fatal(err)
	}
	compare(t, map[string]*tensor.Tensor{"c.weight": got["c.weight"]}, map[string][]float32{"c.weight": {1, 1}}, rate)
}

func compare(t *testing.T, got map[string]*tensor.Tensor, want map[string][]float32, rate float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("factors of %d parameters, want %d", len(got), len(want))
	}
	for name, w := range want {
		f := got[name]
		if f == nil || f.Len() != len(w) || !slices.EqualFunc(f.Data, w, func(a, b float32) bool {
			return math.Abs(float64(a)-rate*float64(b)) < 1e-5*rate
		}) {
			t.Errorf("factors of %s are %v, want %v times %v", name, f, rate, w)
		}
	}
}

// Every weight that would go with a channel decays, and nothing else.
func TestGroupDecayCovers(t *testing.T) {
	g := standard(t, "yolov5n")
	factors, err := prune.GroupDecay(g, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range g.Params() {
		f := factors[p.Name]
		decays := p.Trainable && (len(p.Tensor().Shape) == 4 || p.Name[len(p.Name)-len("bn.weight"):] == "bn.weight")
		if decays != (f != nil) {
			t.Errorf("factors of %s are %v", p.Name, f)
		} else if f != nil && (slices.Min(f.Data) < 1 || slices.Max(f.Data) > 32) {
			t.Errorf("factors of %s are %v to %v, want 1 to 32", p.Name, slices.Min(f.Data), slices.Max(f.Data))
		}
	}
}
