package engine

import (
	"slices"

	"ultrafast/graph"
	"ultrafast/internal/codegen"
)

// Channels in quads are put in another order by a 1x1 convolution whose weights are 1 where a
// channel goes and 0 elsewhere: a sum is one level less the zero point, which is added again.

// reorder appends the step that leaves in y the channels of x, first that of first, then every
// step'th one.
func (c *compiler) reorder(name string, done *graph.Node, x, y place, first, step int) error {
	in, out := x.slots.channels(), y.slots.channels()
	k := &nativeConv{name: name, done: done, in: in, out: out, groups: 1, kernel: [2]int{1, 1}, stride: [2]int{1, 1}, x: x, y: y,
		weight: make([]float32, in*out), bias: make([]float32, out), scale: make([]float32, out), quant: codegen.Quant{Zero: y.zero}}
	for o := range out {
		k.weight[o*in+first+o*step], k.scale[o] = 1, 1
	}
	if err := c.compute(k); err != nil {
		return err
	}
	c.steps[len(c.steps)-1].key = "" // no convolution of the network
	return nil
}

// sourceIn is source for a kernel that wants n, in quads, to have these slots.
func (c *compiler) sourceIn(n *graph.Node, s slots) (place, error) {
	x, err := c.source(n)
	if err != nil || slices.Equal(c.slots[n], s) {
		return x, err
	}
	y, size, err := x.layout.newPlace(len(c.lives), x.n, len(s)/c.perLane)
	if err != nil {
		return place{}, err
	}
	c.newLife(size, y.layout)
	y.slots, y.grid = s, x.grid
	return y, c.reorder(n.Name+" in order", nil, x, y, 0, 1)
}

// sliceQuads appends a slice of channels of quads. Those that follow each other from the first
// of a quad on are taken where they lie: no step is needed.
func (c *compiler) sliceQuads(n *graph.Node, op *graph.Slice) error {
	x, err := c.source(n.In[0])
	if err != nil {
		return err
	}
	first, _ := op.Range(c.shapes[n.In[0]][1])
	if op.Step == 1 && first%4 == 0 && slices.Equal(x.slots, newSlots(x.slots.channels(), 4)) {
		p := x.part(first/4, c.placeChannels(n))
		p.slots = c.slots[n]
		c.places[n] = p
		c.done(n, x.value)
		return nil
	}
	y, err := c.place(n)
	if err != nil {
		return err
	}
	c.written[n] = true
	return c.reorder(n.Name, n, x, y, first, op.Step)
}
