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

// PlanCost is what the planner thinks a plan costs, without carrying it out.
func PlanCost(g *graph.Graph, p *Plan, w, h int) (Cost, error) {
	f, err := trace(g)
	if err != nil {
		return Cost{}, err
	}
	a, err := newAccountant(f, f.groups(), nil, w, h)
	if err != nil {
		return Cost{}, err
	}
	return a.cost(p, false)
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

// WithoutLines is f as if nothing had been read.
func (f *File) WithoutLines() *File {
	c := *f
	c.lines = nil
	return &c
}
