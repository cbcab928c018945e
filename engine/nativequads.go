package engine

import (
	"slices"

	"ultrafast/graph"
	"ultrafast/internal/codegen"
)

// What lies on a grid lies in quads of bytes, whose padding is the grid's zero point. A
// convolution is computed with the Quantize behind it, and with what follows that as far as it
// can be: an activation and the next Quantize, which make a table, then an addition and a
// third one. So no number is written in between. Layers in float32 read a copy (floats).

// lanesOf returns the value whose lanes the Quantize n keeps, by a table or an addition, and
// nil where it makes new ones: of a convolution, of floats.
func (c *compiler) lanesOf(n *graph.Node) *graph.Node {
	from := n.In[0]
	switch from.Op.(type) {
	case *graph.Activation:
		from = from.In[0]
	case *graph.Add:
		if !c.grids.joined(n) {
			return nil
		}
		from = from.In[0]
	}
	if c.slots[from] == nil {
		return nil
	}
	return from
}

// canQuantize reports whether there is machine code for the Quantize n.
func (c *compiler) canQuantize(n *graph.Node) bool {
	if !c.quads {
		return false
	}
	if op, ok := c.grids.conv(n.In[0]); ok {
		return c.canConv(n.In[0], op)
	}
	return c.lanesOf(n) != nil || codegen.CanRound(c.grids[n].Scale)
}

// canConvQuads reports whether the channels of n, a convolution of 8-bit values, make quads,
// and its sums fit 32 bits.
func (c *compiler) canConvQuads(n *graph.Node, op *graph.Conv) bool {
	if !c.quads {
		return false
	}
	s, w := c.slots[n.In[0]], op.Weight.Shape
	if op.Groups == 1 {
		return len(s)*w[2]*w[3] <= codegen.MaxQuadProducts
	}
	m := mergeGroups(op)
	return roundUp(s.channels(), 4) == m.groups*m.in && m.groups*m.out == roundUp(w[0], 4) &&
		(w[0]%4 == 0 || c.absorbed(n)) && m.in*w[2]*w[3] <= codegen.MaxQuadProducts
}

// A grouping is a number of groups and the channels of each.
type grouping struct{ groups, in, out, merged int }

// mergeGroups takes as many of o's groups together as fill quads of input and output, with
// weights of zero from one to another: a quad is multiplied at once anyway. The last of these
// groups may have too few.
func mergeGroups(o *graph.Conv) grouping {
	in, out, n := o.Weight.Shape[1], o.Weight.Shape[0]/o.Groups, 1
	for n*in%4 != 0 || n*out%4 != 0 {
		n++
	}
	return grouping{(o.Groups + n - 1) / n, n * in, n * out, n}
}

// regroup makes k's groups those of m.
func (k *nativeConv) regroup(m grouping) {
	taps := k.kernel[0] * k.kernel[1]
	weight := make([]float32, m.groups*m.out*m.in*taps)
	for o := range k.bias {
		in := o / k.out % m.merged * k.in // the first of its group among those of the larger one
		copy(weight[(o*m.in+in)*taps:], k.weight[o*k.in*taps:][:k.in*taps])
	}
	more := make([]float32, m.groups*m.out-len(k.bias))
	k.weight, k.scale, k.bias = weight, append(k.scale, more...), append(k.bias, more...)
	k.groups, k.in, k.out = m.groups, m.in, m.out
}

// nativeQuantize appends a Quantize with what it rounds.
func (c *compiler) nativeQuantize(n *graph.Node, op *graph.Quantize) error {
	from := n.In[0]
	if conv, ok := c.grids.conv(from); ok {
		return c.convQuads(from, conv, n)
	}
	if c.lanesOf(n) == nil {
		return c.nativeRound(n, op)
	}
	x, err := c.source(c.lanesOf(n))
	if err != nil {
		return err
	}
	spec := codegen.Map{Quads: true}
	var add *place
	if c.grids.joined(n) {
		r, err := c.sourceIn(from.In[1], c.slots[from.In[0]])
		if err != nil {
			return err
		}
		add, spec.Quant.Add = &r, adder(x.grid, r.grid, op)
	} else {
		a, _ := from.Op.(*graph.Activation)
		spec.Quant.Table = table(x.grid, a, op)
	}
	y, err := c.place(n)
	if err != nil {
		return err
	}
	c.written[n] = true
	return c.copyRows(n.Name, n, x, y, add, spec)
}

