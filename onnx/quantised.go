package onnx

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"ultrafast/graph"
)

// A grid is what QuantizeLinear makes of a map: its 8-bit numbers. dequantised is the node
// that the first DequantizeLinear of them has made; the others share it.
type grid struct {
	graph.Quantize
	kind        int64 // uint8s or int8s
	dequantised *graph.Node
}

func isQuantize(n *graph.Node) bool {
	_, ok := n.Op.(*graph.Quantize)
	return ok
}

// leastScale is the least number of full precision: below, processors differ.
const leastScale = 0x1p-126

// linear takes QuantizeLinear and DequantizeLinear, of maps and of weights.
func (r *reader) linear(n *node, in []*slot) error {
	if len(in) < 2 || in[0] == nil || in[1] == nil {
		return malformed(n, "has no scale")
	}
	scale, err := in[1].known()
	if err != nil {
		return err
	}
	zero := &array{}
	if len(in) > 2 && in[2] != nil {
		if zero, err = in[2].known(); err != nil {
			return err
		}
	}
	if scale == nil || zero == nil {
		return unsupported(n, "its scale depends on the picture; quantise the model statically, with calibration")
	}
	switch kind := n.int("output_dtype", 0); { // since opset 21
	case n.op != "QuantizeLinear" || kind == 0:
	case zero.len() == 0:
		zero = &array{kind: kind}
	case zero.kind != kind:
		return malformed(n, "gives numbers of ONNX kind %d and has a zero point of kind %d", kind, zero.kind)
	}
	if scale.i != nil || scale.len() == 0 || zero.f != nil || zero.len() != 0 && zero.len() != scale.len() {
		return malformed(n, "has %d scales and %d zero points", scale.len(), zero.len())
	}
	for _, s := range scale.f {
		if !(s >= leastScale && s <= math.MaxFloat32/255) {
			return malformed(n, "scale %v is out of range", s)
		}
	}
	x := in[0]
	if x.node != nil {
		return r.linearMap(n, x, scale, zero)
	}
	a, err := x.known()
	if err != nil {
		return err
	}
	if a == nil {
		return unsupported(n, "its input is not a map")
	}
	if err := r.again(n, x, a); err != nil {
		return err
	}
	if n.op == "QuantizeLinear" {
		return r.quantizeWeight(n, a, scale, zero)
	}
	return r.dequantizeWeight(n, a, scale, zero)
}

// again pays for a copy of the numbers of a constant, which the file may have used before.
func (r *reader) again(n *node, x *slot, a *array) error {
	if x.weight != nil && !r.copied[x.weight] {
		r.copied[x.weight] = true
		return nil
	}
	if r.spare -= a.len(); r.spare < 0 {
		return unsupported(n, "shares its weights with too many others")
	}
	return nil
}

// linearMap takes the two operators on a map.
func (r *reader) linearMap(n *node, x *slot, scale, zero *array) error {
	if scale.len() != 1 {
		return unsupported(n, "has %d scales for a map, want one for all its channels", scale.len())
	}
	g := &grid{kind: zero.kind}
	switch {
	case zero.len() == 0 && x.grid != nil:
		g.kind = x.grid.kind
	case zero.len() == 0:
		g.kind = cmp.Or(zero.kind, uint8s)
	default:
		g.Zero = small(zero.i[0])
	}
	g.Scale = scale.f[0]
	switch g.kind {
	case uint8s:
	case int8s:
		g.Zero += 128 // the same grid, whose numbers begin at 0
	default:
		return unsupported(n, "is of ONNX kind %d, want uint8 or int8", g.kind)
	}
	switch {
	case n.op == "QuantizeLinear" && x.part == none:
		r.slots[n.out[0]] = &slot{node: x.node, part: steps, grid: g}
		return nil
	case n.op == "DequantizeLinear" && x.part == steps:
	case n.op == "DequantizeLinear":
		return unsupported(n, "its input is not what QuantizeLinear gives")
	default:
		return unsupported(n, "its input is not a map")
	}
	if g.kind != x.grid.kind || g.Quantize != x.grid.Quantize {
		return unsupported(n, "has scale %v and zero point %d, and the QuantizeLinear before it %v and %d: want the same", g.Scale, g.Zero, x.grid.Scale, x.grid.Zero)
	}
	if x.grid.dequantised == nil {
		q, err := r.add(n, &g.Quantize, x.node)
		if err != nil {
			return err
		}
		x.grid.dequantised = q
	}
	return r.give(n, x.grid.dequantised)
}

// rows returns how many numbers of a there are for each scale.
func rows(n *node, a, scale *array) (int, error) {
	if scale.len() == 1 {
		return max(1, a.len()), nil
	}
	axis := n.int("axis", 1)
	if axis < 0 {
		axis += int64(len(a.dims))
	}
	if axis != 0 || len(a.dims) == 0 || a.dims[0] != scale.len() {
		return 0, unsupported(n, "has %d scales along axis %d of a weight %v, want one for each output channel (axis 0)", scale.len(), axis, a.dims)
	}
	return a.len() / scale.len(), nil
}

func zeroAt(zero *array, i int) int64 {
	if zero.len() == 0 {
		return 0
	}
	return zero.i[i]
}

