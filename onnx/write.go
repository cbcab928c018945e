package onnx

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"ultrafast/graph"
	"ultrafast/tensor"
)

// DefaultOpset is what WriteOptions.Opset 0 means, and YOLOv5's own default: everything in
// these networks can be said in it, and the TensorRT of a Jetson Nano (8.2, its last) ends
// at opset 13.
const DefaultOpset = 12

// WriteOptions says how a network is written. The zero value writes it for the size that
// its input has, with decoded boxes.
type WriteOptions struct {
	Opset                int    // 12 to 17; 0 means DefaultOpset, or QuantisedOpset
	Batch, Height, Width int    // 0 means the input's own
	Dynamic              bool   // batch, height and width are left open; the above are then recorded as the usual size
	Heads                bool   // the outputs are Detect's inputs, the raw maps, instead of boxes
	Version              string // of this program, for the metadata
}

const (
	inputName  = "images"
	outputName = "output0"
)

// Write writes g as an ONNX model. Its input is "images", [N, 3, H, W] in 0..1. A Detect
// node becomes the output "output0", [N, boxes, 5+classes] as in YOLOv5's export; other
// outputs are called as their nodes. Batch norms are written as they are: fold them before
// (pass.FoldBatchNorm) for speed. A Quantize becomes QuantizeLinear and DequantizeLinear, of
// uint8, or of int8 with zero points 0 where Zero is 128 in all of them; 8-bit weights are int8
// with a DequantizeLinear behind them. Weights need data.
func Write(w io.Writer, g *graph.Graph, o WriteOptions) error {
	m, err := build(g, o)
	if err != nil {
		return fmt.Errorf("write ONNX: %w", err)
	}
	return m.encode(w)
}

func build(g *graph.Graph, o WriteOptions) (*model, error) {
	wr, err := newWriter(g, o)
	if err != nil {
		return nil, err
	}
	err = wr.graph(g)
	return &wr.m, err
}

func newWriter(g *graph.Graph, o WriteOptions) (*writer, error) {
	if err := g.Verify(); err != nil {
		return nil, err
	}
	in := g.Input().Op.(*graph.Input)
	for i, side := range []*int{&o.Batch, &o.Height, &o.Width} {
		if *side == 0 {
			*side = in.Shape[[]int{0, 2, 3}[i]]
		}
	}
	if err := o.opset(g); err != nil {
		return nil, err
	}
	shapes, err := g.Shapes(o.Batch, o.Height, o.Width)
	if err != nil {
		return nil, err
	}
	for _, p := range g.Params() {
		if p.Tensor().Data == nil {
			return nil, fmt.Errorf("%s has no data", p.Name)
		}
	}
	return &writer{o: o, shapes: shapes, names: map[*graph.Node]string{}, taken: map[string]bool{}, signed: symmetric(g),
		short: g.Quantized() != nil, shared: map[string]string{}}, nil
}

type writer struct {
	m      model
	o      WriteOptions
	shapes map[*graph.Node]graph.Shape
	names  map[*graph.Node]string // of each node's value
	taken  map[string]bool        // names of values
	signed bool                   // 8-bit values are int8

	// short says that what is within a node of the graph gets names of a letter or two, that ONNX
	// nodes have none beside those of their outputs, and that equal constants are one: the
	// structure of a small quantised network takes more room than its weights.
	short  bool
	count  int               // of such names
	shared map[string]string // name of a constant by what it is
}

