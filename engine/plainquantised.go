package engine

import (
	"slices"

	"ultrafast/graph"
)

// absorbed reports whether n is needed by nobody as it is: those who round it compute it with
// that, and a stem of quads takes the picture as it comes.
func (c *compiler) absorbed(n *graph.Node) bool {
	if c.native != nil && c.isStemOnly(n) {
		return true
	}
	if c.keepAll || len(c.users[n]) == 0 || slices.Contains(c.graph.Outputs, n) {
		return false
	}
	_, activation := n.Op.(*graph.Activation)
	return !slices.ContainsFunc(c.users[n], func(u *graph.Node) bool {
		_, quantize := u.Op.(*graph.Quantize)
		return !c.grids.joined(u) && !(quantize && activation && c.native != nil && c.quads && c.lanesOf(u) != nil)
	})
}

// plainJoined appends the step of a Quantize with what it rounds.
func (c *compiler) plainJoined(n *graph.Node, o *graph.Quantize) error {
	from := n.In[0]
	in := make([]int, len(from.In))
	for i, p := range from.In {
		var err error
		if in[i], err = c.plain(p); err != nil {
			return err
		}
	}
	if op, ok := c.grids.conv(from); ok {
		return c.convInt8(n, from, op, o, in[0])
	}
	out, s := c.newValue(c.shapes[n]), c.shapes[n]
	a, b := c.grids[from.In[0]], c.grids[from.In[1]]
	add, size := adder(a, b, o), s[2]*s[3]
	c.step(n, n, in, out, s[0]*s[1], func(v [][]float32, plane int, _ []float32) {
		dst, other := v[out][plane*size:][:size], v[in[1]][plane*size:][:size]
		for i, x := range v[in[0]][plane*size:][:size] {
			dst[i] = o.Value(add.Sum(a.Level(x), b.Level(other[i])))
		}
	})
	return nil
}

// quantizeKernel rounds one plane to the grid.
func quantizeKernel(o *graph.Quantize, in, out int, s graph.Shape) kernel {
	size := s[2] * s[3]
	return func(v [][]float32, plane int, _ []float32) {
		dst := v[out][plane*size:][:size]
		for i, x := range v[in][plane*size:][:size] {
			dst[i] = o.Value(o.Level(x))
		}
	}
}

// tableKernel applies an activation to one plane of values on a grid, by a table of what its
// 256 levels become.
func tableKernel(a *graph.Activation, grid *graph.Quantize, in, out int, s graph.Shape) kernel {
	var table [256]float32
	for q := range table {
		table[q] = float32(refActivation(a, float64(grid.Value(uint8(q)))))
	}
	size := s[2] * s[3]
	return func(v [][]float32, plane int, _ []float32) {
		dst := v[out][plane*size:][:size]
		for i, x := range v[in][plane*size:][:size] {
			dst[i] = table[grid.Level(x)]
		}
	}
}

// convInt8 appends the step of n, a convolution in whole numbers, or the Quantize of one, conv,
// to the grid to. A job is one output plane, whose sums are gathered channel by channel, tap by
// tap.
func (c *compiler) convInt8(n, conv *graph.Node, o *graph.Conv, to *graph.Quantize, in int) error {
	weights, err := o.Levels()
	if err != nil {
		return err
	}
	x, y, grid := c.shapes[conv.In[0]], c.shapes[n], c.grids[conv.In[0]]
	finish, err := finisher(o, grid, to)
	if err != nil {
		return err
	}
	out := c.newValue(y)
	w := o.Weight.Shape
	plane := func(v [][]float32, job int, _ []float32) {
		k := job % y[1]
		first := (job/y[1]*x[1] + k/(y[1]/o.Groups)*w[1]) * x[2] * x[3]
		acc, steps := make([]int32, y[2]*y[3]), make([]int32, x[2]*x[3])
		for ch := range w[1] {
			for i, value := range v[in][first+ch*len(steps):][:len(steps)] {
				steps[i] = int32(grid.Level(value)) - int32(grid.Zero)
			}
			for t, weight := range weights[(k*w[1]+ch)*w[2]*w[3]:][:w[2]*w[3]] {
				tap(acc, steps, int32(weight), t/w[3]*o.Dilation[0]-o.Pad[0], t%w[3]*o.Dilation[1]-o.Pad[1], o.Stride, x, y)
			}
		}
		for i, a := range acc {
			v[out][job*len(acc)+i] = finish(a, k)
		}
	}
	c.step(n, n, []int{in}, out, y[0]*y[1], plane).MACs = conv.MACs(c.shapes)
	return nil
}

// tap adds one tap of a kernel to all sums of a plane: weight times the steps that lie that
// far below and to the right of each output's corner.
func tap(acc, steps []int32, weight int32, below, right int, stride [2]int, x, y graph.Shape) {
	for h := range y[2] {
		i := h*stride[0] + below
		if i < 0 || i >= x[2] {
			continue
		}
		for w := range y[3] {
			if j := w*stride[1] + right; j >= 0 && j < x[3] {
				acc[h*y[3]+w] += steps[i*x[3]+j] * weight
			}
		}
	}
}
