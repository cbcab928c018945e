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