func (w *writer) graph(g *graph.Graph) error {
	ir := int64(7) // opset 12 to 14 came with version 7 of the format, 15 to 17 with 8
	if w.o.Opset >= 15 {
		ir = 8
	}
	w.m = model{ir: ir, producer: "ultrafast", version: w.o.Version, opset: int64(w.o.Opset), name: "yolov5"}
	outs := outputs(g, w.o.Heads)
	for i, n := range outs {
		if slices.Contains(outs[:i], n) {
			return fmt.Errorf("%s is an output twice", n.Name)
		}
		if n == g.Input() {
			return errors.New("the input is also an output")
		}
	}
	live := reaching(g, outs)
	w.names[g.Input()] = w.unique(inputName)
	for _, n := range live {
		if _, ok := n.Op.(*graph.Detect); ok {
			w.names[n] = w.unique(outputName)
			w.taken[n.Name] = true // its last ONNX node is called so
		}
	}
	for _, n := range live { // before any name within a node is made
		if w.names[n] == "" && !w.derived(n, outs) {
			w.names[n] = w.unique(n.Name)
		}
	}
	for _, n := range live {
		if w.names[n] == "" {
			w.names[n] = w.inner(n.Name)
		}
	}
	for _, n := range live {
		if err := w.node(n); err != nil {
			return fmt.Errorf("%s: %w", n.Name, err)
		}
	}
	w.m.inputs = []value{w.value(g.Input(), "")}
	for i, n := range outs {
		w.m.outputs = append(w.m.outputs, w.value(n, fmt.Sprint(i)))
	}
	w.m.meta = metadata(g, w.o)
	return nil
}

// derived reports whether the name of n follows from another's, as a reader knows (reader.name).
func (w *writer) derived(n *graph.Node, outs []*graph.Node) bool {
	if !w.short || slices.Contains(outs, n) {
		return false
	}
	if _, ok := n.Op.(*graph.Activation); ok {
		module, ok := strings.CutSuffix(n.In[0].Name, ".conv"+quantisedSuffix)
		return ok && n.Name == module+".act"
	}
	return isQuantize(n) && n.Name == n.In[0].Name+quantisedSuffix
}

// outputs returns what the model gives: the graph's outputs, or with heads the inputs of
// Detect in its place.
func outputs(g *graph.Graph, heads bool) []*graph.Node {
	var outs []*graph.Node
	for _, n := range g.Outputs {
		if _, ok := n.Op.(*graph.Detect); ok && heads {
			outs = append(outs, n.In...)
		} else {
			outs = append(outs, n)
		}
	}
	return outs
}

// value describes an input or output; in a dynamic model only channels are fixed.
func (w *writer) value(n *graph.Node, suffix string) value {
	v := value{name: w.names[n], kind: float32s}
	open := []string{"batch", "", "height" + suffix, "width" + suffix}
	if len(w.shapes[n]) == 3 {
		open = []string{"batch", "boxes", ""}
	}
	for i, d := range w.shapes[n] {
		if w.o.Dynamic && open[i] != "" {
			v.dims = append(v.dims, dim{name: open[i]})
		} else {
			v.dims = append(v.dims, dim{size: int64(d)})
		}
	}
	return v
}

// unique reserves the name of a value, with a number behind it if there is one already.
func (w *writer) unique(name string) string {
	u := name
	for i := 1; w.taken[u]; i++ {
		u = fmt.Sprintf("%s_%d", name, i)
	}
	w.taken[u] = true
	return u
}

// inner is unique for a value within a node of the graph.
func (w *writer) inner(name string) string {
	if !w.short {
		return w.unique(name)
	}
	for {
		name = strconv.FormatInt(int64(w.count), 36)
		w.count++
		if !w.taken[name] {
			w.taken[name] = true
			return name
		}
	}
}

// emit adds an ONNX node whose name and output are both out.
func (w *writer) emit(op, out string, in []string, attrs ...attr) {
	n := &node{name: out, op: op, in: in, out: []string{out}, attrs: attrs}
	if w.short {
		n.name = ""
	}
	w.m.nodes = append(w.m.nodes, n)
}

// part emits a node for an inner step of a graph node and returns its value.
func (w *writer) part(of, op string, in []string, attrs ...attr) string {
	out := w.inner(of + "/" + op)
	w.emit(op, out, in, attrs...)
	return out
}

