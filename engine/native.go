package engine

import (
	"fmt"
	"slices"

	"ultrafast/graph"
	"ultrafast/internal/codegen"
)

// native is the machine code's side of a compiler. A node's value lies in the place its
// kernel wrote it to, in the plain tensor that a plain kernel wrote, or, converted when
// somebody asks, in both.
type native struct {
	target  codegen.Target
	code    *codegen.Builder
	pairs   bool              // whether all values lie in pairs of bfloat16
	quads   bool              // whether those on grids lie in quads of bytes
	perLane int               // how many channels a lane holds of what lies in either
	pads    map[[2]int][2]int // columns and rows around maps of a height and width
	layouts map[layoutKey]*layout
	homes   map[*graph.Node]home
	packed  map[*graph.Node]bool  // whose places hold copies of their plain tensors
	taken   map[*graph.Node]bool  // that were computed together with what follows them
	slots   map[*graph.Node]slots // of values in pairs or quads
	floated map[*graph.Node]place // copies in float32 of values in quads
	masks   maskTable
}

type layoutKey struct {
	h, w int
	zero uint8
}

// A home says that a value is to be written straight into a part of a concatenation.
type home struct {
	concat *graph.Node
	first  int // channel
}

// newNative returns nil where everything has to run in plain Go: it is asked for, no target
// fits the processor, or the system refuses executable memory. Plain Go has no bf16. A
// quantised network takes the best target that has kernels for it.
func newNative(cpu, precision string, quantised bool) (*native, error) {
	if precision != "" && precision != FP32 && precision != BF16 {
		return nil, fmt.Errorf("engine: precision %q, want %s or %s", precision, FP32, BF16)
	}
	if precision == BF16 && quantised {
		return nil, fmt.Errorf("engine: a quantised network is computed in %s, and not in %s", Int8, BF16)
	}
	usable := codegen.Targets()
	if i := slices.IndexFunc(usable, codegen.Target.Int8); quantised && i >= 0 {
		usable = usable[i:]
	}
	var target codegen.Target
	switch {
	case cpu == Generic || cpu == "" && (len(usable) == 0 || !codegen.Allowed()):
		if precision == BF16 {
			return nil, fmt.Errorf("engine: there is no %s in plain Go", BF16)
		}
		return nil, nil
	case cpu == "":
		target = usable[0]
	default:
		var err error
		if target, err = codegen.ByName(cpu); err != nil {
			return nil, fmt.Errorf("engine: %w", err)
		}
	}
	n := &native{
		target:  target,
		code:    codegen.NewBuilder(target),
		quads:   quantised && target.Int8(),
		perLane: 4,
		pads:    map[[2]int][2]int{},
		layouts: map[layoutKey]*layout{},
		homes:   map[*graph.Node]home{},
		packed:  map[*graph.Node]bool{},
		taken:   map[*graph.Node]bool{},
		slots:   map[*graph.Node]slots{},
		floated: map[*graph.Node]place{},
		masks:   newMaskTable(),
	}
	if precision == BF16 {
		if !target.BF16() {
			return nil, fmt.Errorf("engine: %s cannot be computed on this processor as %s", BF16, target)
		}
		n.pairs, n.perLane = true, 2
	}
	return n, nil
}

// prepare decides the layouts of all maps, and which values are written into
// concatenations.
func (c *compiler) prepare() {
	for _, n := range c.graph.Nodes {
		if len(c.shapes[n]) == 4 && (c.pairs || c.quads && c.grids[n] != nil) {
			c.slots[n] = c.slotsOf(n)
		}
	}
	widen := func(k, by [2]int) { c.pads[k] = [2]int{max(c.pads[k][0], by[0]), max(c.pads[k][1], by[1])} }
	for _, n := range c.graph.Nodes {
		if conv, ok := n.Op.(*graph.Conv); ok && c.canConv(n, conv) {
			s, pad := c.shapes[n.In[0]], conv.Pad
			if c.isStem(n, conv) {
				s, pad = c.shapes[n], [2]int{pad[0] / 2, pad[1] / 2}
			}
			widen([2]int{s[2], s[3]}, pad)
		}
		if op, ok := n.Op.(*graph.ConvTranspose); ok && c.canTranspose(n, op) {
			for _, f := range phases(op) {
				s := c.shapes[n.In[0]]
				widen([2]int{s[2], s[3]}, f.margin())
			}
		}
	}
	for _, n := range c.graph.Nodes {
		if _, ok := n.Op.(*graph.Concat); !ok {
			continue
		}
		first := 0
		for _, in := range n.In {
			alike := (c.slots[in] == nil) == (c.slots[n] == nil)
			if _, taken := c.homes[in]; !taken && alike && in != c.graph.Input() {
				c.homes[in] = home{n, first}
			}
			if alike {
				first += c.placeChannels(in)
			} else {
				first += c.shapes[in][1]
			}
		}
	}
}

