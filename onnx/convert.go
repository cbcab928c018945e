package onnx

import (
	"errors"
	"fmt"
	"slices"

	"ultrafast/graph"
	"ultrafast/tensor"
)

// node takes one node of the file: computes it if everything is known, keeps it for the
// head if it belongs there, else adds its op to the graph.
func (r *reader) node(n *node) error {
	if n.domain != "" && n.domain != "ai.onnx" {
		return unsupported(n, "is of the domain %.40q, which is not known here", n.domain)
	}
	in := make([]*slot, len(n.in))
	known, head := true, false
	for i, name := range n.in {
		if name == "" {
			continue
		}
		s := r.slots[name]
		if s == nil {
			return malformed(n, "takes %.80q, which nothing before it gives", name)
		}
		in[i] = s
		known = known && (s.weight != nil || s.array != nil)
		head = head || s.head
	}
	for _, name := range n.out {
		if name != "" && r.slots[name] != nil {
			return malformed(n, "gives %.80q, which was given before", name)
		}
	}
	switch {
	case n.op == "Shape" && !head && len(in) == 1 && in[0] != nil && in[0].node != nil && in[0].part == none:
		return r.compute(n, []*array{{dims: r.shapes[in[0].node]}})
	case !head && (n.op == "QuantizeLinear" || n.op == "DequantizeLinear"):
		return r.linear(n, in)
	case known:
		arrays := make([]*array, len(in))
		for i, s := range in {
			if s == nil {
				continue
			}
			var err error
			if arrays[i], err = s.known(); err != nil {
				return err
			}
		}
		return r.compute(n, arrays)
	case head || slices.Contains([]string{"Reshape", "Transpose", "Flatten"}, n.op):
		for _, name := range n.out {
			r.slots[name] = &slot{head: true}
			r.heads[name] = n
		}
		return nil
	}
	return r.convert(n, in)
}

func (r *reader) compute(n *node, in []*array) error {
	out, err := r.eval.apply(n, in)
	if err != nil {
		return asNode(n, err)
	}
	for i, name := range n.out {
		if i < len(out) && name != "" {
			r.slots[name] = &slot{array: out[i]}
		}
	}
	return nil
}

// asNode says at which node the evaluator failed.
func asNode(n *node, err error) error {
	var format *FormatError
	var beyond *UnsupportedError
	switch {
	case errors.Is(err, errUnknown):
		return unsupported(n, "%v", err)
	case errors.As(err, &format) || errors.As(err, &beyond):
		return err
	}
	return malformed(n, "%v", err)
}

// convert adds the op that a node stands for.
func (r *reader) convert(n *node, in []*slot) error {
	if len(in) == 0 || in[0] == nil {
		return malformed(n, "has no input")
	}
	switch n.op {
	case "Mul", "Add", "Div", "HardSigmoid", "Softplus", "Tanh", "Clip":
		return r.gate(n, in)
	}
	x := in[0].node
	if x == nil || in[0].part != none {
		return unsupported(n, "its input is not a map")
	}
	switch n.op {
	case "Identity", "Dropout", "Cast":
		return r.give(n, x)
	case "Conv":
		return r.conv(n, in)
	case "ConvTranspose":
		return r.convTranspose(n, in)
	case "BatchNormalization":
		return r.batchNorm(n, in)
	case "Sigmoid":
		return r.put(n, &graph.Activation{Kind: graph.Sigmoid}, x)
	case "Relu":
		return r.put(n, &graph.Activation{Kind: graph.ReLU}, x)
	case "LeakyRelu":
		return r.put(n, &graph.Activation{Kind: graph.LeakyReLU, Slope: decimal(n.float("alpha", .01))}, x)
	case "HardSwish":
		return r.put(n, &graph.Activation{Kind: graph.Hardswish}, x)
	case "Mish":
		return r.put(n, &graph.Activation{Kind: graph.Mish}, x)
	case "Concat":
		return r.concat(n, in)
	case "MaxPool":
		return r.maxPool(n, x)
	case "Resize", "Upsample":
		return r.upsample(n, in)
	case "Slice":
		return r.slice(n, in)
	}
	return unsupported(n, "this operator is not known here")
}

// add appends a node, whose shape must follow from its inputs'.
func (r *reader) add(src *node, op graph.Op, in ...*graph.Node) (*graph.Node, error) {
	var small graph.Graph // the op alone, with an input for each of its inputs
	first := r.shapes[in[0]]
	var stand []*graph.Node
	for _, p := range in {
		s := r.shapes[p]
		if _, ok := op.(*graph.Detect); !ok && (s[0] != first[0] || s[2] != first[2] || s[3] != first[3]) {
			return nil, malformed(src, "its inputs %v and %v are of unlike size", first, s)
		}
		stand = append(stand, small.Add("", &graph.Input{Shape: [4]int(s)}))
	}
	out := small.Add("", op, stand...)
	shapes, err := small.Shapes(first[0], first[2], first[3])
	if err != nil {
		return nil, malformed(src, "%v", err)
	}
	n := r.g.Add("", op, in...)
	r.shapes[n], r.source[n] = shapes[out], src
	return n, nil
}