// nativeRound appends the rounding of a value in float32.
func (c *compiler) nativeRound(n *graph.Node, op *graph.Quantize) error {
	x, err := c.source(n.In[0])
	if err != nil {
		return err
	}
	y, err := c.place(n)
	if err != nil {
		return err
	}
	c.written[n] = true
	codes := make([]codegen.Func, y.c)
	for i := range codes {
		spec := codegen.Round{Scale: op.Scale, Zero: uint8(op.Zero), Line: c.row(&y)}
		for b, ch := range y.slots[4*i:][:4] {
			if ch < 0 {
				spec.Columns[b] = codegen.NoColumns
			}
		}
		if codes[i], err = c.code.Round(spec); err != nil {
			return err
		}
	}
	mask := c.masks.last(y.w, c.target.Lanes())
	c.banded(n.Name, n, []int{x.value, y.value}, bands{y.n, y.h, 1, []int{x.value}, func(s *state, i, from, to, _ int) {
		a := codegen.Args{5: pointer(mask, 0)}
		for row := from; row < to; row++ {
			for quad, code := range codes {
				for b, arg := range quadArgs[:min(4, x.c-4*quad)] {
					a[arg] = pointer(s.v[x.value], x.at(i, 4*quad+b, row, 0))
				}
				a[3] = pointer(s.v[y.value], y.at(i, quad, row, 0))
				s.text.Call(code, &a)
			}
		}
		y.pads(s.v[y.value], i, from, to)
	}}).Kernel = machineCode
	return nil
}

// quadArgs are the arguments of codegen.Round that are rows for the bytes of a quad.
var quadArgs = [4]int{0, 1, 2, 4}

// convQuads appends the steps of n, a convolution of 8-bit values that q rounds, and of what
// follows.
func (c *compiler) convQuads(n *graph.Node, op *graph.Conv, q *graph.Node) error {
	k := newNativeConv(n, op, c.shapes)
	if err := c.intoQuads(k, n, op, c.grids[q]); err != nil {
		return err
	}
	last := q
	if act, to := c.activated(last); to != nil {
		k.quant.Table = table(c.grids[last], act.Op.(*graph.Activation), c.grids[to])
		c.taken[last], c.taken[act], last = true, true, to
	}
	if other, to := c.added(last); to != nil {
		p, err := c.source(other)
		if err != nil {
			return err
		}
		k.add, k.quant.Add = &p, adder(c.grids[last], c.grids[other], c.grids[to])
		c.taken[last], last = true, to
	}
	err := c.input(k, n, op)
	if err != nil {
		return err
	}
	if k.y, err = c.place(last); err != nil {
		return err
	}
	c.written[last] = true
	k.done = last
	return c.compute(k)
}

// intoQuads makes k, the convolution n, one of quads, with a float result where out is nil.
func (c *compiler) intoQuads(k *nativeConv, n *graph.Node, op *graph.Conv, out *graph.Quantize) error {
	whole, err := op.Levels()
	if err != nil {
		return err
	}
	k.weight = make([]float32, len(whole))
	for i, w := range whole {
		k.weight[i] = float32(w)
	}
	if k.scale, k.bias, err = scales(op, c.grids[n.In[0]], out); err != nil {
		return err
	}
	if out != nil {
		k.quant = quantOf(op, out, k.scale, k.bias)
	}
	if op.Groups > 1 {
		k.regroup(mergeGroups(op))
	}
	return nil
}

// quads reports whether the convolution multiplies bytes.
func (k *nativeConv) quads() bool { return k.scale != nil }

// levels returns whole numbers as bytes.
func levels(weights []float32) []int8 {
	all := make([]int8, len(weights))
	for i, w := range weights {
		all[i] = int8(w)
	}
	return all
}

// activated returns the activation that alone reads n, and the Quantize that alone rounds that.
func (c *compiler) activated(n *graph.Node) (act, to *graph.Node) {
	if act = c.follower(n); act == nil || !c.alone(act) {
		return nil, nil
	}
	to = c.users[act][0]
	if _, ok := to.Op.(*graph.Quantize); !ok {
		return nil, nil
	}
	return act, to
}

// added returns what is added to n where nobody else reads it, if that has been computed
// already, and the Quantize that alone rounds the sum.
func (c *compiler) added(n *graph.Node) (other, to *graph.Node) {
	if !c.alone(n) {
		return nil, nil
	}
	sum := c.users[n][0]
	if !c.grids.sum(sum) || !c.alone(sum) || sum.In[0] == sum.In[1] {
		return nil, nil
	}
	if other = sum.In[0]; other == n {
		other = sum.In[1]
	}
	to = c.users[sum][0]
	if !c.grids.joined(to) || !c.ready(other) || !slices.Equal(c.slots[n], c.slots[other]) {
		return nil, nil
	}
	return other, to
}

// takesBytes reports whether n, a convolution in float32, reads 8-bit values as they lie: with
// weights of 16 bits or, where that is not faster, in float32. Then, where their zero point is high,
// sums of levels would be much larger than those of values, and lose digits.
func (c *compiler) takesBytes(n *graph.Node, op *graph.Conv) bool {
	return c.quads && c.slots[n] == nil && c.slots[n.In[0]] != nil && (c.takesWide(n) || c.grids[n.In[0]].Zero <= 32) && op.Groups == 1 &&
		op.Weight.Shape[2]*op.Weight.Shape[3] == 1 && op.Stride == [2]int{1, 1} && op.Pad == [2]int{}
}

