package onnx

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// An evaluator computes values while a model is read: the arithmetic on shapes that
// exporters leave in a graph, and the decoding of boxes, whose anchors and strides are
// found by running it (detect.go). It knows just the operators that occur there.
type evaluator struct {
	arena
	opset int64
}

// errUnknown says that an operator is not among them.
var errUnknown = fmt.Errorf("this operator is not known here")

// apply computes a node; in holds nil for inputs that are left out.
func (e *evaluator) apply(n *node, in []*array) ([]*array, error) {
	if n.op == "QuantizeLinear" || n.op == "DequantizeLinear" {
		return nil, errors.New("is in the decoding of boxes: leave all behind the last convolutions in float when you quantise (nodes_to_exclude)")
	}
	least, ok := operators[n.op]
	if !ok {
		return nil, errUnknown
	}
	for i := range least {
		if i >= len(in) || in[i] == nil {
			return nil, fmt.Errorf("has no input %d", i+1)
		}
	}
	if n.op == "Split" {
		return e.split(n, in)
	}
	out, err := e.single(n, in)
	return []*array{out}, err
}

// operators lists what an evaluator knows, with the number of inputs each must have.
var operators = map[string]int{
	"Add": 2, "Sub": 2, "Mul": 2, "Div": 2, "Pow": 2, "Equal": 2, "Min": 2, "Max": 2, "Where": 3,
	"Sigmoid": 1, "Floor": 1, "Ceil": 1, "Neg": 1, "Identity": 1, "Cast": 1, "Dropout": 1,
	"Constant": 0, "ConstantOfShape": 1, "Shape": 1, "Range": 3, "Expand": 2, "Gather": 2,
	"Unsqueeze": 1, "Squeeze": 1, "Reshape": 2, "Flatten": 1, "Transpose": 1, "Slice": 1, "Split": 1, "Concat": 1,
}

func (e *evaluator) single(n *node, in []*array) (*array, error) {
	switch n.op {
	case "Add", "Sub", "Mul", "Div", "Pow", "Equal", "Min", "Max":
		return e.binary(n.op, in[0], in[1])
	case "Where":
		return e.where(in[0], in[1], in[2])
	case "Sigmoid", "Floor", "Ceil", "Neg":
		return e.unary(n.op, in[0])
	case "Identity", "Dropout":
		return in[0], nil
	case "Cast":
		return e.cast(n.int("to", float32s), in[0])
	case "Constant":
		return constantOf(n)
	case "ConstantOfShape":
		return e.fill(n, in[0])
	case "Shape":
		rank := int64(len(in[0].dims))
		from := clamp(n.int("start", 0), rank) // these two since opset 15
		to := max(from, clamp(n.int("end", rank), rank))
		return shapeArray(in[0].dims[from:to]), nil
	case "Range":
		return e.count(in[0], in[1], in[2])
	case "Expand":
		dims, step, _, err := broadcast(in[0].dims, in[1].sides())
		if err != nil {
			return nil, err
		}
		return e.view(in[0], dims, step, 0)
	case "Gather":
		return e.gather(in[0], in[1], n.int("axis", 0))
	case "Unsqueeze", "Squeeze":
		return e.squeeze(n, in)
	case "Reshape":
		dims := in[1].sides()
		for i, d := range dims {
			if d == 0 && i < len(in[0].dims) && n.int("allowzero", 0) == 0 {
				dims[i] = in[0].dims[i]
			}
		}
		return reshape(in[0], dims)
	case "Flatten":
		axis := n.int("axis", 1)
		if axis < 0 || axis > int64(len(in[0].dims)) {
			return nil, fmt.Errorf("axis %d of %v", axis, in[0].dims)
		}
		first := 1
		for _, d := range in[0].dims[:axis] {
			first *= d
		}
		return reshape(in[0], []int{first, -1})
	case "Transpose":
		return e.transpose(in[0], n.ints("perm"))
	case "Slice":
		return e.slice(n, in)
	case "Concat":
		return e.concat(in, n.int("axis", 0))
	}
	return nil, errUnknown
}

func (e *evaluator) binary(op string, a, b *array) (*array, error) {
	dims, stepA, stepB, err := broadcast(a.dims, b.dims)
	if err != nil {
		return nil, err
	}
	whole := a.i != nil && b.i != nil
	out, err := e.make(dims, whole || op == "Equal")
	if err != nil {
		return nil, err
	}
	k := 0
	steps := [][]int{stepA, stepB}
	if whole {
		walk(dims, []int{0, 0}, steps, func(at []int) {
			out.i[k] = integerOp(op, a.i[at[0]], b.i[at[1]])
			k++
		})
		return out, nil
	}
	x, y := a.floats(), b.floats()
	f := floatOps[op]
	walk(dims, []int{0, 0}, steps, func(at []int) {
		if op == "Equal" {
			out.i[k] = truth(x[at[0]] == y[at[1]])
		} else {
			out.f[k] = f(x[at[0]], y[at[1]])
		}
		k++
	})
	return out, nil
}

