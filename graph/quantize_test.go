package graph

import (
	"math"
	"slices"
	"strings"
	"testing"

	"ultrafast/tensor"
)

func TestQuantizeLevels(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, c := range []struct {
		op   Quantize
		x    float32
		want uint8
	}{
		{Quantize{0.5, 10}, 0, 10},
		{Quantize{0.5, 10}, 0.25, 10}, // half a step goes to the even number
		{Quantize{0.5, 10}, 0.75, 12},
		{Quantize{0.5, 10}, -0.25, 10},
		{Quantize{0.5, 10}, -0.75, 8},
		{Quantize{0.5, 11}, 0.75, 13}, // the even multiple of the scale, not the even level
		{Quantize{0.5, 10}, -5, 0},
		{Quantize{0.5, 10}, -5.3, 0},
		{Quantize{0.5, 10}, 122.5, 255},
		{Quantize{0.5, 10}, 1e30, 255},
		{Quantize{1e-30, 10}, 1e30, 255}, // the quotient is beyond float32
		{Quantize{0.5, 10}, inf, 255},
		{Quantize{0.5, 10}, -inf, 0},
		{Quantize{0.5, 10}, nan, 0},
		{Quantize{1. / 255, 0}, 114. / 255, 114},
	} {
		if got := c.op.Level(c.x); got != c.want {
			t.Errorf("%+v: %v becomes %d, want %d", c.op, c.x, got, c.want)
		}
	}
	for _, s := range []float32{1, 1. / 255, 0.0123, 1e-38, 1e-44, 1e36} {
		for _, zero := range []int{0, 3, 128, 255} {
			o := Quantize{s, zero}
			for q := range 256 {
				if got := o.Level(o.Value(uint8(q))); int(got) != q {
					t.Fatalf("%+v: level %d has the value %v, which is of level %d", o, q, o.Value(uint8(q)), got)
				}
			}
		}
	}
}

func TestWeightScale(t *testing.T) {
	small := func() (*Graph, *Conv) {
		g := &Graph{}
		c := &Conv{Weight: tensor.New(2, 2, 1, 1), WeightScale: []float32{0.1, 0.7}, Stride: [2]int{1, 1}, Dilation: [2]int{1, 1}, Groups: 1}
		for i, k := range []float32{-127, 0, 3, 126} {
			c.Weight.Data[i] = k * c.WeightScale[i/2]
		}
		g.Outputs = []*Node{g.Add("c", c, g.Add("x", &Input{Shape: [4]int{1, 2, 1, 1}}))}
		return g, c
	}
	g, c := small()
	if err := g.Verify(); err != nil {
		t.Fatal(err)
	}
	if k, err := c.Levels(); err != nil || !slices.Equal(k, []int8{-127, 0, 3, 126}) {
		t.Errorf("levels are %v, %v", k, err)
	}
	if n := g.Quantized(); n == nil || n.Name != "c" {
		t.Errorf("a quantised convolution is not seen: %v", n)
	}
	twin := g.Clone().Node("c").Op.(*Conv)
	if twin.WeightScale[0] = 5; c.WeightScale[0] != 0.1 {
		t.Error("the clone shares its scales")
	}
	for _, bad := range []struct {
		change func(c *Conv)
		want   string
	}{
		{func(c *Conv) { c.WeightScale = c.WeightScale[:1] }, "graph: c: has 1 scales of weights for 2 output channels"},
		{func(c *Conv) { c.WeightScale[1] = 0 }, "scale 0 of the weights of channel 1"},
		{func(c *Conv) { c.WeightScale[0] = float32(math.NaN()) }, "scale NaN"},
		{func(c *Conv) { c.WeightScale[0] = float32(math.Inf(1)) }, "scale +Inf"},
		{func(c *Conv) { c.WeightScale[0] = 3e36 }, "scale 3e+36"},
		{func(c *Conv) { c.Weight.Data[3] = 128 * c.WeightScale[1] }, "of channel 1 is not a whole multiple"},
		{func(c *Conv) { c.Weight.Data[1] = 0.01 }, "weight 0.01 of channel 0"},
		{func(c *Conv) { c.Weight.Data[1] = float32(math.NaN()) }, "weight NaN"},
	} {
		g, c := small()
		bad.change(c)
		if err := g.Verify(); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%v, want an error with %q", err, bad.want)
		}
	}
}

