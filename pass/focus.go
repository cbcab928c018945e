package pass

import (
	"slices"

	"ultrafast/graph"
	"ultrafast/tensor"
)

// MergeFocus turns YOLOv5's Focus, the first layer up to v5.0, into what replaced it in
// v6.0: a convolution of stride 2 whose kernel is twice as large. Focus concatenates the
// four phases of its input (remainder of row and column by 2) and convolves them, k x k
// with padding p; with phase (r, q) at input channels i*C to (i+1)*C of Weight,
//
//	Weight'[o, c, 2y+r, 2x+q] = Weight[o, i*C+c, y, x]     Pad' = 2p     Stride' = 2
func MergeFocus(g *graph.Graph) error {
	users := g.Consumers()
	for _, n := range g.Nodes {
		conv, ok := n.Op.(*graph.Conv)
		if !ok || conv.Groups != 1 || conv.Stride != [2]int{1, 1} || conv.Dilation != [2]int{1, 1} || conv.Weight.Data == nil {
			continue
		}
		cat := n.In[0]
		if _, ok := cat.Op.(*graph.Concat); !ok || len(users[cat]) != 1 || slices.Contains(g.Outputs, cat) {
			continue
		}
		if x, phases := focus(cat); x != nil {
			n.Op, n.In = merged(conv, phases), []*graph.Node{x}
		}
	}
	return nil
}

// focus returns the node whose four phases the concatenation holds, and which phases
// they are in order; nil if it holds anything else.
func focus(cat *graph.Node) (x *graph.Node, phases [4][2]int) {
	if len(cat.In) != 4 {
		return nil, phases
	}
	seen := map[[2]int]bool{}
	for i, q := range cat.In {
		column, ok := half(q, 3)
		if !ok {
			return nil, phases
		}
		row, ok := half(q.In[0], 2)
		if !ok {
			return nil, phases
		}
		from := q.In[0].In[0]
		if x != nil && from != x {
			return nil, phases
		}
		x, phases[i] = from, [2]int{row, column}
		seen[phases[i]] = true
	}
	if len(seen) != 4 {
		return nil, phases
	}
	return x, phases
}

// half returns where a slice of every other row (axis 2) or column (axis 3) starts.
func half(n *graph.Node, axis int) (start int, ok bool) {
	s, ok := n.Op.(*graph.Slice)
	if !ok || s.Axis != axis || s.Step != 2 || s.End != 0 || s.Start < 0 || s.Start > 1 {
		return 0, false
	}
	return s.Start, true
}

func merged(c *graph.Conv, phases [4][2]int) *graph.Conv {
	s := c.Weight.Shape
	out, in, h, w := s[0], s[1]/4, s[2], s[3]
	m := *c
	m.Weight = tensor.New(out, in, 2*h, 2*w)
	m.Stride, m.Pad = [2]int{2, 2}, [2]int{2 * c.Pad[0], 2 * c.Pad[1]}
	for o := range out {
		for i, phase := range phases {
			for ch := range in {
				for y := range h {
					for x := range w {
						m.Weight.Data[((o*in+ch)*2*h+2*y+phase[0])*2*w+2*x+phase[1]] = c.Weight.Data[((o*4*in+i*in+ch)*h+y)*w+x]
					}
				}
			}
		}
	}
	return &m
}
