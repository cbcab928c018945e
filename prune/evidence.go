package prune

import (
	"fmt"
	"math"
	"slices"

	"ultrafast/graph"
	"ultrafast/tensor"
)

// Evidence is what gradients of the loss say about the channels of a network.
//
// Put a gate that multiplies by m behind every place where a channel is made: to mask the
// channel is to go from m = 1 to 0, and the slope of the loss along m is
//
//	G = sum over these places and their positions of a dL/da
//
// with a what passes the gate. Behind a batch norm the sum over positions is
// γ dL/dγ + β dL/dβ, since a = γx+β is linear in both; behind a convolution without one it
// is for the same reason the sum of w dL/dw over the channel's row, and of b dL/db. So the
// gradients of the parameters are all that is needed, and G is in units of the loss for
// every channel of every kind. A place whose channel goes on into a batch norm or a
// depthwise convolution alone has no gate: the one behind that is closed with it.
type Evidence struct {
	groups   []*Group
	names    map[*tensor.Tensor]string
	gates    map[*graph.Node]bool
	absolute [][]float64 // by group and channel: sum of |G| over what was added
	squared  [][]float64 // sum of G²
	added    int
}

// NewEvidence returns evidence of nothing about the channels of g, which it points into.
// Errors are those of Groups.
func NewEvidence(g *graph.Graph) (*Evidence, error) {
	if err := checkData(g); err != nil {
		return nil, err
	}
	groups, err := Groups(g)
	if err != nil {
		return nil, err
	}
	e := &Evidence{groups: groups, names: namesOf(g), gates: gates(g)}
	for _, gr := range groups {
		e.absolute = append(e.absolute, make([]float64, gr.Width()))
		e.squared = append(e.squared, make([]float64, gr.Width()))
	}
	return e, nil
}

// Add takes in the gradients of the loss of one picture, or the mean over a few, by the
// names of the parameters. The batch norms must have used their running statistics, or G is
// not that of a gate. The error names a gradient that is missing or not finite; nothing is
// taken in then.
func (e *Evidence) Add(gradients map[string]*tensor.Tensor) error {
	all := make([][]float64, len(e.groups))
	for i, gr := range e.groups {
		all[i] = make([]float64, gr.Width())
		for c, ch := range gr.Channels {
			for _, m := range ch.Members {
				name, learns := e.names[m.Tensor]
				if !learns || !e.gates[m.Node] || m.takes() {
					continue
				}
				d := gradients[name]
				if d == nil || !slices.Equal(d.Shape, m.Tensor.Shape) || len(d.Data) != d.Len() {
					return fmt.Errorf("prune: the gradient of %s is %v, want %v", name, d, m.Tensor)
				}
				all[i][c] += m.dot(d)
			}
			if v := all[i][c]; math.IsNaN(v) || math.IsInf(v, 0) {
				return fmt.Errorf("prune: the gradient around %s, channel %d, is not finite", gr.Name, c)
			}
		}
	}
	for i, g := range all {
		for c, v := range g {
			e.absolute[i][c] += math.Abs(v)
			e.squared[i][c] += v * v
		}
	}
	e.added++
	return nil
}

// of returns the mean over what was added of one of the sums, for groups of a network like
// that of the evidence.
func (e *Evidence) of(groups []*Group, s Score) ([][]float64, error) {
	if e == nil || e.added == 0 {
		return nil, fmt.Errorf("prune: the score %s needs evidence, gradients of some pictures", s)
	}
	sums := e.absolute
	if s == Fisher {
		sums = e.squared
	}
	all := make([][]float64, len(groups))
	for i, g := range groups {
		if i >= len(e.groups) || e.groups[i].Name != g.Name || e.groups[i].Width() != g.Width() || len(groups) != len(e.groups) {
			return nil, fmt.Errorf("prune: the evidence is of another network, which has no group %s of %d channels", g.Name, g.Width())
		}
		for _, v := range sums[i] {
			all[i] = append(all[i], v/float64(e.added))
		}
	}
	return all, nil
}

// gates finds the nodes behind which channels have gates: convolutions and batch norms whose
// channels, unlike those of a convolution before its batch norm, do not on every way come to
// another such node before a convolution mixes them.
func gates(g *graph.Graph) map[*graph.Node]bool {
	users := g.Consumers()
	covered := map[*graph.Node]bool{} // every way on leads through another gate
	all := map[*graph.Node]bool{}
	for _, n := range slices.Backward(g.Nodes) {
		covered[n] = len(users[n]) > 0 && !slices.Contains(g.Outputs, n)
		for _, u := range users[n] {
			switch op := u.Op.(type) {
			case *graph.BatchNorm:
			case *graph.Conv:
				covered[n] = covered[n] && depthwise(op.Weight.Shape[1]*op.Groups, op.Groups)
			case *graph.ConvTranspose:
				covered[n] = covered[n] && depthwise(op.Weight.Shape[0], op.Groups)
			default:
				covered[n] = covered[n] && covered[u]
			}
		}
		switch n.Op.(type) {
		case *graph.Conv, *graph.ConvTranspose, *graph.BatchNorm:
			all[n] = !covered[n]
		}
	}
	return all
}

// dot sums the products of a member's numbers and those at the same place of d, a tensor of
// the same shape.
func (m Member) dot(d *tensor.Tensor) float64 {
	sum := 0.0
	other := m
	other.Tensor = d
	var w [][]float32
	m.each(func(x []float32) { w = append(w, x) })
	other.each(func(x []float32) {
		for k, v := range x {
			sum += float64(v) * float64(w[0][k])
		}
		w = w[1:]
	})
	return sum
}