var floatOps = map[string]func(a, b float32) float32{
	"Add": func(a, b float32) float32 { return a + b },
	"Sub": func(a, b float32) float32 { return a - b },
	"Mul": func(a, b float32) float32 { return a * b },
	"Div": func(a, b float32) float32 { return a / b },
	"Min": func(a, b float32) float32 { return min(a, b) },
	"Max": func(a, b float32) float32 { return max(a, b) },
	"Pow": func(a, b float32) float32 {
		if b == 2 {
			return a * a
		}
		return float32(math.Pow(float64(a), float64(b)))
	},
}

func integerOp(op string, a, b int64) int64 {
	switch op {
	case "Add":
		return a + b
	case "Sub":
		return a - b
	case "Mul":
		return a * b
	case "Div":
		if b == 0 {
			return 0
		}
		return a / b
	case "Min":
		return min(a, b)
	case "Max":
		return max(a, b)
	case "Pow":
		return int64(math.Pow(float64(a), float64(b)))
	}
	return truth(a == b) // Equal
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func (e *evaluator) where(c, a, b *array) (*array, error) {
	dims, _, _, err := broadcast(a.dims, b.dims)
	if err == nil {
		dims, _, _, err = broadcast(dims, c.dims)
	}
	if err != nil {
		return nil, err
	}
	out, err := e.make(dims, a.i != nil && b.i != nil)
	if err != nil {
		return nil, err
	}
	steps := make([][]int, 3)
	for i, x := range []*array{c, a, b} {
		if _, _, steps[i], err = broadcast(dims, x.dims); err != nil {
			return nil, err
		}
	}
	choose, x, y, k := c.integers(), a.floats(), b.floats(), 0
	walk(dims, []int{0, 0, 0}, steps, func(at []int) {
		yes := choose[at[0]] != 0
		switch {
		case out.i != nil && yes:
			out.i[k] = a.i[at[1]]
		case out.i != nil:
			out.i[k] = b.i[at[2]]
		case yes:
			out.f[k] = x[at[1]]
		default:
			out.f[k] = y[at[2]]
		}
		k++
	})
	return out, nil
}

func (e *evaluator) unary(op string, a *array) (*array, error) {
	out, err := e.make(a.dims, a.i != nil)
	if err != nil {
		return nil, err
	}
	for k, v := range a.i { // Floor and Ceil leave integers as they are
		out.i[k] = v
		if op == "Neg" {
			out.i[k] = -v
		}
	}
	for k, v := range a.f {
		switch op {
		case "Sigmoid":
			v = sigmoid(v)
		case "Floor":
			v = float32(math.Floor(float64(v)))
		case "Ceil":
			v = float32(math.Ceil(float64(v)))
		case "Neg":
			v = -v
		}
		out.f[k] = v
	}
	return out, nil
}

func sigmoid(x float32) float32 { return float32(1 / (1 + math.Exp(-float64(x)))) }

func (e *evaluator) cast(to int64, a *array) (*array, error) {
	float := to == float32s || to == float16s || to == float64s || to == bfloat16s
	if float == (a.f != nil) && to != bools {
		return a, nil
	}
	out, err := e.make(a.dims, !float)
	if err != nil {
		return nil, err
	}
	switch {
	case float:
		copy(out.f, a.floats())
	case to == bools:
		for k, v := range a.floats() {
			out.i[k] = truth(v != 0)
		}
	default:
		copy(out.i, a.integers())
	}
	return out, nil
}

// constantOf returns the value of a Constant node.
func constantOf(n *node) (*array, error) {
	for i := range n.attrs {
		switch a := &n.attrs[i]; a.name {
		case "value":
			if a.t != nil {
				return a.t.numbers()
			}
		case "value_float":
			return &array{dims: []int{}, f: []float32{a.f}}, nil
		case "value_int":
			return &array{dims: []int{}, i: []int64{a.i}}, nil
		case "value_ints":
			return &array{dims: []int{len(a.ints)}, i: slices.Clone(a.ints)}, nil
		}
	}
	return nil, errUnknown
}

func (e *evaluator) fill(n *node, shape *array) (*array, error) {
	v := &array{dims: []int{1}, f: []float32{0}}
	if a := n.attr("value"); a != nil && a.t != nil {
		var err error
		if v, err = a.t.numbers(); err != nil {
			return nil, err
		}
		if v.len() != 1 {
			return nil, fmt.Errorf("value has %d numbers, want 1", v.len())
		}
	}
	dims := shape.sides()
	if len(dims) > maxRank {
		return nil, fmt.Errorf("result has %d dimensions", len(dims))
	}
	return e.view(v, dims, make([]int, len(dims)), 0)
}

func (e *evaluator) count(from, to, step *array) (*array, error) {
	if from.len() != 1 || to.len() != 1 || step.len() != 1 {
		return nil, fmt.Errorf("takes three single numbers")
	}
	a, b, s := float64(from.floats()[0]), float64(to.floats()[0]), float64(step.floats()[0])
	n := math.Ceil((b - a) / s)
	if !(n <= maxSide) { // also not a number
		return nil, fmt.Errorf("counts from %v to %v by %v", a, b, s)
	}
	out, err := e.make([]int{int(max(n, 0))}, from.i != nil)
	if err != nil {
		return nil, err
	}
	for k := range out.len() {
		if out.i != nil {
			out.i[k] = int64(a) + int64(k)*int64(s)
		} else {
			out.f[k] = float32(a + float64(k)*s)
		}
	}
	return out, nil
}
