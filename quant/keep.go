package quant

import (
	"cmp"
	"errors"
	"slices"

	"ultrafast/graph"
)

// mostFloat is the share of the multiply-adds that may go back to float: a network that computes
// more than half of itself in float has little of what 8 bits are for.
const mostFloat = 0.5

// A Choice is which layers stay in float, and what that comes to.
type Choice struct {
	Network *graph.Graph
	Layers  []string // that went back to float, the first first
	Points  float64  // what the judge says of the network
	Reached bool     // that is no more than the allowed drop below the float network
}

// Choose judges the network in which all of drops' layers are in 8 bits. Where it is more than
// most points below float, which is what the float network is worth, layers go back to float one
// after another, first those with the largest drop for each multiply-add that 8 bits speed up,
// and the network is judged anew, until the drop is small enough. Where it never is with half of
// the multiply-adds in float, the best of these networks is the choice, the first of equals.
//
// quantise makes the network of which these layers stay in float; progress is told how many
// networks are judged, of at most all.
func Choose(drops []Drop, float, most float64, quantise func(keep []string) (*graph.Graph, error), judge Judge, progress func(done, all int)) (*Choice, error) {
	if len(drops) == 0 {
		return nil, errors.New("quant: there is no layer in 8 bits to choose from")
	}
	order := backToFloat(drops)
	var best *Choice
	for i := range len(order) + 1 {
		c := &Choice{}
		for _, d := range order[:i] {
			c.Layers = append(c.Layers, d.Layer)
		}
		var err error
		if c.Network, err = quantise(c.Layers); err != nil {
			return nil, err
		}
		if c.Points, err = judge(c.Network); err != nil {
			return nil, err
		}
		progress(i+1, len(order)+1)
		if c.Reached = float-c.Points <= most; c.Reached {
			return c, nil
		}
		if best == nil || c.Points > best.Points {
			best = c
		}
	}
	return best, nil
}

// backToFloat are the layers that may go back to float, in the order in which they do: by drop
// for each multiply-add, and of equals by order of execution. A layer that would make too much
// float is left out.
func backToFloat(drops []Drop) []Drop {
	all := int64(0)
	for _, d := range drops {
		all += d.MACs
	}
	each := func(d Drop) float64 { return d.Points / float64(max(d.MACs, 1)) }
	order := slices.Clone(drops)
	slices.SortStableFunc(order, func(a, b Drop) int { return cmp.Compare(each(b), each(a)) })
	left := int64(mostFloat * float64(all))
	return slices.DeleteFunc(order, func(d Drop) bool {
		if d.MACs > left {
			return true
		}
		left -= d.MACs
		return false
	})
}
