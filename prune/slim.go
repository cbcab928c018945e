package prune

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"ultrafast/graph"
	"ultrafast/pass"
	"ultrafast/tensor"
)

// slimNeck narrows what lies between backbone and head, in place. Maps that were made larger
// and then smaller again, the way back down of a PANet (Liu et al., CVPR 2018), no longer
// reach the levels below: what is left computes what it did when these maps, and what
// depthwise convolutions made of them, were zero. Then each block of several convolutions behind an enlarged map becomes one 1x1 convolution of as
// many outputs, with random weights that have to learn.
func slimNeck(g *graph.Graph) error {
	shapes, err := inputShapes(g)
	if err != nil {
		return err
	}
	top := enlarged(g, shapes)
	dropped, err := dropBack(g, top, shapes)
	if err != nil {
		return err
	}
	single, err := singleConvs(g, top)
	if err != nil {
		return err
	}
	if !dropped && !single {
		return fmt.Errorf("prune: the model has no neck to narrow: nothing in it is enlarged and joined")
	}
	return pass.DropDead(g)
}

// dropBack takes from concatenations the maps that were enlarged and made smaller again, where
// they join others.
func dropBack(g *graph.Graph, top map[*graph.Node]int, shapes map[*graph.Node]graph.Shape) (any bool, err error) {
	for _, n := range slices.Clone(g.Nodes) {
		if _, ok := n.Op.(*graph.Concat); !ok {
			continue
		}
		back := func(in *graph.Node) bool { return top[in] > shapes[in][2] }
		if !slices.ContainsFunc(n.In, func(in *graph.Node) bool { return !back(in) }) {
			continue // a join within a block that is all behind the way back
		}
		for i := len(n.In) - 1; i >= 0; i-- {
			if !back(n.In[i]) {
				continue
			}
			if err := dropInput(g, n, i, shapes[n.In[i]][1]); err != nil {
				return false, err
			}
			any = true
		}
	}
	return any, nil
}

func inputShapes(g *graph.Graph) (map[*graph.Node]graph.Shape, error) {
	in := g.Input().Op.(*graph.Input)
	return g.Shapes(in.Shape[0], in.Shape[2], in.Shape[3])
}

// enlarged gives for each node the greatest height to which a map that it is made of was
// enlarged, 0 if none was.
func enlarged(g *graph.Graph, shapes map[*graph.Node]graph.Shape) map[*graph.Node]int {
	top := map[*graph.Node]int{}
	for _, n := range g.Nodes {
		for _, in := range n.In {
			top[n] = max(top[n], top[in])
			if h := shapes[n]; len(h) == 4 && h[2] > shapes[in][2] {
				top[n] = max(top[n], h[2])
			}
		}
	}
	return top
}

// dropInput takes input i, of so many channels, from a concatenation, and what its users
// learnt for them. A stand-in gives these channels classes of their own, so that they leave
// the way that a cut takes channels away.
func dropInput(g *graph.Graph, cat *graph.Node, i, channels int) error {
	stand := &graph.Node{Name: cat.Name + ".dropped", In: []*graph.Node{cat.In[i]}, Op: &graph.Conv{
		Weight: &tensor.Tensor{Shape: []int{channels, channels, 1, 1}},
		Stride: [2]int{1, 1}, Dilation: [2]int{1, 1}, Groups: 1,
	}}
	g.Nodes = slices.Insert(g.Nodes, slices.Index(g.Nodes, cat), stand)
	cat.In[i] = stand
	f, err := trace(g)
	if err != nil {
		return err
	}
	gone := make([]bool, len(f.same))
	for _, root := range f.out[stand] {
		if why := f.fixed[root]; why != "" {
			return fmt.Errorf("prune: %s cannot lose input %d, which %s", cat.Name, i, why)
		}
		gone[root] = true
	}
	f.cut(g, gone)
	cat.In = slices.Delete(cat.In, i, i+1)
	g.Nodes = slices.DeleteFunc(g.Nodes, func(n *graph.Node) bool { return n == stand })
	if len(cat.In) == 1 {
		replaceNode(g, cat, cat.In[0])
	}
	return nil
}

