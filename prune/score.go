package prune

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"ultrafast/graph"
	"ultrafast/tensor"
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
	// Taylor is the mean over pictures of |G|, how steeply the loss changes as the channel's
	// gate closes; see Evidence (Molchanov et al., CVPR 2019; at the batch norm's gate as in
	// HALP, Shen et al., NeurIPS 2022).
	Taylor Score = "taylor"
	// Fisher is the mean over pictures of G², by which, with half of it, the loss grows in
	// second order (group Fisher, Liu et al., ICML 2021).
	Fisher Score = "fisher"
)

// DefaultScore is what a cut goes by where nobody says otherwise and there are pictures: the
// best in docs/results/scores.md.
const DefaultScore = Fisher

// AllScores are all of them.
var AllScores = []Score{L2, Gamma, Taylor, Fisher}

// NeedsEvidence reports whether the score is made of gradients.
func (s Score) NeedsEvidence() bool { return s == Taylor || s == Fisher }

// Scores gives a score for each channel of each group, of evidence where the score needs
// it, which may be nil otherwise. Scores of weights are divided by their mean over the groups
// of a kind, so that a channel can be compared with others whose weights are of another size
// (isomorphic pruning, Fang et al., ECCV 2024). Those of gradients stay as they are: they are
// in units of the loss everywhere, and that one group matters more than another is what they
// know best; docs/results/scores.md has what it costs to forget it. The error names a group with scores that are not
// finite, or tells the names there are.
func Scores(groups []*Group, s Score, e *Evidence) ([][]float64, error) {
	var all [][]float64
	switch s {
	case L2, "":
		all = each(groups, l2)
	case Gamma:
		all = each(groups, gamma)
	case Taylor, Fisher:
		var err error
		if all, err = e.of(groups, s); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("prune: there is no score %q, only %v", s, AllScores)
	}
	for i, g := range groups {
		if mean := mean(all[i]); math.IsNaN(mean) || math.IsInf(mean, 0) {
			return nil, fmt.Errorf("prune: the weights around %s hold a number that is not finite, so its channels have no order", g.Name)
		}
	}
	if !s.NeedsEvidence() {
		normalise(groups, all)
	}
	return all, nil
}

// normalise makes the mean of every kind of group 1.
func normalise(groups []*Group, all [][]float64) {
	kinds := make([]string, len(groups))
	sum, count := map[string]float64{}, map[string]float64{}
	for i, g := range groups {
		kinds[i] = g.kind()
		for _, v := range all[i] {
			sum[kinds[i]] += v
			count[kinds[i]]++
		}
	}
	for i := range groups {
		mean := sum[kinds[i]] / count[kinds[i]]
		for c := range all[i] {
			if mean > 0 {
				all[i][c] /= mean
			}
		}
	}
}

// kind tells the ways in which a group's channels belong to nodes: the ops that make them or
// take them in, and the sizes of their kernels.
func (g *Group) kind() string {
	type place struct {
		of   *tensor.Tensor
		axis int
	}
	seen, ways := map[place]bool{}, map[string]bool{}
	for _, ch := range g.Channels {
		for _, m := range ch.Members {
			if seen[place{m.Tensor, m.Axis}] {
				continue
			}
			seen[place{m.Tensor, m.Axis}] = true
			way := fmt.Sprintf("%s/%d", m.Node.Op.Word(), m.Axis)
			if len(m.Tensor.Shape) == 4 {
				way += fmt.Sprint(m.Tensor.Shape[2:])
			}
			ways[way] = true
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(ways)), " ")
}

func each(groups []*Group, score func(*Group) []float64) [][]float64 {
	all := make([][]float64, len(groups))
	for i, g := range groups {
		all[i] = score(g)
	}
	return all
}

func mean(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}

func l2(g *Group) []float64 {
	v := make([]float64, g.Width())
	for c, ch := range g.Channels {
		for _, m := range ch.Members {
			if m.weighs() {
				v[c] += m.squares()
			}
		}
		v[c] = math.Sqrt(v[c])
	}
	return v
}

// weighs reports whether the member is weights of a convolution or the scale of a batch norm.
func (m Member) weighs() bool {
	switch op := m.Node.Op.(type) {
	case *graph.Conv:
		return m.Tensor == op.Weight
	case *graph.ConvTranspose:
		return m.Tensor == op.Weight
	case *graph.BatchNorm:
		return m.Tensor == op.Gamma
	}
	return false
}

// gamma is L2 where a channel has no batch norm.
func gamma(g *Group) []float64 {
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
			return l2(g)
		}
		v[c] /= norms
	}
	return v
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
