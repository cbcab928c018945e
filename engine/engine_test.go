package engine

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"ultrafast/graph"
	"ultrafast/internal/codegen"
	"ultrafast/tensor"
)

// parse reads a graph and fills its tensors with random numbers, variances positive.
func parse(t testing.TB, text string, seed uint64) *graph.Graph {
	t.Helper()
	g, err := graph.Parse("ultrafast graph 1\n" + text)
	if err != nil {
		t.Fatal(err)
	}
	fillGraph(g, rand.New(rand.NewPCG(seed, 1)))
	return g
}

func fillGraph(g *graph.Graph, r *rand.Rand) {
	for _, p := range g.Params() {
		*p.At = random(r, p.Tensor().Shape...)
		if s := p.Tensor().Shape; len(s) == 4 { // keep what goes through many layers near 1
			for i := range p.Tensor().Data {
				p.Tensor().Data[i] /= float32(math.Sqrt(float64(s[1] * s[2] * s[3])))
			}
		}
		if strings.HasSuffix(p.Name, ".running_var") {
			for i, v := range p.Tensor().Data {
				p.Tensor().Data[i] = 0.1 + v*v
			}
		}
	}
}

func random(r *rand.Rand, shape ...int) *tensor.Tensor {
	t := tensor.New(shape...)
	for i := range t.Data {
		t.Data[i] = float32(r.NormFloat64())
	}
	return t
}

// far is the largest difference, relative to numbers above 1.
func far(got, want *tensor.Tensor) (worst float64) {
	for i, w := range want.Data {
		worst = max(worst, math.Abs(float64(got.Data[i])-float64(w))/max(1, math.Abs(float64(w)))) // NaN if one is
	}
	return worst
}

// cpus are what this machine can run code for.
func cpus() []string {
	names := []string{Generic}
	for _, t := range codegen.Targets() {
		names = append(names, t.String())
	}
	return names
}

// check compares all outputs, and with KeepAll all nodes, with the reference.
func check(t *testing.T, g *graph.Graph, x *tensor.Tensor, o Options, tolerance float64) {
	t.Helper()
	want, err := Reference(g, x)
	if err != nil {
		t.Fatal(err)
	}
	for _, o.CPU = range cpus() {
		checkOn(t, g, x, want, o, tolerance)
	}
}

func checkOn(t *testing.T, g *graph.Graph, x *tensor.Tensor, want map[*graph.Node]*tensor.Tensor, o Options, tolerance float64) {
	t.Helper()
	o.Batch, o.Height, o.Width = x.Shape[0], x.Shape[2], x.Shape[3]
	before := g.String()
	p, err := Compile(g, o)
	if err != nil {
		t.Fatal(err)
	}
	if g.String() != before {
		t.Fatal("Compile changed the graph")
	}
	s := p.NewSession()
	seen := 0
	s.Watch(func(n *graph.Node, v *tensor.Tensor) {
		seen++
		if d := far(v, want[g.Node(n.Name)]); o.KeepAll && !(d <= tolerance) {
			t.Errorf("%s (%s) is off by %.2g on %s", n.Name, n.Op.Word(), d, o.CPU)
		}
	})
	for range 2 { // the second run finds what the first has left in the buffers
		outs, err := s.Run(x)
		if err != nil {
			t.Fatal(err)
		}
		for i, n := range g.Outputs {
			if fmt.Sprint(outs[i].Shape) != fmt.Sprint(want[n].Shape) {
				t.Fatalf("output %s is %v, want %v", n.Name, outs[i], want[n])
			}
			if d := far(outs[i], want[n]); !(d <= tolerance) {
				t.Errorf("output %s is off by %.2g (%s, KeepAll %v, threads %d)\n%v", n.Name, d, o.CPU, o.KeepAll, o.Threads, g)
			}
		}
	}
	if o.KeepAll && seen != 2*len(g.Nodes) {
		t.Errorf("watched %d values in two runs, want %d", seen, 2*len(g.Nodes))
	}
}

// opInput begins the graphs of opTests, for inputs of the shapes opShapes.
const opInput = "x = input shape=1,4,8,8\n"

var opShapes = [][4]int{{1, 4, 8, 8}, {2, 4, 7, 5}, {1, 4, 6, 37}, {1, 4, 19, 64}}

