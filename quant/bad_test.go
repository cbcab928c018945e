package quant_test

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"ultrafast/graph"
	"ultrafast/pass"
	"ultrafast/picture"
	"ultrafast/quant"
	"ultrafast/tensor"
)

// small is a network from the picture x, whose weights are 1 where input and output channel are
// the same and 0 elsewhere, and whose biases are 0.
func small(t *testing.T, text string) *graph.Graph {
	t.Helper()
	g, err := graph.Parse("ultrafast graph 1\nx = input shape=1,3,64,64\n" + text)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range g.Params() {
		v := tensor.New(p.Tensor().Shape...)
		if len(v.Shape) == 4 {
			for i := range min(v.Shape[0], v.Shape[1]) {
				v.Data[(i*v.Shape[1]+i)*v.Shape[2]*v.Shape[3]] = 1
			}
		}
		*p.At = v
	}
	return g
}

// One pixel that is not black, which the percentile leaves out: what is left is still a range.
func TestRareValue(t *testing.T) {
	g := small(t, "c = conv x w=f32[3,3,1,1]\nr = leakyrelu c slope=0.1\nh = conv r w=f32[2,3,1,1] bias\noutput h\n")
	c := g.Node("c").Op.(*graph.Conv).Weight.Data
	for i := range c {
		c[i] = -c[i]
	}
	x := tensor.New(1, 3, side, side)
	x.Data[77] = 1
	dot := func(yield func(*tensor.Tensor, error) bool) { yield(x, nil) }
	for _, m := range []quant.Method{quant.MSE, quant.Percentile, quant.MinMax} {
		r, err := quant.Calibrate(g, dot, run, m)
		if err != nil {
			t.Fatalf("%s: %v", m, err)
		}
		if v := r.Values[0]; v.Name != "c" || v.Low != -1 || v.High != 0 || v.Dead() {
			t.Errorf("%s: %+v, want -1 to 0", m, v)
		}
		if err := r.Write(io.Discard); err != nil {
			t.Errorf("%s: %v", m, err)
		}
		quantised(t, g, r)
	}
}

// A layer that gives the same for all pictures is quantised with the others, and known by the
// ranges.
func TestDeadLayer(t *testing.T) {
	for _, bias := range []float32{-7, 3} { // a ReLU that lets nothing through; a convolution that is its bias
		g := small(t, "a = conv x w=f32[3,3,1,1]\nb = conv x w=f32[3,3,1,1] bias\nr = relu b\nj = concat a r\nh = conv j w=f32[3,6,1,1] bias\noutput h\n")
		b := g.Node("b").Op.(*graph.Conv)
		for i := range b.Bias.Data {
			b.Bias.Data[i] = bias
		}
		if bias > 0 {
			clear(b.Weight.Data)
		}
		for _, m := range []quant.Method{quant.MSE, quant.Percentile, quant.MinMax} {
			r := calibrated(t, g, m)
			dead := map[string]quant.Range{}
			for _, v := range r.Values {
				if v.Dead() {
					dead[v.Name] = v
				}
			}
			want := []string{"r"}
			if bias > 0 {
				want = []string{"b", "r"}
			}
			if got := slices.Sorted(maps.Keys(dead)); !slices.Equal(got, want) {
				t.Errorf("bias %v, %s: %v are dead, want %v", bias, m, got, want)
			}
			if v := dead["r"]; v.Low != 0 || v.High < max(float64(bias), 1e-6) || v.High > max(float64(bias), 0.1) {
				t.Errorf("bias %v, %s: %+v", bias, m, v)
			}
			if err := r.Write(io.Discard); err != nil {
				t.Error(err)
			}
			losses, err := quant.Losses(g, quantised(t, g, r), drawn(2), run)
			if err != nil {
				t.Fatal(err)
			}
			if l := losses[len(losses)-1]; l.Name != "h" || l.SQNR < 30 {
				t.Errorf("bias %v, %s: %s has %.1f dB", bias, m, l.Name, l.SQNR)
			}
		}
	}
}

