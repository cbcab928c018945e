package graph

import (
	"fmt"
	"math"
	"slices"

	"ultrafast/tensor"
)

// A Shape is [batch, channels, height, width]; that of boxes is [batch, boxes, 5+classes].
type Shape []int

// Shapes computes the shape of every node for a batch of pictures of height×width. The
// error names the first node whose inputs do not fit.
func (g *Graph) Shapes(batch, height, width int) (map[*Node]Shape, error) {
	all := make(map[*Node]Shape, len(g.Nodes))
	for _, n := range g.Nodes {
		if in, ok := n.Op.(*Input); ok {
			s := Shape{batch, in.Shape[1], height, width}
			if slices.Min(s) < 1 {
				return nil, fmt.Errorf("graph: input %s is %v: every dimension must be at least 1", n.Name, s)
			}
			all[n] = s
			continue
		}
		in := make([]Shape, len(n.In))
		for i, p := range n.In {
			in[i] = all[p]
		}
		s, err := n.Op.infer(in)
		if err == nil {
			_, err = tensor.Count(s)
		}
		if err == nil && slices.Min(s) < 1 {
			err = fmt.Errorf("nothing is left: result is %v", s)
		}
		if err != nil {
			return nil, fmt.Errorf("graph: %s (%s of %v): %w", n.Name, n.Op.Word(), in, err)
		}
		all[n] = s
	}
	return all, nil
}

// one checks that there is one input, a picture-like one.
func one(in []Shape) (Shape, error) {
	if len(in) != 1 {
		return nil, fmt.Errorf("has %d inputs, want 1", len(in))
	}
	return in[0], maps(in)
}

func maps(in []Shape) error {
	for _, s := range in {
		if len(s) != 4 {
			return fmt.Errorf("takes %v, want [batch, channels, height, width]", s)
		}
	}
	return nil
}

func (o *Input) infer([]Shape) (Shape, error) { return o.Shape[:], nil }

func (o *Conv) infer(in []Shape) (Shape, error) {
	x, err := one(in)
	if err != nil {
		return nil, err
	}
	w := o.Weight.Shape
	if o.Groups < 1 || w[0]%o.Groups != 0 || w[1]*o.Groups != x[1] {
		return nil, fmt.Errorf("weight %v with %d groups does not fit %d input channels", w, o.Groups, x[1])
	}
	if o.Bias != nil && o.Bias.Shape[0] != w[0] {
		return nil, fmt.Errorf("bias %v does not fit %d output channels", o.Bias.Shape, w[0])
	}
	s := Shape{x[0], w[0], 0, 0}
	for i := range 2 {
		if o.Stride[i] < 1 || o.Pad[i] < 0 || o.Dilation[i] < 1 || o.Pad[i] > maxAttr || o.Stride[i] > maxAttr || o.Dilation[i] > maxAttr {
			return nil, fmt.Errorf("stride %v, pad %v, dilation %v are out of range", o.Stride, o.Pad, o.Dilation)
		}
		s[2+i] = window(x[2+i], o.Dilation[i]*(w[2+i]-1)+1, o.Stride[i], o.Pad[i])
	}
	return s, nil
}

func (o *ConvTranspose) infer(in []Shape) (Shape, error) {
	x, err := one(in)
	if err != nil {
		return nil, err
	}
	w := o.Weight.Shape
	if o.Groups < 1 || w[0]%o.Groups != 0 || w[0] != x[1] {
		return nil, fmt.Errorf("weight %v with %d groups does not fit %d input channels", w, o.Groups, x[1])
	}
	if o.Bias != nil && o.Bias.Shape[0] != o.Outputs() {
		return nil, fmt.Errorf("bias %v does not fit %d output channels", o.Bias.Shape, o.Outputs())
	}
	s := Shape{x[0], o.Outputs(), 0, 0}
	for i := range 2 {
		stride, pad, more, dilation := o.Stride[i], o.Pad[i], o.OutPad[i], o.Dilation[i]
		// PyTorch has it that OutPad chooses among the sizes which a convolution of that stride
		// or dilation would take to the input's.
		if stride < 1 || stride > maxAttr || pad < 0 || pad > maxAttr || dilation < 1 || dilation > maxAttr || more < 0 || more >= max(stride, dilation) {
			return nil, fmt.Errorf("stride %v, pad %v, outpad %v, dilation %v are out of range", o.Stride, o.Pad, o.OutPad, o.Dilation)
		}
		s[2+i] = max(0, (x[2+i]-1)*stride-2*pad+dilation*(w[2+i]-1)+more+1)
	}
	return s, nil
}

// maxAttr bounds strides, pads and the like, so that arithmetic on them cannot overflow.
const maxAttr = 1 << 12

// window counts the positions of a kernel along a padded side.
func window(side, kernel, stride, pad int) int {
	if side+2*pad < kernel {
		return 0
	}
	return (side+2*pad-kernel)/stride + 1
}

func (o *BatchNorm) infer(in []Shape) (Shape, error) {
	x, err := one(in)
	if err != nil {
		return nil, err
	}
	if !(o.Eps >= 0 && o.Eps <= math.MaxFloat32) || !(o.Momentum >= 0 && o.Momentum <= 1) {
		return nil, fmt.Errorf("eps %v, momentum %v are out of range", o.Eps, o.Momentum)
	}
	for _, s := range o.slots() {
		if c := (*s.at).Shape[0]; c != x[1] {
			return nil, fmt.Errorf("%s has %d channels, input has %d", s.suffix, c, x[1])
		}
	}
	return x, nil
}

