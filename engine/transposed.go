package engine

import "ultrafast/graph"

// convTransposeKernel computes one plane of a transposed convolution as it is defined: each
// tap of the kernel adds its multiple of every input plane of the group to rows and columns
// that lie a stride apart. x is [N, C, H, W], y [N, K, OH, OW].
func convTransposeKernel(o *graph.ConvTranspose, in int, x graph.Shape, out int, y graph.Shape) kernel {
	w := o.Weight.Shape // [C, K/groups, R, S]
	h, width, oh, ow := x[2], x[3], y[2], y[3]
	rows := make([]span, w[2])
	for r := range rows {
		rows[r] = newSpan(h, oh, o.Stride[0], r*o.Dilation[0]-o.Pad[0])
	}
	columns := make([]span, w[3])
	for s := range columns {
		columns[s] = newSpan(width, ow, o.Stride[1], s*o.Dilation[1]-o.Pad[1])
	}
	channels := w[0] / o.Groups
	return func(v [][]float32, plane int, _ []float32) {
		n, k := plane/y[1], plane%y[1]
		dst := v[out][plane*oh*ow:][:oh*ow]
		bias := float32(0)
		if o.Bias != nil {
			bias = o.Bias.Data[k]
		}
		fill(dst, bias)
		first := k / w[1] * channels
		for c := first; c < first+channels; c++ {
			src := v[in][(n*w[0]+c)*h*width:][:h*width]
			taps := o.Weight.Data[(c*w[1]+k%w[1])*w[2]*w[3]:]
			for r, row := range rows {
				for s, column := range columns {
					for i := row.from; i < row.to; i++ {
						spread(dst[row.at(i)*ow:][:ow], src[i*width:][:width], column, taps[r*w[3]+s])
					}
				}
			}
		}
	}
}

// A span says which inputs along one side a tap takes to the output: i, from to to-1, to
// i*stride + offset.
type span struct{ from, to, stride, offset int }

func newSpan(in, out, stride, offset int) span {
	s := span{to: in, stride: stride, offset: offset}
	for s.from < in && s.at(s.from) < 0 {
		s.from++
	}
	for s.to > s.from && s.at(s.to-1) >= out {
		s.to--
	}
	return s
}

func (s *span) at(i int) int { return i*s.stride + s.offset }

// spread adds w times src to what the columns of src are in dst.
func spread(dst, src []float32, s span, w float32) {
	if s.from == s.to {
		return
	}
	dst = dst[s.at(s.from):]
	j := 0
	for _, x := range src[s.from:s.to] {
		dst[j] += w * x
		j += s.stride
	}
}
