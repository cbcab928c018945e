package engine

import (
	"fmt"

	"ultrafast/graph"
)

// checkSizes returns an error where a single value is larger than the memory that is free,
// before anything of that size is made.
func checkSizes(shapes map[*graph.Node]graph.Shape, nodes []*graph.Node) error {
	free := availableMemory()
	for _, n := range nodes {
		if size := 4 * int64(tensorLen(shapes[n])); size > free {
			return fmt.Errorf("engine: %s: its result %v takes %s, more than the %s of memory that are free; choose a smaller input", n.Name, []int(shapes[n]), gib(size), gib(free))
		}
	}
	return nil
}

// checkMemory returns an error where a session would take more than is free.
func (p *Program) checkMemory() error {
	if size, free := p.Memory(), availableMemory(); size > free {
		return fmt.Errorf("engine: running this model on input %v takes %s, more than the %s of memory that are free; choose a smaller input", []int(p.shapes[p.graph.Input()]), gib(size), gib(free))
	}
	return nil
}

func gib(bytes int64) string { return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30)) }
