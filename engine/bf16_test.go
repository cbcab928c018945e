package engine

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"ultrafast/graph"
	"ultrafast/internal/codegen"
	"ultrafast/tensor"
)

// bf16CPUs are what this machine can run code for pairs of bfloat16 for.
func bf16CPUs(t *testing.T) (names []string) {
	t.Helper()
	for _, target := range codegen.Targets() {
		if target.BF16() {
			names = append(names, target.String())
		}
	}
	if len(names) == 0 {
		t.Skip("this processor does not multiply bfloat16")
	}
	return names
}

// A bf16Truth computes what a program should, node by node: from what the program itself
// has computed for the nodes before, so that errors do not add up, and each may be off by
// little more than one rounding to bfloat16.
type bf16Truth struct {
	shapes map[*graph.Node]graph.Shape
	seen   map[*graph.Node]*tensor.Tensor
	size   float64 // the largest number met
}

// want computes n. Values and weights are rounded by round; nil leaves them.
func (b *bf16Truth) want(n *graph.Node, round func(scale, v float32) float32) *tensor.Tensor {
	rounded := func(t *tensor.Tensor, scale float32) *tensor.Tensor {
		t = &tensor.Tensor{Shape: t.Shape, Data: slices.Clone(t.Data)}
		for i, v := range t.Data {
			if round != nil {
				t.Data[i] = round(scale, v)
			}
			if a := math.Abs(float64(v)); !math.IsInf(a, 0) {
				b.size = max(b.size, a)
			}
		}
		return t
	}
	var in []*tensor.Tensor
	for _, p := range n.In {
		v, ok := b.seen[p]
		if ok {
			v = rounded(v, 255)
		} else {
			v = b.want(p, round) // was computed together with n
		}
		in = append(in, v)
	}
	node := &graph.Node{Name: n.Name, Op: n.Op, In: n.In}
	switch op := n.Op.(type) {
	case *graph.Conv:
		c := *op
		c.Weight = rounded(c.Weight, 1./255)
		node.Op = &c
	case *graph.ConvTranspose:
		c := *op
		c.Weight = rounded(c.Weight, 1./255)
		node.Op = &c
	}
	y := tensor.New(b.shapes[n]...)
	if err := refNode(y, in, node); err != nil {
		panic(err)
	}
	return y
}

// plainRound rounds to bfloat16. stemRound does so in the scale of 8-bit pixels.
func plainRound(_, v float32) float32 {
	_, r := codegen.Unpair(codegen.Pair(0, v))
	return r
}

func stemRound(scale, v float32) float32 { return plainRound(0, v*scale) / scale }

// check reports whether got is what n should be: in bfloat16, or where there is no code
// for that in float32.
func (b *bf16Truth) check(t *testing.T, n *graph.Node, got *tensor.Tensor) {
	t.Helper()
	var worst [3]float64
	for i, round := range []func(scale, v float32) float32{plainRound, stemRound, nil} {
		b.size = 1
		for j, w := range b.want(n, round).Data {
			w, g := float64(w), float64(got.Data[j])
			if d := math.Abs(g-w) / (math.Abs(w)/240 + 5e-4*b.size); !(d <= worst[i]) && w == w {
				worst[i] = d
			}
		}
		if worst[i] <= 1 {
			return
		}
	}
	t.Errorf("%s (%s) is off by %.3g, %.3g or %.3g of what is allowed", n.Name, n.Op.Word(), worst[0], worst[1], worst[2])
}

// checkBF16 checks all nodes and outputs of g for x.
func checkBF16(t *testing.T, g *graph.Graph, x *tensor.Tensor, o Options) {
	t.Helper()
	o.Batch, o.Height, o.Width, o.Precision = x.Shape[0], x.Shape[2], x.Shape[3], BF16
	for _, o.CPU = range bf16CPUs(t) {
		p, err := Compile(g, o)
		if err != nil {
			t.Fatal(err)
		}
		checkBF16Program(t, g, p, x, o)
	}
}

// checkBF16Program checks all nodes and outputs of p, which g was compiled to.
func checkBF16Program(t *testing.T, g *graph.Graph, p *Program, x *tensor.Tensor, o Options) {
	t.Helper()
	s := p.NewSession()
	for range 2 { // the second run finds what the first has left in the buffers
		truth := bf16Truth{shapes: p.shapes, seen: map[*graph.Node]*tensor.Tensor{}}
		s.Watch(func(n *graph.Node, v *tensor.Tensor) {
			truth.seen[n] = &tensor.Tensor{Shape: v.Shape, Data: slices.Clone(v.Data)}
			if n != p.graph.Input() {
				truth.check(t, n, v)
			}
		})
		outs, err := s.Run(x)
		if err != nil {
			t.Fatal(err)
		}
		for i, n := range p.graph.Outputs {
			if !slices.Equal(outs[i].Data, truth.seen[n].Data) {
				t.Errorf("output %s is not what was watched", n.Name)
			}
		}
		if o.KeepAll && len(truth.seen) != len(g.Nodes) {
			t.Errorf("watched %d of %d nodes", len(truth.seen), len(g.Nodes))
		}
	}
	if t.Failed() {
		t.Fatalf("%+v\n%v", o, g)
	}
}