// layout returns the layout of maps of one height, width and zero point.
func (c *compiler) layout(h, w int, zero uint8) *layout {
	k := layoutKey{h, w, zero}
	if c.layouts[k] == nil {
		pad := c.pads[[2]int{h, w}]
		c.layouts[k] = newLayout(h, w, pad[1], pad[0], c.target.Lanes(), zero)
	}
	return c.layouts[k]
}

// canRun reports whether there is machine code for the node.
func (c *compiler) canRun(n *graph.Node) bool {
	in := func() graph.Shape { return c.shapes[n.In[0]] }
	switch op := n.Op.(type) {
	case *graph.Conv:
		return c.canConv(n, op)
	case *graph.ConvTranspose:
		return c.canTranspose(n, op)
	case *graph.Quantize:
		return c.canQuantize(n)
	case *graph.Activation:
		return c.grids[n.In[0]] == nil // a table is exact
	case *graph.Concat:
		return true
	case *graph.Add:
		return len(n.In) == 2 && (!c.pairs || slices.Equal(c.slots[n.In[0]], c.slots[n.In[1]]))
	case *graph.MaxPool:
		return op.Stride == 1 && op.Kernel%2 == 1 && op.Pad == op.Kernel/2 && op.Kernel <= maxPool && in()[3] <= maxPoolWidth
	case *graph.Slice:
		return op.Axis == 1 && (c.quads && c.slots[n.In[0]] != nil || op.Step == 1 && c.slots[n.In[0]] == nil)
	case *graph.Upsample:
		return op.Scale == 2 && in()[3] <= maxPoolWidth
	}
	return false
}

// Kernels for pooling and upsampling have a row's vectors one after the other, without a
// loop. Wider maps than this are left to plain Go.
const (
	maxPool      = 15
	maxPoolWidth = 1024
)

// canConv reports whether there is machine code for the convolution.
func (c *compiler) canConv(n *graph.Node, op *graph.Conv) bool {
	if _, ok := c.grids.conv(n); ok && !c.canConvQuads(n, op) {
		return false
	}
	w := op.Weight.Shape
	return (op.Groups == 1 || !c.pairs) && op.Dilation == [2]int{1, 1} && op.Stride[1] <= 2 && w[2]*w[3] <= codegen.MaxTaps &&
		op.Pad[0] < lead && op.Pad[1] < lead && w[3] <= lead
}

// place returns where node n is written to, allocating memory for it where it has no
// place yet.
func (c *compiler) place(n *graph.Node) (place, error) {
	if p, ok := c.places[n]; ok {
		return p, nil
	}
	s := c.shapes[n]
	if h, ok := c.homes[n]; ok {
		whole, err := c.place(h.concat)
		if err != nil {
			return place{}, err
		}
		p := whole.part(h.first, c.placeChannels(n))
		c.lanes(&p, n)
		c.places[n] = p
		return p, nil
	}
	l := c.layout(s[2], s[3], c.zero(n))
	p, size, err := l.newPlace(len(c.lives), s[0], c.placeChannels(n))
	if err != nil {
		return place{}, err
	}
	c.lanes(&p, n)
	c.newLife(size, l)
	c.places[n] = p
	return p, nil
}

// zero is what the padding of n holds.
func (c *compiler) zero(n *graph.Node) uint8 {
	if c.quads && c.grids[n] != nil {
		return uint8(c.grids[n].Zero)
	}
	return 0
}

// lanes sets what the lanes of n's place p hold.
func (c *compiler) lanes(p *place, n *graph.Node) {
	if p.slots = c.slots[n]; p.slots != nil && c.quads {
		p.grid = c.grids[n]
	}
}

// source returns the place of a node that has been computed, packing it where only its
// plain tensor is there.
func (c *compiler) source(n *graph.Node) (place, error) {
	if c.written[n] || c.packed[n] {
		return c.places[n], nil
	}
	p, err := c.place(n)
	if err != nil {
		return place{}, err
	}
	c.packed[n] = true
	in := c.value[n]
	c.parallel(n.Name+" to vectors", nil, []int{in, p.value}, p.n*p.h, func(s *state, job, _ int) {
		p.packRow(s.v[p.value], s.v[in], job/p.h, job%p.h)
	})
	return p, nil
}

// plain returns the value of a node as a plain tensor, unpacking it where only its place
// is written.
func (c *compiler) plain(n *graph.Node) (int, error) {
	if v, ok := c.value[n]; ok {
		return v, nil
	}
	out := c.newValue(c.shapes[n])
	c.value[n] = out
	if p := c.places[n]; p.grid != nil {
		return out, c.dequantise(n.Name+" to a tensor", p, plainPlace(out, c.shapes[n], c.target.Lanes()))
	} else if p.slots != nil {
		c.parallel(n.Name+" to a tensor", nil, []int{p.value, out}, p.n*p.h, func(s *state, job, _ int) {
			p.unpackRow(s.v[out], s.v[p.value], job/p.h, job%p.h)
		})
		return out, nil
	}
	y := plainPlace(out, c.shapes[n], c.target.Lanes())
	return out, c.copyRows(n.Name+" to a tensor", nil, c.places[n], y, nil, codegen.Map{})
}
