package prune

import (
	"math"

	"ultrafast/graph"
	"ultrafast/tensor"
)

// GroupDecay returns, by the names of the parameters, a factor for every weight of a
// channel that can go: what decays it while it learns, strongly in channels that matter
// little already, so that they come to nothing, and gently in the others. With I the group
// norm of a channel, the score L2 before it is normalised, it is
//
//	rate * 2^(4 (Imax-I)/(Imax-Imin))
//
// over the extremes of its group, thus rate to 16 rate (the group-norm regularizer of
// DepGraph, Fang et al., CVPR 2023). A weight that belongs to two channels, one that it
// makes and one that it takes in, has the factors of both. Errors are those of Groups.
func GroupDecay(g *graph.Graph, rate float64) (map[string]*tensor.Tensor, error) {
	if err := checkData(g); err != nil {
		return nil, err
	}
	groups, err := Groups(g)
	if err != nil {
		return nil, err
	}
	factors, byTensor := map[string]*tensor.Tensor{}, map[*tensor.Tensor]*tensor.Tensor{}
	names := namesOf(g)
	for _, gr := range groups {
		norms := l2(gr)
		least, most := math.Inf(1), 0.0
		for _, n := range norms {
			least, most = min(least, n), max(most, n)
		}
		for c, ch := range gr.Channels {
			factor := float32(rate)
			if most > least {
				factor = float32(rate * math.Exp2(4*(most-norms[c])/(most-least)))
			}
			for _, m := range ch.Members {
				if !m.weighs() {
					continue
				}
				f := byTensor[m.Tensor]
				if f == nil {
					f = tensor.New(m.Tensor.Shape...)
					byTensor[m.Tensor], factors[names[m.Tensor]] = f, f
				}
				Member{m.Node, f, m.Axis, m.Index}.each(func(x []float32) {
					for k := range x {
						x[k] += factor
					}
				})
			}
		}
	}
	return factors, nil
}

// GammaDecay returns the rate for every scale of a batch norm, by the name of the
// parameter: times its sign, that is the slope of the L1 norm which network slimming adds
// to the loss (Liu et al., ICCV 2017). Scales of channels that can never go are left out.
func GammaDecay(g *graph.Graph, rate float64) (map[string]*tensor.Tensor, error) {
	groups, err := Groups(g)
	if err != nil {
		return nil, err
	}
	names := namesOf(g)
	factors := map[string]*tensor.Tensor{}
	for _, gr := range groups {
		for _, ch := range gr.Channels {
			for _, m := range ch.Members {
				if op, ok := m.Node.Op.(*graph.BatchNorm); !ok || m.Tensor != op.Gamma {
					continue
				}
				name := names[m.Tensor]
				if factors[name] == nil {
					factors[name] = tensor.New(m.Tensor.Shape...)
				}
				factors[name].Data[m.Index] = float32(rate)
			}
		}
	}
	return factors, nil
}

// namesOf are the names of the parameters that learn.
func namesOf(g *graph.Graph) map[*tensor.Tensor]string {
	names := map[*tensor.Tensor]string{}
	for _, p := range g.Params() {
		if p.Trainable {
			names[p.Tensor()] = p.Name
		}
	}
	return names
}
