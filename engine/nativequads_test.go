package engine

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"ultrafast/graph"
	"ultrafast/internal/codegen"
	"ultrafast/tensor"
)

// exactNodes are those whose values every engine computes to the last bit: what lies on grids,
// and what is computed of that in whole numbers or by a table.
// Vague are those behind the rounding of others, which may go to the next level.
func exactNodes(g *graph.Graph) (exact, vague map[*graph.Node]bool) {
	on := grids(g.Grids())
	exact, vague = map[*graph.Node]bool{}, map[*graph.Node]bool{}
	for _, n := range g.Nodes {
		all := !slices.ContainsFunc(n.In, func(in *graph.Node) bool { return !exact[in] })
		switch n.Op.(type) {
		case *graph.Conv:
			_, ok := on.conv(n)
			exact[n] = all && ok
		case *graph.Activation:
			exact[n] = all && on[n.In[0]] != nil
		case *graph.ConvTranspose, *graph.BatchNorm, *graph.Detect:
		default:
			exact[n] = all
		}
		vague[n] = on[n] != nil && !exact[n] || slices.ContainsFunc(n.In, func(in *graph.Node) bool { return vague[in] })
	}
	return exact, vague
}

// checkQuantised compares all outputs, and with KeepAll all nodes, with the reference, on every
// processor.
func checkQuantised(t *testing.T, g *graph.Graph, x *tensor.Tensor, o Options) {
	t.Helper()
	want, err := Reference(g, x)
	if err != nil {
		t.Fatal(err)
	}
	exact, vague := exactNodes(g)
	compare := func(n *graph.Node, v *tensor.Tensor) {
		t.Helper()
		if d := farOfLargest(v, want[n]); !vague[n] && !(d <= 1e-3) || exact[n] && d != 0 {
			t.Errorf("%s (%s) is off by %.2g on %s, %d threads, KeepAll %v", n.Name, n.Op.Word(), d, o.CPU, o.Threads, o.KeepAll)
		}
	}
	o.Batch, o.Height, o.Width = x.Shape[0], x.Shape[2], x.Shape[3]
	for _, o.CPU = range cpus() {
		p, err := Compile(g, o)
		if err != nil {
			t.Fatal(err)
		}
		s := p.NewSession()
		seen := 0
		for _, watched := range []bool{true, false} { // the second run finds what the first has left
			s.Watch(nil)
			if watched {
				s.Watch(func(n *graph.Node, v *tensor.Tensor) {
					seen++
					if n = g.Node(n.Name); o.KeepAll || exact[n] { // others may have a batch norm folded into them
						compare(n, v)
					}
				})
			}
			outs, err := s.Run(x)
			if err != nil {
				t.Fatal(err)
			}
			for i, n := range g.Outputs {
				compare(n, outs[i])
			}
		}
		if o.KeepAll && seen != len(g.Nodes) {
			t.Errorf("watched %d of %d nodes", seen, len(g.Nodes))
		}
		if t.Failed() {
			t.Fatalf("%s\n%v", strings.Join(kernels(p), "\n"), g)
		}
	}
}

// kernels describes the steps of p.
func kernels(p *Program) (all []string) {
	for _, s := range p.Steps() {
		all = append(all, s.Name+": "+s.Kernel)
	}
	return all
}

const quantisedInput = "x = input shape=1,4,8,8\nq = quantize x scale=0.02 zero=117\n"

// shuffledText has groups of channels that lie scattered over quads.
const shuffledText = quantisedInput + "a = conv q w=i8[5,4,1,1] bias\nb = quantize a scale=0.06 zero=111\nc = conv q w=i8[6,4,3,3] pad=1\n" +
	"d = quantize c scale=0.06 zero=111\ne = concat b d\nf = conv e w=i8[11,1,3,3] bias pad=1 groups=11"

