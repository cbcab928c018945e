package engine

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"ultrafast/graph"
	"ultrafast/tensor"
)

// eightBit makes the weights of every convolution with scales whole multiples of them.
func eightBit(g *graph.Graph, r *rand.Rand) *graph.Graph {
	for _, n := range g.Nodes {
		c, ok := n.Op.(*graph.Conv)
		if !ok || c.WeightScale == nil {
			continue
		}
		row := len(c.Weight.Data) / c.Weight.Shape[0]
		c.WeightScale = nil
		for range c.Weight.Shape[0] {
			c.WeightScale = append(c.WeightScale, (0.5+r.Float32())/100)
		}
		for i := range c.Weight.Data {
			c.Weight.Data[i] = float32(r.IntN(255)-127) * c.WeightScale[i/row]
		}
	}
	return g
}

// A convolution of whole numbers is what its formula says, and what exact arithmetic gives
// rounded thrice.
func TestInt8ConvByHand(t *testing.T) {
	g := parse(t, `x = input shape=1,2,1,3
q = quantize x scale=0.25 zero=100
y = conv q w=i8[1,2,1,3] bias pad=0,1
output y
`, 1)
	c := g.Node("y").Op.(*graph.Conv)
	c.WeightScale, c.Bias.Data[0] = []float32{0.1}, 0.3
	levels := []float32{1, -127, 3, 100, 0, -7}
	for i, k := range levels {
		c.Weight.Data[i] = k * 0.1
	}
	x, err := tensor.From([]float32{-30, 0.3, 50, 1, 2, 3}, 1, 2, 1, 3) // -100 (clipped), 1, 155; 4, 8, 12
	if err != nil {
		t.Fatal(err)
	}
	all, err := Reference(g, x)
	if err != nil {
		t.Fatal(err)
	}
	s := float32(0.25) * float32(0.1)
	for i, acc := range []float32{
		-100*-127 + 1*3 + 4*0 + 8*-7, // padding on the left adds nothing
		-100*1 + 1*-127 + 155*3 + 4*100 + 8*0 + 12*-7,
		1*1 + 155*-127 + 8*100 + 12*0,
	} {
		want := float32(acc*s) + float32(0.3)
		if got := all[g.Node("y")].Data[i]; got != want {
			t.Errorf("[%d] = %v, want %v", i, got, want)
		}
	}
}

const quantisedText = `x = input shape=2,3,13,11
x.q = quantize x scale=0.02 zero=120
a = conv x.q w=i8[8,3,3,3] bias stride=2 pad=1
a.q = quantize a scale=0.05 zero=130
act = silu a.q
act.q = quantize act scale=0.03 zero=10
b = conv act.q w=i8[8,2,3,2] pad=2,1 dilation=2,1 groups=4
b.q = quantize b scale=0.04 zero=128
pool = maxpool act.q kernel=3 stride=1 pad=1
cat = concat act.q pool
c = conv cat w=i8[5,16,1,1] bias
c.act = hardswish c
c.q = quantize c.act scale=0.06 zero=40
float = conv c.q w=f32[4,5,1,1] bias
float.act = silu float
late = conv float.act w=i8[3,4,1,1]
output b.q c.q late
`

// The plain engine gives the reference's numbers, to the bit as long as they are on grids.
func TestQuantisedEngine(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	g := eightBit(parse(t, quantisedText, 3), r)
	x := random(r, 2, 3, 13, 11)
	want, err := Reference(g, x)
	if err != nil {
		t.Fatal(err)
	}
	for _, keepAll := range []bool{false, true} {
		checkOn(t, g, x, want, Options{CPU: Generic, Threads: 2, KeepAll: keepAll}, 1e-5)
		p, err := Compile(g, Options{CPU: Generic, KeepAll: keepAll})
		if err != nil {
			t.Fatal(err)
		}
		outs, err := p.NewSession().Run(x)
		if err != nil {
			t.Fatal(err)
		}
		for i, n := range g.Outputs[:2] {
			if d := far(outs[i], want[n]); d != 0 {
				t.Errorf("%s is off by %v", n.Name, d)
			}
		}
	}
	if v := want[g.Node("b.q")]; far(tensor.New(v.Shape...), v) == 0 {
		t.Error("the test's values are all 0")
	}
}

// In float64, where each product is exact, whole numbers and floats agree.
func TestInt8ConvIsTheConvolution(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	for i := range 20 {
		groups := 1 + r.IntN(3)
		in, out := groups*(1+r.IntN(4)), groups*(1+r.IntN(4))
		g := eightBit(parse(t, fmt.Sprintf("x = input shape=1,%d,9,10\nq = quantize x scale=%v zero=%d\ny = conv q w=i8[%d,%d,%d,%d] bias stride=%d,%d pad=%d dilation=%d groups=%d\noutput y\n",
			in, 0.001+r.Float32()/20, r.IntN(256), out, in/groups, 1+r.IntN(4), 1+r.IntN(3), 1+r.IntN(2), 1+r.IntN(2), r.IntN(3), 1+r.IntN(2), groups), uint64(i)), r)
		x := random(r, 1, in, 9, 10)
		all, err := Reference(g, x)
		if err != nil {
			t.Fatal(err)
		}
		y := g.Node("y")
		want := tensor.New(all[y].Shape...)
		refConv(want, all[g.Node("q")], y.Op.(*graph.Conv))
		for i, w := range want.Data {
			if d := math.Abs(float64(all[y].Data[i] - w)); d > 1e-5*max(1, math.Abs(float64(w))) {
				t.Fatalf("%v[%d] is %v, in floats %v", g, i, all[y].Data[i], w)
			}
		}
		checkOn(t, g, x, all, Options{CPU: Generic}, 0)
	}
}
