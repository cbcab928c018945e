package pass

import (
	"fmt"
	"math"
	"slices"

	"ultrafast/graph"
	"ultrafast/tensor"
)

// FoldBatchNorm merges each batch norm into the convolution before it, be it a transposed
// one, where nothing else sees the convolution's result. With s = Gamma/sqrt(Var+Eps), per output channel:
//
//	Weight' = s * Weight     Bias' = s * (Bias - Mean) + Beta
//
// computed in float64 and rounded once. The node that is left has the convolution's name
// and gains a bias, as in YOLOv5's fused models. The convolution gets new tensors; the
// old ones are not written to. Convolutions of 8-bit weights stay as they are. A tensor
// without numbers is an error that names the node.
func FoldBatchNorm(g *graph.Graph) error {
	users := g.Consumers()
	gone := map[*graph.Node]*graph.Node{} // batch norm → the convolution that replaces it
	for _, n := range g.Nodes {
		bn, ok := n.Op.(*graph.BatchNorm)
		if !ok || len(n.In) != 1 {
			continue
		}
		from := n.In[0]
		if len(users[from]) != 1 || slices.Contains(g.Outputs, from) {
			continue
		}
		var err error
		switch op := from.Op.(type) {
		case *graph.Conv:
			if op.WeightScale != nil {
				continue
			}
			c := *op
			c.Weight, c.Bias, err = fold(bn, c.Weight, c.Bias, func(row int) int { return row / c.Weight.Shape[1] })
			from.Op = &c
		case *graph.ConvTranspose:
			c := *op
			in, out := c.Weight.Shape[0]/c.Groups, c.Weight.Shape[1] // of a group
			c.Weight, c.Bias, err = fold(bn, c.Weight, c.Bias, func(row int) int { return row/out/in*out + row%out })
			from.Op = &c
		default:
			continue
		}
		if err != nil {
			return fmt.Errorf("%s into %s: %w", n.Name, from.Name, err)
		}
		gone[n] = from
	}
	replace(g, gone)
	return nil
}

// fold returns the new weight and bias. channel tells the output channel of the row'th
// kernel of the weight, whose first two dimensions hold the kernels.
func fold(b *graph.BatchNorm, weight, bias *tensor.Tensor, channel func(row int) int) (w, t *tensor.Tensor, err error) {
	for _, p := range []*tensor.Tensor{weight, b.Gamma, b.Beta, b.Mean, b.Var} {
		if p.Data == nil {
			return weight, bias, fmt.Errorf("%v has no numbers", p)
		}
	}
	scale := make([]float64, b.Gamma.Len())
	w, t = tensor.New(weight.Shape...), tensor.New(len(scale))
	for o := range scale {
		scale[o] = float64(b.Gamma.Data[o]) / math.Sqrt(float64(b.Var.Data[o])+b.Eps)
		old := 0.0
		if bias != nil {
			if bias.Data == nil {
				return weight, bias, fmt.Errorf("bias has no numbers")
			}
			old = float64(bias.Data[o])
		}
		t.Data[o] = float32(scale[o]*(old-float64(b.Mean.Data[o])) + float64(b.Beta.Data[o]))
	}
	taps := weight.Shape[2] * weight.Shape[3]
	for row := range len(w.Data) / taps {
		s := scale[channel(row)]
		for i := row * taps; i < (row+1)*taps; i++ {
			w.Data[i] = float32(s * float64(weight.Data[i]))
		}
	}
	return w, t, nil
}

// replace takes the keys of gone out of the graph and puts the values in their place.
func replace(g *graph.Graph, gone map[*graph.Node]*graph.Node) {
	g.Nodes = slices.DeleteFunc(g.Nodes, func(n *graph.Node) bool { return gone[n] != nil })
	swap := func(list []*graph.Node) {
		for i, n := range list {
			if r := gone[n]; r != nil {
				list[i] = r
			}
		}
	}
	for _, n := range g.Nodes {
		swap(n.In)
	}
	swap(g.Outputs)
}