var opTests = []string{
	opInput + "y = conv x w=f32[3,4,1,1] bias",
	opInput + "y = conv x w=f32[2,4,1,1] stride=2",
	opInput + "y = conv x w=f32[40,4,3,3] pad=1",
	opInput + "y = conv x w=f32[5,4,3,3] bias stride=2 pad=1",
	opInput + "y = conv x w=f32[9,4,3,3] bias stride=2 pad=1",
	opInput + "a = conv x w=f32[17,4,3,3] bias stride=2 pad=1\nb = silu a\nc = conv b w=f32[17,17,3,3] pad=1\nd = relu c\ny = add b d",
	opInput + "y = conv x w=f32[4,4,6,6] bias stride=2 pad=2",
	opInput + "y = conv x w=f32[3,4,1,5] pad=0,2",
	opInput + "y = conv x w=f32[3,4,5,2] bias stride=3,2 pad=2,1",
	opInput + "y = conv x w=f32[3,4,3,3] pad=2 dilation=2",
	opInput + "y = conv x w=f32[3,4,3,2] pad=3 dilation=3,2 stride=2,3",
	opInput + "y = conv x w=f32[6,2,3,3] bias pad=1 groups=2",
	opInput + "y = conv x w=f32[4,1,3,3] bias pad=1 groups=4",
	opInput + "y = conv x w=f32[8,1,5,5] stride=2 pad=2 groups=4",
	opInput + "y = conv x w=f32[2,4,3,3] stride=5 pad=4",
	opInput + "y = convtranspose x w=f32[4,3,2,2] bias stride=2",
	opInput + "a = convtranspose x w=f32[4,9,2,2] bias stride=2\nb = silu a\ny = conv b w=f32[7,9,3,3] pad=1",
	opInput + "y = convtranspose x w=f32[4,6,4,4] stride=2 pad=1",
	opInput + "y = convtranspose x w=f32[4,5,3,3] bias stride=2 pad=1 outpad=1",
	opInput + "a = convtranspose x w=f32[4,6,6,6] bias stride=2 pad=2\nb = convtranspose x w=f32[4,3,2,4] bias stride=2 pad=0,1\ny = concat b a b",
	opInput + "y = convtranspose x w=f32[4,5,5,7] stride=2 pad=2,3 outpad=1",
	opInput + "y = convtranspose x w=f32[4,5,2,2] bias stride=2 outpad=1,0",
	opInput + "y = convtranspose x w=f32[4,5,3,3] bias stride=2",
	opInput + "y = convtranspose x w=f32[4,5,1,1] stride=2 outpad=1",
	opInput + "y = convtranspose x w=f32[4,2,3,3] bias stride=2 pad=1 outpad=1 groups=2",
	opInput + "y = convtranspose x w=f32[4,3,2,2] bias stride=2 groups=4",
	opInput + "y = convtranspose x w=f32[4,3,3,2] pad=2,1 dilation=2 stride=1,3 outpad=1,2",
	opInput + "y = convtranspose x w=f32[4,3,3,3] bias pad=1",
	opInput + "y = batchnorm x c=4 eps=0.001 momentum=0.03",
	opInput + "y = silu x",
	opInput + "y = hardswish x",
	opInput + "y = leakyrelu x slope=0.1",
	opInput + "y = relu x",
	opInput + "y = relu6 x",
	opInput + "y = sigmoid x",
	opInput + "y = mish x",
	opInput + "z = relu x\ny = add x z x",
	opInput + "z = conv x w=f32[3,4,1,1]\ny = concat x z x",
	opInput + "y = concat x",
	opInput + "y = maxpool x kernel=5 stride=1 pad=2",
	opInput + "y = maxpool x kernel=2 stride=2 pad=0",
	opInput + "y = maxpool x kernel=3 stride=2 pad=1",
	opInput + "y = maxpool x kernel=13 stride=1 pad=6",
	opInput + "y = upsample x scale=2",
	opInput + "y = upsample x scale=3",
	opInput + "y = slice x axis=1 start=1 end=3 step=1",
	opInput + "y = slice x axis=1 start=1 end=0 step=2",
	opInput + "y = slice x axis=2 start=1 end=0 step=2",
	opInput + "y = slice x axis=3 start=1 end=5 step=3",
	opInput + "a = conv x w=f32[21,4,1,1]\nb = conv x w=f32[14,4,3,3] stride=2 pad=1\n" +
		"y = detect a b classes=2 strides=8,16 anchors=10,13,16,30,33,23;30,61,62,45",
	opInput + "a = conv x w=f32[5,4,3,3] pad=1\nb = batchnorm a c=5 eps=0.001 momentum=0.03\ny = silu b",
}

