package torch

import (
	"fmt"
	"slices"
	"unsafe"

	"ultrafast/graph"
	"ultrafast/tensor"
	"ultrafast/train"
)

// A plan is a graph as a list of calls. Values are numbered as the graph's nodes are.
type plan struct {
	calls []call
	input int   // the value that is the picture
	maps  []int // the values of train.MapsOf

	precision int64 // of the shim's enum
}

type call struct {
	node    *graph.Node
	norm    *graph.BatchNorm // with SiLU behind it: node is the SiLU, computed as one
	in      []int
	out     int
	weights []int // into the network's tensors, in the order of the op's parameters; -1 none
	last    []int // values nobody needs after this call
	// inputScale is that of the input's grid where the sums of a convolution of 8 bits begin with
	// its bias in whole numbers, as codegen.Quant has it; else 0.
	inputScale float32
}

// A mode says what batch norm does.
type mode int

const (
	evaluate mode = iota // use the running statistics
	learn                // use those of the batch, move the running ones, record the way back
	measure              // use those of the batch and make them the running ones
	frozen               // use the running statistics, record the way back
)

// norms says what the batch norms of one pass do, and with whom.
type norms struct {
	mode
	sync   syncHandle // in learn: who normalises together, and which of them this is; 0 is one alone
	member int
}

// newPlan orders a graph into calls; params are g.Params(). Detect is not computed: its
// inputs are maps.
func newPlan(g *graph.Graph, params []graph.Param) (*plan, error) {
	number := make(map[*graph.Node]int, len(g.Nodes))
	for i, n := range g.Nodes {
		number[n] = i
	}
	p := &plan{input: number[g.Input()]}
	isMap := map[*graph.Node]bool{}
	for _, n := range train.MapsOf(g) {
		p.maps = append(p.maps, number[n])
		isMap[n] = true
	}
	slots := slotsOf(params)
	users, grids := g.Consumers(), g.Grids()
	for _, n := range g.Nodes {
		switch n.Op.(type) {
		case *graph.Input, *graph.Detect:
			continue
		case *graph.BatchNorm:
			if len(users[n]) == 1 && !isMap[n] && isSiLU(users[n][0]) {
				continue // computed with its SiLU
			}
		case *graph.Conv, *graph.ConvTranspose, *graph.Activation, *graph.Add, *graph.Concat, *graph.MaxPool, *graph.Upsample, *graph.Slice, *graph.Quantize:
		default:
			return nil, fmt.Errorf("train: %s: libtorch has no call for %s", n.Name, n.Op.Word())
		}
		c := call{node: n, out: number[n]}
		source := n
		if isSiLU(n) {
			before := n.In[0]
			if bn, ok := before.Op.(*graph.BatchNorm); ok && len(users[before]) == 1 && !isMap[before] {
				c.norm, source = bn, before
			}
		}
		for _, in := range source.In {
			c.in = append(c.in, number[in])
		}
		c.weights = slots.of(source.Op)
		onlyRounded := !isMap[n] && !slices.ContainsFunc(users[n], func(u *graph.Node) bool { _, ok := u.Op.(*graph.Quantize); return !ok })
		if op, ok := n.Op.(*graph.Conv); ok && op.WeightScale != nil && op.Bias != nil && grids[n.In[0]] != nil && onlyRounded {
			c.inputScale = grids[n.In[0]].Scale
		}
		p.calls = append(p.calls, c)
	}
	p.findLast()
	return p, nil
}

func isSiLU(n *graph.Node) bool {
	a, ok := n.Op.(*graph.Activation)
	return ok && a.Kind == graph.SiLU
}

// slots finds the number of a tensor by where its op keeps it.
type slots map[any]int

func slotsOf(params []graph.Param) slots {
	s := make(slots, len(params))
	for i, p := range params {
		s[p.At] = i
	}
	return s
}

func (s slots) of(op graph.Op) []int {
	switch op := op.(type) {
	case *graph.Conv:
		return s.conv(&op.Weight, &op.Bias)
	case *graph.ConvTranspose:
		return s.conv(&op.Weight, &op.Bias)
	case *graph.BatchNorm:
		return []int{s[&op.Gamma], s[&op.Beta], s[&op.Mean], s[&op.Var]}
	}
	return nil
}

func (s slots) conv(weight, bias **tensor.Tensor) []int {
	b, ok := s[bias]
	if !ok {
		b = -1
	}
	return []int{s[weight], b}
}

