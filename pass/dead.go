package pass

import (
	"slices"

	"ultrafast/graph"
)

// DropDead removes the nodes that no output needs. The input stays in any case.
func DropDead(g *graph.Graph) error {
	live := make(map[*graph.Node]bool, len(g.Nodes))
	for _, n := range g.Outputs {
		live[n] = true
	}
	for _, n := range slices.Backward(g.Nodes) {
		if _, ok := n.Op.(*graph.Input); ok {
			live[n] = true
		}
		if live[n] {
			for _, in := range n.In {
				live[in] = true
			}
		}
	}
	g.Nodes = slices.DeleteFunc(g.Nodes, func(n *graph.Node) bool { return !live[n] })
	return nil
}
