package quant

import (
	"math"

	"ultrafast/graph"
)

// Weights share a scale by output channel, but the values that a convolution takes share one for
// all of its channels, and so do those that it gives. Where f(sx) = s f(x) for s > 0, as with
// nothing, ReLU and LeakyReLU, channel i between two convolutions may be divided by any s_i: in
// the first one's row and bias, and multiplied in the second's column. With
//
//	s_i = sqrt(r1_i r2_i) / r2_i,   r1_i = max |row i|,   r2_i = max |column i|
//
// both have the range sqrt(r1_i r2_i) (Nagel et al. 2019, arXiv 1906.04721, section 4.1). A
// chain of convolutions is equalised pair by pair, until scales are near 1.
const (
	equalizeRounds = 20
	equalizeEnd    = 1e-3 // of the largest |ln s|
)

// A pair is two convolutions in 8 bits between which values can be scaled.
type pair struct{ first, second *graph.Conv }

// Equalize returns g, its batch norms folded, with the channels between pairs of convolutions
// scaled so that the weights on both sides have the same range. It computes what g computes but
// for rounding in float32. pairs is how many there are: the only reader of a convolution, or of
// the ReLU or LeakyReLU behind it, is the other one. SiLU and Hardswish cannot be scaled
// through. Ranges are to be measured with what is returned.
func Equalize(g *graph.Graph) (equal *graph.Graph, pairs int, err error) {
	net, err := prepare(g, nil)
	if err != nil {
		return nil, 0, err
	}
	all := net.pairs()
	for range equalizeRounds {
		most := 0.0
		for _, p := range all {
			most = max(most, p.equalize())
		}
		if most < equalizeEnd {
			break
		}
	}
	return net.Graph, len(all), net.Verify()
}

func (net *network) pairs() []pair {
	var all []pair
	isOutput := map[*graph.Node]bool{}
	for _, n := range net.Outputs {
		isOutput[n] = true
	}
	reader := func(n *graph.Node) *graph.Node {
		if len(net.users[n]) != 1 || isOutput[n] {
			return nil
		}
		return net.users[n][0]
	}
	for _, n := range net.Nodes {
		first, ok := net.eight(n)
		if !ok {
			continue
		}
		u := reader(n)
		if u != nil {
			if a, ok := u.Op.(*graph.Activation); ok && (a.Kind == graph.ReLU || a.Kind == graph.LeakyReLU) {
				u = reader(u)
			}
		}
		if u == nil {
			continue
		}
		if second, ok := net.eight(u); ok {
			all = append(all, pair{first, second})
		}
	}
	return all
}

// equalize scales all channels between the two and returns the largest |ln s|. A channel with a
// row or a column of zeros stays as it is.
func (p pair) equalize() float64 {
	a, b := p.first.Weight, p.second.Weight
	row, taps := a.Len()/a.Shape[0], b.Shape[2]*b.Shape[3]
	outs, ins := b.Shape[0]/p.second.Groups, b.Shape[1] // of a group
	most := 0.0
	for i := range a.Shape[0] {
		column := make([][]float32, outs) // the taps of channel i in each output of its group
		for o := range column {
			column[o] = b.Data[((i/ins*outs+o)*ins+i%ins)*taps:][:taps]
		}
		weights := a.Data[i*row:][:row]
		r1, r2 := largest(weights), 0.0
		for _, c := range column {
			r2 = max(r2, largest(c))
		}
		s := math.Sqrt(r1*r2) / r2
		if !(s > 1e-6 && s < 1e6) {
			continue
		}
		most = max(most, math.Abs(math.Log(s)))
		scale(weights, 1/s)
		if p.first.Bias != nil {
			p.first.Bias.Data[i] /= float32(s)
		}
		for _, c := range column {
			scale(c, s)
		}
	}
	return most
}

func largest(values []float32) float64 {
	most := 0.0
	for _, v := range values {
		most = max(most, math.Abs(float64(v)))
	}
	return most
}

func scale(values []float32, s float64) {
	for i, v := range values {
		values[i] = float32(float64(v) * s)
	}
}