// TestOps compares every op with the reference over shapes that are odd, thin and large.
func TestOps(t *testing.T) {
	for _, text := range opTests {
		op := text[strings.LastIndex(text, "\n")+1:]
		t.Run(op, func(t *testing.T) {
			g := parse(t, text+"\noutput y\n", 1)
			for i, s := range opShapes {
				x := random(rand.New(rand.NewPCG(uint64(i), 2)), s[:]...)
				check(t, g, x, Options{Threads: 1, KeepAll: true}, 2e-5)
				check(t, g, x, Options{Threads: 2}, 2e-5)
			}
		})
	}
}

// TestWide has rows and maps larger than one job's block.
func TestWide(t *testing.T) {
	g := parse(t, "x = input shape=1,1,3,3\na = conv x w=f32[35,1,3,3] pad=1\ny = conv a w=f32[3,35,1,1]\noutput y a\n", 3)
	for i, s := range [][4]int{{1, 1, 3, 2500}, {1, 1, 130, 40}, {2, 1, 40, 33}} {
		check(t, g, random(rand.New(rand.NewPCG(uint64(i), 4)), s[:]...), Options{}, 2e-5)
	}
}

func TestInputIsOutput(t *testing.T) {
	g := parse(t, "x = input shape=1,2,3,3\ny = relu x\noutput x y x\n", 5)
	check(t, g, random(rand.New(rand.NewPCG(1, 6)), 1, 2, 3, 3), Options{}, 0)
}

const small = `x = input shape=2,3,20,28
a = conv x w=f32[8,3,3,3] stride=2 pad=1
b = batchnorm a c=8 eps=0.001 momentum=0.03
c = silu b
d = conv c w=f32[8,8,3,3] pad=1
e = batchnorm d c=8 eps=0.001 momentum=0.03
f = silu e
h = add c f
i = maxpool h kernel=5 stride=1 pad=2
j = concat h i c
k = conv j w=f32[14,24,1,1] bias
l = upsample k scale=2
m = conv l w=f32[14,14,3,3] bias stride=2 pad=1
out = detect k m classes=2 strides=2,2 anchors=3,4,5,6;7,8,9,10
output out k
`

func TestThreadsAgree(t *testing.T) {
	g := parse(t, small, 7)
	x := random(rand.New(rand.NewPCG(1, 8)), 2, 3, 20, 28)
	var first []float32
	for threads := 1; threads <= 3; threads++ {
		p, err := Compile(g, Options{Threads: threads})
		if err != nil {
			t.Fatal(err)
		}
		outs, err := p.NewSession().Run(x)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = outs[0].Data
		}
		for i, v := range outs[0].Data {
			if v != first[i] {
				t.Fatalf("%d threads: [%d] = %v, with one thread %v", threads, i, v, first[i])
			}
		}
	}
}

func TestRunAllocatesNothing(t *testing.T) { checkAllocations(t, Options{Threads: 2}) }

func checkAllocations(t *testing.T, o Options) {
	t.Helper()
	p, err := Compile(parse(t, small, 11), o)
	if err != nil {
		t.Fatal(err)
	}
	s := p.NewSession()
	x := random(rand.New(rand.NewPCG(1, 12)), 2, 3, 20, 28)
	allocs := testing.AllocsPerRun(20, func() {
		if _, err := s.Run(x); err != nil {
			t.Fatal(err)
		}
	})
	if allocs > 0 {
		t.Errorf("a run allocates %v times", allocs)
	}
}

func TestErrors(t *testing.T) {
	g := parse(t, small, 13)
	p, err := Compile(g, Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	s := p.NewSession()
	for _, x := range []*tensor.Tensor{tensor.New(1, 3, 20, 28), tensor.New(2, 3, 28, 20), tensor.New(5), {Shape: []int{2, 3, 20, 28}}} {
		if _, err := s.Run(x); err == nil || !strings.Contains(err.Error(), "input x") {
			t.Errorf("Run(%v) = %v", x, err)
		}
	}
	for _, test := range []struct {
		change func(*graph.Graph)
		o      Options
		want   string
	}{
		{func(g *graph.Graph) { (*g.Params()[0].At).Data = nil }, Options{}, "a.weight has no numbers"},
		{func(g *graph.Graph) { g.Node("c").Op.(*graph.Activation).Kind = "swoosh" }, Options{}, `c (swoosh`},
		{func(g *graph.Graph) {}, Options{Height: -1}, "input x"},
		{func(g *graph.Graph) {}, Options{Threads: -1}, "-1 threads"},
		{func(g *graph.Graph) { g.Outputs = nil }, Options{}, "no outputs"},
	} {
		c := g.Clone()
		test.change(c)
		if _, err := Compile(c, test.o); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("Compile = %v, want %q", err, test.want)
		}
	}
}

