package graph

import (
	"slices"

	"ultrafast/tensor"
)

// An Op is what a node does. The set is closed: a switch over these types that meets
// another one ends in an error that names it. Tensors may have no data (Data nil) in a
// graph that was parsed from text and not yet filled.
type Op interface {
	// Word is the op's name in the text form: "conv".
	Word() string
	infer(in []Shape) (Shape, error)
	macs(in []Shape, out Shape) int64
	slots() []slot
	attrs() []string
	clone() Op
}

// A slot is one tensor of an op.
type slot struct {
	suffix   string // as PyTorch names it: "weight", "running_mean"
	at       **tensor.Tensor
	rank     int
	learns   bool // a parameter; otherwise a statistic that forward passes update
	optional bool
}

// Input is the picture, RGB planes in 0..1. Shape is [batch, channels, height, width], a
// default: everything in a graph is computed for any batch, height and width.
type Input struct {
	Shape [4]int
}

// Conv is a 2-D convolution. Weight is [K, C/Groups, R, S]; Bias is nil or [K]. Pairs are
// vertical, horizontal.
//
// WeightScale is nil, or [K] numbers above 0 where the weights are 8-bit numbers: each is the
// product, in float32, of its channel's scale and a whole number of -127..127 (Levels). Where
// Weight has no data it is empty, and not nil.
type Conv struct {
	Weight, Bias          *tensor.Tensor
	WeightScale           []float32
	Stride, Pad, Dilation [2]int
	Groups                int
}

// ConvTranspose is a transposed 2-D convolution, the adjoint of the convolution with the
// same numbers: input (i, j) of channel c adds itself times Weight[c, k, r, s] to output
//
//	(i*Stride-Pad + r*Dilation, j*Stride-Pad + s*Dilation)
//
// of channel k of c's group. Weight is [C, K/Groups, R, S], as PyTorch has it; Bias is nil
// or [K]. Pad rows are cut off all around, of which OutPad are given back below and right.
type ConvTranspose struct {
	Weight, Bias                  *tensor.Tensor
	Stride, Pad, OutPad, Dilation [2]int
	Groups                        int
}

// Outputs is the number of output channels, K.
func (c *ConvTranspose) Outputs() int { return c.Weight.Shape[1] * c.Groups }

// BatchNorm normalises each channel: (x-Mean)/sqrt(Var+Eps)*Gamma + Beta, all [C].
// Momentum is the weight of a new batch in the running statistics (PyTorch's meaning).
type BatchNorm struct {
	Gamma, Beta, Mean, Var *tensor.Tensor
	Eps, Momentum          float64
}

// ActKind names an activation function.
type ActKind string

const (
	SiLU      ActKind = "silu"      // x * sigmoid(x), YOLOv5 from v4.0
	Hardswish ActKind = "hardswish" // x * clamp(x+3, 0, 6) / 6, v3.1
	LeakyReLU ActKind = "leakyrelu" // max(x, Slope*x), up to v3.0
	ReLU      ActKind = "relu"
	ReLU6     ActKind = "relu6"
	Sigmoid   ActKind = "sigmoid"
	Mish      ActKind = "mish" // x * tanh(ln(1+e^x))
)

// Activation applies a function to each element.
type Activation struct {
	Kind  ActKind
	Slope float64 // of LeakyReLU, else 0
}

// Add sums two or more inputs of one shape (a shortcut).
type Add struct{}

// Concat joins its inputs along the channels.
type Concat struct{}

// MaxPool takes the maximum of each Kernel×Kernel window; padding never wins.
type MaxPool struct {
	Kernel, Stride, Pad int
}

// Upsample repeats each pixel Scale times in both directions (nearest neighbour).
type Upsample struct {
	Scale int
}

// Slice keeps the elements Start, Start+Step, … below End along one axis of [N,C,H,W]
// (1 channels, 2 height, 3 width). End 0 means to the end. Focus, YOLOv5's first layer up
// to v5.0, is made of six of them and a Concat.
type Slice struct {
	Axis, Start, End, Step int
}

