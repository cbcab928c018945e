package prune

import (
	"fmt"
	"math"

	"ultrafast/graph"
)

// A Score says how much a channel matters. The zero value means L2.
type Score string

const (
	// L2 is the root of the sum of squares of all weights that would go with the channel:
	// its rows, its columns in every consumer, and its batch norms' gamma. Biases and
	// statistics do not count. It is the group norm of DepGraph (Fang et al., CVPR 2023).
	L2 Score = "l2"
	// Gamma is the mean of |gamma| over the batch norms that scale the channel (network
	// slimming, Liu et al., ICCV 2017). Groups with a channel that none scales take L2.
	Gamma Score = "gamma"
)

// Scores gives a score for each channel of each group, divided by the mean of its group,
// so that a channel of the first layer can be compared with one of the last, whose
// weights are of another size (isomorphic pruning, Fang et al., ECCV 2024). The error
// names a group with scores that are not finite, or tells the names there are.
func Scores(groups []*Group, s Score) ([][]float64, error) {
	score := l2
	switch s {
	case L2, "":
	case Gamma:
		score = gamma
	default:
		return nil, fmt.Errorf("prune: there is no score %q, only %s and %s", s, L2, Gamma)
	}
	all := make([][]float64, len(groups))
	for i, g := range groups {
		v, ok := score(g)
		if !ok {
			v, _ = l2(g)
		}
		mean := 0.0
		for _, x := range v {
			mean += x / float64(len(v))
		}
		if math.IsNaN(mean) || math.IsInf(mean, 0) {
			return nil, fmt.Errorf("prune: the weights around %s hold a number that is not finite, so its channels have no order", g.Name)
		}
		for c := range v {
			if mean > 0 {
				v[c] /= mean
			}
		}
		all[i] = v
	}
	return all, nil
}

func l2(g *Group) ([]float64, bool) {
	v := make([]float64, g.Width())
	for c, ch := range g.Channels {
		for _, m := range ch.Members {
			switch op := m.Node.Op.(type) {
			case *graph.Conv:
				if m.Tensor == op.Weight {
					v[c] += m.squares()
				}
			case *graph.ConvTranspose:
				if m.Tensor == op.Weight {
					v[c] += m.squares()
				}
			case *graph.BatchNorm:
				if m.Tensor == op.Gamma {
					v[c] += m.squares()
				}
			}
		}
		v[c] = math.Sqrt(v[c])
	}
	return v, true
}

// gamma reports false if a channel has no batch norm.
func gamma(g *Group) ([]float64, bool) {
	v := make([]float64, g.Width())
	for c, ch := range g.Channels {
		norms := 0.0
		for _, m := range ch.Members {
			if op, ok := m.Node.Op.(*graph.BatchNorm); ok && m.Tensor == op.Gamma {
				v[c] += math.Abs(float64(op.Gamma.Data[m.Index]))
				norms++
			}
		}
		if norms == 0 {
			return nil, false
		}
		v[c] /= norms
	}
	return v, true
}

// squares sums the squares of a member's numbers.
func (m Member) squares() float64 {
	sum := 0.0
	m.each(func(x []float32) {
		for _, v := range x {
			sum += float64(v) * float64(v)
		}
	})
	return sum
}

// each calls f with every run of a member's numbers that lie together.
func (m Member) each(f func([]float32)) {
	outer, inner := 1, 1
	for i, d := range m.Tensor.Shape {
		switch {
		case i < m.Axis:
			outer *= d
		case i > m.Axis:
			inner *= d
		}
	}
	for o := range outer {
		at := (o*m.Tensor.Shape[m.Axis] + m.Index) * inner
		f(m.Tensor.Data[at : at+inner])
	}
}