func (o *Activation) infer(in []Shape) (Shape, error) {
	switch o.Kind {
	case SiLU, Hardswish, LeakyReLU, ReLU, ReLU6, Sigmoid, Mish:
	default:
		return nil, fmt.Errorf("unknown activation %.20q", o.Kind)
	}
	if math.IsNaN(o.Slope) || math.IsInf(o.Slope, 0) {
		return nil, fmt.Errorf("slope %v, want a number", o.Slope)
	}
	return one(in)
}

func (o *Add) infer(in []Shape) (Shape, error) {
	if len(in) < 2 {
		return nil, fmt.Errorf("has %d inputs, want at least 2", len(in))
	}
	for _, s := range in[1:] {
		if !slices.Equal(s, in[0]) {
			return nil, fmt.Errorf("adds %v to %v", s, in[0])
		}
	}
	return in[0], maps(in)
}

func (o *Concat) infer(in []Shape) (Shape, error) {
	if len(in) < 1 {
		return nil, fmt.Errorf("has no inputs")
	}
	if err := maps(in); err != nil {
		return nil, err
	}
	s := slices.Clone(in[0])
	for _, t := range in[1:] {
		if t[0] != s[0] || t[2] != s[2] || t[3] != s[3] {
			return nil, fmt.Errorf("joins maps of unlike size %dx%d and %dx%d", s[2], s[3], t[2], t[3])
		}
		s[1] += t[1]
	}
	return s, nil
}

func (o *MaxPool) infer(in []Shape) (Shape, error) {
	x, err := one(in)
	if err != nil {
		return nil, err
	}
	if o.Kernel < 1 || o.Kernel > maxAttr || o.Stride < 1 || o.Stride > maxAttr || o.Pad < 0 || 2*o.Pad > o.Kernel {
		return nil, fmt.Errorf("kernel %d, stride %d, pad %d are out of range", o.Kernel, o.Stride, o.Pad)
	}
	return Shape{x[0], x[1], window(x[2], o.Kernel, o.Stride, o.Pad), window(x[3], o.Kernel, o.Stride, o.Pad)}, nil
}

func (o *Upsample) infer(in []Shape) (Shape, error) {
	x, err := one(in)
	if err != nil {
		return nil, err
	}
	if o.Scale < 1 || o.Scale > 64 {
		return nil, fmt.Errorf("scale %d is out of range", o.Scale)
	}
	return Shape{x[0], x[1], x[2] * o.Scale, x[3] * o.Scale}, nil
}

func (o *Slice) infer(in []Shape) (Shape, error) {
	x, err := one(in)
	if err != nil {
		return nil, err
	}
	if o.Axis < 1 || o.Axis > 3 {
		return nil, fmt.Errorf("axis %d, want 1, 2 or 3", o.Axis)
	}
	start, end := o.Range(x[o.Axis])
	if o.Start < 0 || o.End < 0 || o.Step < 1 || start >= end {
		return nil, fmt.Errorf("range %d:%d:%d of %d is empty or out of range", o.Start, o.End, o.Step, x[o.Axis])
	}
	s := slices.Clone(x)
	s[o.Axis] = (end - start + o.Step - 1) / o.Step
	return s, nil
}

// Range returns where the slice starts and ends on an axis of that length.
func (o *Slice) Range(length int) (start, end int) {
	if o.End == 0 {
		return o.Start, length
	}
	return o.Start, min(o.End, length)
}

// Bounds of a head, far beyond any in use.
const (
	maxClasses = 1 << 20
	maxAnchor  = 1_000_000
)

func (o *Detect) infer(in []Shape) (Shape, error) {
	if len(in) == 0 || len(in) != len(o.Anchors) || len(in) != len(o.Strides) {
		return nil, fmt.Errorf("has %d inputs, anchors for %d levels and %d strides", len(in), len(o.Anchors), len(o.Strides))
	}
	if err := maps(in); err != nil {
		return nil, err
	}
	if o.Classes < 1 || o.Classes > maxClasses {
		return nil, fmt.Errorf("has %d classes, want 1 to %d", o.Classes, maxClasses)
	}
	boxes := 0
	for i, x := range in {
		a := len(o.Anchors[i])
		if a < 1 || o.Strides[i] < 1 || o.Strides[i] > maxAttr {
			return nil, fmt.Errorf("level %d has %d anchors and stride %d", i, a, o.Strides[i])
		}
		if x[1] != a*(5+o.Classes) {
			return nil, fmt.Errorf("level %d has %d channels, want %d anchors times 5+%d", i, x[1], a, o.Classes)
		}
		for _, size := range o.Anchors[i] {
			if w, h := size[0], size[1]; !(w > 0 && w <= maxAnchor && h > 0 && h <= maxAnchor) {
				return nil, fmt.Errorf("level %d has an anchor of %v x %v pixels, want above 0 and at most %d", i, w, h, maxAnchor)
			}
		}
		boxes += a * x[2] * x[3]
	}
	return Shape{in[0][0], boxes, 5 + o.Classes}, nil
}
