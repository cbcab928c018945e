package onnx

import (
	"math"
	"strconv"

	"ultrafast/graph"
)

// A part is something that is only half of an activation function of a map x: exporters
// spell these functions out in several nodes.
type part int

const (
	none        part = iota
	plus3            // x + 3
	plus3Clip        // clip(x+3, 0, 6)
	hardSigmoid      // clip(x+3, 0, 6) / 6
	timesClip        // x * clip(x+3, 0, 6)
	softplus         // ln(1 + e^x)
	tanhSoft         // tanh(softplus(x))
	steps            // x in 8 bits: with DequantizeLinear a Quantize
)

// gate takes the operators that activations are spelt out in, and Add of two maps.
func (r *reader) gate(n *node, in []*slot) error {
	a := in[0]
	switch n.op {
	case "Mul", "Add", "Div":
		if len(in) != 2 || in[1] == nil {
			return malformed(n, "has %d inputs, want 2", len(in))
		}
		return r.combine(n, a, in[1])
	}
	if a.node == nil {
		return unsupported(n, "its input is not a map")
	}
	switch {
	case n.op == "Clip":
		return r.clip(n, in)
	case n.op == "HardSigmoid" && a.part == none:
		if near(n.float("alpha", .2), 1./6) && near(n.float("beta", .5), .5) {
			return r.half(n, a.node, hardSigmoid)
		}
	case n.op == "Softplus" && a.part == none:
		return r.half(n, a.node, softplus)
	case n.op == "Tanh" && a.part == softplus:
		return r.half(n, a.node, tanhSoft)
	}
	return unsupported(n, "is not part of an activation that is known here")
}

func (r *reader) half(n *node, of *graph.Node, p part) error {
	r.slots[n.out[0]] = &slot{node: of, part: p}
	return nil
}

// combine takes Mul, Add and Div.
func (r *reader) combine(n *node, a, b *slot) error {
	if a.node == nil && n.op != "Div" {
		a, b = b, a // the map first
	}
	if a.node == nil {
		return unsupported(n, "none of its inputs is a map")
	}
	if b.node == nil {
		return r.constantTerm(n, a, b)
	}
	if n.op == "Add" && a.part == none && b.part == none {
		return r.put(n, &graph.Add{}, a.node, b.node)
	}
	for range 2 {
		if n.op == "Mul" && a.part == none {
			gate := b.node
			if b.part == none && isQuantize(gate) {
				// What ONNX Runtime's quantiser makes of SiLU: 8 bits in its middle. Without them it is nearer to
				// what was trained.
				gate = gate.In[0]
			}
			switch sig, ok := gate.Op.(*graph.Activation); {
			case b.part == none && ok && sig.Kind == graph.Sigmoid && gate.In[0] == a.node:
				return r.put(n, &graph.Activation{Kind: graph.SiLU}, a.node)
			case b.part == hardSigmoid && b.node == a.node:
				return r.put(n, &graph.Activation{Kind: graph.Hardswish}, a.node)
			case b.part == plus3Clip && b.node == a.node:
				return r.half(n, a.node, timesClip)
			case b.part == tanhSoft && b.node == a.node:
				return r.put(n, &graph.Activation{Kind: graph.Mish}, a.node)
			case b.part == none && isQuantize(b.node) && isQuantize(a.node):
				return unsupported(n, "multiplies two quantised maps, as where an activation is quantised in its middle: keep Sigmoid in float and quantise what Mul gives")
			}
		}
		a, b = b, a
	}
	return unsupported(n, "is not part of an activation that is known here")
}

// constantTerm takes a map, or part of an activation, with a number.
func (r *reader) constantTerm(n *node, a, b *slot) error {
	k, err := b.known()
	if err != nil {
		return err
	}
	if k == nil || k.len() != 1 {
		return unsupported(n, "does arithmetic with a weight, which no layer of a detector does")
	}
	v := k.floats()[0]
	sixth := n.op == "Div" && v == 6 || n.op == "Mul" && near(v, 1./6)
	switch {
	case n.op == "Add" && a.part == none && v == 3:
		return r.half(n, a.node, plus3)
	case sixth && a.part == plus3Clip:
		return r.half(n, a.node, hardSigmoid)
	case sixth && a.part == timesClip:
		return r.put(n, &graph.Activation{Kind: graph.Hardswish}, a.node)
	}
	return unsupported(n, "does arithmetic with %v that is not part of an activation known here", v)
}

// clip takes Clip to 0..6, whose bounds were attributes before opset 11.
func (r *reader) clip(n *node, in []*slot) error {
	low, high := n.float("min", -math.MaxFloat32), n.float("max", math.MaxFloat32)
	for i, to := range []*float32{&low, &high} {
		if i+1 >= len(in) || in[i+1] == nil {
			continue
		}
		k, err := in[i+1].known()
		if err != nil {
			return err
		}
		if k == nil || k.len() != 1 {
			return unsupported(n, "its bounds are not two known numbers")
		}
		*to = k.floats()[0]
	}
	switch {
	case low == 0 && high == 6 && in[0].part == none:
		return r.put(n, &graph.Activation{Kind: graph.ReLU6}, in[0].node)
	case low == 0 && high == 6 && in[0].part == plus3:
		return r.half(n, in[0].node, plus3Clip)
	}
	return unsupported(n, "clips to %v..%v, want 0..6", low, high)
}

func near(a float32, b float64) bool { return math.Abs(float64(a)-b) < 1e-3*math.Abs(b) }

// decimal widens a float as it would be written: 0.1 stays 0.1.
func decimal(f float32) float64 {
	v, err := strconv.ParseFloat(strconv.FormatFloat(float64(f), 'g', 7, 32), 64)
	if err != nil {
		return float64(f)
	}
	return v
}
