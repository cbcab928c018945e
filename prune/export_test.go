package prune

import (
	"ultrafast/graph"
	"ultrafast/pass"
)

// Classes gives the members of every class of channels of g, the fixed ones too.
func Classes(g *graph.Graph) ([][]Member, error) {
	f, err := trace(g)
	if err != nil {
		return nil, err
	}
	return f.members(), nil
}

// DropBack is the first half of Slim.
func DropBack(g *graph.Graph) (*graph.Graph, error) {
	g = g.Clone()
	shapes, err := inputShapes(g)
	if err != nil {
		return nil, err
	}
	if _, err := dropBack(g, enlarged(g, shapes), shapes); err != nil {
		return nil, err
	}
	return g, pass.DropDead(g)
}
