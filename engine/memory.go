package engine

import (
	"fmt"

	"ultrafast/graph"
)

// checkSizes returns an error where a single value is larger than the memory that is free,
// before anything of that size is made.
func checkSizes(shapes map[*graph.Node]graph.Shape, nodes []*graph.Node) error {
	free := usableMemory()
	for _, n := range nodes {
		if size := 4 * int64(tensorLen(shapes[n])); size > free {
			return fmt.Errorf("engine: %s: its result %v takes %s, more than the %s of memory that it may take; choose a smaller input", n.Name, []int(shapes[n]), gib(size), gib(free))
		}
	}
	return nil
}

// checkMemory returns an error where a session would take more than is free.
func (p *Program) checkMemory() error {
	if size, free := p.Memory(), usableMemory(); size > free {
		return fmt.Errorf("engine: running this model on input %v takes %s, more than the %s of memory that it may take; choose a smaller input", []int(p.shapes[p.graph.Input()]), gib(size), gib(free))
	}
	return nil
}

// usableMemory is how many bytes a session may take: the input, the model and other programs
// need some of what is free.
func usableMemory() int64 { return availableMemory() / 10 * 9 }

func gib(bytes int64) string { return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30)) }
