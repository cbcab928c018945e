package engine

import (
	"math"

	"ultrafast/graph"
	"ultrafast/internal/codegen"
)

// copyRows appends a step that writes what spec makes of x and add to y, all of one height and
// width. Of spec only Act, Quads and Quant count.
func (c *compiler) copyRows(name string, done *graph.Node, x, y place, add *place, spec codegen.Map) error {
	spec.Channels, spec.Rows, spec.InChannel, spec.OutChannel, spec.Line = y.c, 1, 4*x.channel, 4*y.channel, c.row(&y)
	spec.Pairs = c.pairs && y.slots != nil && (add != nil || spec.Act.Kind != "") // else lanes are copied as they are
	near := []int{x.value}
	if add != nil {
		spec.Add, spec.AddChannel = true, 4*add.channel
		near = append(near, add.value)
	}
	f, err := c.code.Map(spec)
	if err != nil {
		return err
	}
	mask := c.masks.last(y.w, c.target.Lanes())
	c.banded(name, done, append(near, y.value), bands{y.n, y.h, 1, near, func(s *state, i, from, to, _ int) {
		a := codegen.Args{5: pointer(mask, 0)}
		for row := from; row < to; row++ {
			a[0] = pointer(s.v[x.value], x.at(i, 0, row, 0))
			a[3] = pointer(s.v[y.value], y.at(i, 0, row, 0))
			if add != nil {
				a[4] = pointer(s.v[add.value], add.at(i, 0, row, 0))
			}
			s.text.Call(f, &a)
		}
		y.pads(s.v[y.value], i, from, to)
	}}).Kernel = machineCode
	return nil
}

// reads returns where a kernel for n reads in: with the lanes of n, or in float32.
func (c *compiler) reads(n, in *graph.Node) (place, error) {
	if c.slots[n] == nil && c.slots[in] != nil && c.quads {
		return c.floats(in)
	}
	return c.source(in)
}

// ends returns where a kernel for n reads its first input and writes its result, which
// from then on counts as written.
func (c *compiler) ends(n *graph.Node) (x, y place, err error) {
	if x, err = c.reads(n, n.In[0]); err != nil {
		return x, y, err
	}
	y, err = c.place(n)
	c.written[n] = true
	return x, y, err
}

// nativeAdd appends the sum of two values.
func (c *compiler) nativeAdd(n *graph.Node) error {
	add, err := c.reads(n, n.In[1])
	if err != nil {
		return err
	}
	x, y, err := c.ends(n)
	if err != nil {
		return err
	}
	return c.copyRows(n.Name, n, x, y, &add, codegen.Map{})
}

func (c *compiler) nativeActivation(n *graph.Node, op *graph.Activation) error {
	x, y, err := c.ends(n)
	if err != nil {
		return err
	}
	return c.copyRows(n.Name, n, x, y, nil, codegen.Map{Act: nativeActivation(op)})
}

// nativeConcat copies those inputs that could not be written into the concatenation.
func (c *compiler) nativeConcat(n *graph.Node) error {
	y, err := c.place(n)
	if err != nil {
		return err
	}
	first := 0
	for i, in := range n.In {
		x, err := c.reads(n, in)
		if err != nil {
			return err
		}
		if x.value != y.value || x.first != y.first+first {
			name := n.Name
			if i < len(n.In)-1 {
				name += " copying " + in.Name
			}
			if err := c.copyRows(name, nil, x, y.part(first, x.c), nil, codegen.Map{}); err != nil {
				return err
			}
		}
		first += x.c
	}
	c.done(n, y.value)
	return nil
}

// nativeSlice takes channels that follow each other where they lie: no step is needed.
func (c *compiler) nativeSlice(n *graph.Node, op *graph.Slice) error {
	if c.slots[n] != nil {
		return c.sliceQuads(n, op)
	}
	x, err := c.source(n.In[0])
	if err != nil {
		return err
	}
	from, _ := op.Range(x.c)
	c.places[n] = x.part(from, c.shapes[n][1])
	c.done(n, x.value)
	return nil
}

