package engine

import (
	"ultrafast/graph"
	"ultrafast/internal/codegen"
)

// A transposed convolution of stride 2 that doubles the size is four ordinary ones of stride
// 1, the phases, whose results interleave: phase (a, b) gives rows 2y+a and columns 2x+b.
// Along the rows, tap r takes input i to output 2i-pad+r (graph.ConvTranspose). That is
// 2y+a, with p = a+pad, for r = p%2 + 2t and i = y + p/2 - t, t = 0 to T-1: a convolution
// with the T taps of one remainder in reverse, padded by T-1-p/2 above. Columns are alike.
//
// Phases with the same kernel and padding are computed as one convolution with more output
// channels, where there are no groups. For 2x2 without padding these are all four, of one tap
// each.

// canTranspose reports whether there is machine code for the transposed convolution.
func (c *compiler) canTranspose(n *graph.Node, op *graph.ConvTranspose) bool {
	x, y, w := c.shapes[n.In[0]], c.shapes[n], op.Weight.Shape
	return (op.Groups == 1 || !c.pairs) && op.Stride == [2]int{2, 2} && op.Dilation == [2]int{1, 1} && y[2] == 2*x[2] && y[3] == 2*x[3] &&
		w[2] >= 2 && w[3] >= 2 && (w[2]+1)/2*((w[3]+1)/2) <= codegen.MaxTaps && max(w[2], w[3]) <= lead
}

// A phase is which part of a transposed convolution's kernel makes it.
type phase struct{ first, kernel, pad [2]int }

func newPhase(op *graph.ConvTranspose, a, b int) (f phase) {
	for i, remainder := range [2]int{a, b} {
		p := remainder + op.Pad[i]
		f.first[i] = p % 2
		f.kernel[i] = (op.Weight.Shape[2+i] - p%2 + 1) / 2
		f.pad[i] = f.kernel[i] - 1 - p/2
	}
	return f
}

// margin is how many rows and columns around its input the phase reads.
func (f *phase) margin() (m [2]int) {
	for i := range m {
		m[i] = max(f.pad[i], f.kernel[i]-1-f.pad[i])
	}
	return m
}

// like reports whether the two are convolutions of one shape.
func (f *phase) like(g phase) bool { return f.kernel == g.kernel && f.pad == g.pad }

// phases are those of op, from the left and then down.
func phases(op *graph.ConvTranspose) (all [4]phase) {
	for i := range all {
		all[i] = newPhase(op, i/2, i%2)
	}
	return all
}

// weights appends the phase's [K, C/groups, kernel] of a weight [C, K/groups, R, S].
func (f *phase) weights(to []float32, op *graph.ConvTranspose) []float32 {
	w := op.Weight.Shape
	in := w[0] / op.Groups
	for o := range op.Outputs() {
		g, k := o/w[1], o%w[1]
		for c := g * in; c < (g+1)*in; c++ {
			for t := f.kernel[0] - 1; t >= 0; t-- {
				for u := f.kernel[1] - 1; u >= 0; u-- {
					to = append(to, op.Weight.Data[((c*w[1]+k)*w[2]+f.first[0]+2*t)*w[3]+f.first[1]+2*u])
				}
			}
		}
	}
	return to
}

// nativeTranspose appends the steps of a transposed convolution by machine code, and of the
// activation that follows it.
func (c *compiler) nativeTranspose(n *graph.Node, op *graph.ConvTranspose) error {
	x, err := c.reads(n, n.In[0])
	if err != nil {
		return err
	}
	last, act := n, codegen.Activation{}
	if a := c.follower(n); a != nil {
		last, act = a, nativeActivation(a.Op.(*graph.Activation))
	}
	c.taken[n] = true
	// The phases lie in one value, one's channels after the other's.
	outs := c.placeChannels(n)
	maps, size, err := c.layout(x.h, x.w, 0).newPlace(len(c.lives), x.n, 4*outs)
	if err != nil {
		return err
	}
	c.newLife(size, maps.layout)
	all := phases(op)
	for from, to := 0, 0; from < 4; from = to {
		f := all[from]
		k := &nativeConv{name: n.Name + " phases", in: op.Weight.Shape[0] / op.Groups, groups: op.Groups, kernel: f.kernel, stride: [2]int{1, 1},
			pad: f.pad, act: act, x: x}
		var s slots
		for ; to == from || to < 4 && op.Groups == 1 && f.like(all[to]); to++ {
			for _, ch := range c.slots[n] {
				if ch >= 0 {
					ch += k.out
				}
				s = append(s, ch)
			}
			k.out += op.Weight.Shape[1]
			k.weight = all[to].weights(k.weight, op)
			if op.Bias == nil {
				k.bias = append(k.bias, make([]float32, op.Outputs())...)
			} else {
				k.bias = append(k.bias, op.Bias.Data...)
			}
		}
		k.macs = int64(x.n) * int64(x.h) * int64(x.w) * int64(len(k.weight))
		k.y = maps.part(from*outs, (to-from)*outs)
		k.y.slots = s
		if err := c.compute(k); err != nil {
			return err
		}
	}
	return c.interleave(last, maps, outs)
}

// interleave appends the step that makes n of its four phases.
func (c *compiler) interleave(n *graph.Node, x place, outs int) error {
	y, err := c.place(n)
	if err != nil {
		return err
	}
	c.written[n] = true
	f, err := c.code.Interleave(codegen.Interleave{Channels: outs, InChannel: 4 * x.channel, InPhase: 4 * outs * x.channel,
		OutRow: 4 * y.row, OutChannel: 4 * y.channel, Line: c.row(&y)})
	if err != nil {
		return err
	}
	c.doubled(n, x, y, f)
	return nil
}