// findLast notes at each call which values it is the last to need. Maps stay to the end.
func (p *plan) findLast() {
	needed := map[int]bool{}
	for _, m := range p.maps {
		needed[m] = true
	}
	for i := len(p.calls) - 1; i >= 0; i-- {
		c := &p.calls[i]
		for _, v := range append([]int{c.out}, c.in...) {
			if !needed[v] {
				needed[v] = true
				c.last = append(c.last, v)
			}
		}
	}
}

// run computes the maps of x, a tensor of s. Everything it makes belongs to s.
func (p *plan) run(s *scope, weights []handle, x handle, m norms) ([]handle, error) {
	if err := s.lib.err(s.lib.gradMode(flag(m.mode == learn || m.mode == frozen))); err != nil {
		return nil, err
	}
	values := map[int]handle{p.input: x}
	for _, c := range p.calls {
		in := make([]handle, len(c.in))
		for i, v := range c.in {
			in[i] = values[v]
		}
		w := make([]handle, len(c.weights))
		for i, k := range c.weights {
			if k >= 0 {
				w[i] = weights[k]
			}
		}
		out, err := p.call(s, c, in, w, m)
		if err != nil {
			return nil, fmt.Errorf("train: %s (%s): %w", c.node.Name, c.node.Op.Word(), err)
		}
		values[c.out] = out
		for _, v := range c.last {
			s.drop(values[v])
		}
	}
	maps := make([]handle, len(p.maps))
	for i, v := range p.maps {
		maps[i] = values[v]
	}
	return maps, nil
}

func (p *plan) call(s *scope, c call, in, w []handle, m norms) (out handle, err error) {
	l, n := s.lib, int64(len(in))
	var msg message
	switch op := c.node.Op.(type) {
	case *graph.Conv:
		weight, precision := w[0], p.precision
		if op.WeightScale != nil {
			// In fp32, as products of 8-bit numbers and their sums need more digits than bf16 has.
			precision = shimPrecision[train.FP32]
			msg := l.roundWeights(&weight, w[0])
			if weight, err = s.keep(weight, msg); err != nil {
				return 0, err
			}
			defer s.drop(weight)
		}
		bias := w[1]
		if c.inputScale > 0 {
			msg := l.roundBias(&bias, w[1], w[0], float64(c.inputScale))
			if bias, err = s.keep(bias, msg); err != nil {
				return 0, err
			}
			defer s.drop(bias)
		}
		g := geometry(op.Stride, op.Pad, op.Dilation, op.Groups)
		msg = l.conv(&out, in[0], weight, bias, &g[0], precision)
	case *graph.Quantize:
		msg = l.quantize(&out, in[0], float64(op.Scale), int64(op.Zero))
	case *graph.ConvTranspose:
		g := append(geometry(op.Stride, op.Pad, op.Dilation, op.Groups), int64(op.OutPad[0]), int64(op.OutPad[1]))
		msg = l.transpose(&out, in[0], w[0], w[1], &g[0], p.precision)
	case *graph.BatchNorm:
		msg = batchNorm(l, &out, in[0], w, op, false, m)
	case *graph.Activation:
		if c.norm != nil {
			msg = batchNorm(l, &out, in[0], w, c.norm, true, m)
		} else {
			msg = l.activation(&out, in[0], string(op.Kind), op.Slope)
		}
	case *graph.Add:
		msg = l.add(&out, unsafe.SliceData(in), n)
	case *graph.Concat:
		msg = l.concat(&out, unsafe.SliceData(in), n)
	case *graph.MaxPool:
		msg = l.maxPool(&out, in[0], int64(op.Kernel), int64(op.Stride), int64(op.Pad))
	case *graph.Upsample:
		msg = l.upsample(&out, in[0], int64(op.Scale))
	case *graph.Slice:
		end := int64(op.End)
		if end == 0 {
			end = 1 << 40 // libtorch cuts it to the length
		}
		msg = l.slice(&out, in[0], int64(op.Axis), int64(op.Start), end, int64(op.Step))
	}
	return s.keep(out, msg)
}

func geometry(stride, pad, dilation [2]int, groups int) []int64 {
	return []int64{
		int64(stride[0]), int64(stride[1]), int64(pad[0]), int64(pad[1]),
		int64(dilation[0]), int64(dilation[1]), int64(groups),
	}
}

func batchNorm(l *library, out *handle, x handle, w []handle, op *graph.BatchNorm, silu bool, m norms) message {
	momentum := op.Momentum
	if m.mode == measure {
		momentum = 1
	}
	if m.sync != 0 {
		return l.syncNorm(out, x, &w[0], flag(silu), momentum, op.Eps, m.sync, int64(m.member))
	}
	return l.batchNorm(out, x, &w[0], flag(m.mode == learn || m.mode == measure), flag(silu), momentum, op.Eps)
}