// TestPlan checks that values alive together never share a buffer, and that a chain needs
// two buffers however long it is.
func TestPlan(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 14))
	for range 200 {
		var lives []life
		for from := range 12 {
			lives = append(lives, life{size: 1 + r.IntN(50), from: from, to: from + r.IntN(5)})
		}
		sizes := plan(lives)
		for i, a := range lives {
			if sizes[a.buffer] < a.size {
				t.Fatalf("value %d of %d floats is in a buffer of %d", i, a.size, sizes[a.buffer])
			}
			for _, b := range lives[:i] {
				if a.buffer == b.buffer && b.to >= a.from {
					t.Fatalf("%+v and %+v share a buffer", a, b)
				}
			}
		}
	}
	var chain []life
	for i := range 50 {
		chain = append(chain, life{size: 100, from: i, to: i + 1})
	}
	if sizes := plan(chain); len(sizes) != 2 {
		t.Errorf("a chain takes %d buffers, want 2", len(sizes))
	}
}

// TestActivationsEverywhere walks the float32 line, where exp is clamped included.
func TestActivationsEverywhere(t *testing.T) {
	for _, kind := range []graph.ActKind{graph.SiLU, graph.Hardswish, graph.LeakyReLU, graph.ReLU, graph.ReLU6, graph.Sigmoid, graph.Mish} {
		op := &graph.Activation{Kind: kind, Slope: 0.1}
		f, err := activation(op)
		if err != nil {
			t.Fatal(err)
		}
		for x := float32(-150); x < 150; x += 0.0137 {
			v := []float32{x}
			f(v)
			want := refActivation(op, float64(x))
			if d := math.Abs(float64(v[0]) - want); d > 1e-6*math.Abs(want)+1e-35 {
				t.Fatalf("%s(%v) = %v, want %v", kind, x, v[0], want)
			}
		}
		v := []float32{float32(math.NaN())}
		if f(v); v[0] == v[0] {
			t.Errorf("%s(NaN) = %v", kind, v[0])
		}
	}
}

// TestPixels compares pictures given as pixels with the same given as a tensor, for a
// network that takes them as they are and for one that does not.
func TestPixels(t *testing.T) {
	for _, text := range []string{
		"x = input shape=1,3,8,8\na = conv x w=f32[6,3,6,6] bias stride=2 pad=2\nb = silu a\noutput b\n",
		"x = input shape=1,3,8,8\na = conv x w=f32[5,3,6,6] bias stride=2 pad=2\nb = silu a\noutput b\n",
		"x = input shape=1,3,8,8\na = conv x w=f32[6,3,3,3] bias pad=1\noutput a x\n",
	} {
		g := parse(t, text, 21)
		for _, size := range [][3]int{{1, 8, 32}, {2, 22, 96}, {1, 6, 70}, {3, 10, 130}, {1, 40, 34}, {1, 2, 2}} {
			for _, cpu := range cpus() {
				n, h, w := size[0], size[1], size[2]
				r := rand.New(rand.NewPCG(1, uint64(w)))
				x, pixels := tensor.New(n, 3, h, w), make([]uint8, n*h*w*3)
				for i := range pixels {
					pixels[i] = uint8(r.Uint32())
					pixel, c := i/3, i%3
					x.Data[(pixel/(h*w)*3+c)*h*w+pixel%(h*w)] = float32(pixels[i]) / 255
				}
				want, err := Reference(g, x)
				if err != nil {
					t.Fatal(err)
				}
				p, err := Compile(g, Options{Batch: n, Height: h, Width: w, Threads: 2, CPU: cpu})
				if err != nil {
					t.Fatal(err)
				}
				s := p.NewSession()
				for range 2 {
					outs, err := s.RunRGB(pixels)
					if err != nil {
						t.Fatal(err)
					}
					for i, n := range g.Outputs {
						if d := far(outs[i], want[n]); !(d <= 2e-5) {
							t.Errorf("%s, %v: output %s is off by %.2g", cpu, size, n.Name, d)
						}
					}
				}
			}
		}
	}
}

// TestOutputsStay has several outputs that are unpacked after the last node: none may
// take the memory of another.
func TestOutputsStay(t *testing.T) {
	g := parse(t, `x = input shape=1,4,24,40
a = conv x w=f32[8,4,3,3] stride=2 pad=1
b = conv a w=f32[7,8,1,1]
c = conv a w=f32[8,8,3,3] stride=2 pad=1
d = conv c w=f32[7,8,1,1]
e = conv c w=f32[9,8,1,1]
output b d e a
`, 22)
	check(t, g, random(rand.New(rand.NewPCG(1, 23)), 1, 4, 24, 40), Options{Threads: 1}, 2e-5)
}
