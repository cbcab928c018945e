package graph

import (
	"fmt"
	"math"
	"slices"

	"ultrafast/tensor"
)

// Quantize rounds each element to one of 256 values, the grid of an 8-bit number q:
//
//	q = clamp(roundHalfToEven(x/Scale)+Zero, 0, 255)     y = (q-Zero) * Scale
//
// in float32, as ONNX's QuantizeLinear and DequantizeLinear of uint8 do one after the other.
// Scale is above 0, Zero in 0..255, so that 0 is on the grid and padding stays exact.
type Quantize struct {
	Scale float32
	Zero  int
}

func (*Quantize) Word() string              { return "quantize" }
func (*Quantize) slots() []slot             { return nil }
func (*Quantize) macs([]Shape, Shape) int64 { return 0 }
func (o *Quantize) clone() Op               { c := *o; return &c }
func (o *Quantize) attrs() []string {
	return []string{"scale=" + number(o.Scale), "zero=" + number(o.Zero)}
}
func (a *attrs) quantize() *Quantize { return &Quantize{a.float32("scale"), a.int("zero", 0)} }
func (o *Quantize) infer(in []Shape) (Shape, error) {
	if !scale(o.Scale, 255) || o.Zero < 0 || o.Zero > 255 {
		return nil, fmt.Errorf("scale %v, zero %d are out of range", o.Scale, o.Zero)
	}
	return one(in)
}

// scale reports whether most steps of s are numbers above 0.
func scale(s, most float32) bool { return s > 0 && most*s <= math.MaxFloat32 }

// Level returns the q of x. What is no number gives 0.
func (o *Quantize) Level(x float32) uint8 {
	q := math.RoundToEven(float64(x/o.Scale)) + float64(o.Zero)
	switch {
	case q >= 255:
		return 255
	case q > 0:
		return uint8(q)
	}
	return 0
}

// Value returns the y of q.
func (o *Quantize) Value(q uint8) float32 { return float32(int(q)-o.Zero) * o.Scale }

// Grids tells on which grid values lie: for each Quantize itself, and for each node that
// only moves or selects elements (MaxPool, Upsample, Slice, Concat) that of its inputs, if
// they all have the same scale and zero. Other nodes are not in the map.
func (g *Graph) Grids() map[*Node]*Quantize {
	grids := map[*Node]*Quantize{}
	for _, n := range g.Nodes {
		switch op := n.Op.(type) {
		case *Quantize:
			grids[n] = op
		case *MaxPool, *Upsample, *Slice, *Concat:
			first := grids[n.In[0]]
			if first != nil && !slices.ContainsFunc(n.In, func(in *Node) bool { return grids[in] == nil || *grids[in] != *first }) {
				grids[n] = first
			}
		}
	}
	return grids
}

// Quantized returns the first node that makes the graph a quantised one, a Quantize or a
// convolution with WeightScale, and nil if there is none.
func (g *Graph) Quantized() *Node {
	for _, n := range g.Nodes {
		switch op := n.Op.(type) {
		case *Quantize:
			return n
		case *Conv:
			if op.WeightScale != nil {
				return n
			}
		}
	}
	return nil
}

// Levels returns the whole numbers, -127..127, whose products with WeightScale the weights
// are. The error names the first weight that is none.
func (o *Conv) Levels() ([]int8, error) {
	all := make([]int8, len(o.Weight.Data))
	return all, o.eachLevel(func(i int, k int8) { all[i] = k })
}

// eachLevel calls f with the index and the whole number of every weight.
func (o *Conv) eachLevel(f func(i int, k int8)) error {
	row := len(o.Weight.Data) / len(o.WeightScale)
	for i, w := range o.Weight.Data {
		s := o.WeightScale[i/row]
		k := math.RoundToEven(float64(w) / float64(s))
		if !(math.Abs(k) <= 127) || float32(k)*s != w {
			return fmt.Errorf("weight %v of channel %d is not a whole multiple, -127 to 127, of its scale %v", w, i/row, s)
		}
		f(i, int8(k))
	}
	return nil
}

// checkLevels checks the weights against WeightScale, where there are numbers.
func (o *Conv) checkLevels() error {
	if o.WeightScale == nil || o.Weight.Data == nil {
		return nil
	}
	if len(o.WeightScale) != o.Weight.Shape[0] {
		return fmt.Errorf("has %d scales of weights for %d output channels", len(o.WeightScale), o.Weight.Shape[0])
	}
	for i, s := range o.WeightScale {
		if !scale(s, 127) {
			return fmt.Errorf("scale %v of the weights of channel %d is out of range", s, i)
		}
	}
	return o.eachLevel(func(int, int8) {})
}

// EightBits returns the convolution with each weight rounded to the nearest whole multiple of its
// channel's scale, WeightScale: the largest of the channel divided by 127, or 1 where that is as
// good as nothing. o is not changed, and shares its bias. The error names a weight that is no
// number.
func (o *Conv) EightBits() (*Conv, error) {
	q := *o
	q.Weight = tensor.New(o.Weight.Shape...)
	q.WeightScale = make([]float32, o.Weight.Shape[0])
	row := len(o.Weight.Data) / len(q.WeightScale)
	for k := range q.WeightScale {
		weights := o.Weight.Data[k*row:][:row]
		most := 0.0
		for _, w := range weights {
			if w-w != 0 {
				return nil, fmt.Errorf("a weight of channel %d is %v", k, w)
			}
			most = max(most, math.Abs(float64(w)))
		}
		s := float32(most / 127)
		if s < 1e-30 { // a channel of zeros, or as good as that
			s = 1
		}
		q.WeightScale[k] = s
		for i, w := range weights {
			n := max(-127, min(math.RoundToEven(float64(w)/float64(s)), 127))
			q.Weight.Data[k*row+i] = float32(n) * s
		}
	}
	return &q, nil
}

// EightBits makes the weights of every convolution that has a WeightScale whole multiples of it
// again, as Conv.EightBits does, whatever floats they have become. The error names the node.
func (g *Graph) EightBits() error {
	for _, n := range g.Nodes {
		c, ok := n.Op.(*Conv)
		if !ok || c.WeightScale == nil {
			continue
		}
		q, err := c.EightBits()
		if err != nil {
			return fmt.Errorf("graph: %s: %w", n.Name, err)
		}
		n.Op = q
	}
	return nil
}

// EightBit reports whether p is a weight that WeightScale makes one of 8 bits.
func (p Param) EightBit() bool {
	c, ok := p.Node.Op.(*Conv)
	return ok && c.WeightScale != nil && p.At == &c.Weight
}
