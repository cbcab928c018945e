package codegen

import "math"

// Weights of 16 bits are multiplied by bytes as two of 8 each (Conv.Wide), for layers whose weights
// are float32: each is rounded to a multiple of 1/32639 of the channel's largest or, where all the
// products of that could exceed 32 bits, as those of 300 weights that are all alike do, of a little more.
// Processors that multiply quads at once take less time for both than for float32.

// maxWide is the largest weight of 16 bits, whose two bytes are at most 127.
const maxWide = 127<<8 + 127

// A byte less its zero point, and what a weight may be off as a whole number: rounded, and where a
// lower byte of -128 becomes -127.
const (
	maxByte  = 255
	wideSlip = 1.5
)

// Widen returns the weights of a convolution with Wide, [2*out, …], for weights of float32, [out, …],
// and what each of its out sums is to be multiplied by. A channel has at most MaxQuadProducts.
func Widen(weights []float32, out int) (halves []int8, m []float32) {
	each := len(weights) / out
	for o := range out {
		row := weights[o*each:][:each]
		largest, sum := 0.0, 0.0
		for _, w := range row {
			largest, sum = max(largest, math.Abs(float64(w))), sum+math.Abs(float64(w))
		}
		scale := max(largest/maxWide, sum*maxByte/(math.MaxInt32-maxByte*wideSlip*float64(each)))
		if scale == 0 {
			scale = 1
		}
		upper, lower := make([]int8, each), make([]int8, each)
		for i, w := range row {
			upper[i], lower[i] = split(int(math.RoundToEven(float64(w) / scale)))
		}
		halves, m = append(append(halves, upper...), lower...), append(m, float32(scale))
	}
	return halves, m
}

// split returns the bytes of w, 256 times the one and the other. A lower one of -128, which is no
// weight of a convolution of quads, becomes -127.
func split(w int) (upper, lower int8) {
	u := (w + 128) >> 8
	return int8(u), int8(max(-127, w-u<<8))
}

// Dot reports whether t's kernels multiply a quad by another in one instruction.
func (t Target) Dot() bool { return t.isa().(quadISA).quadWeight() == 1 }