// quantisedTests have counts of channels that fill no quad wherever these meet.
var quantisedTests = []string{
	quantisedInput + "a = conv q w=i8[5,4,1,1] bias\nb = quantize a scale=0.05 zero=130\nc = silu b\ny = quantize c scale=0.03 zero=10",
	quantisedInput + "a = conv q w=i8[9,4,3,3] pad=1\nb = quantize a scale=0.1 zero=140\nc = mish b\nd = quantize c scale=0.04 zero=7\n" +
		"e = conv d w=i8[6,9,3,3] bias stride=2 pad=1\nf = quantize e scale=0.3 zero=120\ny = conv f w=f32[255,6,1,1] bias",
	quantisedInput + "a = conv q w=i8[5,4,1,1]\nb = quantize a scale=0.06 zero=111\nc = conv q w=i8[3,4,3,3] bias pad=1\nd = quantize c scale=0.06 zero=111\n" +
		"e = concat b d\nf = conv e w=i8[7,8,3,3] pad=1\ng = quantize f scale=0.2 zero=128\ny = hardswish g",
	quantisedInput + "a = conv q w=i8[7,4,1,1] bias\nb = quantize a scale=0.05 zero=130\nc = silu b\nd = quantize c scale=0.04 zero=10\n" +
		"e = conv d w=i8[7,7,3,3] bias pad=1\nf = quantize e scale=0.15 zero=130\ng = silu f\nh = quantize g scale=0.04 zero=10\n" +
		"i = add d h\nj = quantize i scale=0.07 zero=9\nk = maxpool j kernel=3 stride=1 pad=1\nl = concat j k\nm = conv l w=i8[4,14,1,1]\ny = quantize m scale=0.2 zero=128",
	quantisedInput + "a = conv q w=i8[5,4,1,1]\nb = quantize a scale=0.06 zero=111\nc = maxpool b kernel=5 stride=1 pad=2\nd = slice b axis=1 start=1 step=1\ne = concat c b d\n" +
		"f = upsample e scale=2\ng = conv f w=i8[9,14,3,3] bias stride=2 pad=1\ny = quantize g scale=0.4 zero=100",
	quantisedInput + "a = conv q w=i8[8,4,6,6] bias stride=2 pad=2\nb = quantize a scale=0.2 zero=100\nc = maxpool b kernel=2 stride=2\n" +
		"d = conv c w=i8[24,4,2,3] bias pad=2,1 groups=2\ne = quantize d scale=0.2 zero=128\nf = conv e w=i8[12,2,3,3] pad=1 groups=12\n" +
		"g = quantize f scale=0.2 zero=3\nh = conv g w=i8[4,12,3,2] dilation=2,1 pad=1\ny = quantize h scale=1 zero=90",
	quantisedInput + "a = conv q w=i8[6,4,1,1] bias\nb = conv q w=i8[6,4,1,1]\nc = add a b\nd = quantize c scale=0.07 zero=99\ne = quantize b scale=0.1 zero=0\n" +
		"f = add d e\ng = quantize f scale=0.12 zero=255\nh = add g g\ni = quantize h scale=0.3 zero=100\nj = quantize i scale=0.25 zero=128\n" +
		"k = slice j axis=1 start=1 end=4 step=1\nl = concat k b\ny = conv l w=f32[3,9,1,1]",
	quantisedInput + "a = conv q w=i8[13,4,1,1] bias\nb = quantize a scale=0.06 zero=111\nc = conv b w=i8[13,1,3,3] bias pad=1 groups=13\n" +
		"d = quantize c scale=0.1 zero=130\ne = silu d\nf = quantize e scale=0.04 zero=9\ng = conv f w=i8[13,1,5,5] stride=2 pad=2 groups=13\n" +
		"h = quantize g scale=0.1 zero=77\ni = conv h w=i8[3,13,1,1] bias\ny = quantize i scale=0.3 zero=128",
	quantisedInput + "a = conv q w=i8[8,2,3,3] bias pad=1 groups=2\nb = quantize a scale=0.1 zero=111\nc = conv b w=i8[16,1,3,3] pad=1 groups=8\n" +
		"d = quantize c scale=0.1 zero=130\ne = conv d w=i8[24,8,3,3] bias stride=2 pad=1 groups=2\nf = quantize e scale=0.4 zero=12\n" +
		"g = conv f w=i8[6,12,1,1] groups=2\nh = silu g\ni = quantize g scale=0.3 zero=128\nj = quantize h scale=0.1 zero=100\n" +
		"k = slice j axis=1 start=1 step=1\nl = concat i k\nm = conv l w=f32[2,11,1,1]\ny = quantize j scale=0.2 zero=3",
	quantisedInput + "a = conv q w=i8[21,4,1,1] bias\nb = quantize a scale=0.06 zero=111\nc = slice b axis=1 start=8 end=13 step=1\n" +
		"d = slice b axis=1 start=3 end=14 step=2\ne = concat d c\nf = slice e axis=1 start=1 step=2\ng = slice b axis=1 start=16 step=1\nh = add f g\n" +
		"i = quantize h scale=0.1 zero=120\nj = concat e b\nk = conv q w=i8[32,4,3,3] pad=1\nl = quantize k scale=0.06 zero=111\nm = add j l\n" +
		"n = quantize m scale=0.15 zero=90\no = concat n i\np = conv n w=i8[7,32,1,1]\ny = quantize p scale=0.5 zero=100",
	quantisedInput + "a = conv q w=i8[6,4,1,1] bias\nb = quantize a scale=0.05 zero=32\nc = conv b w=f32[7,6,1,1] bias\nd = quantize a scale=0.05 zero=33\n" +
		"e = conv d w=f32[7,6,1,1] bias\nf = silu c\ny = add e f", // 32 is the highest zero point of bytes that are taken as they lie
	quantisedInput + "a = conv q w=i8[5,4,1,1]\nb = quantize a scale=0.06 zero=9\nc = conv q w=i8[3,4,3,3] bias pad=1\nd = quantize c scale=0.06 zero=9\n" +
		"e = concat b d\ny = conv e w=f32[21,8,1,1] bias",
	shuffledText + "\ny = quantize f scale=0.2 zero=128",
	quantisedInput + "a = convtranspose q w=f32[4,3,2,2] bias stride=2\nb = slice q axis=2 start=0 step=2\nc = conv b w=i8[33,4,5,2] bias stride=3,2 pad=2,1\ny = quantize c scale=0.2 zero=128",
}