func TestGrids(t *testing.T) {
	g, err := Parse(`ultrafast graph 1
x = input shape=1,2,8,8
a = quantize x scale=0.5 zero=1
b = quantize x scale=0.5 zero=1
c = quantize x scale=0.5 zero=2
pool = maxpool a kernel=3 stride=1 pad=1
up = upsample pool scale=1
part = slice up axis=1 start=0 end=1 step=1
same = concat part b
unlike = concat part c
partly = concat part x
act = silu a
late = maxpool unlike kernel=1 stride=1 pad=0
output same unlike partly act late
`)
	if err != nil {
		t.Fatal(err)
	}
	grids := g.Grids()
	for _, name := range []string{"a", "b", "c", "pool", "up", "part", "same"} {
		want := Quantize{0.5, 1}
		if name == "c" {
			want.Zero = 2
		}
		if q := grids[g.Node(name)]; q == nil || *q != want {
			t.Errorf("%s lies on %v, want %v", name, q, want)
		}
	}
	for _, name := range []string{"x", "unlike", "partly", "act", "late"} {
		if q := grids[g.Node(name)]; q != nil {
			t.Errorf("%s lies on %v, want none", name, *q)
		}
	}
	if n := g.Quantized(); n != g.Node("a") {
		t.Errorf("the first quantised node is %v", n)
	}
}

func TestEightBits(t *testing.T) {
	nan := float32(math.NaN())
	for _, c := range []struct {
		weights, scales, want []float32 // of two channels
		err                   string
	}{
		{[]float32{1.27, 0.005, -0.015, 0.014}, []float32{0.01, 0.015 / 127}, []float32{1.27, 0, -0.015, 119 * (0.015 / 127)}, ""}, // half a step goes to the even number
		{[]float32{0, 0, 1e-31, -1e-30}, []float32{1, 1}, []float32{0, 0, 0, 0}, ""},
		{[]float32{-3e38, 1, 2, -127}, []float32{3e38 / 127, 1}, []float32{-3e38, 0, 2, -127}, ""},
		{[]float32{1, 2, 3, nan}, nil, nil, "graph: c: a weight of channel 1 is NaN"},
		{[]float32{float32(math.Inf(-1)), 2, 3, 4}, nil, nil, "graph: c: a weight of channel 0 is -Inf"},
	} {
		g := &Graph{}
		o := &Conv{Weight: &tensor.Tensor{Shape: []int{2, 2, 1, 1}, Data: c.weights}, WeightScale: []float32{}, Stride: [2]int{1, 1}, Dilation: [2]int{1, 1}, Groups: 1}
		g.Outputs = []*Node{g.Add("c", o, g.Add("x", &Input{Shape: [4]int{1, 2, 1, 1}}))}
		was := slices.Clone(c.weights)
		err := g.EightBits()
		if c.err != "" {
			if err == nil || err.Error() != c.err {
				t.Errorf("%v: %v, want %s", c.weights, err, c.err)
			}
			continue
		}
		q := g.Node("c").Op.(*Conv)
		if err != nil || !slices.Equal(q.WeightScale, c.scales) || !slices.Equal(c.weights, was) {
			t.Errorf("%v: scales %v, %v, want %v", c.weights, q.WeightScale, err, c.scales)
		}
		for i, w := range c.want {
			if d := float64(q.Weight.Data[i] - w); math.Abs(d) > 1e-6*math.Abs(float64(w)) {
				t.Errorf("%v became %v, want %v", c.weights, q.Weight.Data, c.want)
			}
		}
		if err := g.Verify(); err != nil {
			t.Error(err)
		}
		if p := g.Params(); !p[0].EightBit() {
			t.Error("the weight is not of 8 bits")
		}
	}
}
