package graph

import "ultrafast/tensor"

// A Param is one tensor of a node, under the name that PyTorch's state dict has for it.
type Param struct {
	Name      string // "model.0.conv.weight"
	Node      *Node
	Trainable bool            // false for the running statistics of batch norm
	At        **tensor.Tensor // where the op keeps it
}

// Tensor returns the tensor itself.
func (p Param) Tensor() *tensor.Tensor { return *p.At }

// Params lists every tensor of the graph in order of execution.
func (g *Graph) Params() []Param {
	var all []Param
	for _, n := range g.Nodes {
		for _, s := range n.Op.slots() {
			if *s.at != nil {
				all = append(all, Param{n.Name + "." + s.suffix, n, s.learns, s.at})
			}
		}
	}
	return all
}

// ParamCount is the number of trainable numbers, as YOLOv5 counts them.
func (g *Graph) ParamCount() int {
	sum := 0
	for _, n := range g.Nodes {
		sum += n.ParamCount()
	}
	return sum
}

// ParamCount is the number of trainable numbers of one node.
func (n *Node) ParamCount() int {
	sum := 0
	for _, s := range n.Op.slots() {
		if *s.at != nil && s.learns {
			sum += (*s.at).Len()
		}
	}
	return sum
}

// MACs returns the multiply-accumulates of a node, given all shapes from Shapes. Only
// convolutions count, as in YOLOv5's table for fused models; one MAC is two FLOP.
func (n *Node) MACs(shapes map[*Node]Shape) int64 {
	in := make([]Shape, len(n.In))
	for i, p := range n.In {
		in[i] = shapes[p]
	}
	return n.Op.macs(in, shapes[n])
}

func (o *Conv) macs(_ []Shape, out Shape) int64 {
	w := o.Weight.Shape
	return int64(out[0]) * int64(out[1]) * int64(out[2]) * int64(out[3]) * int64(w[1]) * int64(w[2]) * int64(w[3])
}

// A transposed convolution multiplies each input by every weight of its channel, as PyTorch's
// flop_counter has it. (thop takes the outputs for the inputs: that is Stride squared too many.)
func (o *ConvTranspose) macs(in []Shape, _ Shape) int64 {
	x, w := in[0], o.Weight.Shape
	return int64(x[0]) * int64(x[1]) * int64(x[2]) * int64(x[3]) * int64(w[1]) * int64(w[2]) * int64(w[3])
}

func (*Input) macs([]Shape, Shape) int64      { return 0 }
func (*BatchNorm) macs([]Shape, Shape) int64  { return 0 }
func (*Activation) macs([]Shape, Shape) int64 { return 0 }
func (*Add) macs([]Shape, Shape) int64        { return 0 }
func (*Concat) macs([]Shape, Shape) int64     { return 0 }
func (*MaxPool) macs([]Shape, Shape) int64    { return 0 }
func (*Upsample) macs([]Shape, Shape) int64   { return 0 }
func (*Slice) macs([]Shape, Shape) int64      { return 0 }
func (*Detect) macs([]Shape, Shape) int64     { return 0 }

// GFLOP is what the convolutions need for one picture of w x h, two operations a
// multiply-accumulate, as YOLOv5 counts.
func (g *Graph) GFLOP(w, h int) (float64, error) {
	shapes, err := g.Shapes(1, h, w)
	if err != nil {
		return 0, err
	}
	sum := int64(0)
	for _, n := range g.Nodes {
		sum += n.MACs(shapes)
	}
	return 2 * float64(sum) / 1e9, nil
}
