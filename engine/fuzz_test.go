package engine

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"ultrafast/graph"
	"ultrafast/tensor"
)

// FuzzEngine builds small random graphs and asks engine and reference.
func FuzzEngine(f *testing.F) {
	for seed := range uint64(60) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 0))
		g := randomGraph(r, 1+r.IntN(20), 1+r.IntN(20))
		fillGraph(g, r)
		if err := g.Verify(); err != nil {
			t.Fatal(err)
		}
		shape := g.Input().Op.(*graph.Input).Shape
		shape[0] = 1 + r.IntN(2)
		x := random(r, shape[:]...)
		check(t, g, x, Options{Threads: 1 + r.IntN(3), KeepAll: r.IntN(2) == 0}, 1e-3)
	})
}

// randomGraph strings random ops together, each on a random earlier value. Ops that do
// not fit are left out again.
func randomGraph(r *rand.Rand, h, w int) *graph.Graph {
	c := 1 + r.IntN(4)
	g := &graph.Graph{}
	g.Add("x", &graph.Input{Shape: [4]int{1, c, h, w}})
	kinds := []graph.ActKind{graph.SiLU, graph.Hardswish, graph.LeakyReLU, graph.ReLU, graph.ReLU6, graph.Sigmoid, graph.Mish}
	for i := range 3 + r.IntN(10) {
		from := g.Nodes[r.IntN(len(g.Nodes))]
		shapes, _ := g.Shapes(1, h, w)
		c := shapes[from][1]
		in := []*graph.Node{from}
		var op graph.Op
		switch r.IntN(10) {
		case 0, 1:
			groups := 1
			if r.IntN(3) == 0 {
				groups = c
			}
			pair := func(least, n int) [2]int { return [2]int{least + r.IntN(n), least + r.IntN(n)} }
			conv := &graph.Conv{Weight: tensor.New(groups*(1+r.IntN(9)), c/groups, 1+r.IntN(4), 1+r.IntN(4)),
				Stride: pair(1, 2), Pad: pair(0, 3), Dilation: pair(1, 2), Groups: groups}
			if r.IntN(2) == 0 {
				conv.Bias = tensor.New(conv.Weight.Shape[0])
			}
			op = conv
		case 2:
			op = &graph.BatchNorm{Gamma: tensor.New(c), Beta: tensor.New(c), Mean: tensor.New(c), Var: tensor.New(c), Eps: 1e-3}
		case 3:
			op = &graph.Activation{Kind: kinds[r.IntN(len(kinds))], Slope: 0.1}
		case 4:
			k := 1 + r.IntN(5)
			op = &graph.MaxPool{Kernel: k, Stride: 1 + r.IntN(2), Pad: r.IntN(k/2 + 1)}
		case 5:
			op = &graph.Upsample{Scale: 1 + r.IntN(2)}
		case 6:
			op = &graph.Slice{Axis: 1 + r.IntN(3), Start: r.IntN(2), Step: 1 + r.IntN(2)}
		case 7:
			op, in = &graph.Concat{}, append(in, g.Nodes[r.IntN(len(g.Nodes))])
		case 8:
			op, in = &graph.Add{}, append(in, g.Nodes[r.IntN(len(g.Nodes))])
		case 9:
			op = randomTranspose(r, c)
		}
		g.Add(fmt.Sprint("n", i), op, in...)
		shapes, err := g.Shapes(1, h, w)
		if last := len(g.Nodes) - 1; err != nil || tensorLen(shapes[g.Nodes[last]]) > 30000 {
			g.Nodes = g.Nodes[:last]
		}
	}
	g.Outputs = []*graph.Node{g.Nodes[len(g.Nodes)-1], g.Nodes[r.IntN(len(g.Nodes))]}
	return g
}

// randomTranspose takes c channels. Half of them double the size, for which there is
// machine code.
func randomTranspose(r *rand.Rand, c int) *graph.ConvTranspose {
	pair := func(least, n int) [2]int { return [2]int{least + r.IntN(n), least + r.IntN(n)} }
	op := &graph.ConvTranspose{Weight: tensor.New(c, 1+r.IntN(9), 1+r.IntN(4), 1+r.IntN(4)),
		Stride: pair(1, 3), Pad: pair(0, 3), OutPad: pair(0, 2), Dilation: pair(1, 2), Groups: 1}
	switch r.IntN(4) {
	case 0:
		op.Groups = c
	case 1, 2:
		if r.IntN(3) == 0 {
			op.Groups = c
		}
		op.Stride, op.Dilation = [2]int{2, 2}, [2]int{1, 1}
		op.Weight = tensor.New(c, op.Weight.Shape[1], 2+2*op.Pad[0]-op.OutPad[0], 2+2*op.Pad[1]-op.OutPad[1])
	}
	if r.IntN(2) == 0 {
		op.Bias = tensor.New(op.Outputs())
	}
	return op
}