func quantisedGraph(t testing.TB, text string, seed uint64) *graph.Graph {
	return eightBit(parse(t, text, seed), rand.New(rand.NewPCG(seed, 5)))
}

func TestQuantisedOps(t *testing.T) {
	for _, text := range quantisedTests {
		t.Run(strings.ReplaceAll(text, "\n", "; "), func(t *testing.T) {
			g := quantisedGraph(t, text+"\noutput y\n", 1)
			for i, s := range append(opShapes, [4]int{1, 4, 12, 34}, [4]int{2, 4, 6, 100}) {
				x := random(rand.New(rand.NewPCG(uint64(i), 2)), s[:]...)
				checkQuantised(t, g, x, Options{Threads: 1, KeepAll: true})
				checkQuantised(t, g, x, Options{Threads: 2})
				checkQuantised(t, g, x, Options{Threads: 3})
			}
		})
	}
}

// TestHeadsOfBytes has heads in float32 take bytes as they lie, as on processors that do not multiply
// four at once.
func TestHeadsOfBytes(t *testing.T) {
	defer func(was func(codegen.Target) bool) { multipliesQuads = was }(multipliesQuads)
	multipliesQuads = func(codegen.Target) bool { return false }
	for _, text := range quantisedTests {
		if strings.Contains(text, "f32") {
			g := quantisedGraph(t, text+"\noutput y\n", 1)
			for i, s := range opShapes {
				checkQuantised(t, g, random(rand.New(rand.NewPCG(uint64(i), 2)), s[:]...), Options{Threads: 2, KeepAll: i%2 == 0})
			}
		}
	}
}

// FuzzQuantised builds small random graphs, as FuzzEngine does, with values rounded here and
// there.
func FuzzQuantised(f *testing.F) {
	for seed := range uint64(60) {
		f.Add(seed)
	}
	f.Add(uint64(883)) // a slice of what nobody else reads any more
	f.Fuzz(func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 9))
		g := randomGraph(r, 1+r.IntN(20), 1+r.IntN(20))
		fillGraph(g, r)
		roundSome(g, r)
		if err := g.Verify(); err != nil {
			t.Fatal(err)
		}
		shape := g.Input().Op.(*graph.Input).Shape
		shape[0] = 1 + r.IntN(2)
		checkQuantised(t, g, random(r, shape[:]...), Options{Threads: 1 + r.IntN(3), KeepAll: r.IntN(2) == 0})
	})
}