// done says that n, whose inputs are computed, is so too, and lies in the value.
func (c *compiler) done(n *graph.Node, value int) {
	last := &c.steps[len(c.steps)-1]
	last.also = append(last.also, doneNode{n, value})
	c.written[n] = true
}

// channelJobs is how many jobs of some channels each a step that takes whole channels has.
func (c *compiler) channelJobs(y place) int {
	return min(y.c, max(1, jobsPerThread*c.threads/y.n))
}

// nativeMaxPool appends a max pooling that keeps the size.
func (c *compiler) nativeMaxPool(n *graph.Node, op *graph.MaxPool) error {
	x, y, err := c.ends(n)
	if err != nil {
		return err
	}
	spec := codegen.MaxPool{Channels: 1, Rows: y.h, Kernel: op.Kernel, InRow: 4 * x.row, InChannel: 4 * x.channel,
		OutRow: 4 * y.row, OutChannel: 4 * y.channel, Line: c.row(&y), Pairs: c.pairs, Quads: y.grid != nil}
	f, err := c.code.MaxPool(spec)
	if err != nil {
		return err
	}
	c.need(spec.Scratch(c.target)/4 + lead)
	mask := c.masks.last(y.w, c.target.Lanes())
	limit := mask
	if !spec.Quads {
		limit = poolLimits(mask)
	}
	jobs := c.channelJobs(y)
	c.parallel(n.Name, n, []int{x.value, y.value}, y.n*jobs, func(s *state, job, worker int) {
		i, part := job/jobs, job%jobs
		a := codegen.Args{4: pointer(limit, 0), 5: pointer(mask, 0), 6: pointer(s.scratch[worker], 0)}
		for ch := y.c * part / jobs; ch < y.c*(part+1)/jobs; ch++ {
			a[0] = pointer(s.v[x.value], x.at(i, ch, 0, 0))
			a[3] = pointer(s.v[y.value], y.at(i, ch, 0, 0))
			s.text.Call(f, &a)
		}
		if part == 0 {
			y.pads(s.v[y.value], i, 0, y.h)
		}
	}).Kernel = machineCode
	return nil
}

// poolLimits are the limits of codegen.MaxPool in float32.
func poolLimits(mask []float32) []float32 {
	limit := make([]float32, len(mask))
	for i := range limit {
		limit[i] = float32(math.Inf(-1))
		if mask[i] != 0 {
			limit[i] = float32(math.Inf(1))
		}
	}
	return limit
}

// nativeUpsample appends a doubling of the size.
func (c *compiler) nativeUpsample(n *graph.Node) error {
	x, y, err := c.ends(n)
	if err != nil {
		return err
	}
	f, err := c.code.Upsample(codegen.Upsample{Channels: y.c, Rows: 1, InRow: 4 * x.row, InChannel: 4 * x.channel,
		OutRow: 4 * y.row, OutChannel: 4 * y.channel, Line: c.row(&y)})
	if err != nil {
		return err
	}
	c.doubled(n, x, y, f)
	return nil
}

// doubled appends the step of n by a kernel that makes two rows of y of one of x.
func (c *compiler) doubled(n *graph.Node, x, y place, f codegen.Func) {
	mask := c.masks.last(y.w, c.target.Lanes())
	c.banded(n.Name, n, []int{x.value, y.value}, bands{y.n, y.h, 2, nil, func(s *state, i, from, to, _ int) {
		a := codegen.Args{5: pointer(mask, 0)}
		for row := from; row < to; row += 2 {
			a[0] = pointer(s.v[x.value], x.at(i, 0, row/2, 0))
			a[3] = pointer(s.v[y.value], y.at(i, 0, row, 0))
			s.text.Call(f, &a)
		}
		y.pads(s.v[y.value], i, from, to)
	}}).Kernel = machineCode
}
