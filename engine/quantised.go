package engine

import (
	"fmt"

	"ultrafast/graph"
	"ultrafast/internal/codegen"
	"ultrafast/tensor"
)

// Where values lie on grids, reference, plain Go and machine code compute the same numbers, to
// the last bit. With q the levels of a convolution's input, w the whole numbers of its weights
// (graph.Conv.Levels), and for each output of channel k
//
//	acc = sum of (q-Zero) * w                                in int32
//	y   = float32(acc) * (Scale*WeightScale[k]) + Bias[k]    each step rounded to float32
//
// is what a float layer reads, where the product of the scales comes first. What a Quantize
// makes of it is not rounded from y, but from the sum itself:
//
//	level = roundHalfToEven(float32(acc + round(Bias[k]/(Scale*WeightScale[k]))) * (Scale*WeightScale[k]/OutScale)) + OutZero
//
// held to 0..255, as codegen.Quant.Sum has it, where a bias can be a whole number (codegen.Whole),
// as ONNX and ONNX Runtime have them: so a kernel needs one multiplication. It may be another
// level than y's, where y is nearly halfway. A sum of two values on grids that a Quantize rounds
// is codegen.QuantAdd.Sum of their levels, with their scales divided by OutScale.
// Padding has the level Zero, and adds nothing. A sum beyond int32, for which 66,000
// products of the largest numbers are needed, wraps around.

// grids are those of graph.Graph.Grids.
type grids map[*graph.Node]*graph.Quantize

// conv returns the convolution of n if it multiplies 8-bit values by 8-bit weights.
func (g grids) conv(n *graph.Node) (*graph.Conv, bool) {
	op, ok := n.Op.(*graph.Conv)
	return op, ok && op.WeightScale != nil && g[n.In[0]] != nil
}

// sum reports whether n adds two values on grids.
func (g grids) sum(n *graph.Node) bool {
	_, ok := n.Op.(*graph.Add)
	return ok && len(n.In) == 2 && g[n.In[0]] != nil && g[n.In[1]] != nil
}

// joined reports whether n is a Quantize that is computed together with what it rounds.
func (g grids) joined(n *graph.Node) bool {
	q, ok := n.Op.(*graph.Quantize)
	if !ok {
		return false
	}
	if _, ok := g.conv(n.In[0]); ok {
		return true
	}
	from := n.In[0]
	return g.sum(from) && max(g[from.In[0]].Scale, g[from.In[1]].Scale)/q.Scale <= codegen.MaxAddScale
}

// scales returns what the sums of o's output channels are multiplied by, and what is then
// added. Out is nil where the result is float32.
func scales(o *graph.Conv, in, out *graph.Quantize) (m, b []float32, err error) {
	m, b = make([]float32, len(o.WeightScale)), make([]float32, len(o.WeightScale))
	for k, s := range o.WeightScale {
		m[k] = in.Scale * s
		if o.Bias != nil {
			b[k] = o.Bias.Data[k]
		}
		if out == nil {
			continue
		}
		m[k], b[k] = m[k]/out.Scale, b[k]/out.Scale
		if m[k]-m[k] != 0 || b[k]-b[k] != 0 {
			return nil, nil, fmt.Errorf("scale %v and bias %v of channel %d, in units of %v, are no numbers: quantise the network with wider ranges", m[k], b[k], k, out.Scale)
		}
	}
	return m, b, nil
}

// finisher returns what makes a value of channel k of its sum: a float or, where out is not
// nil, one on that grid. Conversions keep the compiler from fusing.
func finisher(o *graph.Conv, in, out *graph.Quantize) (func(acc int32, k int) float32, error) {
	m, b, err := scales(o, in, out)
	if err != nil || out == nil {
		return func(acc int32, k int) float32 { return float32(float32(acc)*m[k]) + b[k] }, err
	}
	q := quantOf(o, out, m, b)
	return func(acc int32, k int) float32 { return out.Value(q.Sum(acc, m[k], b[k])) }, nil
}

// quantOf says how sums of o become levels of out, m and b being those of scales.
func quantOf(o *graph.Conv, out *graph.Quantize, m, b []float32) codegen.Quant {
	w := o.Weight.Shape
	return codegen.Quant{Zero: uint8(out.Zero), Whole: codegen.Whole(m, b, w[1]*w[2]*w[3])}
}

// adder returns how values on the grids y and r add up to one on out.
func adder(y, r, out *graph.Quantize) codegen.QuantAdd {
	return codegen.QuantAdd{ZeroY: uint8(y.Zero), ZeroR: uint8(r.Zero), ScaleY: y.Scale / out.Scale, ScaleR: r.Scale / out.Scale, Zero: uint8(out.Zero)}
}

// table returns the level on the grid out of each level on in, through an activation unless
// that is nil.
func table(in *graph.Quantize, a *graph.Activation, out *graph.Quantize) *[256]uint8 {
	var t [256]uint8
	for q := range t {
		v := in.Value(uint8(q))
		if a != nil {
			v = float32(refActivation(a, float64(v)))
		}
		t[q] = out.Level(v)
	}
	return &t
}

// refInt8 evaluates n if it adds up 8-bit values.
func refInt8(all map[*graph.Node]*tensor.Tensor, n *graph.Node, g grids) (done bool, err error) {
	if op, ok := g.conv(n); ok {
		return true, refConvInt8(all[n], all[n.In[0]], op, g[n.In[0]], nil)
	}
	if !g.joined(n) {
		return false, nil
	}
	from, out := n.In[0], n.Op.(*graph.Quantize)
	if op, ok := g.conv(from); ok {
		return true, refConvInt8(all[n], all[from.In[0]], op, g[from.In[0]], out)
	}
	a, b := from.In[0], from.In[1]
	add := adder(g[a], g[b], out)
	for i, v := range all[a].Data {
		all[n].Data[i] = out.Value(add.Sum(g[a].Level(v), g[b].Level(all[b].Data[i])))
	}
	return true, nil
}

// refConvInt8 computes a convolution whose input x lies on the grid in, for a float result or
// one on the grid out.
func refConvInt8(y, x *tensor.Tensor, o *graph.Conv, in, out *graph.Quantize) error {
	weights, err := o.Levels()
	if err != nil {
		return err
	}
	finish, err := finisher(o, in, out)
	if err != nil {
		return err
	}
	steps := make([]int32, len(x.Data))
	for i, v := range x.Data {
		steps[i] = int32(in.Level(v)) - int32(in.Zero)
	}
	s := o.Weight.Shape
	each4(y.Shape, func(n, k, h, w int) {
		acc := int32(0)
		group := k / (y.Shape[1] / o.Groups)
		for c := range s[1] {
			for r := range s[2] {
				for q := range s[3] {
					i := h*o.Stride[0] - o.Pad[0] + r*o.Dilation[0]
					j := w*o.Stride[1] - o.Pad[1] + q*o.Dilation[1]
					if i < 0 || i >= x.Shape[2] || j < 0 || j >= x.Shape[3] {
						continue
					}
					at := ((n*x.Shape[1]+group*s[1]+c)*x.Shape[2]+i)*x.Shape[3] + j
					acc += steps[at] * int32(weights[((k*s[1]+c)*s[2]+r)*s[3]+q])
				}
			}
		}
		*at(y, n, k, h, w) = finish(acc, k)
	})
	return nil
}