// maxShared bounds the numbers of constants that may be one with others.
const maxShared = 1 << 12

// constant adds one, whose name it sets and returns.
func (w *writer) constant(name string, c *constant) string {
	key := ""
	if w.short && len(c.f)+len(c.i)+len(c.raw) <= maxShared {
		key = fmt.Sprint(c.kind, c.dims, c.f, c.i, c.raw)
		if known := w.shared[key]; known != "" {
			return known
		}
	}
	c.name = w.inner(name)
	if key != "" {
		w.shared[key] = c.name
	}
	w.m.constants = append(w.m.constants, c)
	return c.name
}

func (w *writer) weight(name string, t *tensor.Tensor) string {
	c := &constant{kind: float32s, f: t.Data}
	for _, d := range t.Shape {
		c.dims = append(c.dims, int64(d))
	}
	return w.constant(name, c)
}

// scalar, floats and integers add small constants; floats has shape dims.
func (w *writer) scalar(name string, v float32) string { return w.floats(name, []float32{v}) }

func (w *writer) floats(name string, v []float32, dims ...int64) string {
	return w.constant(name, &constant{kind: float32s, f: v, dims: dims})
}

func (w *writer) integers(name string, v ...int64) string {
	return w.constant(name, &constant{kind: int64s, i: v, dims: []int64{int64(len(v))}})
}

func ints(name string, v ...int64) attr {
	return attr{name: name, kind: kindInts, ints: v}
}

func integer(name string, v int) attr { return attr{name: name, kind: kindInt, i: int64(v)} }

func float(name string, v float64) attr {
	return attr{name: name, kind: kindFloat, f: float32(v)}
}

func text(name, v string) attr { return attr{name: name, kind: kindString, s: v} }

func (w *writer) node(n *graph.Node) error {
	out := w.names[n]
	in := make([]string, len(n.In))
	for i, p := range n.In {
		in[i] = w.names[p]
	}
	switch op := n.Op.(type) {
	case *graph.Input:
	case *graph.Conv:
		weight, err := w.convWeight(n, op)
		if err != nil {
			return err
		}
		in = append(in, weight)
		if op.Bias != nil {
			in = append(in, w.weight(n.Name+".bias", op.Bias))
		}
		w.emit("Conv", out, in, w.windows(op.Dilation, op.Groups, op.Weight, op.Pad, op.Stride)...)
	case *graph.ConvTranspose:
		in = append(in, w.weight(n.Name+".weight", op.Weight))
		if op.Bias != nil {
			in = append(in, w.weight(n.Name+".bias", op.Bias))
		}
		attrs := w.windows(op.Dilation, op.Groups, op.Weight, op.Pad, op.Stride)
		w.emit("ConvTranspose", out, in, append(attrs, ints("output_padding", int64(op.OutPad[0]), int64(op.OutPad[1])))...)
	case *graph.BatchNorm:
		in = append(in, w.weight(n.Name+".weight", op.Gamma), w.weight(n.Name+".bias", op.Beta),
			w.weight(n.Name+".running_mean", op.Mean), w.weight(n.Name+".running_var", op.Var))
		// ONNX's momentum is the weight of the old statistics, PyTorch's of the new.
		w.emit("BatchNormalization", out, in, float("epsilon", op.Eps), float("momentum", 1-op.Momentum))
	case *graph.Activation:
		return w.activation(n, op, in, out)
	case *graph.Add:
		sum := in[0]
		for _, x := range in[1 : len(in)-1] {
			sum = w.part(out, "Add", []string{sum, x})
		}
		w.emit("Add", out, []string{sum, in[len(in)-1]})
	case *graph.Concat:
		w.emit("Concat", out, in, integer("axis", 1))
	case *graph.MaxPool:
		k, s, p := int64(op.Kernel), int64(op.Stride), int64(op.Pad)
		w.emit("MaxPool", out, in, ints("kernel_shape", k, k), ints("pads", p, p, p, p), ints("strides", s, s))
	case *graph.Upsample:
		s := float32(op.Scale)
		roi := ""
		if w.o.Opset < 13 { // it may not be left out yet
			roi = w.floats(out+"/roi", nil, 0)
		}
		scales := w.floats(out+"/scales", []float32{1, 1, s, s}, 4)
		w.emit("Resize", out, []string{in[0], roi, scales}, text("coordinate_transformation_mode", "asymmetric"),
			text("mode", "nearest"), text("nearest_mode", "floor"))
	case *graph.Slice:
		end := int64(op.End)
		if end == 0 {
			end = math.MaxInt64
		}
		w.emit("Slice", out, []string{in[0], w.integers(out+"/starts", int64(op.Start)), w.integers(out+"/ends", end),
			w.integers(out+"/axes", int64(op.Axis)), w.integers(out+"/steps", int64(op.Step))})
	case *graph.Quantize:
		w.quantize(n, op, in, out)
	case *graph.Detect:
		w.detect(n, op, in, out)
	default:
		return fmt.Errorf("op %s has no ONNX form", n.Op.Word())
	}
	return nil
}

