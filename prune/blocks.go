package prune

import (
	"fmt"
	"slices"
	"strings"

	"ultrafast/graph"
)

// A Block is a shortcut's branch: what an addition adds to x, computed from x and nothing
// else. It can go as a whole, and x goes on alone; a bottleneck of a C3 is one.
type Block struct {
	Name  string        // "model.4.m.0"
	Convs []*graph.Node // of the branch

	add, x *graph.Node
	branch map[*graph.Node]bool
}

// Blocks lists the blocks of a graph that can go, in order. They point into g.
func Blocks(g *graph.Graph) []*Block {
	users := g.Consumers()
	var all []*Block
	for _, n := range g.Nodes {
		if _, ok := n.Op.(*graph.Add); !ok || len(n.In) != 2 {
			continue
		}
		for i, x := range n.In {
			b := &Block{Name: strings.TrimSuffix(n.Name, ".add"), add: n, x: x, branch: map[*graph.Node]bool{}}
			if y := n.In[1-i]; b.collect(y) && b.closed(g, users) && b.silence(y, false) {
				for _, m := range g.Nodes {
					if b.branch[m] && isConv(m) {
						b.Convs = append(b.Convs, m)
					}
				}
				if len(b.Convs) > 0 {
					all = append(all, b)
					break
				}
			}
		}
	}
	return all
}

// collect gathers what n is computed from, back to x. It reports false where that is more
// than x.
func (b *Block) collect(n *graph.Node) bool {
	if n == b.x || b.branch[n] {
		return true
	}
	if len(n.In) == 0 {
		return false
	}
	b.branch[n] = true
	for _, in := range n.In {
		if !b.collect(in) {
			return false
		}
	}
	return true
}

// closed reports whether nobody but the addition sees the branch.
func (b *Block) closed(g *graph.Graph, users map[*graph.Node][]*graph.Node) bool {
	for n := range b.branch {
		if slices.Contains(g.Outputs, n) {
			return false
		}
		for _, u := range users[n] {
			if u != b.add && !b.branch[u] {
				return false
			}
		}
	}
	return true
}

// silence makes the value of n zero through the nodes that make it, if do is set; without it
// only reports whether that can be done.
func (b *Block) silence(n *graph.Node, do bool) bool {
	if !b.branch[n] {
		return false
	}
	switch op := n.Op.(type) {
	case *graph.Activation:
		return keepsZero(op.Kind) && b.silence(n.In[0], do)
	case *graph.Concat:
		for _, in := range n.In {
			if !b.silence(in, do) {
				return false
			}
		}
		return true
	case *graph.BatchNorm:
		if do {
			clear(op.Gamma.Data)
			clear(op.Beta.Data)
		}
		return true
	case *graph.Conv:
		if do {
			clear(op.Weight.Data)
			if op.Bias != nil {
				clear(op.Bias.Data)
			}
		}
		return true
	}
	return false
}

// remove takes the block out of its graph.
func (b *Block) remove(g *graph.Graph) {
	x := b.add.In[0] // not b.x: another block that went may have put its own x there
	if b.branch[x] {
		x = b.add.In[1]
	}
	replaceNode(g, b.add, x)
	g.Nodes = slices.DeleteFunc(g.Nodes, func(n *graph.Node) bool { return b.branch[n] })
}

// blocks finds the blocks that a plan takes out of g.
func (p *Plan) blocks(g *graph.Graph) ([]*Block, error) {
	if len(p.Blocks) == 0 {
		return nil, nil
	}
	var gone []*Block
	all := Blocks(g)
	for i, name := range p.Blocks {
		at := slices.IndexFunc(all, func(b *Block) bool { return b.Name == name })
		switch {
		case at < 0:
			return nil, fmt.Errorf("prune: there is no block %s here that can go as a whole", name)
		case slices.Contains(p.Blocks[:i], name):
			return nil, fmt.Errorf("prune: the plan takes the block %s twice", name)
		}
		gone = append(gone, all[at])
	}
	return gone, nil
}