// replaceNode puts another node, which comes before its users, in a node's place.
func replaceNode(g *graph.Graph, old, by *graph.Node) {
	swap := func(list []*graph.Node) {
		for i, n := range list {
			if n == old {
				list[i] = by
			}
		}
	}
	for _, n := range g.Nodes {
		swap(n.In)
	}
	swap(g.Outputs)
	g.Nodes = slices.DeleteFunc(g.Nodes, func(n *graph.Node) bool { return n == old })
}

// singleConvs replaces the blocks behind an enlarged map that have several convolutions, one
// input and one result, of the same height and width.
func singleConvs(g *graph.Graph, top map[*graph.Node]int) (any bool, err error) {
	rng := rand.New(rand.NewPCG(0, 0x51))
	for _, layer := range g.Layers() {
		shapes, err := inputShapes(g) // with what was replaced so far
		if err != nil {
			return false, err
		}
		in, ok := onlyInput(g, layer)
		last := layer.Nodes[len(layer.Nodes)-1]
		if !ok || top[last] == 0 || !slices.Equal(shapes[in][2:], shapes[last][2:]) {
			continue
		}
		nodes := oneConv(layer, in, shapes[in][1], shapes[last][1], rng)
		at := slices.Index(g.Nodes, layer.Nodes[0])
		g.Nodes = slices.Insert(g.Nodes, at, nodes...)
		replaceNode(g, last, nodes[len(nodes)-1])
		g.Nodes = slices.DeleteFunc(g.Nodes, func(n *graph.Node) bool { return slices.Contains(layer.Nodes, n) })
		for i := range g.Blocks {
			if g.Blocks[i].Name == layer.Name {
				g.Blocks[i].Kind = "Conv"
			}
		}
		any = true
	}
	return any, nil
}

// onlyInput finds the one node outside of a layer that it takes, if its last node is all that
// others take of it and it has more than one convolution.
func onlyInput(g *graph.Graph, layer graph.Layer) (*graph.Node, bool) {
	var from *graph.Node
	convs := 0
	for _, n := range layer.Nodes {
		switch n.Op.(type) {
		case *graph.Conv:
			convs++
		case *graph.Detect:
			return nil, false
		}
		for _, in := range n.In {
			if slices.Contains(layer.Nodes, in) || in == from {
				continue
			}
			if from != nil {
				return nil, false
			}
			from = in
		}
	}
	inner := layer.Nodes[:len(layer.Nodes)-1]
	for _, n := range g.Nodes {
		if !slices.Contains(layer.Nodes, n) && slices.ContainsFunc(n.In, func(in *graph.Node) bool { return slices.Contains(inner, in) }) {
			return nil, false
		}
	}
	return from, convs > 1
}

// oneConv makes the convolution, batch norm and activation of a block from its input's
// channels to its result's, as yolo.Initialize starts them. A block whose batch norms were
// folded gets a bias instead of one.
func oneConv(layer graph.Layer, in *graph.Node, inputs, outputs int, rng *rand.Rand) []*graph.Node {
	conv := &graph.Conv{Weight: tensor.New(outputs, inputs, 1, 1), Stride: [2]int{1, 1}, Dilation: [2]int{1, 1}, Groups: 1}
	bound := 1 / math.Sqrt(float64(inputs))
	for i := range conv.Weight.Data {
		conv.Weight.Data[i] = float32(bound * (2*rng.Float64() - 1))
	}
	act := &graph.Activation{Kind: graph.SiLU}
	var norm *graph.BatchNorm
	for _, n := range layer.Nodes {
		switch op := n.Op.(type) {
		case *graph.Activation:
			act = &graph.Activation{Kind: op.Kind, Slope: op.Slope}
		case *graph.BatchNorm:
			norm = &graph.BatchNorm{Eps: op.Eps, Momentum: op.Momentum}
		}
	}
	nodes := []*graph.Node{{Name: layer.Name + ".conv", Op: conv, In: []*graph.Node{in}}}
	if norm == nil {
		conv.Bias = tensor.New(outputs)
	} else {
		norm.Gamma, norm.Beta, norm.Mean, norm.Var = tensor.New(outputs), tensor.New(outputs), tensor.New(outputs), tensor.New(outputs)
		for c := range outputs {
			norm.Gamma.Data[c], norm.Var.Data[c] = 1, 1
		}
		nodes = append(nodes, &graph.Node{Name: layer.Name + ".bn", Op: norm, In: nodes})
	}
	return append(nodes, &graph.Node{Name: layer.Name + ".act", Op: act, In: nodes[len(nodes)-1:]})
}