// bf16Tests have odd counts of channels wherever these meet.
var bf16Tests = []string{
	opInput + "a = conv x w=f32[5,4,1,1]\nb = conv x w=f32[3,4,3,3] pad=1\nc = concat a b\nd = conv c w=f32[7,8,3,3] pad=1\ny = silu d",
	opInput + "a = conv x w=f32[5,4,1,1]\nb = silu a\nc = concat b x b\nd = maxpool c kernel=5 stride=1 pad=2\ne = concat d c\n" +
		"f = upsample e scale=2\ny = conv f w=f32[9,28,3,3] bias stride=2 pad=1",
	opInput + "a = conv x w=f32[5,4,1,1]\nb = conv x w=f32[3,4,1,1]\nc = concat a b\nd = conv c w=f32[8,8,3,3] bias pad=1\ny = add c d",
	opInput + "a = conv x w=f32[5,4,1,1]\nb = concat a a\nc = sigmoid b\nd = add b c\ne = conv d w=f32[10,10,1,1]\nf = mish e\ny = add e f",
	opInput + "a = conv x w=f32[7,4,1,1]\nb = silu a\nc = conv b w=f32[7,7,3,3] pad=1\nd = silu c\ne = add b d\nf = conv e w=f32[7,1,3,3] pad=1 groups=7\n" +
		"y = concat f e",
	opInput + "a = conv x w=f32[6,4,6,6] bias stride=2 pad=2\nb = hardswish a\ny = conv b w=f32[255,6,1,1] bias",
}

func TestBF16Ops(t *testing.T) {
	for _, text := range append(opTests, bf16Tests...) {
		t.Run(strings.ReplaceAll(text, "\n", "; "), func(t *testing.T) {
			g := parse(t, text+"\noutput y\n", 1)
			for i, s := range opShapes {
				x := random(rand.New(rand.NewPCG(uint64(i), 2)), s[:]...)
				checkBF16(t, g, x, Options{Threads: 1, KeepAll: true})
				checkBF16(t, g, x, Options{Threads: 2})
			}
		})
	}
}

// TestBF16Every tries every way to compute convolutions.
func TestBF16Every(t *testing.T) {
	g := parse(t, `x = input shape=1,3,8,8
a = conv x w=f32[11,3,6,6] bias stride=2 pad=2
b = silu a
c = conv b w=f32[13,11,3,3] bias stride=2 pad=1
d = conv c w=f32[13,13,1,1] bias
e = conv d w=f32[13,13,3,3] pad=1
f = silu e
h = add d f
i = conv h w=f32[21,13,1,1] bias
output i b
`, 61)
	for _, s := range [][4]int{{1, 3, 44, 70}, {1, 3, 18, 130}} {
		x := random(rand.New(rand.NewPCG(1, 62)), s[:]...)
		for _, cpu := range bf16CPUs(t) {
			o := Options{Height: s[2], Width: s[3], CPU: cpu, Threads: 2, Precision: BF16}
			var first *tensor.Tensor
			for column := 0; ; column++ {
				p, more, err := compileColumn(g, o, column)
				if err != nil {
					t.Fatal(err)
				}
				if !more {
					break
				}
				outs, err := p.NewSession().Run(x)
				if err != nil {
					t.Fatal(err)
				}
				if first == nil {
					first = &tensor.Tensor{Shape: outs[0].Shape, Data: slices.Clone(outs[0].Data)}
				}
				if d := far(outs[0], first); !(d <= 1e-2) { // sums in another order may round the other way
					t.Errorf("%s, way %d: off the first by %.2g", cpu, column, d)
				}
			}
		}
		checkBF16(t, g, x, Options{})
	}
}