// quantizeWeight rounds a weight of floats, as exporters leave it for the runtime to do.
func (r *reader) quantizeWeight(n *node, a, scale, zero *array) error {
	if a.i != nil || zero.kind != int8s {
		return unsupported(n, "a weight of ONNX kind %d becomes one of kind %d, want int8 of float", a.kind, zero.kind)
	}
	row, err := rows(n, a, scale)
	if err != nil {
		return err
	}
	q := &array{dims: a.dims, i: make([]int64, a.len()), kind: int8s}
	for i, v := range a.f {
		k := math.RoundToEven(float64(v/scale.f[i/row])) + float64(zeroAt(zero, i/row))
		if math.IsNaN(k) {
			return malformed(n, "its weight holds what is no number")
		}
		q.i[i] = int64(max(-128, min(k, 127)))
	}
	r.slots[n.out[0]] = &slot{array: q}
	return nil
}

// dequantizeWeight multiplies the whole numbers of a weight or a bias out. Those of 8 bits and
// four dimensions keep their scales, one for each output channel, if they are symmetric.
func (r *reader) dequantizeWeight(n *node, a, scale, zero *array) error {
	if a.f != nil || a.kind != int8s && a.kind != uint8s && a.kind != int32s {
		return unsupported(n, "its weight is of ONNX kind %d, want int8, uint8 or int32", a.kind)
	}
	row, err := rows(n, a, scale)
	if err != nil {
		return err
	}
	y := &array{dims: a.dims, f: make([]float32, len(a.i)), kind: float32s}
	eight := a.kind != int32s && len(a.dims) == 4 // and levels of -127 to 127; others are weights in float
	for i, v := range a.i {
		v -= zeroAt(zero, i/row)
		eight = eight && v >= -127 && v <= 127
		y.f[i] = float32(v) * scale.f[i/row]
	}
	s := &slot{array: y}
	if eight && len(y.f) > 0 {
		s.scale = slices.Clone(scale.f)
		if len(s.scale) == 1 {
			s.scale = slices.Repeat(s.scale, a.dims[0])
		}
	}
	r.slots[n.out[0]] = s
	return nil
}

// symmetric reports whether 0 is in the middle of all grids, so that in int8, where it is the
// number 0, they are what TensorRT takes.
func symmetric(g *graph.Graph) bool {
	return !slices.ContainsFunc(g.Nodes, func(n *graph.Node) bool {
		op, ok := n.Op.(*graph.Quantize)
		return ok && op.Zero != 128
	})
}

// quantize writes a Quantize as the two operators that it stands for.
func (w *writer) quantize(n *graph.Node, op *graph.Quantize, in []string, out string) {
	scale := w.scalar(out+"/scale", op.Scale)
	kind, first := int64(uint8s), 0
	if w.signed {
		kind, first = int8s, 128
	}
	zero := w.bytes(out+"/zero_point", kind, []byte{byte(op.Zero - first)})
	q := w.part(out, "QuantizeLinear", []string{in[0], scale, zero})
	w.emit("DequantizeLinear", out, []string{q, scale, zero})
}

// convWeight writes the weights of a convolution, those of 8 bits as such, with a
// DequantizeLinear behind them.
func (w *writer) convWeight(n *graph.Node, op *graph.Conv) (string, error) {
	name := n.Name + ".weight"
	if op.WeightScale == nil {
		return w.weight(name, op.Weight), nil
	}
	levels, err := op.Levels()
	if err != nil {
		return "", err
	}
	raw := make([]byte, len(levels))
	for i, k := range levels {
		raw[i] = byte(k)
	}
	dims := make([]int64, len(op.Weight.Shape))
	for i, d := range op.Weight.Shape {
		dims[i] = int64(d)
	}
	out := w.inner(name)
	k := int64(len(op.WeightScale))
	in := []string{w.bytes(name+"_quantized", int8s, raw, dims...), w.floats(n.Name+".weight_scale", op.WeightScale, k),
		w.bytes(n.Name+".weight_zero_point", int8s, make([]byte, k), k)}
	w.emit("DequantizeLinear", out, in, integer("axis", 0))
	return out, nil
}

// bytes adds a constant of 8-bit numbers.
func (w *writer) bytes(name string, kind int64, raw []byte, dims ...int64) string {
	return w.constant(name, &constant{kind: kind, raw: raw, dims: dims})
}

// QuantisedOpset is what WriteOptions.Opset 0 means for a quantised network, the first that
// has scales for each channel.
const QuantisedOpset = 13

// opset chooses it where nobody has, and checks that what there is can be said in it.
func (o *WriteOptions) opset(g *graph.Graph) error {
	quantised := g.Quantized()
	switch {
	case o.Opset == 0 && quantised != nil:
		o.Opset = QuantisedOpset
	case o.Opset == 0:
		o.Opset = DefaultOpset
	}
	if o.Opset < 12 || o.Opset > 17 {
		return fmt.Errorf("opset %d, want 12 to 17", o.Opset)
	}
	if quantised != nil && o.Opset < QuantisedOpset {
		return fmt.Errorf("%s is quantised, which opset %d has no form for: want %d to 17", quantised.Name, o.Opset, QuantisedOpset)
	}
	return nil
}
