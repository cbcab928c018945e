package codegen

import "math"

// ChooseTile returns the tile with the least estimated time for a convolution of out
// channels and lines of that many vectors. taps is the taps of the kernel.
func (t Target) ChooseTile(out, vectors, taps, stride int) Tile {
	best, least := Tile{1, 1}, math.Inf(1)
	for v := 1; v <= min(vectors, 8); v++ {
		for o := 1; o <= min(out, 32) && t.Fits(Tile{o, v}, stride); o++ {
			if c := tileCost(Tile{o, v}, out, vectors, taps, stride); c < least-1e-9 {
				best, least = Tile{o, v}, c
			}
		}
	}
	return best
}

// tileCost estimates the cycles that one tap of one input channel costs a whole line,
// for a processor that starts two multiply-adds and two loads a cycle and finishes a
// multiply-add after four. A load that is not aligned counts double, as half of them
// cross a line of the cache, and a load of every other lane is two loads and a shuffle on
// the port of a multiply-add.
func tileCost(t Tile, out, vectors, taps, stride int) (cycles float64) {
	const latency = 4
	for _, so := range balanced(out, t.Out) {
		for _, sv := range balanced(vectors, t.Vectors) {
			fmas, loads, shuffles := float64(so.size*sv.size), float64(sv.size), 0.0
			if taps > 1 {
				loads *= 2
			}
			if stride == 2 {
				loads, shuffles = 2*loads, float64(sv.size)
			}
			loads += float64(so.size)
			c := max((fmas+shuffles)/2, loads/2, latency)
			c += 0.075 * (fmas + loads) / 2 // what no model knows
			cycles += c * float64(so.n*sv.n)
		}
	}
	return cycles
}
