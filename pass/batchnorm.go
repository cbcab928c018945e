package pass

import (
	"fmt"
	"math"
	"slices"

	"ultrafast/graph"
	"ultrafast/tensor"
)

// FoldBatchNorm merges each batch norm into the convolution before it, where nothing else
// sees the convolution's result. With s = Gamma/sqrt(Var+Eps), per output channel:
//
//	Weight' = s * Weight     Bias' = s * (Bias - Mean) + Beta
//
// computed in float64 and rounded once. The node that is left has the convolution's name
// and gains a bias, as in YOLOv5's fused models. The convolution gets new tensors; the
// old ones are not written to. A tensor without numbers is an error that names the node.
func FoldBatchNorm(g *graph.Graph) error {
	users := g.Consumers()
	gone := map[*graph.Node]*graph.Node{} // batch norm → the convolution that replaces it
	for _, n := range g.Nodes {
		bn, ok := n.Op.(*graph.BatchNorm)
		if !ok || len(n.In) != 1 {
			continue
		}
		from := n.In[0]
		conv, ok := from.Op.(*graph.Conv)
		if !ok || len(users[from]) != 1 || slices.Contains(g.Outputs, from) {
			continue
		}
		folded, err := fold(conv, bn)
		if err != nil {
			return fmt.Errorf("%s into %s: %w", n.Name, from.Name, err)
		}
		from.Op = folded
		gone[n] = from
	}
	replace(g, gone)
	return nil
}

func fold(c *graph.Conv, b *graph.BatchNorm) (*graph.Conv, error) {
	for _, t := range []*tensor.Tensor{c.Weight, b.Gamma, b.Beta, b.Mean, b.Var} {
		if t.Data == nil {
			return nil, fmt.Errorf("%v has no numbers", t)
		}
	}
	k := c.Weight.Shape[0]
	f := *c
	f.Weight, f.Bias = tensor.New(c.Weight.Shape...), tensor.New(k)
	each := len(c.Weight.Data) / k
	for o := range k {
		s := float64(b.Gamma.Data[o]) / math.Sqrt(float64(b.Var.Data[o])+b.Eps)
		for i := o * each; i < (o+1)*each; i++ {
			f.Weight.Data[i] = float32(s * float64(c.Weight.Data[i]))
		}
		bias := 0.0
		if c.Bias != nil {
			if c.Bias.Data == nil {
				return nil, fmt.Errorf("bias has no numbers")
			}
			bias = float64(c.Bias.Data[o])
		}
		f.Bias.Data[o] = float32(s*(bias-float64(b.Mean.Data[o])) + float64(b.Beta.Data[o]))
	}
	return &f, nil
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
