package torch

import (
	"fmt"
	"math"
	"slices"

	"ultrafast/graph"
	"ultrafast/tensor"
	"ultrafast/train"
)

// A field is a map in float64, the plain twin of a tensor on the device.
type field struct {
	shape []int // N, C, H, W
	data  []float64
}

func newField(shape []int) *field {
	return &field{shape, make([]float64, shape[0]*shape[1]*shape[2]*shape[3])}
}

func fieldOf(t *tensor.Tensor) *field {
	f := newField(t.Shape)
	for i, v := range t.Data {
		f.data[i] = float64(v)
	}
	return f
}

func (f *field) at(n, c, y, x int) *float64 {
	return &f.data[((n*f.shape[1]+c)*f.shape[2]+y)*f.shape[3]+x]
}

// each calls fn for every element.
func (f *field) each(fn func(v *float64, n, c, y, x int)) {
	for n := range f.shape[0] {
		for c := range f.shape[1] {
			for y := range f.shape[2] {
				for x := range f.shape[3] {
					fn(f.at(n, c, y, x), n, c, y, x)
				}
			}
		}
	}
}

// plainRun computes a graph's maps by the definitions. In training, batch norm uses the
// batch's statistics, and the moved running ones come back by the name of their tensor.
func plainRun(g *graph.Graph, x *tensor.Tensor, training bool) (maps []*field, moved map[string][]float64) {
	shapes, err := g.Shapes(x.Shape[0], x.Shape[2], x.Shape[3])
	if err != nil {
		panic(err)
	}
	values := map[*graph.Node]*field{}
	moved = map[string][]float64{}
	for _, n := range g.Nodes {
		if _, ok := n.Op.(*graph.Detect); ok {
			continue
		}
		var in []*field
		for _, p := range n.In {
			in = append(in, values[p])
		}
		out := newField(shapes[n])
		switch op := n.Op.(type) {
		case *graph.Input:
			out = fieldOf(x)
		case *graph.Conv:
			plainConv(op, in[0], out)
		case *graph.ConvTranspose:
			plainConvTranspose(op, in[0], out)
		case *graph.BatchNorm:
			mean, variance := plainBatchNorm(op, in[0], out, training)
			moved[n.Name+".running_mean"], moved[n.Name+".running_var"] = mean, variance
		case *graph.Activation:
			for i, v := range in[0].data {
				out.data[i] = plainActivation(op, v)
			}
		case *graph.Quantize:
			for i, v := range in[0].data {
				out.data[i] = float64(op.Value(op.Level(float32(v))))
			}
		case *graph.Add:
			for _, f := range in {
				for i, v := range f.data {
					out.data[i] += v
				}
			}
		case *graph.Concat:
			start := 0
			for _, f := range in {
				f.each(func(v *float64, n, c, y, x int) { *out.at(n, start+c, y, x) = *v })
				start += f.shape[1]
			}
		case *graph.MaxPool:
			out.each(func(v *float64, n, c, y, x int) {
				*v = math.Inf(-1)
				window(in[0], y*op.Stride-op.Pad, x*op.Stride-op.Pad, op.Kernel, op.Kernel, 1, 1, func(yy, xx, _, _ int) {
					*v = max(*v, *in[0].at(n, c, yy, xx))
				})
			})
		case *graph.Upsample:
			out.each(func(v *float64, n, c, y, x int) { *v = *in[0].at(n, c, y/op.Scale, x/op.Scale) })
		case *graph.Slice:
			out.each(func(v *float64, n, c, y, x int) {
				at := [4]int{n, c, y, x}
				at[op.Axis] = op.Start + at[op.Axis]*op.Step
				*v = *in[0].at(at[0], at[1], at[2], at[3])
			})
		default:
			panic(fmt.Sprintf("%T", op))
		}
		values[n] = out
	}
	for _, n := range train.MapsOf(g) {
		maps = append(maps, values[n])
	}
	return maps, moved
}

// window calls fn(y, x, row, column) for the places of a kernel that lie inside f.
func window(f *field, top, left, height, width, dy, dx int, fn func(y, x, r, s int)) {
	for r := range height {
		for s := range width {
			y, x := top+r*dy, left+s*dx
			if y >= 0 && y < f.shape[2] && x >= 0 && x < f.shape[3] {
				fn(y, x, r, s)
			}
		}
	}
}