// windows are the attributes that a convolution and a transposed one have in common.
func (w *writer) windows(dilation [2]int, groups int, weight *tensor.Tensor, pad, stride [2]int) []attr {
	h, v := int64(pad[0]), int64(pad[1])
	attrs := []attr{
		ints("dilations", int64(dilation[0]), int64(dilation[1])),
		integer("group", groups),
		ints("kernel_shape", int64(weight.Shape[2]), int64(weight.Shape[3])),
		ints("pads", h, v, h, v),
		ints("strides", int64(stride[0]), int64(stride[1])),
	}
	// What a reader takes for granted, the kernel's shape by that of the weights.
	usual := map[string]bool{"dilations": dilation == [2]int{1, 1}, "group": groups == 1, "pads": pad == [2]int{}, "strides": stride == [2]int{1, 1}, "kernel_shape": true}
	if w.short {
		attrs = slices.DeleteFunc(attrs, func(a attr) bool { return usual[a.name] })
	}
	return attrs
}

func (w *writer) activation(n *graph.Node, op *graph.Activation, in []string, out string) error {
	x := in[0]
	switch op.Kind {
	case graph.SiLU:
		w.emit("Mul", out, []string{x, w.part(out, "Sigmoid", in)})
	case graph.Hardswish:
		if w.o.Opset >= 14 {
			w.emit("HardSwish", out, in)
			break
		}
		gate := w.part(out, "HardSigmoid", in, float("alpha", 1./6), float("beta", .5))
		w.emit("Mul", out, []string{x, gate})
	case graph.LeakyReLU:
		w.emit("LeakyRelu", out, in, float("alpha", op.Slope))
	case graph.ReLU:
		w.emit("Relu", out, in)
	case graph.ReLU6:
		w.emit("Clip", out, []string{x, w.scalar(out+"/min", 0), w.scalar(out+"/max", 6)})
	case graph.Sigmoid:
		w.emit("Sigmoid", out, in)
	case graph.Mish:
		gate := w.part(out, "Tanh", []string{w.part(out, "Softplus", in)})
		w.emit("Mul", out, []string{x, gate})
	default:
		return fmt.Errorf("activation %s has no ONNX form", op.Kind)
	}
	return nil
}

// reaching lists the nodes that the outputs need, in order.
func reaching(g *graph.Graph, outs []*graph.Node) []*graph.Node {
	need := map[*graph.Node]bool{g.Input(): true}
	for _, n := range outs {
		need[n] = true
	}
	for _, n := range slices.Backward(g.Nodes) {
		if need[n] {
			for _, p := range n.In {
				need[p] = true
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(g.Nodes), func(n *graph.Node) bool { return !need[n] })
}