func TestErrors(t *testing.T) {
	g := network(t)
	if err := pass.Run(g, pass.Inference...); err != nil {
		t.Fatal(err)
	}
	r := calibrated(t, g, quant.MinMax)
	q := quantised(t, g, r)
	changed := g.Clone()
	changed.Params()[0].Tensor().Data[0]++
	sick := g.Clone()
	sick.Node("model.3.conv").Op.(*graph.Conv).Bias.Data[0] = float32(math.NaN())
	black := func(yield func(*tensor.Tensor, error) bool) { yield(tensor.New(1, 3, side, side), nil) }
	boxed := func(yield func(*tensor.Tensor, error) bool) { // black, in the grey of a letterbox
		x := tensor.New(1, 3, side, side)
		for i := range x.Data {
			if i/side%side < 5 {
				x.Data[i] = float32(picture.Grey) / 255
			}
		}
		yield(x, nil)
	}
	dark := func(yield func(*tensor.Tensor, error) bool) { // black, with noise of a camera
		x := tensor.New(1, 3, side, side)
		for i := range x.Data {
			x.Data[i] = float32(i%4) / 255
		}
		yield(x, nil)
	}
	bright := tensor.New(1, 3, side, side)
	bright.Data[5] = 255
	fails := errors.New("no such picture")
	flat := small(t, "c = conv x w=f32[3,3,1,1]\nr = relu c\nh = conv r w=f32[2,3,1,1] bias\noutput h\n")
	calibrate := func(g *graph.Graph, pictures iter.Seq2[*tensor.Tensor, error], m quant.Method) error {
		_, err := quant.Calibrate(g, pictures, run, m)
		return err
	}
	quantize := func(g *graph.Graph, r *quant.Ranges) error {
		_, err := quant.Quantize(g, r, quant.Options{})
		return err
	}
	short := *r
	short.Values = r.Values[1:]
	for i, c := range []struct {
		err  error
		want string
	}{
		{calibrate(g, drawn(0), ""), "there are no pictures"},
		{calibrate(g, drawn(1), "best"), `method "best"`},
		{calibrate(g, func(yield func(*tensor.Tensor, error) bool) { yield(nil, fails) }, ""), "picture 1: no such picture"},
		{calibrate(g, func(yield func(*tensor.Tensor, error) bool) { yield(bright, nil) }, ""), "holds 255, want 0 to 1"},
		{calibrate(g, func(yield func(*tensor.Tensor, error) bool) { yield(tensor.New(3), nil) }, ""), "want [batch"},
		{calibrate(flat, black, ""), "c is 0 everywhere in all 1 pictures, and every other value is the same everywhere too: are these black?"},
		{calibrate(g, black, ""), "all 1 pictures are of one colour, as black ones are"},
		{calibrate(g, boxed, ""), "all 1 pictures are of one colour, as black ones are"},
		{calibrate(g, dark, ""), "all 1 pictures are of one colour, as black ones are"},
		{calibrate(sick, drawn(1), ""), "picture 1: model.3.conv is NaN"},
		{calibrate(q, drawn(1), ""), "images.q is quantised already"},
		{quantize(q, r), "images.q is quantised already"},
		{quantize(changed, r), "measured with another network"},
		{quantize(g, &short), "the ranges have none of model.0.conv"},
		{quantize(g, &quant.Ranges{}), "method"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("case %d: %v, want an error with %q", i, c.err, c.want)
		}
	}
	if _, err := quant.Losses(g, g, drawn(1), run); err == nil || !strings.Contains(err.Error(), "not quantised") {
		t.Errorf("losses of a float network: %v", err)
	}
	bare := g.Clone()
	bare.Params()[0].Tensor().Data = nil
	if err := calibrate(bare, drawn(1), ""); err == nil || !strings.Contains(err.Error(), fmt.Sprint(g.Params()[0].Name, " has no numbers")) {
		t.Errorf("a network without numbers: %v", err)
	}
}
