package engine

import (
	"fmt"
	"slices"

	"ultrafast/graph"
	"ultrafast/tensor"
)

// How a convolution is computed. The input is first copied into padded planes; with a
// stride, each plane becomes several, one for each phase (remainder of row and column by
// the stride) that the kernel touches. In these every tap of the kernel is a plain shift:
// with q the width of a padded plane, output (y, x) lies at y*q+x and tap (r, s) reads
//
//	phase (r*dilation mod stride, s*dilation mod stride) at
//	(y + r*dilation/stride)*q + x + s*dilation/stride
//
// so that a block of output rows is one long vector, and the convolution is a sum of
// shifted vectors times weights: long loops without bounds checks for any kernel size,
// stride and dilation. The q-ow last columns of each row are computed for nothing.

// A conv is a convolution of one shape.
type conv struct {
	weight []float32 // [K, T], T = C/groups*R*S taps
	bias   []float32 // [K]
	taps   []int     // [T] where in the planes of a group the vector of a tap starts
	n, k   int       // pictures, output channels
	groups int
	planes int // floats of the padded planes of one group
	oh, ow int
	q      int // width of a padded plane
	rows   int // output rows of a job
	act    func([]float32)
}

// channels is how many output channels a job computes: enough to find its planes still
// in the cache, few enough to have work for all threads on small maps.
const channels = 16

// vector is about how many outputs a job computes in one go: four of these vectors and
// two of sums stay in a first-level cache of 32 kB.
const vector = 1024

// conv appends the steps of a convolution, and of the activation that follows it.
func (c *compiler) conv(n *graph.Node, op *graph.Conv, in int) error {
	x, out := c.shapes[n.In[0]], c.shapes[n]
	p, k, err := newConv(op, x, out)
	if err != nil {
		return err
	}
	last := n
	if a := c.follower(n); a != nil {
		if k.act, err = activation(a.Op.(*graph.Activation)); err != nil {
			return fmt.Errorf("%s: %w", a.Name, err)
		}
		last = a
	}
	if p != nil {
		room, err := tensor.Count([]int{x[0], x[1], len(p.phases), p.h, p.w})
		if err != nil {
			return fmt.Errorf("padded input: %w", err)
		}
		v := c.newValue(graph.Shape{room})
		c.step(n, nil, []int{in}, v, x[0]*x[1], p.kernel(in, v))
		in = v
	}
	c.need(2 * k.span(k.rows))
	v := c.newValue(out)
	c.step(n, last, []int{in}, v, k.jobs(), k.kernel(in, v)).MACs = n.MACs(c.shapes)
	return nil
}

// newConv works out the geometry. The padding is nil where the input can be read as it is.
func newConv(op *graph.Conv, x, out graph.Shape) (*padding, *conv, error) {
	w := op.Weight.Shape
	k := &conv{weight: op.Weight.Data, n: x[0], k: w[0], groups: op.Groups, oh: out[2], ow: out[3]}
	if op.Bias != nil {
		k.bias = op.Bias.Data
	} else {
		k.bias = make([]float32, k.k)
	}
	p := &padding{inH: x[2], inW: x[3], stride: op.Stride, pad: op.Pad}
	p.h = out[2] + (w[2]-1)*op.Dilation[0]/op.Stride[0]
	p.w = out[3] + (w[3]-1)*op.Dilation[1]/op.Stride[1]
	taps := make([]int, 0, w[1]*w[2]*w[3])
	for r := range w[2] {
		for s := range w[3] {
			y, x := r*op.Dilation[0], s*op.Dilation[1]
			taps = append(taps, p.phase(y, x)*p.h*p.w+y/op.Stride[0]*p.w+x/op.Stride[1])
		}
	}
	plane := len(p.phases) * p.h * p.w
	for c := 1; c < w[1]; c++ {
		for i := range w[2] * w[3] {
			taps = append(taps, c*plane+taps[i])
		}
	}
	k.taps, k.planes, k.q = taps, w[1]*plane, p.w
	k.rows = min(max(1, vector/k.q), k.oh)
	if p.h == p.inH && p.w == p.inW && op.Pad == [2]int{} && op.Stride == [2]int{1, 1} {
		return nil, k, nil
	}
	return p, k, nil
}

func (k *conv) blocks() int { return (k.oh + k.rows - 1) / k.rows }
func (k *conv) tiles() int  { return (k.k/k.groups + channels - 1) / channels }
func (k *conv) jobs() int   { return k.n * k.groups * k.tiles() * k.blocks() }

// span is the length of the vector that covers that many output rows.
func (k *conv) span(rows int) int { return (rows-1)*k.q + k.ow }

// kernel computes a few output channels of a few rows of one picture.
func (k *conv) kernel(in, out int) kernel {
	blocks, tiles, kg := k.blocks(), k.tiles(), k.k/k.groups
	return func(v [][]float32, job int, scratch []float32) {
		y0 := job % blocks * k.rows
		tile := job / blocks % tiles
		pg := job / blocks / tiles // picture, group
		g := pg % k.groups
		rows := min(k.rows, k.oh-y0)
		n := k.span(rows)
		x := v[in][pg*k.planes+y0*k.q : (pg+1)*k.planes]
		dst := v[out][pg/k.groups*k.k*k.oh*k.ow:]
		first := g*kg + tile*channels
		end := min(first+channels, (g+1)*kg)
		for o := first; o < end; o += 2 {
			a, b := scratch[:n], scratch[n:2*n]
			if o+1 < end {
				k.sum2(a, b, x, o)
				k.store(dst, b, o+1, y0, rows)
			} else {
				k.sum1(a, x, o)
			}
			k.store(dst, a, o, y0, rows)
		}
	}
}