func plainConv(op *graph.Conv, in, out *field) {
	w := fieldOf(op.Weight)
	perGroup := w.shape[0] / op.Groups
	out.each(func(v *float64, n, k, y, x int) {
		if op.Bias != nil {
			*v = float64(op.Bias.Data[k])
		}
		for c := range w.shape[1] {
			from := k/perGroup*w.shape[1] + c
			top, left := y*op.Stride[0]-op.Pad[0], x*op.Stride[1]-op.Pad[1]
			window(in, top, left, w.shape[2], w.shape[3], op.Dilation[0], op.Dilation[1], func(yy, xx, r, s int) {
				*v += *w.at(k, c, r, s) * *in.at(n, from, yy, xx)
			})
		}
	})
}

// plainConvTranspose scatters every input, as the op is defined.
func plainConvTranspose(op *graph.ConvTranspose, in, out *field) {
	if op.Bias != nil {
		out.each(func(v *float64, _, k, _, _ int) { *v = float64(op.Bias.Data[k]) })
	}
	w := fieldOf(op.Weight)
	in.each(func(v *float64, n, c, y, x int) {
		group := c / (w.shape[0] / op.Groups)
		for k := range w.shape[1] {
			top, left := y*op.Stride[0]-op.Pad[0], x*op.Stride[1]-op.Pad[1]
			window(out, top, left, w.shape[2], w.shape[3], op.Dilation[0], op.Dilation[1], func(yy, xx, r, s int) {
				*out.at(n, group*w.shape[1]+k, yy, xx) += *v * *w.at(c, k, r, s)
			})
		}
	})
}

func plainBatchNorm(op *graph.BatchNorm, in, out *field, training bool) (movedMean, movedVar []float64) {
	m := float64(in.shape[0] * in.shape[2] * in.shape[3])
	channels := in.shape[1]
	mean, variance := make([]float64, channels), make([]float64, channels)
	in.each(func(v *float64, n, c, y, x int) { mean[c] += *v / m })
	in.each(func(v *float64, n, c, y, x int) { variance[c] += (*v - mean[c]) * (*v - mean[c]) / m })
	for c := range channels {
		oldMean, oldVar := float64(op.Mean.Data[c]), float64(op.Var.Data[c])
		movedMean = append(movedMean, oldMean+op.Momentum*(mean[c]-oldMean))
		movedVar = append(movedVar, oldVar+op.Momentum*(variance[c]*m/(m-1)-oldVar))
		if !training {
			mean[c], variance[c] = oldMean, oldVar
		}
	}
	out.each(func(v *float64, n, c, y, x int) {
		z := (*in.at(n, c, y, x) - mean[c]) / math.Sqrt(variance[c]+op.Eps)
		*v = z*float64(op.Gamma.Data[c]) + float64(op.Beta.Data[c])
	})
	return movedMean, movedVar
}

func plainActivation(op *graph.Activation, v float64) float64 {
	sigmoid := 1 / (1 + math.Exp(-v))
	switch op.Kind {
	case graph.SiLU:
		return v * sigmoid
	case graph.Hardswish:
		return v * min(max(v+3, 0), 6) / 6
	case graph.LeakyReLU:
		return max(v, op.Slope*v)
	case graph.ReLU:
		return max(v, 0)
	case graph.ReLU6:
		return min(max(v, 0), 6)
	case graph.Sigmoid:
		return sigmoid
	case graph.Mish:
		return v * math.Tanh(math.Log1p(math.Exp(v)))
	}
	panic(op.Kind)
}

// worst is the largest difference relative to the largest value.
func worst[T float32 | float64](got []T, want []float64) float64 {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	scale, off := 1e-12, 0.0
	for i, w := range want {
		scale = max(scale, math.Abs(w))
		if d := math.Abs(float64(got[i]) - w); !(d <= off) {
			off = d
		}
	}
	return off / scale
}

func checkMaps(got []*tensor.Tensor, want []*field) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d maps, want %d", len(got), len(want))
	}
	for i, g := range got {
		if !slices.Equal(g.Shape, want[i].shape) {
			return fmt.Errorf("map %d is %v, want %v", i, g, want[i].shape)
		}
		if off := worst(g.Data, want[i].data); off > 1e-5 {
			return fmt.Errorf("map %d is off by %.2g", i, off)
		}
	}
	return nil
}