// Detect turns one raw map per level, [N, anchors*(5+Classes), h, w], into boxes
// [N, sum of anchors*h*w, 5+Classes]: centre x, y, width, height in network pixels,
// objectness, class scores. With s = sigmoid(raw), and (i, j) the cell:
//
//	x, y = (2 s - 0.5 + (i, j)) * stride     w, h = (2 s)^2 * anchor
//
// Boxes are ordered by level, anchor, row, column (YOLOv5, all releases).
type Detect struct {
	Anchors [][][2]float32 // [level][anchor] width, height in network pixels
	Strides []int          // network pixels a cell
	Classes int
}

func (*Input) Word() string         { return "input" }
func (*Conv) Word() string          { return "conv" }
func (*ConvTranspose) Word() string { return "convtranspose" }
func (*BatchNorm) Word() string     { return "batchnorm" }
func (a *Activation) Word() string  { return string(a.Kind) }
func (*Add) Word() string           { return "add" }
func (*Concat) Word() string        { return "concat" }
func (*MaxPool) Word() string       { return "maxpool" }
func (*Upsample) Word() string      { return "upsample" }
func (*Slice) Word() string         { return "slice" }
func (*Detect) Word() string        { return "detect" }

func (*Input) slots() []slot { return nil }
func (c *Conv) slots() []slot {
	return []slot{
		{suffix: "weight", at: &c.Weight, rank: 4, learns: true},
		{suffix: "bias", at: &c.Bias, rank: 1, learns: true, optional: true},
	}
}
func (c *ConvTranspose) slots() []slot {
	return []slot{
		{suffix: "weight", at: &c.Weight, rank: 4, learns: true},
		{suffix: "bias", at: &c.Bias, rank: 1, learns: true, optional: true},
	}
}
func (b *BatchNorm) slots() []slot {
	return []slot{
		{suffix: "weight", at: &b.Gamma, rank: 1, learns: true},
		{suffix: "bias", at: &b.Beta, rank: 1, learns: true},
		{suffix: "running_mean", at: &b.Mean, rank: 1},
		{suffix: "running_var", at: &b.Var, rank: 1},
	}
}
func (*Activation) slots() []slot { return nil }
func (*Add) slots() []slot        { return nil }
func (*Concat) slots() []slot     { return nil }
func (*MaxPool) slots() []slot    { return nil }
func (*Upsample) slots() []slot   { return nil }
func (*Slice) slots() []slot      { return nil }
func (*Detect) slots() []slot     { return nil }

func (o *Input) clone() Op { c := *o; return &c }
func (o *Conv) clone() Op {
	c := *o
	c.Weight, c.Bias = o.Weight.Clone(), o.Bias.Clone()
	c.WeightScale = slices.Clone(o.WeightScale)
	return &c
}
func (o *ConvTranspose) clone() Op {
	c := *o
	c.Weight, c.Bias = o.Weight.Clone(), o.Bias.Clone()
	return &c
}
func (o *BatchNorm) clone() Op {
	c := *o
	c.Gamma, c.Beta, c.Mean, c.Var = o.Gamma.Clone(), o.Beta.Clone(), o.Mean.Clone(), o.Var.Clone()
	return &c
}
func (o *Activation) clone() Op { c := *o; return &c }
func (o *Add) clone() Op        { return &Add{} }
func (o *Concat) clone() Op     { return &Concat{} }
func (o *MaxPool) clone() Op    { c := *o; return &c }
func (o *Upsample) clone() Op   { c := *o; return &c }
func (o *Slice) clone() Op      { c := *o; return &c }
func (o *Detect) clone() Op {
	c := *o
	c.Strides = slices.Clone(o.Strides)
	c.Anchors = make([][][2]float32, len(o.Anchors))
	for i, a := range o.Anchors {
		c.Anchors[i] = slices.Clone(a)
	}
	return &c
}
