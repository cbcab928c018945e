package codegen

import (
	"math"
)

// Kernels can also work on bfloat16, the upper half of a float32. A lane of 32 bits then
// holds a pair: of channel 2i in its lower half, of channel 2i+1 in its upper half, so that
// one instruction multiplies and adds for two input channels, with sums in float32. What
// moves whole lanes (masks, strides, loads of every other lane) is the same for both.

// A pairISA is an isa that has instructions for pairs.
type pairISA interface {
	isa
	// tapPairs is tap for pairs of input channels: each sum gets both products. The
	// weights are pairs, too.
	tapPairs(acc []vec, x []vec, o int, base reg, off int, free []vec)
	packPairs(d, lower, upper, t vec) // d = their pairs, rounded as Pair does; t is used up
	lower(d, s vec)                   // d = the lower halves of s, in float32
	upper(d, s vec)                   // and the upper ones

	roughDiv(d, x, s, t vec) // d = x/s with a relative error of at most 2^-12, 0 where s is infinite; t is used up
}

// Pair returns the lane that holds lo and hi, each rounded to the nearest bfloat16, ties to
// even.
func Pair(lo, hi float32) float32 {
	return math.Float32frombits(bfloat16(lo) | bfloat16(hi)<<16)
}

// Unpair returns what the lane p holds.
func Unpair(p float32) (lo, hi float32) {
	bits := math.Float32bits(p)
	return math.Float32frombits(bits << 16), math.Float32frombits(bits &^ 0xFFFF)
}

func bfloat16(v float32) uint32 {
	bits := math.Float32bits(v)
	if v != v {
		return bits>>16 | 1<<6 // quiet, and still NaN if all that made it one was in the lower half
	}
	return (bits + 0x7FFF + bits>>16&1) >> 16
}

// PackPairs is Pack for a convolution of pairs: the weights are [Out, 2*In, taps] where In
// is the pairs of input channels.
func (t Target) PackPairs(weights []float32, out, in, taps int, tile Tile) []float32 {
	pairs := make([]float32, 0, len(weights)/2)
	for i := range out * in {
		w := weights[2*i*taps:]
		for tap := range taps {
			pairs = append(pairs, Pair(w[tap], w[taps+tap]))
		}
	}
	return t.Pack(pairs, out, in, taps, tile)
}

// addPairs adds the pairs in memory to lower and upper, with two more registers.
func addPairs(m pairISA, lower, upper, s, t vec, base reg, off int) {
	m.load(s, base, off)
	m.lower(t, s)
	m.addV(lower, lower, t)
	m.upper(s, s)
	m.addV(upper, upper, s)
}
