package prune

import "ultrafast/graph"

// Classes gives the members of every class of channels of g, the fixed ones too.
func Classes(g *graph.Graph) ([][]Member, error) {
	f, err := trace(g)
	if err != nil {
		return nil, err
	}
	return f.members(), nil
}
