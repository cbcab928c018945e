package prune

import (
	"slices"

	"ultrafast/graph"
	"ultrafast/tensor"
)

// A Group is channels that convolutions make in common: the convolutions of a chain of
// shortcuts, or a single one. Within it each channel can go or stay on its own. Channels
// that can never go are in no group; see Fixed.
type Group struct {
	Name     string        // its first convolution, "model.4.cv1.conv"
	Convs    []*graph.Node // the convolutions that make its channels, in order
	Channels []Channel     // in the order in which the network makes them

	// spans are the sets of channels, as indices, of which one at least must stay, or a
	// node would be left with nothing.
	spans [][]int
}

// Width is the number of channels, each of which is counted once, in however many
// convolutions it appears.
func (g *Group) Width() int { return len(g.Channels) }

// A Channel is everything that disappears with it.
type Channel struct {
	Members []Member

	root int
}

// A Member is one index along one axis of one tensor. Axis 0 is where the channel is
// made, scaled or shifted: the row of a convolution's weight, its bias, gamma, beta and
// the two statistics of a batch norm. Axis 1 is a column of the weight of a convolution
// that takes the channel in. In the weight of a transposed convolution it is the other way
// round: rows take channels in (a depthwise one's also pass them on), columns make them.
type Member struct {
	Node        *graph.Node
	Tensor      *tensor.Tensor
	Axis, Index int
}

// takes reports whether all that the member does is to take the channel in.
func (m Member) takes() bool {
	if op, ok := m.Node.Op.(*graph.ConvTranspose); ok && m.Tensor == op.Weight {
		return m.Axis == 0 && op.Groups == 1
	}
	return m.Axis == 1
}

// Groups finds the coupling groups, in order of their first convolutions. They point into
// g and are good as long as its structure is not changed; its tensors may have no data.
// The error is that of g.Verify, or names a node whose op is not known.
func Groups(g *graph.Graph) ([]*Group, error) {
	f, err := trace(g)
	if err != nil {
		return nil, err
	}
	groups := f.groups()
	f.fill(groups)
	return groups, nil
}

// groups unites convolutions that share a class which can go. Members are left to fill.
func (f *flow) groups() []*Group {
	var convs sets // over indices of g.Nodes
	first := make([]int, len(f.same))
	for i, n := range f.g.Nodes {
		convs.add()
		if !isConv(n) {
			continue
		}
		for _, root := range f.free(n) {
			if first[root] == 0 { // the input comes before every convolution, so 0 is none
				first[root] = i
			}
			convs.unite(first[root], i)
		}
	}

	var all []*Group
	at := map[int]*Group{}            // by the root of its convolutions
	place := make([]int, len(f.same)) // by root: index in its group
	for root, i := range first {
		if i == 0 {
			continue
		}
		lead := convs.find(i)
		g := at[lead]
		if g == nil {
			g = &Group{Name: f.g.Nodes[lead].Name}
			at[lead] = g
			all = append(all, g)
		}
		place[root] = len(g.Channels)
		g.Channels = append(g.Channels, Channel{root: root})
	}
	for i, n := range f.g.Nodes {
		free := f.free(n)
		switch op := n.Op.(type) {
		case *graph.Conv, *graph.ConvTranspose:
			if len(free) > 0 {
				g := at[convs.find(i)]
				g.Convs = append(g.Convs, n)
			}
		case *graph.Slice:
			if op.Axis != 1 {
				continue
			}
		default:
			continue
		}
		if len(free) < len(f.out[n]) {
			continue // something fixed stays in any case
		}
		spans := map[*Group][]int{}
		for _, root := range free {
			g := at[convs.find(first[root])]
			spans[g] = append(spans[g], place[root])
		}
		for g, s := range spans {
			slices.Sort(s)
			g.spans = append(g.spans, slices.Compact(s))
		}
	}
	return all
}

// free lists the roots of a node's channels that can go.
func (f *flow) free(n *graph.Node) []int {
	var roots []int
	for _, id := range f.out[n] {
		if f.fixed[id] == "" {
			roots = append(roots, id)
		}
	}
	return roots
}

// fill gives the channels of all groups their members.
func (f *flow) fill(groups []*Group) {
	members := f.members()
	for _, g := range groups {
		for c := range g.Channels {
			g.Channels[c].Members = members[g.Channels[c].root]
		}
	}
}

// members lists what belongs to each class, by root, in order of execution.
func (f *flow) members() [][]Member {
	all := make([][]Member, len(f.same))
	for _, n := range f.g.Nodes {
		add := func(from *graph.Node, axis int, ts ...*tensor.Tensor) {
			for i, root := range f.out[from] {
				for _, t := range ts {
					all[root] = append(all[root], Member{n, t, axis, i})
				}
			}
		}
		switch op := n.Op.(type) {
		case *graph.Conv:
			add(n, 0, op.Weight)
			if op.Bias != nil {
				add(n, 0, op.Bias)
			}
			if op.Groups == 1 {
				add(n.In[0], 1, op.Weight)
			}
		case *graph.ConvTranspose:
			add(n.In[0], 0, op.Weight)
			if op.Groups == 1 {
				add(n, 1, op.Weight)
			}
			if op.Bias != nil {
				add(n, 0, op.Bias)
			}
		case *graph.BatchNorm:
			add(n, 0, op.Gamma, op.Beta, op.Mean, op.Var)
		}
	}
	return all
}

// A FixedRange is channels of one convolution that no cut may take.
type FixedRange struct {
	Conv     string
	Channels int
	Why      string // "is a raw value of the detection head"
}

// Fixed lists what is in no group and why, in order of execution. Errors are as for
// Groups.
func Fixed(g *graph.Graph) ([]FixedRange, error) {
	f, err := trace(g)
	if err != nil {
		return nil, err
	}
	var all []FixedRange
	for _, n := range g.Nodes {
		if !isConv(n) {
			continue
		}
		own := len(all)
		for _, id := range f.out[n] {
			why := f.fixed[id]
			if why == "" {
				continue
			}
			if len(all) == own || all[len(all)-1].Why != why {
				all = append(all, FixedRange{Conv: n.Name, Why: why})
			}
			all[len(all)-1].Channels++
		}
	}
	return all, nil
}
