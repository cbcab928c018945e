package quant_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"ultrafast/graph"
	"ultrafast/quant"
	"ultrafast/tensor"
)

// parsed fills the weights of a graph with numbers around 0, each output channel of a size of
// its own where uneven is set.
func parsed(t *testing.T, text string, uneven bool) *graph.Graph {
	t.Helper()
	g, err := graph.Parse("ultrafast graph 1\nx = input shape=1,3,64,64\n" + text)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(5, 5))
	for _, p := range g.Params() {
		shape := p.Tensor().Shape
		v := tensor.New(shape...)
		size := float32(1)
		for i := range v.Data {
			if uneven && i%(len(v.Data)/shape[0]) == 0 {
				size = float32(math.Exp(2 * r.NormFloat64()))
			}
			v.Data[i] = size * (r.Float32() - 0.4)
		}
		*p.At = v
	}
	return g
}

// worst is the largest difference of the two networks' outputs on a picture, of the largest number.
func worst(t *testing.T, a, b *graph.Graph) float64 {
	t.Helper()
	most := 0.0
	for x := range drawn(1) {
		var outs [2][]*tensor.Tensor
		for i, g := range []*graph.Graph{a, b} {
			call, err := run(g)
			if err != nil {
				t.Fatal(err)
			}
			if outs[i], err = call(x); err != nil {
				t.Fatal(err)
			}
		}
		for i, o := range outs[0] {
			size, d := 0.0, 0.0
			for k, v := range o.Data {
				size = max(size, math.Abs(float64(v)))
				d = max(d, math.Abs(float64(v-outs[1][i].Data[k])))
			}
			most = max(most, d/size)
		}
	}
	return most
}

func TestEqualize(t *testing.T) {
	for _, c := range []struct {
		what, text string
		pairs      int
	}{
		{"nothing between, and ReLU", "a = conv x w=f32[8,3,3,3] bias stride=2 pad=1\nb = conv a w=f32[8,8,1,1] bias\nr = relu b\nc = conv r w=f32[6,8,3,3] bias\nh = conv c w=f32[4,6,1,1] bias\noutput h\n", 2},
		{"LeakyReLU, no biases", "a = conv x w=f32[8,3,3,3] stride=2 pad=1\nr = leakyrelu a slope=0.1\nc = conv r w=f32[6,8,3,3]\nl = leakyrelu c slope=0.1\nh = conv l w=f32[4,6,1,1] bias\noutput h\n", 1},
		{"by channel, and groups", "a = conv x w=f32[8,3,3,3] bias stride=2 pad=1\nr = relu a\nb = conv r w=f32[8,1,3,3] bias groups=8\ns = relu b\nc = conv s w=f32[6,4,1,1] bias groups=2\nh = conv c w=f32[4,6,1,1] bias\noutput h\n", 2},
		{"SiLU", "a = conv x w=f32[8,3,3,3] bias\nr = silu a\nb = conv r w=f32[8,8,1,1] bias\nh = conv b w=f32[4,8,1,1] bias\noutput h\n", 0},
		{"two readers", "a = conv x w=f32[8,3,3,3] bias\nr = relu a\nb = conv r w=f32[8,8,1,1] bias\nd = add r b\nh = conv d w=f32[4,8,1,1] bias\noutput h\n", 0},
		{"an output", "a = conv x w=f32[8,3,3,3] bias\nb = conv a w=f32[8,8,1,1] bias\nr = relu b\nh = conv r w=f32[4,8,1,1] bias\noutput h a\n", 0},
		{"a channel of zeros", "a = conv x w=f32[8,3,3,3] bias\nr = relu a\nb = conv r w=f32[8,8,1,1] bias\nh = conv b w=f32[4,8,1,1] bias\noutput h\n", 1},
	} {
		g := parsed(t, c.text, true)
		if c.what == "a channel of zeros" {
			clear(g.Node("a").Op.(*graph.Conv).Weight.Data[27:54])
		}
		before := g.Fingerprint()
		equal, pairs, err := quant.Equalize(g)
		if err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		if pairs != c.pairs || g.Fingerprint() != before {
			t.Errorf("%s: %d pairs, want %d; changed g: %v", c.what, pairs, c.pairs, g.Fingerprint() != before)
		}
		if d := worst(t, g, equal); d > 1e-5 {
			t.Errorf("%s: computes something else by %.3g", c.what, d)
		}
		if (equal.Fingerprint() == before) != (pairs == 0) {
			t.Errorf("%s: %d pairs, changed: %v", c.what, pairs, equal.Fingerprint() != before)
		}
		if pairs == 0 || c.what == "a channel of zeros" { // which has little to win
			continue
		}
		var errs [2]float64
		for i, g := range []*graph.Graph{g, equal} {
			r := calibrated(t, g, quant.MinMax)
			if ok, err := r.Of(g); err != nil || !ok {
				t.Errorf("%s: ranges of another network, %v", c.what, err)
			}
			if errs[i], err = quant.Error(g, quantised(t, g, r), drawn(2), run); err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("%s: the error of 8 bits goes from %.3g to %.3g", c.what, errs[0], errs[1])
		if errs[1] > errs[0] {
			t.Errorf("%s: the error of 8 bits rises from %.3g to %.3g", c.what, errs[0], errs[1])
		}
	}
}

// Ranges of rows and columns are the same once channels are equalised.
func TestEqualizeRanges(t *testing.T) {
	g := parsed(t, "a = conv x w=f32[8,3,3,3] bias\nr = relu a\nb = conv r w=f32[5,8,1,1] bias\nh = conv b w=f32[4,5,1,1] bias\noutput h\n", true)
	equal, _, err := quant.Equalize(g)
	if err != nil {
		t.Fatal(err)
	}
	a, b := equal.Node("a").Op.(*graph.Conv).Weight.Data, equal.Node("b").Op.(*graph.Conv).Weight.Data
	for i := range 8 {
		row, column := 0.0, 0.0
		for _, v := range a[i*27:][:27] {
			row = max(row, math.Abs(float64(v)))
		}
		for o := range 5 {
			column = max(column, math.Abs(float64(b[o*8+i])))
		}
		if math.Abs(row-column) > 1e-5*row {
			t.Errorf("channel %d: the row's range is %g and the column's %g", i, row, column)
		}
	}
}
