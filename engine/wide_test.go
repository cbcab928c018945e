package engine

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"ultrafast/graph"
	"ultrafast/tensor"
)

// FuzzWide is FuzzEngine on maps that are wide and tall enough to lie in rows and to be cut into
// bands, in the ops of detectors. A processor gives the same bits with any number of threads.
func FuzzWide(f *testing.F) {
	seeds := uint64(25)
	if testing.Short() {
		seeds = 8
	}
	for seed := range seeds {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 1))
		g := wideGraph(r)
		fillGraph(g, r)
		if r.IntN(3) == 0 {
			roundSome(g, r)
		}
		if err := g.Verify(); err != nil {
			t.Fatal(err)
		}
		shape := g.Input().Op.(*graph.Input).Shape
		shape[0] = 1 + r.IntN(2)
		x := random(r, shape[:]...)
		if g.Quantized() != nil {
			checkQuantised(t, g, x, Options{Threads: 1 + r.IntN(3)})
			return
		}
		check(t, g, x, Options{Threads: 1 + r.IntN(3)}, 1e-3)
		for _, cpu := range cpus() {
			var first []*tensor.Tensor
			for threads := 1; threads <= 3; threads++ {
				p, err := Compile(g, Options{Batch: shape[0], CPU: cpu, Threads: threads})
				if err != nil {
					t.Fatal(err)
				}
				outs, err := p.NewSession().Run(x)
				if err != nil {
					t.Fatal(err)
				}
				if first == nil {
					first = outs
				}
				for i, o := range outs {
					if !slices.Equal(o.Data, first[i].Data) {
						t.Errorf("%s, %d threads: output %s has other bits than on one\n%v", cpu, threads, g.Outputs[i].Name, g)
					}
				}
			}
		}
	})
}

// wideGraph strings the ops of detectors together: many 1x1 convolutions, bottlenecks, sums and
// joins of values of the same size, some with stems, values read by several, several outputs.
func wideGraph(r *rand.Rand) *graph.Graph {
	b := wideBuilder{r: r, g: &graph.Graph{}, h: 1 + r.IntN(45), w: 1 + r.IntN(110)}
	channels := 1 + r.IntN(6)
	stem := r.IntN(3) == 0
	if stem {
		b.h, b.w, channels = 2*(1+r.IntN(30)), 2*(1+r.IntN(60)), 3
	}
	x := b.g.Add("x", &graph.Input{Shape: [4]int{1, channels, b.h, b.w}})
	if stem {
		b.conv(x, 1+r.IntN(20), 6, 2, 2, 1)
	}
	for range 4 + r.IntN(12) {
		b.grow()
	}
	for range 2 {
		if n := b.pick(); !slices.Contains(b.g.Outputs, n) {
			b.g.Outputs = append(b.g.Outputs, n)
		}
	}
	return b.g
}

// A wideBuilder leaves out again what does not fit.
type wideBuilder struct {
	r    *rand.Rand
	g    *graph.Graph
	h, w int // of the input
}

func (b *wideBuilder) size(n *graph.Node) graph.Shape {
	s, err := b.g.Shapes(1, b.h, b.w)
	if err != nil {
		panic(err) // none is added that has no shape
	}
	return s[n]
}

// add returns nil where the op does not fit.
func (b *wideBuilder) add(op graph.Op, in ...*graph.Node) *graph.Node {
	if slices.Contains(in, nil) {
		return nil
	}
	n := b.g.Add(fmt.Sprint("n", len(b.g.Nodes)), op, in...)
	if s, err := b.g.Shapes(1, b.h, b.w); err != nil || tensorLen(s[n]) > 50000 {
		b.g.Nodes = b.g.Nodes[:len(b.g.Nodes)-1]
		return nil
	}
	return n
}

// conv adds a convolution, most often with an activation, and returns the last of the two.
func (b *wideBuilder) conv(in *graph.Node, out, kernel, stride, pad, groups int) *graph.Node {
	if in == nil {
		return nil
	}
	op := &graph.Conv{Weight: tensor.New(out, b.size(in)[1]/groups, kernel, kernel), Stride: [2]int{stride, stride},
		Pad: [2]int{pad, pad}, Dilation: [2]int{1, 1}, Groups: groups, Bias: tensor.New(out)}
	n := b.add(op, in)
	if n == nil || b.r.IntN(4) == 0 {
		return n
	}
	kinds := []graph.ActKind{graph.SiLU, graph.SiLU, graph.Hardswish, graph.LeakyReLU, graph.ReLU}
	return b.add(&graph.Activation{Kind: kinds[b.r.IntN(len(kinds))], Slope: 0.1}, n)
}

// pick prefers late values.
func (b *wideBuilder) pick() *graph.Node {
	if n := len(b.g.Nodes); b.r.IntN(2) == 0 {
		return b.g.Nodes[max(0, n-1-b.r.IntN(4))]
	}
	return b.g.Nodes[b.r.IntN(len(b.g.Nodes))]
}

// like is a value of the same height and width as n, and the same channels where these count.
func (b *wideBuilder) like(n *graph.Node, channels bool) *graph.Node {
	want := b.size(n)
	var all []*graph.Node
	for _, m := range b.g.Nodes {
		if s := b.size(m); s[2] == want[2] && s[3] == want[3] && (!channels || s[1] == want[1]) {
			all = append(all, m)
		}
	}
	return all[b.r.IntN(len(all))]
}

func (b *wideBuilder) grow() {
	r, from := b.r, b.pick()
	c := b.size(from)[1]
	out := []int{1 + r.IntN(20), 4 * (1 + r.IntN(8)), 8, 16}[r.IntN(4)]
	switch r.IntN(12) {
	case 0, 1, 2:
		b.conv(from, out, 1, 1, 0, 1)
	case 3, 4:
		b.conv(from, out, 3, 1+r.IntN(3)/2, 1, 1)
	case 5: // wide kernels want wide padding from whoever writes what they read
		k := []int{3, 5, 7}[r.IntN(3)]
		b.conv(from, c, k, 1+r.IntN(2), k/2, c)
	case 6:
		b.conv(from, 1+r.IntN(12), 1+r.IntN(5), 1+r.IntN(2), r.IntN(4), 1)
	case 7:
		b.add(&graph.Upsample{Scale: 2}, from)
	case 8:
		b.add(&graph.Concat{}, from, b.like(from, false), b.like(from, false))
	case 9:
		b.add(&graph.Add{}, from, b.like(from, true))
	case 10:
		k := []int{3, 5, 13}[r.IntN(3)]
		b.add(&graph.MaxPool{Kernel: k, Stride: 1, Pad: k / 2}, from)
	case 11:
		b.add(&graph.Add{}, from, b.conv(b.conv(from, out, 1, 1, 0, 1), c, 3, 1, 1, 1))
	}
}

// TestWinogradIntoRows has maps that are narrow and yet lie in rows, since a convolution reads them
// that wants more padding than Winograd's has: rows end within a vector, and others follow.
func TestWinogradIntoRows(t *testing.T) {
	for w := 1; w < 130; w++ {
		g := parse(t, fmt.Sprintf(`x = input shape=1,8,14,%d
			p = conv x w=f32[20,8,1,1] bias
			q = conv p w=f32[9,20,3,3] bias pad=1
			r = conv q w=f32[8,9,3,3] bias pad=1
			s = conv r w=f32[7,8,5,5] pad=2
			output s`, w), 1)
		check(t, g, random(rand.New(rand.NewPCG(1, 2)), 1, 8, 14, w), Options{Threads: 2}, 1e-3)
	}
}