// roundSome puts a Quantize, often of the same grid, behind most nodes, and makes most weights
// whole numbers.
func roundSome(g *graph.Graph, r *rand.Rand) {
	nodes := g.Nodes
	g.Nodes = nil
	instead := map[*graph.Node]*graph.Node{}
	for _, n := range nodes {
		for i, in := range n.In {
			if q := instead[in]; q != nil && r.IntN(8) > 0 {
				n.In[i] = q
			}
		}
		if c, ok := n.Op.(*graph.Conv); ok && r.IntN(5) > 0 {
			c.WeightScale = []float32{}
		}
		g.Nodes = append(g.Nodes, n)
		if r.IntN(4) > 0 {
			q := &graph.Quantize{Scale: 0.05, Zero: 128}
			if r.IntN(3) == 0 {
				q = &graph.Quantize{Scale: (0.1 + r.Float32()) / 20, Zero: r.IntN(256)}
			}
			instead[n] = g.Add(n.Name+".q", q, n)
		}
	}
	for i, n := range g.Outputs {
		if q := instead[n]; q != nil && r.IntN(2) == 0 {
			g.Outputs[i] = q
		}
	}
	eightBit(g, r)
}

// farOfLargest is how far got is from want, in parts of the largest number there, or of 1: weights of
// 16 bits are exact to that.
func farOfLargest(got, want *tensor.Tensor) (worst float64) {
	largest := 1.0
	for i, w := range want.Data {
		largest = max(largest, math.Abs(float64(w)))
		worst = max(worst, math.Abs(float64(got.Data[i])-float64(w))) // NaN if one is
	}
	return worst / largest
}

// TestQuantisedEvery tries every way to compute convolutions.
func TestQuantisedEvery(t *testing.T) {
	for _, text := range []string{yoloText, depthwiseText} {
		g := quantisedGraph(t, text, 61)
		for _, s := range [][4]int{{1, 3, 44, 70}, {1, 3, 18, 130}} {
			x := random(rand.New(rand.NewPCG(1, 62)), s[:]...)
			want, err := Reference(g, x)
			if err != nil {
				t.Fatal(err)
			}
			for _, cpu := range cpus() {
				for column := 0; ; column++ {
					p, more, err := compileColumn(g, Options{Height: s[2], Width: s[3], CPU: cpu, Threads: 2}, column)
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
					for i, n := range g.Outputs {
						if d := farOfLargest(outs[i], want[n]); !(d <= 1e-4) || i > 0 && d != 0 {
							t.Errorf("%s, way %d: %s is off by %.2g\n%s", cpu, column, n.Name, d, strings.Join(kernels(p), "\n"))
						}
					}
				}
			}
		}
	}
}

// TestQuantisedSessions runs two programs in eight sessions at once, on pictures by turns.
func TestQuantisedSessions(t *testing.T) {
	var all sync.WaitGroup
	for i, text := range []string{yoloText, depthwiseText} {
		g := quantisedGraph(t, text, uint64(40+i))
		p, err := Compile(g, Options{Height: 40, Width: 72, Threads: 2 + i})
		if err != nil {
			t.Fatal(err)
		}
		for seed := range uint64(4) {
			all.Go(func() {
				r := rand.New(rand.NewPCG(seed, 41))
				var xs [2]*tensor.Tensor
				var pixels [2][]uint8
				var want [2]*tensor.Tensor
				for k := range xs {
					xs[k], pixels[k] = pictures(r, 1, 40, 72)
					all, err := Reference(g, xs[k])
					if err != nil {
						t.Error(err)
						return
					}
					want[k] = all[g.Outputs[1]]
				}
				s := p.NewSession()
				for run := range 60 {
					outs, err := s.Run(xs[run%2])
					if run%3 == 0 {
						outs, err = s.RunRGB(pixels[run%2])
					}
					if err != nil || !slices.Equal(outs[1].Data, want[run%2].Data) {
						t.Errorf("session %d, run %d: other numbers than the reference's, or %v", seed, run, err)
						return
					}
				}
			})
		}
	}
	all.Wait()
}

// yoloText begins and ends as a quantised YOLOv5 does.
const yoloText = `x = input shape=1,3,8,8
q = quantize x scale=0.003921569 zero=0
a = conv q w=i8[11,3,6,6] bias stride=2 pad=2
b = quantize a scale=0.04 zero=130
c = silu b
d = quantize c scale=0.02 zero=14
e = conv d w=i8[13,11,3,3] bias stride=2 pad=1
f = quantize e scale=0.1 zero=120
g = silu f
h = quantize g scale=0.05 zero=6
i = conv h w=i8[13,13,3,3] pad=1
j = quantize i scale=0.2 zero=128
k = silu j
l = quantize k scale=0.05 zero=6
m = add h l
n = quantize m scale=0.1 zero=5
o = conv n w=f32[21,13,1,1] bias
output o n
`

