package engine

import (
	"math"

	"ultrafast/graph"
)

// batchNormKernel normalises one plane of [N, C, H, W]: x*scale + shift, both per channel
// and worked out in float64.
func batchNormKernel(b *graph.BatchNorm, in, out int, s graph.Shape) kernel {
	c, size := s[1], s[2]*s[3]
	scale, shift := make([]float32, c), make([]float32, c)
	for i := range c {
		f := float64(b.Gamma.Data[i]) / math.Sqrt(float64(b.Var.Data[i])+b.Eps)
		scale[i] = float32(f)
		shift[i] = float32(float64(b.Beta.Data[i]) - f*float64(b.Mean.Data[i]))
	}
	return func(v [][]float32, plane int, _ []float32) {
		k, t := scale[plane%c], shift[plane%c]
		src, dst := v[in][plane*size:][:size], v[out][plane*size:][:size]
		for i, x := range src {
			dst[i] = k*x + t
		}
	}
}
