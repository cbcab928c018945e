package engine

import (
	"fmt"

	"ultrafast/graph"
	"ultrafast/tensor"
)

// int8Conv returns the convolution of n if it multiplies 8-bit values by 8-bit weights.
func int8Conv(n *graph.Node, grids map[*graph.Node]*graph.Quantize) (*graph.Conv, bool) {
	op, ok := n.Op.(*graph.Conv)
	return op, ok && op.WeightScale != nil && grids[n.In[0]] != nil
}

// refConvInt8 computes a convolution whose input x lies on a grid, and whose weights are
// whole multiples of their scales, to the bit so: with q the grid's levels of x, w the whole
// numbers of the weights (graph.Conv.Levels), and for each output of channel k
//
//	acc = sum of (q-Zero) * w                                   in int32
//	y   = float32(acc) * (Scale * WeightScale[k]) + Bias[k]     each step rounded to float32
//
// The product of the scales comes first, and multiplication and addition are two. Padding has
// the level Zero, and adds nothing. A sum beyond int32, for which 66,000 products of the
// largest numbers are needed, wraps around.
func refConvInt8(y, x *tensor.Tensor, o *graph.Conv, grid *graph.Quantize) error {
	weights, err := o.Levels()
	if err != nil {
		return err
	}
	steps := make([]int32, len(x.Data))
	for i, v := range x.Data {
		steps[i] = int32(grid.Level(v)) - int32(grid.Zero)
	}
	s := o.Weight.Shape
	each4(y.Shape, func(n, k, h, w int) {
		acc := int32(0)
		group := k / (y.Shape[1] / o.Groups)
		for c := range s[1] {
			for r := range s[2] {
				for q := range s[3] {
					i := h*o.Stride[0] - o.Pad[0] + r*o.Dilation[0]
					j := w*o.Stride[1] - o.Pad[1] + q*o.Dilation[1]
					if i < 0 || i >= x.Shape[2] || j < 0 || j >= x.Shape[3] {
						continue
					}
					at := ((n*x.Shape[1]+group*s[1]+c)*x.Shape[2]+i)*x.Shape[3] + j
					acc += steps[at] * int32(weights[((k*s[1]+c)*s[2]+r)*s[3]+q])
				}
			}
		}
		*at(y, n, k, h, w) = dequantised(acc, k, o, grid)
	})
	return nil
}

// dequantised is the formula's last line. Conversions keep the compiler from fusing.
func dequantised(acc int32, k int, o *graph.Conv, grid *graph.Quantize) float32 {
	v := float32(float32(acc) * float32(grid.Scale*o.WeightScale[k]))
	if o.Bias != nil {
		v += o.Bias.Data[k]
	}
	return v
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

// convInt8 appends the step of a convolution in whole numbers, one output plane a job. The
// sums of a plane are gathered channel by channel, tap by tap.
func (c *compiler) convInt8(n *graph.Node, o *graph.Conv, in int) error {
	weights, err := o.Levels()
	if err != nil {
		return err
	}
	x, y, grid := c.shapes[n.In[0]], c.shapes[n], c.grids[n.In[0]]
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
			v[out][job*len(acc)+i] = dequantised(a, k, o, grid)
		}
	}
	c.step(n, n, []int{in}, out, y[0]*y[1], plane).MACs = n.MACs(c.shapes)
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

// refuseQuantised refuses what there is no machine code for yet.
func refuseQuantised(g *graph.Graph) error {
	if n := g.Quantized(); n != nil {
		return fmt.Errorf("engine: %s: there is no machine code for quantised networks: run it with --cpu generic, or in ONNX Runtime", n.Name)
	}
	return nil
}
