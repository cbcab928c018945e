// Package pass holds the rewrites that keep a graph's meaning. They edit in place, and
// the graph is verified after each.
package pass

import (
	"fmt"

	"ultrafast/graph"
)

// A Pass is one rewrite.
type Pass struct {
	Name  string
	Apply func(*graph.Graph) error
}

// Inference is what a trained graph goes through before it is run or shipped, in order.
var Inference = []Pass{
	{"fold-batchnorm", FoldBatchNorm}, // first: it needs convolution and batch norm side by side
	{"merge-focus", MergeFocus},       // after it, as the new convolution has to take the batch norm along
	{"drop-dead", DropDead},           // last: it sees what the others leave behind
}

// Run applies the passes in order and verifies the graph after each. The error names the
// pass. A graph for which Run has failed may be half rewritten.
func Run(g *graph.Graph, passes ...Pass) error {
	for _, p := range passes {
		if err := p.Apply(g); err != nil {
			return fmt.Errorf("pass %s: %w", p.Name, err)
		}
		if err := g.Verify(); err != nil {
			return fmt.Errorf("pass %s broke the graph: %w", p.Name, err)
		}
	}
	return nil
}
