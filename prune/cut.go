package prune

import (
	"fmt"
	"slices"

	"ultrafast/graph"
	"ultrafast/tensor"
)

// Apply returns the smaller network: every tensor without what leaves, the nodes of blocks
// that leave taken out, names and order of the others as they were. g is untouched and shares
// nothing with the result; it may have no data. The error names the first group in which plan and network differ, or a
// node that would be left without channels.
func (p *Plan) Apply(g *graph.Graph) (*graph.Graph, error) {
	f, _, gone, err := p.on(g)
	if err != nil {
		return nil, err
	}
	small, err := f.sliced(gone, p)
	if err != nil {
		return nil, err
	}
	if err := small.Verify(); err != nil {
		return nil, fmt.Errorf("prune: the cut does not fit: %w", err)
	}
	return small, nil
}

// sliced copies the traced graph without the roots that go and without a plan's blocks.
func (f *flow) sliced(gone []bool, p *Plan) (*graph.Graph, error) {
	small := f.g.Clone()
	blocks, err := p.blocks(small)
	if err != nil {
		return nil, err
	}
	f.cut(small, gone)
	for _, b := range blocks {
		b.remove(small)
	}
	return small, nil
}

// cut takes the roots that go out of every tensor of g, which is the traced graph or a copy.
func (f *flow) cut(g *graph.Graph, gone []bool) {
	for i, n := range f.g.Nodes {
		out := f.kept(n, gone)
		switch op := g.Nodes[i].Op.(type) {
		case *graph.Conv:
			if op.Groups == 1 {
				op.Weight = take(op.Weight, 1, f.kept(n.In[0], gone))
			} else if depthwise(len(f.out[n.In[0]]), op.Groups) {
				op.Groups = len(f.kept(n.In[0], gone))
			}
			op.Weight = take(op.Weight, 0, out)
			if op.Bias != nil {
				op.Bias = take(op.Bias, 0, out)
			}
		case *graph.ConvTranspose:
			in := f.kept(n.In[0], gone)
			if op.Groups == 1 {
				op.Weight = take(op.Weight, 1, out)
			} else if depthwise(op.Weight.Shape[0], op.Groups) {
				op.Groups = len(in)
			}
			op.Weight = take(op.Weight, 0, in)
			if op.Bias != nil {
				op.Bias = take(op.Bias, 0, out)
			}
		case *graph.BatchNorm:
			for _, t := range []**tensor.Tensor{&op.Gamma, &op.Beta, &op.Mean, &op.Var} {
				*t = take(*t, 0, out)
			}
		case *graph.Slice:
			if op.Axis == 1 {
				f.shift(op, f.out[n.In[0]], gone)
			}
		}
	}
}

// Mask returns the network at full width in which the channels that leave are zero from
// where they are made: rows and biases of convolutions, gamma and beta of batch norms. It
// computes what Apply's does, so a cut can be judged before it is made. Errors are
// Apply's, and g must have data.
func (p *Plan) Mask(g *graph.Graph) (*graph.Graph, error) {
	if err := checkData(g); err != nil {
		return nil, err
	}
	f, groups, _, err := p.on(g.Clone())
	if err != nil {
		return nil, err
	}
	blocks, err := p.blocks(f.g)
	if err != nil {
		return nil, err
	}
	for _, b := range blocks {
		for _, in := range b.add.In {
			if b.branch[in] {
				b.silence(in, true)
			}
		}
	}
	f.fill(groups)
	for i, gr := range groups {
		for _, c := range p.Cuts[i].Drop {
			for _, m := range gr.Channels[c].Members {
				if op, ok := m.Node.Op.(*graph.BatchNorm); ok && (m.Tensor == op.Mean || m.Tensor == op.Var) {
					continue
				}
				if !m.takes() {
					m.each(func(x []float32) { clear(x) })
				}
			}
		}
	}
	return f.g, nil
}

// on traces g, checks that the plan was made for such a network, and marks the
// roots of what leaves.
func (p *Plan) on(g *graph.Graph) (*flow, []*Group, []bool, error) {
	f, err := trace(g)
	if err != nil {
		return nil, nil, nil, err
	}
	groups := f.groups()
	if err := p.check(groups); err != nil {
		return nil, nil, nil, err
	}
	gone := f.gone(groups, p)
	for _, n := range f.g.Nodes {
		if len(f.out[n]) > 0 && len(f.kept(n, gone)) == 0 {
			return nil, nil, nil, fmt.Errorf("prune: the plan leaves %s without channels: keep one at least", n.Name)
		}
	}
	return f, groups, gone, nil
}

func (p *Plan) check(groups []*Group) error {
	const other = "the plan was made for another network"
	for i, c := range p.Cuts {
		if i >= len(groups) {
			return fmt.Errorf("prune: there is no group %s here: %s", c.Group, other)
		}
		if g := groups[i]; c.Group != g.Name {
			return fmt.Errorf("prune: group %d is %s in the plan and %s here: %s", i+1, c.Group, g.Name, other)
		}
		if w := groups[i].Width(); c.From != w {
			return fmt.Errorf("prune: group %s has %d channels in the plan and %d here: %s", c.Group, c.From, w, other)
		}
		for j, d := range c.Drop {
			if d < 0 || d >= c.From || j > 0 && d <= c.Drop[j-1] {
				return fmt.Errorf("prune: group %s drops channel %d: want ascending numbers below %d", c.Group, d, c.From)
			}
		}
	}
	if len(p.Cuts) < len(groups) {
		return fmt.Errorf("prune: the plan does not have the group %s: %s", groups[len(p.Cuts)].Name, other)
	}
	return nil
}

// gone marks the roots that a plan takes away.
func (f *flow) gone(groups []*Group, p *Plan) []bool {
	gone := make([]bool, len(f.same))
	for i, g := range groups {
		for _, c := range p.Cuts[i].Drop {
			gone[g.Channels[c].root] = true
		}
	}
	return gone
}

// shift moves the ends of a slice of channels by as many as leave before them.
func (f *flow) shift(op *graph.Slice, in []int, gone []bool) {
	before := func(end int) int {
		stay := 0
		for _, root := range in[:end] {
			if !gone[root] {
				stay++
			}
		}
		return stay
	}
	start, end := op.Range(len(in))
	op.Start = before(start)
	if op.End != 0 {
		op.End = before(end)
	}
}

// take selects different indices along one axis, in any order. A tensor without data stays without.
func take(t *tensor.Tensor, axis int, keep []int) *tensor.Tensor {
	s := &tensor.Tensor{Shape: append([]int{}, t.Shape...)}
	s.Shape[axis] = len(keep)
	if t.Data == nil || len(keep) == t.Shape[axis] && slices.IsSorted(keep) {
		s.Data = t.Data
		return s
	}
	outer, inner := 1, 1
	for i, d := range t.Shape {
		switch {
		case i < axis:
			outer *= d
		case i > axis:
			inner *= d
		}
	}
	s.Data = make([]float32, 0, s.Len())
	for o := range outer {
		for _, k := range keep {
			at := (o*t.Shape[axis] + k) * inner
			s.Data = append(s.Data, t.Data[at:at+inner]...)
		}
	}
	return s
}