// sum2 computes the vectors of the output channels o and o+1.
func (k *conv) sum2(a, b, x []float32, o int) {
	t := len(k.taps)
	wa, wb := k.weight[o*t:][:t], k.weight[(o+1)*t:][:t]
	fill(a, k.bias[o])
	fill(b, k.bias[o+1])
	n := len(a)
	b = b[:n]
	i := 0
	for ; i+4 <= t; i += 4 {
		x0, x1 := x[k.taps[i]:][:n], x[k.taps[i+1]:][:n]
		x2, x3 := x[k.taps[i+2]:][:n], x[k.taps[i+3]:][:n]
		a0, a1, a2, a3 := wa[i], wa[i+1], wa[i+2], wa[i+3]
		b0, b1, b2, b3 := wb[i], wb[i+1], wb[i+2], wb[i+3]
		for j := range a {
			p, q, r, s := x0[j], x1[j], x2[j], x3[j]
			a[j] += (a0*p + a1*q) + (a2*r + a3*s)
			b[j] += (b0*p + b1*q) + (b2*r + b3*s)
		}
	}
	for ; i < t; i++ {
		axpy(a, x[k.taps[i]:], wa[i])
		axpy(b, x[k.taps[i]:], wb[i])
	}
}

// sum1 computes the vector of the output channel o.
func (k *conv) sum1(a, x []float32, o int) {
	t := len(k.taps)
	w := k.weight[o*t:][:t]
	fill(a, k.bias[o])
	n := len(a)
	i := 0
	for ; i+4 <= t; i += 4 {
		x0, x1 := x[k.taps[i]:][:n], x[k.taps[i+1]:][:n]
		x2, x3 := x[k.taps[i+2]:][:n], x[k.taps[i+3]:][:n]
		w0, w1, w2, w3 := w[i], w[i+1], w[i+2], w[i+3]
		for j := range a {
			a[j] += (w0*x0[j] + w1*x1[j]) + (w2*x2[j] + w3*x3[j])
		}
	}
	for ; i < t; i++ {
		axpy(a, x[k.taps[i]:], w[i])
	}
}

// axpy adds w times x to a.
func axpy(a, x []float32, w float32) {
	x = x[:len(a)]
	for i := range a {
		a[i] += w * x[i]
	}
}

func fill(a []float32, v float32) {
	for i := range a {
		a[i] = v
	}
}

// store writes rows of output channel o from y0 on, leaving out the columns that belong
// to no output, and applies the activation.
func (k *conv) store(dst, sum []float32, o, y0, rows int) {
	dst = dst[(o*k.oh+y0)*k.ow:][:rows*k.ow]
	for y := range rows {
		copy(dst[y*k.ow:][:k.ow], sum[y*k.q:])
	}
	if k.act != nil {
		k.act(dst)
	}
}

// A padding copies planes [inH, inW] into one padded plane [h, w] for each phase.
type padding struct {
	inH, inW, h, w int
	stride, pad    [2]int
	phases         [][2]int
}

// phase returns the index of the phase that offset (y, x) of the kernel reads.
func (p *padding) phase(y, x int) int {
	f := [2]int{y % p.stride[0], x % p.stride[1]}
	i := slices.Index(p.phases, f)
	if i < 0 {
		i = len(p.phases)
		p.phases = append(p.phases, f)
	}
	return i
}

// kernel fills the phases of one plane: row i, column j of phase (a, b) is the input at
// (i*stride+a-pad, j*stride+b-pad), zero outside.
func (p *padding) kernel(in, out int) kernel {
	return func(v [][]float32, plane int, _ []float32) {
		src := v[in][plane*p.inH*p.inW:][:p.inH*p.inW]
		dst := v[out][plane*len(p.phases)*p.h*p.w:]
		for _, f := range p.phases {
			for i := range p.h {
				row := dst[i*p.w:][:p.w]
				y := i*p.stride[0] + f[0] - p.pad[0]
				if y < 0 || y >= p.inH {
					clear(row)
					continue
				}
				padRow(row, src[y*p.inW:][:p.inW], f[1]-p.pad[1], p.stride[1])
			}
			dst = dst[p.h*p.w:]
		}
	}
}

// padRow copies src[from], src[from+step] … into row, zero where src has no element.
func padRow(row, src []float32, from, step int) {
	j := 0
	for ; j < len(row) && from < 0; j++ {
		row[j] = 0
		from += step
	}
	if step == 1 && from < len(src) {
		j += copy(row[j:], src[from:])
	} else {
		for ; j < len(row) && from < len(src); j++ {
			row[j] = src[from]
			from += step
		}
	}
	clear(row[j:])
}
