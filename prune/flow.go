package prune

import (
	"fmt"

	"ultrafast/graph"
)

// A flow follows every channel through a graph. Channels are numbered as they are made;
// those that must stay or go together are united, and a class is called by the lowest
// number in it, its root.
type flow struct {
	g     *graph.Graph
	out   map[*graph.Node][]int // the root of each channel of a node's result
	same  sets
	fixed []string // by root: why the class cannot go, "" if it can
}

// sets is a union-find over 0, 1, …: parents, roots being their own. The root of a set is
// its lowest number.
type sets []int

func (s *sets) add() int {
	*s = append(*s, len(*s))
	return len(*s) - 1
}

func (s sets) find(i int) int {
	for s[i] != i {
		s[i] = s[s[i]]
		i = s[i]
	}
	return i
}

func (s sets) unite(i, j int) {
	i, j = s.find(i), s.find(j)
	s[max(i, j)] = min(i, j)
}

// trace walks the graph in order of execution.
func trace(g *graph.Graph) (*flow, error) {
	if err := g.Verify(); err != nil {
		return nil, err
	}
	if err := inFloat(g); err != nil {
		return nil, err
	}
	f := &flow{g: g, out: make(map[*graph.Node][]int, len(g.Nodes))}
	for _, n := range g.Nodes {
		if err := f.visit(n); err != nil {
			return nil, err
		}
	}
	for _, o := range g.Outputs {
		f.fix(f.out[o], "is an output of the network")
	}
	for _, ids := range f.out {
		for i, id := range ids {
			ids[i] = f.same.find(id)
		}
	}
	return f, nil
}

// inFloat refuses a quantised network: what is cut is scored and trained again, in float.
func inFloat(g *graph.Graph) error {
	if n := g.Quantized(); n != nil {
		return fmt.Errorf("prune: %s is quantised: prune the network before it is, and quantise what is left", n.Name)
	}
	return nil
}

// visit numbers the channels of one node's result. Each list is the node's own.
func (f *flow) visit(n *graph.Node) error {
	var ids []int
	for _, in := range n.In {
		ids = append(ids, f.out[in]...)
	}
	switch op := n.Op.(type) {
	case *graph.Input:
		ids = f.fresh(op.Shape[1])
		f.fix(ids, "is the picture")
	case *graph.Conv:
		ids = f.conv(n, ids, op.Weight.Shape[0], op.Groups)
	case *graph.ConvTranspose:
		ids = f.conv(n, ids, op.Outputs(), op.Groups)
	case *graph.Activation:
		if !keepsZero(op.Kind) {
			f.fix(ids, fmt.Sprintf("goes through %s, and a %s does not keep a zero", n.Name, op.Kind))
		}
	case *graph.Add:
		sum := ids[:len(f.out[n.In[0]])]
		for i, id := range ids {
			f.unite(sum[i%len(sum)], id)
		}
		ids = sum
	case *graph.Slice:
		if op.Axis == 1 {
			ids = f.slice(n, op, ids)
		}
	case *graph.Detect:
		f.fix(ids, "is a raw value of the detection head")
		ids = nil
	case *graph.BatchNorm, *graph.MaxPool, *graph.Upsample, *graph.Concat:
	default:
		return fmt.Errorf("prune: %s: op %q is not known to pruning", n.Name, op.Word())
	}
	f.out[n] = ids
	return nil
}

// conv makes the k channels of a convolution, transposed or not. A depthwise one, of as many
// groups as inputs, passes these on, with k/groups results in a row for each of them. What
// other grouped convolutions take and make stays: they would have to lose as many channels in
// every one of their groups.
func (f *flow) conv(n *graph.Node, in []int, k, groups int) []int {
	if depthwise(len(in), groups) {
		ids := make([]int, k)
		for o := range ids {
			ids[o] = in[o/(k/groups)]
		}
		return ids
	}
	ids := f.fresh(k)
	if groups != 1 {
		why := fmt.Sprintf("belongs to %s, a convolution in %d groups", n.Name, groups)
		f.fix(in, why)
		f.fix(ids, why)
	}
	return ids
}

func keepsZero(k graph.ActKind) bool {
	switch k {
	case graph.SiLU, graph.Hardswish, graph.LeakyReLU, graph.ReLU, graph.ReLU6, graph.Mish:
		return true
	}
	return false
}

func depthwise(in, groups int) bool { return groups > 1 && groups == in }

// isConv reports whether the node makes channels of its own: those of groups.
func isConv(n *graph.Node) bool {
	switch n.Op.(type) {
	case *graph.Conv, *graph.ConvTranspose:
		return true
	}
	return false
}

// slice selects channels. Those between the first and the last that a step above one
// picks stay, because without them the step would meet others.
func (f *flow) slice(n *graph.Node, op *graph.Slice, in []int) []int {
	start, end := op.Range(len(in))
	var ids []int
	last := start
	for i := start; i < end; i += op.Step {
		ids = append(ids, in[i])
		last = i
	}
	if op.Step > 1 {
		f.fix(in[start:last+1], fmt.Sprintf("is picked by %s in steps of %d", n.Name, op.Step))
	}
	return ids
}

func (f *flow) fresh(count int) []int {
	ids := make([]int, count)
	for i := range ids {
		ids[i] = f.same.add()
		f.fixed = append(f.fixed, "")
	}
	return ids
}

func (f *flow) unite(a, b int) {
	a, b = f.same.find(a), f.same.find(b)
	why := f.fixed[a]
	if why == "" {
		why = f.fixed[b]
	}
	f.same.unite(a, b)
	f.fixed[min(a, b)] = why
}

// fix keeps the classes of ids for good. The first reason is the one that is told.
func (f *flow) fix(ids []int, why string) {
	for _, id := range ids {
		if r := f.same.find(id); f.fixed[r] == "" {
			f.fixed[r] = why
		}
	}
}

// kept lists which channels of a node's result stay, given the roots that go.
func (f *flow) kept(n *graph.Node, gone []bool) []int {
	var keep []int
	for i, id := range f.out[n] {
		if !gone[id] {
			keep = append(keep, i)
		}
	}
	return keep
}
