package compress

import (
	"ultrafast/graph"
	"ultrafast/prune"
)

// byParams takes every network for as long as it has parameters.
func byParams(g *graph.Graph) (prune.Profile, error) {
	return prune.Profile{Ms: float64(g.ParamCount()) / 1e5}, nil
}

// layerTimes takes every convolution for as long as its multiplications, and each picture for a while.
func layerTimes(g *graph.Graph) prune.Profile {
	shapes, err := g.Shapes(1, 64, 64)
	if err != nil {
		panic(err)
	}
	p := prune.Profile{}
	for _, n := range g.Nodes {
		if macs := n.MACs(shapes); macs > 0 {
			p.Steps = append(p.Steps, prune.StepMs{Node: n.Name, Ms: float64(macs) / 1e6})
			p.Ms += float64(macs) / 1e6
		}
	}
	p.Ms += 0.05
	return p
}