// depthwiseText is yoloText with 3x3 convolutions of one channel each.
var depthwiseText = strings.NewReplacer("13,11,3,3] bias stride=2 pad=1", "11,1,3,3] bias stride=2 pad=1 groups=11",
	"13,13,3,3] pad=1", "11,1,3,3] pad=1 groups=11", "21,13,1,1", "21,11,1,1").Replace(yoloText)

// TestQuantisedPixels compares pictures given as pixels with the same given as a tensor, which
// are the same levels or, where the network's grid is another one, are rounded to them.
func TestQuantisedPixels(t *testing.T) {
	for _, text := range []string{
		yoloText,
		strings.Replace(yoloText, "scale=0.003921569", "scale=0.004", 1),
		strings.Replace(yoloText, "scale=0.003921569 zero=0", "scale=0.008 zero=100", 1),
		strings.Replace(yoloText, "w=i8[11,3,6,6] bias stride=2 pad=2", "w=i8[11,3,3,3] bias stride=2 pad=1", 1),
		strings.Replace(yoloText, "w=i8[11,3,6,6] bias stride=2 pad=2", "w=i8[11,3,2,2] bias stride=2", 1),
		strings.Replace(yoloText, "w=i8[11,3,6,6]", "w=f32[11,3,6,6]", 1),
		strings.Replace(yoloText, "output o", "output o q", 1),
	} {
		g := quantisedGraph(t, text, 21)
		for _, size := range [][3]int{{1, 8, 32}, {2, 22, 96}, {1, 6, 70}, {3, 10, 130}, {1, 40, 34}, {1, 2, 2}} {
			n, h, w := size[0], size[1], size[2]
			x, pixels := pictures(rand.New(rand.NewPCG(1, uint64(w))), n, h, w)
			checkQuantised(t, g, x, Options{Threads: 2})
			for _, cpu := range cpus() {
				p, err := Compile(g, Options{Batch: n, Height: h, Width: w, Threads: 2, CPU: cpu})
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

// pictures returns n random pictures as a tensor and as pixels.
func pictures(r *rand.Rand, n, h, w int) (*tensor.Tensor, []uint8) {
	x, pixels := tensor.New(n, 3, h, w), make([]uint8, n*h*w*3)
	for i := range pixels {
		pixels[i] = uint8(r.Uint32())
		pixel, c := i/3, i%3
		x.Data[(pixel/(h*w)*3+c)*h*w+pixel%(h*w)] = float32(pixels[i]) * (1. / 255)
	}
	return x, pixels
}

// TestQuantisedIsMachineCode asks that nothing in the middle of an ordinary network is plain Go.
func TestQuantisedIsMachineCode(t *testing.T) {
	for _, text := range []string{yoloText, depthwiseText, shuffledText + "\ny = quantize f scale=0.2 zero=128\noutput y\n"} {
		g := quantisedGraph(t, text, 1)
		for _, target := range codegen.Targets() {
			if !target.Int8() {
				continue
			}
			p, err := Compile(g, Options{Height: 64, Width: 64, CPU: target.String()})
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range p.Steps() {
				n := g.Node(s.Name)
				if n == nil { // what brings values into another form
					continue
				}
				want := ""
				if _, ok := n.Op.(*graph.Conv); ok && n.Name != "o" {
					want = Int8
				} else if ok && target.Dot() {
					want = int8by16
				}
				if numbers, _, _ := strings.Cut(s.Kernel, " "); s.Kernel == PlainGo || (want != "" || strings.HasPrefix(numbers, Int8)) && numbers != want {
					t.Errorf("%s: %s is %s", target, s.Name, s.Kernel)
				}
			}
		}
	}
}

// TestBF16IsNotQuantised asks for two precisions at once.
func TestBF16IsNotQuantised(t *testing.T) {
	g := quantisedGraph(t, yoloText, 1)
	if _, err := Compile(g, Options{Precision: BF16}); err == nil || !strings.Contains(err.Error(), "a quantised network is computed in int8") {
		t.Errorf("bf16: %v, want a refusal", err)
	}
}

func TestQuantisedAllocatesNothing(t *testing.T) {
	x, pixels := pictures(rand.New(rand.NewPCG(1, 1)), 1, 64, 64)
	p, err := Compile(quantisedGraph(t, yoloText, 1), Options{Height: 64, Width: 64, Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	s := p.NewSession()
	if n := testing.AllocsPerRun(10, func() { s.Run(x); s.RunRGB(pixels) }); n > 0 && p.CPU() != Generic {
		t.Errorf("a run allocates %v times", n)
	}
}
