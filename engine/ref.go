package engine

import (
	"fmt"
	"math"

	"ultrafast/graph"
	"ultrafast/tensor"
)

// Reference evaluates every node of the graph for x by the plainest loops, each sum in
// float64 and each result rounded to float32 once. What adds up 8-bit values is computed in
// whole numbers instead (quantised.go). It is the truth for tests and
// hundreds of times slower than a Program. The error names the node that does not fit.
func Reference(g *graph.Graph, x *tensor.Tensor) (map[*graph.Node]*tensor.Tensor, error) {
	if err := g.Verify(); err != nil {
		return nil, err
	}
	if len(x.Shape) != 4 || x.Len() != len(x.Data) || x.Shape[1] != g.Input().Op.(*graph.Input).Shape[1] {
		return nil, fmt.Errorf("engine: input %s cannot take %v of %d numbers", g.Input().Name, x, len(x.Data))
	}
	for _, p := range g.Params() {
		if p.Tensor().Data == nil {
			return nil, fmt.Errorf("engine: %s has no numbers", p.Name)
		}
	}
	shapes, err := g.Shapes(x.Shape[0], x.Shape[2], x.Shape[3])
	if err != nil {
		return nil, err
	}
	grids := grids(g.Grids())
	all := make(map[*graph.Node]*tensor.Tensor, len(g.Nodes))
	for _, n := range g.Nodes {
		if n == g.Input() {
			all[n] = x
			continue
		}
		var in []*tensor.Tensor
		for _, p := range n.In {
			in = append(in, all[p])
		}
		all[n] = tensor.New(shapes[n]...)
		if done, err := refInt8(all, n, grids); err != nil {
			return nil, fmt.Errorf("engine: %s: %w", n.Name, err)
		} else if done {
			continue
		}
		if err := refNode(all[n], in, n); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// refNode evaluates one node, which is not the input.
func refNode(y *tensor.Tensor, in []*tensor.Tensor, n *graph.Node) error {
	switch op := n.Op.(type) {
	case *graph.Conv:
		refConv(y, in[0], op)
	case *graph.ConvTranspose:
		refConvTranspose(y, in[0], op)
	case *graph.BatchNorm:
		refBatchNorm(y, in[0], op)
	case *graph.Activation:
		for i, v := range in[0].Data {
			y.Data[i] = float32(refActivation(op, float64(v)))
		}
	case *graph.Add:
		for i := range y.Data {
			sum := 0.0
			for _, t := range in {
				sum += float64(t.Data[i])
			}
			y.Data[i] = float32(sum)
		}
	case *graph.Concat:
		each4(y.Shape, func(n, c, h, w int) {
			from := c
			for _, t := range in {
				if from < t.Shape[1] {
					*at(y, n, c, h, w) = *at(t, n, from, h, w)
					return
				}
				from -= t.Shape[1]
			}
		})
	case *graph.MaxPool:
		refMaxPool(y, in[0], op)
	case *graph.Upsample:
		each4(y.Shape, func(n, c, h, w int) {
			*at(y, n, c, h, w) = *at(in[0], n, c, h/op.Scale, w/op.Scale)
		})
	case *graph.Slice:
		each4(y.Shape, func(n, c, h, w int) {
			i := [4]int{n, c, h, w}
			i[op.Axis] = op.Start + i[op.Axis]*op.Step
			*at(y, n, c, h, w) = *at(in[0], i[0], i[1], i[2], i[3])
		})
	case *graph.Quantize:
		for i, v := range in[0].Data {
			y.Data[i] = op.Value(op.Level(v))
		}
	case *graph.Detect:
		refDetect(y, in, op)
	default:
		return fmt.Errorf("engine: %s: the reference does not know the op %s", n.Name, n.Op.Word())
	}
	return nil
}

// each4 calls f for every index of a shape of four dimensions, in order.
func each4(s []int, f func(n, c, h, w int)) {
	for n := range s[0] {
		for c := range s[1] {
			for h := range s[2] {
				for w := range s[3] {
					f(n, c, h, w)
				}
			}
		}
	}
}

func at(t *tensor.Tensor, n, c, h, w int) *float32 {
	s := t.Shape
	return &t.Data[((n*s[1]+c)*s[2]+h)*s[3]+w]
}

func refConv(y, x *tensor.Tensor, o *graph.Conv) {
	s := o.Weight.Shape
	each4(y.Shape, func(n, k, h, w int) {
		sum := 0.0
		if o.Bias != nil {
			sum = float64(o.Bias.Data[k])
		}
		group := k / (y.Shape[1] / o.Groups)
		for c := range s[1] {
			for r := range s[2] {
				for q := range s[3] {
					i := h*o.Stride[0] - o.Pad[0] + r*o.Dilation[0]
					j := w*o.Stride[1] - o.Pad[1] + q*o.Dilation[1]
					if i < 0 || i >= x.Shape[2] || j < 0 || j >= x.Shape[3] {
						continue
					}
					sum += float64(*at(x, n, group*s[1]+c, i, j)) * float64(*at(o.Weight, k, c, r, q))
				}
			}
		}
		*at(y, n, k, h, w) = float32(sum)
	})
}

// refConvTranspose gathers what graph.ConvTranspose scatters: with p = h + pad - r*dilation,
// tap r of output row h is of input row p/stride, if stride divides p.
func refConvTranspose(y, x *tensor.Tensor, o *graph.ConvTranspose) {
	s := o.Weight.Shape
	each4(y.Shape, func(n, k, h, w int) {
		sum := 0.0
		if o.Bias != nil {
			sum = float64(o.Bias.Data[k])
		}
		group := k / s[1]
		for c := group * (s[0] / o.Groups); c < (group+1)*(s[0]/o.Groups); c++ {
			for r := range s[2] {
				for q := range s[3] {
					i, j := h+o.Pad[0]-r*o.Dilation[0], w+o.Pad[1]-q*o.Dilation[1]
					if i < 0 || j < 0 || i%o.Stride[0] != 0 || j%o.Stride[1] != 0 {
						continue
					}
					if i, j = i/o.Stride[0], j/o.Stride[1]; i < x.Shape[2] && j < x.Shape[3] {
						sum += float64(*at(x, n, c, i, j)) * float64(*at(o.Weight, c, k%s[1], r, q))
					}
				}
			}
		}
		*at(y, n, k, h, w) = float32(sum)
	})
}

func refBatchNorm(y, x *tensor.Tensor, o *graph.BatchNorm) {
	each4(y.Shape, func(n, c, h, w int) {
		d := float64(*at(x, n, c, h, w)) - float64(o.Mean.Data[c])
		d /= math.Sqrt(float64(o.Var.Data[c]) + o.Eps)
		*at(y, n, c, h, w) = float32(d*float64(o.Gamma.Data[c]) + float64(o.Beta.Data[c]))
	})
}

func refActivation(o *graph.Activation, x float64) float64 {
	sigmoid := 1 / (1 + math.Exp(-x))
	switch o.Kind {
	case graph.SiLU:
		return x * sigmoid
	case graph.Hardswish:
		return x * min(max(x+3, 0), 6) / 6
	case graph.LeakyReLU:
		if x < 0 {
			return x * o.Slope
		}
		return x
	case graph.ReLU:
		return max(x, 0)
	case graph.ReLU6:
		return min(max(x, 0), 6)
	case graph.Sigmoid:
		return sigmoid
	case graph.Mish:
		return x * math.Tanh(math.Log1p(math.Exp(x)))
	}
	return math.NaN()
}

func refMaxPool(y, x *tensor.Tensor, o *graph.MaxPool) {
	each4(y.Shape, func(n, c, h, w int) {
		m := float32(math.Inf(-1))
		for r := range o.Kernel {
			for q := range o.Kernel {
				i, j := h*o.Stride-o.Pad+r, w*o.Stride-o.Pad+q
				if i >= 0 && i < x.Shape[2] && j >= 0 && j < x.Shape[3] {
					m = max(m, *at(x, n, c, i, j))
				}
			}
		}
		*at(y, n, c, h, w) = m
	})
}

func refDetect(y *tensor.Tensor, in []*tensor.Tensor, o *graph.Detect) {
	fields := 5 + o.Classes
	i := 0
	for n := range y.Shape[0] {
		for l, x := range in {
			stride := float64(o.Strides[l])
			for a, anchor := range o.Anchors[l] {
				for h := range x.Shape[2] {
					for w := range x.Shape[3] {
						for f := range fields {
							s := 1 / (1 + math.Exp(-float64(*at(x, n, a*fields+f, h, w))))
							switch f {
							case 0:
								s = (2*s - 0.5 + float64(w)) * stride
							case 1:
								s = (2*s - 0.5 + float64(h)) * stride
							case 2, 3:
								s = 4 * s * s * float64(anchor[f-2])
							}
							y.Data[i] = float32(s)
							i++
						}
					}
				}
			}
		}
	}
}