// multipliesQuads says where weights of 16 bits are faster than float32. Tests replace it.
var multipliesQuads = codegen.Target.Dot

// takesWide reports whether weights of 16 bits are the faster ones for n, if it takes bytes.
func (c *compiler) takesWide(n *graph.Node) bool {
	return multipliesQuads(c.target) && len(c.slots[n.In[0]]) <= codegen.MaxQuadProducts
}

// fromBytes makes k's weights those of the levels that x holds, so that
// Σ w·scale·(level-zero) + bias is what it was.
func (k *nativeConv) fromBytes() {
	k.bytes = true
	scale, zero := k.x.grid.Scale, float64(k.x.grid.Zero)
	weight, bias := make([]float32, len(k.weight)), make([]float32, len(k.bias))
	for o := range bias {
		sum := float64(k.bias[o])
		for i := o * k.in; i < (o+1)*k.in; i++ {
			weight[i] = k.weight[i] * scale
			sum -= float64(weight[i]) * zero
		}
		bias[o] = float32(sum)
	}
	k.weight, k.bias = weight, bias
}

// widen makes k's weights those of 16 bits for the levels that x holds.
func (k *nativeConv) widen() {
	halves, m := codegen.Widen(k.weight, k.out)
	weight, scale, bias := make([]float32, len(halves)), make([]float32, 2*k.out), make([]float32, 2*k.out)
	for i, w := range halves {
		weight[i] = float32(w)
	}
	for i := range scale {
		scale[i], bias[i] = m[i/2]*k.x.grid.Scale, k.bias[i/2]
	}
	k.weight, k.scale, k.bias, k.out, k.wide = weight, scale, bias, 2*k.out, true
}

// floats returns where the values of n, which lie in quads, lie in float32.
func (c *compiler) floats(n *graph.Node) (place, error) {
	if p, ok := c.floated[n]; ok {
		return p, nil
	}
	x, err := c.source(n)
	if err != nil {
		return place{}, err
	}
	p, size, err := c.layout(x.h, x.w, 0).newPlace(len(c.lives), x.n, c.shapes[n][1])
	if err != nil {
		return place{}, err
	}
	c.newLife(size, p.layout)
	c.floated[n] = p
	return p, c.dequantise(n.Name+" to floats", x, p)
}

// dequantise appends a step that writes the values of x in float32: quad by quad, a convolution
// that multiplies each channel by its scale.
func (c *compiler) dequantise(name string, x, y place) error {
	lanes := c.target.Lanes()
	line, mask, whole := c.row(&y), c.masks.last(y.w, lanes), false
	if x.flat && x.like(y.layout) && roundUp(y.h*y.line, lanes) <= y.channel {
		line, whole = codegen.Line{Vectors: (y.h*y.line + lanes - 1) / lanes, Mask: codegen.MaskAll}, true
		mask = c.masks.all(y.layout, line.Vectors)
	}
	scale := []float32{x.grid.Scale, x.grid.Scale, x.grid.Scale, x.grid.Scale}
	ones := []int8{1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}
	parts := make([]part, x.c)
	for i := range parts {
		quad := x.slots[4*i:][:4]
		out := quad.channels()
		tile := c.target.QuadTiles(out, line.Vectors, 1, 1)[0]
		f, err := c.code.Conv(codegen.Conv{In: 1, Out: out, Kernel: [2]int{1, 1}, Stride: 1, OutChannel: 4 * y.channel, Line: line, Tile: tile, QuadsIn: true})
		if err != nil {
			return err
		}
		parts[i] = part{quad[0], []codegen.Func{f}, c.target.PackQuads(ones[:4*out], out, 1, 1, tile),
			c.target.PackSums(codegen.Quant{}, ones[:4*out], out, uint8(x.grid.Zero), scale, make([]float32, out))}
	}
	rows := func(s *state, i, quad, from, to int) {
		p := &parts[quad]
		a := codegen.Args{1: pointer(p.weight, 0), 2: pointer(p.bias, 0), 5: pointer(mask, 0)}
		for row := from; row < to; row++ {
			a[0] = pointer(s.v[x.value], x.at(i, quad, row, 0))
			a[3] = pointer(s.v[y.value], y.at(i, p.first, row, 0))
			s.text.Call(p.code[0], &a)
		}
	}
	values := []int{x.value, y.value}
	if whole {
		c.parallel(name, nil, values, x.n*x.c, func(s *state, job, _ int) { rows(s, job/x.c, job%x.c, 0, 1) }).Kernel = machineCode
		return nil
	}
	c.banded(name, nil, values, bands{y.n, y.h, 1, []int{x.value}, func(s *state, i, from, to, _ int) {
		for quad := range parts {
			rows(s, i, quad, from, to)
		}
		y.pads(s.v[y.value], i, from, to)
	}}).Kernel = machineCode
	return nil
}