// TestBF16Pixels compares pictures given as pixels with the same given as a tensor, which
// are the same numbers.
func TestBF16Pixels(t *testing.T) {
	for _, text := range []string{
		"x = input shape=1,3,8,8\na = conv x w=f32[6,3,6,6] bias stride=2 pad=2\nb = silu a\nc = conv b w=f32[5,6,1,1]\noutput c\n",
		"x = input shape=1,3,8,8\na = conv x w=f32[5,3,6,6] bias stride=2 pad=2\nb = silu a\noutput b\n",
		"x = input shape=1,3,8,8\na = conv x w=f32[6,3,3,3] bias pad=1\noutput a x\n",
	} {
		g := parse(t, text, 21)
		for _, size := range [][3]int{{1, 8, 32}, {2, 22, 96}, {1, 6, 70}, {3, 10, 130}, {1, 40, 34}, {1, 2, 2}} {
			for _, cpu := range bf16CPUs(t) {
				n, h, w := size[0], size[1], size[2]
				r := rand.New(rand.NewPCG(1, uint64(w)))
				x, pixels := tensor.New(n, 3, h, w), make([]uint8, n*h*w*3)
				for i := range pixels {
					pixels[i] = uint8(r.Uint32())
					pixel, c := i/3, i%3
					x.Data[(pixel/(h*w)*3+c)*h*w+pixel%(h*w)] = float32(pixels[i]) * (1. / 255)
				}
				checkBF16(t, g, x, Options{Threads: 2})
				p, err := Compile(g, Options{Batch: n, Height: h, Width: w, Threads: 2, CPU: cpu, Precision: BF16})
				if err != nil {
					t.Fatal(err)
				}
				s := p.NewSession()
				outs, err := s.Run(x)
				if err != nil {
					t.Fatal(err)
				}
				want := slices.Clone(outs[0].Data)
				if outs, err = s.RunRGB(pixels); err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(outs[0].Data, want) {
					t.Errorf("%s, %v: pixels give something else than the tensor", cpu, size)
				}
			}
		}
	}
}

// FuzzBF16 builds small random graphs, as FuzzEngine does.
func FuzzBF16(f *testing.F) {
	for seed := range uint64(60) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 0))
		g := randomGraph(r, 1+r.IntN(20), 1+r.IntN(20))
		fillGraph(g, r)
		shape := g.Input().Op.(*graph.Input).Shape
		shape[0] = 1 + r.IntN(2)
		checkBF16(t, g, random(r, shape[:]...), Options{Threads: 1 + r.IntN(3), KeepAll: r.IntN(2) == 0})
	})
}

// TestBF16ThreadsAgree feeds what is no number between two equal pictures, which must give
// the same bits with any number of threads.
func TestBF16ThreadsAgree(t *testing.T) {
	x := random(rand.New(rand.NewPCG(1, 8)), 2, 3, 20, 28)
	bad := &tensor.Tensor{Shape: x.Shape, Data: slices.Clone(x.Data)}
	for i := 0; i < len(bad.Data); i += 5 {
		bad.Data[i] = []float32{float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()), math.MaxFloat32, 1e-45}[i/5%5]
	}
	for _, kind := range []graph.ActKind{graph.SiLU, graph.Hardswish, graph.LeakyReLU, graph.ReLU, graph.ReLU6, graph.Sigmoid, graph.Mish} {
		g := parse(t, small, 7)
		for _, n := range g.Nodes {
			if a, ok := n.Op.(*graph.Activation); ok {
				a.Kind, a.Slope = kind, 0.1
			}
		}
		for _, cpu := range bf16CPUs(t) {
			var first []float32
			for threads := 1; threads <= 3; threads++ {
				p, err := Compile(g, Options{Threads: threads, CPU: cpu, Precision: BF16})
				if err != nil {
					t.Fatal(err)
				}
				s := p.NewSession()
				for _, x := range []*tensor.Tensor{x, bad, x} {
					outs, err := s.Run(x)
					switch {
					case err != nil:
						t.Fatal(err)
					case x == bad:
					case first == nil:
						first = slices.Clone(outs[0].Data)
					case !slices.Equal(outs[0].Data, first):
						t.Errorf("%s, %s: %d threads give other bits than one, or feel the picture before", cpu, kind, threads)
					}
				}
			}
		}
	}
}

func TestBF16AllocatesNothing(t *testing.T) {
	for _, cpu := range bf16CPUs(t) {
		checkAllocations(t, Options{Threads: 2, CPU: cpu, Precision: BF16})
	}
}

// TestPrecisions asks for what there is and what there is not.
func TestPrecisions(t *testing.T) {
	g := parse(t, small, 63)
	for _, target := range codegen.Targets() {
		_, err := Compile(g, Options{CPU: target.String(), Precision: BF16})
		if target.BF16() != (err == nil) || err != nil && !strings.Contains(err.Error(), "bf16") {
			t.Errorf("bf16 on %s: %v", target, err)
		}
	}
	for _, o := range []Options{{CPU: Generic, Precision: BF16}, {Precision: "fp64"}} {
		if _, err := Compile(g, o); err == nil || !strings.Contains(err.Error(), o.Precision) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if _, err := Compile(g, Options{Precision: FP32}); err != nil {
		t.Error(fmt.Sprint("fp32: ", err))
	}
}