// put adds an op and gives its result the node's output name.
func (r *reader) put(n *node, op graph.Op, in ...*graph.Node) error {
	g, err := r.add(n, op, in...)
	if err != nil {
		return err
	}
	return r.give(n, g)
}

func (r *reader) give(n *node, g *graph.Node) error {
	r.slots[n.out[0]] = &slot{node: g}
	return nil
}

// tensor returns a weight of that rank. A second node that uses it gets a copy, because
// pruning and training change the tensors of one node at a time.
func (r *reader) tensor(n *node, in []*slot, at, rank int) (*tensor.Tensor, error) {
	if at >= len(in) || in[at] == nil {
		return nil, malformed(n, "has no input %d", at+1)
	}
	a, err := in[at].known()
	if err != nil {
		return nil, err
	}
	if a == nil {
		return nil, unsupported(n, "its input %d is computed from the picture, want a weight", at+1)
	}
	if a.i != nil || len(a.f) == 0 || len(a.dims) != rank {
		return nil, unsupported(n, "its input %d is not a weight of %d dimensions of floats", at+1, rank)
	}
	data := a.f
	if r.shared[&data[0]] {
		if r.spare -= len(data); r.spare < 0 {
			return nil, unsupported(n, "shares its weights with too many others")
		}
		data = slices.Clone(data)
	}
	r.shared[&data[0]] = true
	return tensor.From(data, a.dims...)
}

// pair returns an attribute of two numbers.
func (r *reader) pair(n *node, name string, usual int) ([2]int, error) {
	v := n.ints(name)
	if len(v) == 0 {
		return [2]int{usual, usual}, nil
	}
	if len(v) != 2 {
		return [2]int{}, unsupported(n, "%s has %d numbers, want 2", name, len(v))
	}
	return [2]int{small(v[0]), small(v[1])}, nil
}

// small makes an int of a number that an op will check; what is out of range stays so.
func small(v int64) int { return int(max(-1<<20, min(v, 1<<20))) }

// pads returns the padding above and left, which must be that below and right.
func (r *reader) pads(n *node) ([2]int, error) {
	if mode := n.text("auto_pad", "NOTSET"); mode != "NOTSET" && mode != "" {
		return [2]int{}, unsupported(n, "auto_pad %.20q, want explicit pads", mode)
	}
	v := n.ints("pads")
	if len(v) == 0 {
		return [2]int{}, nil
	}
	if len(v) != 4 || v[0] != v[2] || v[1] != v[3] {
		return [2]int{}, unsupported(n, "pads %v, want the same on both sides", v)
	}
	return [2]int{small(v[0]), small(v[1])}, nil
}

func (r *reader) conv(n *node, in []*slot) error {
	c, err := r.windows(n, in)
	if err != nil {
		return err
	}
	c.WeightScale = slices.Clone(in[1].scale)
	return r.put(n, &c, in[0].node)
}

// windows reads what a convolution and a transposed one have in common.
func (r *reader) windows(n *node, in []*slot) (c graph.Conv, err error) {
	c.Groups = small(n.int("group", 1))
	if c.Weight, err = r.tensor(n, in, 1, 4); err != nil {
		return c, err
	}
	if len(in) > 2 && in[2] != nil {
		if c.Bias, err = r.tensor(n, in, 2, 1); err != nil {
			return c, err
		}
	}
	if c.Stride, err = r.pair(n, "strides", 1); err != nil {
		return c, err
	}
	if c.Dilation, err = r.pair(n, "dilations", 1); err != nil {
		return c, err
	}
	if c.Pad, err = r.pads(n); err != nil {
		return c, err
	}
	if k := n.ints("kernel_shape"); len(k) > 0 && (len(k) != 2 || k[0] != int64(c.Weight.Shape[2]) || k[1] != int64(c.Weight.Shape[3])) {
		return c, malformed(n, "kernel_shape %v does not fit weight %v", k, c.Weight)
	}
	return c, nil
}

func (r *reader) convTranspose(n *node, in []*slot) error {
	if size := n.ints("output_shape"); len(size) > 0 {
		return unsupported(n, "output_shape %v, want pads and output_padding, which hold for any size", size)
	}
	c, err := r.windows(n, in)
	if err != nil {
		return err
	}
	op := &graph.ConvTranspose{Weight: c.Weight, Bias: c.Bias, Stride: c.Stride, Pad: c.Pad, Dilation: c.Dilation, Groups: c.Groups}
	if op.OutPad, err = r.pair(n, "output_padding", 0); err != nil {
		return err
	}
	return r.put(n, op, in[0].node)
}

func (r *reader) batchNorm(n *node, in []*slot) error {
	if n.int("training_mode", 0) != 0 {
		return unsupported(n, "is in training mode; export the model for inference")
	}
	op := &graph.BatchNorm{Eps: decimal(n.float("epsilon", 1e-5)), Momentum: decimal(float32(1 - decimal(n.float("momentum", .9))))}
	for i, t := range []**tensor.Tensor{&op.Gamma, &op.Beta, &op.Mean, &op.Var} {
		var err error
		if *t, err = r.tensor(n, in, i+1, 1); err != nil {
			return err
		}
	}
	return r.put(n, op, in[0].node)
}

