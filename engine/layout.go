package engine

import "ultrafast/graph"

// addKernel sums one plane of all inputs, each [N, C, H, W].
func addKernel(in []int, out int, s graph.Shape) kernel {
	size := s[2] * s[3]
	return func(v [][]float32, plane int, _ []float32) {
		dst := v[out][plane*size:][:size]
		copy(dst, v[in[0]][plane*size:])
		for _, i := range in[1:] {
			src := v[i][plane*size:][:size]
			for j := range dst {
				dst[j] += src[j]
			}
		}
	}
}

// concatKernel copies one plane of the output [N, C1+C2+…, H, W] from the input that it
// comes from, [N, Ci, H, W].
func concatKernel(in []int, x []graph.Shape, out int, s graph.Shape) kernel {
	size := s[2] * s[3]
	return func(v [][]float32, plane int, _ []float32) {
		n, c := plane/s[1], plane%s[1]
		for i, shape := range x {
			if c < shape[1] {
				copy(v[out][plane*size:][:size], v[in[i]][(n*shape[1]+c)*size:])
				return
			}
			c -= shape[1]
		}
	}
}

// upsampleKernel repeats the pixels of one plane [H, W] scale times in both directions.
func upsampleKernel(scale int, in int, x graph.Shape, out int, s graph.Shape) kernel {
	h, w, ow := x[2], x[3], s[3]
	return func(v [][]float32, plane int, _ []float32) {
		src := v[in][plane*h*w:][:h*w]
		dst := v[out][plane*h*w*scale*scale:][:h*w*scale*scale]
		for y := range h {
			row := dst[y*scale*ow:][:ow]
			i := 0
			for _, e := range src[y*w:][:w] {
				fill(row[i:][:scale], e)
				i += scale
			}
			for k := 1; k < scale; k++ {
				copy(dst[(y*scale+k)*ow:][:ow], row)
			}
		}
	}
}

// sliceKernel picks one plane of out [N, OC, OH, OW] from in [N, C, H, W].
func sliceKernel(o *graph.Slice, in int, x graph.Shape, out int, s graph.Shape) kernel {
	start, step := [4]int{}, [4]int{1, 1, 1, 1}
	start[o.Axis], step[o.Axis] = o.Start, o.Step
	return func(v [][]float32, plane int, _ []float32) {
		n, c := plane/s[1], plane%s[1]*step[1]+start[1]
		src := v[in][(n*x[1]+c)*x[2]*x[3]:][:x[2]*x[3]]
		dst := v[out][plane*s[2]*s[3]:][:s[2]*s[3]]
		for y := range s[2] {
			row := src[(y*step[2]+start[2])*x[3]:][:x[3]]
			to := dst[y*s[3]:][:s[3]]
			if step[3] == 1 {
				copy(to, row[start[3]:])
				continue
			}
			for i := range to {
				to[i] = row[start[3]+i*step[3]]
			}
		}
	}
}