func (r *reader) concat(n *node, in []*slot) error {
	maps := make([]*graph.Node, len(in))
	for i, s := range in {
		if s == nil || s.node == nil || s.part != none {
			return unsupported(n, "its input %d is not a map", i+1)
		}
		maps[i] = s.node
	}
	if a := n.int("axis", 1); a != 1 && a != -3 {
		return unsupported(n, "joins along axis %d, want channels (1)", a)
	}
	return r.put(n, &graph.Concat{}, maps...)
}

func (r *reader) maxPool(n *node, x *graph.Node) error {
	kernel, err := r.pair(n, "kernel_shape", 0)
	if err != nil {
		return err
	}
	stride, err := r.pair(n, "strides", 1)
	if err != nil {
		return err
	}
	dilation, err := r.pair(n, "dilations", 1)
	if err != nil {
		return err
	}
	pad, err := r.pads(n)
	if err != nil {
		return err
	}
	if kernel[0] != kernel[1] || stride[0] != stride[1] || pad[0] != pad[1] || dilation != [2]int{1, 1} {
		return unsupported(n, "kernel %v, stride %v, pad %v, dilation %v: want squares, and no dilation", kernel, stride, pad, dilation)
	}
	if n.int("ceil_mode", 0) != 0 {
		return unsupported(n, "ceil_mode 1, want 0")
	}
	return r.put(n, &graph.MaxPool{Kernel: kernel[0], Stride: stride[0], Pad: pad[0]}, x)
}

func (r *reader) slice(n *node, in []*slot) error {
	x := in[0].node
	lists := make([]*array, len(in))
	for i, s := range in[1:] {
		if s == nil {
			continue
		}
		var err error
		if lists[i+1], err = s.known(); err != nil {
			return err
		}
		if lists[i+1] == nil {
			return unsupported(n, "its bounds depend on the picture")
		}
	}
	list, err := cuts(4, axes(n, lists, 1, "starts"), axes(n, lists, 2, "ends"), axes(n, lists, 3, "axes"), axes(n, lists, 4, "steps"))
	if err != nil {
		return malformed(n, "%v", err)
	}
	for _, c := range list {
		side := int64(r.shapes[x][c.axis])
		if c.start < 0 {
			c.start = max(0, c.start+side)
		}
		if c.end < 0 {
			c.end = max(0, c.end+side)
			if c.end == 0 {
				return malformed(n, "nothing is left")
			}
		} else if c.end >= 1<<31-1 { // exporters' ways to say: to the end
			c.end = 0
		}
		if c.start == 0 && c.step == 1 && (c.end == 0 || c.axis == 0 && c.end >= side) {
			continue
		}
		if x, err = r.add(n, &graph.Slice{Axis: int(c.axis), Start: small(c.start), End: int(c.end), Step: small(c.step)}, x); err != nil {
			return err
		}
	}
	return r.give(n, x)
}

// upsample takes nearest-neighbour scaling by a whole number. The rounding rules listed
// are those under which every pixel is just repeated.
func (r *reader) upsample(n *node, in []*slot) error {
	if mode := n.text("mode", "nearest"); mode != "nearest" {
		return unsupported(n, "mode %.20q, want nearest", mode)
	}
	x := in[0].node
	scale, err := r.scale(n, in)
	if err != nil {
		return err
	}
	where, round := n.text("coordinate_transformation_mode", "half_pixel"), n.text("nearest_mode", "round_prefer_floor")
	repeats := where == "asymmetric" && (round == "floor" || round == "round_prefer_floor" && scale <= 2) ||
		(where == "half_pixel" || where == "pytorch_half_pixel") && (round == "round_prefer_floor" || round == "round_prefer_ceil")
	if n.op == "Resize" && r.m.opset > 10 && !repeats {
		return unsupported(n, "%.40q with %.40q does not just repeat pixels", where, round)
	}
	return r.put(n, &graph.Upsample{Scale: scale}, x)
}

// scale finds the factor: the last input is scales, or sizes if there are four inputs.
func (r *reader) scale(n *node, in []*slot) (int, error) {
	last := in[len(in)-1]
	if len(in) < 2 || last == nil {
		return 0, unsupported(n, "has neither scales nor sizes")
	}
	a, err := last.known()
	if err != nil {
		return 0, err
	}
	if a == nil || a.len() != 4 {
		return 0, unsupported(n, "scales or sizes are not four known numbers")
	}
	f := slices.Clone(a.floats())
	if len(in) == 4 {
		for i, side := range r.shapes[in[0].node] {
			f[i] /= float32(side)
		}
	}
	s := int(max(0, min(f[2], 1<<16)))
	if f[0] != 1 || f[1] != 1 || f[2] != f[3] || float32(s) != f[2] || s < 1 {
		return 0, unsupported(n, "scales by %v, want a whole number, the same in both directions", fmt.Sprint(f))
	}
	return s, nil
}
