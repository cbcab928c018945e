package codegen

import (
	"cmp"
	"slices"
)

// Tiles returns the tiles for a convolution of out channels and lines of that many
// vectors that fit the registers, those first that a model of the processor takes for the
// fastest. taps is the taps of the kernel.
func (t Target) Tiles(out, vectors, taps, stride int) []Tile {
	registers := t.vectors(stride)
	return t.rank(tiles, 1, out, vectors, taps, stride, func(tile Tile) bool { return tile.fits(registers) })
}

// QuadTiles is Tiles for a convolution of quads. Where out is a multiple of four so are the
// tiles, as an output of quads needs them.
func (t Target) QuadTiles(out, vectors, taps, stride int) []Tile {
	step := 1
	if out%4 == 0 {
		step = 4
	}
	return t.rank(quadTiles, step, out, vectors, taps, stride, func(tile Tile) bool { return t.FitsQuads(tile, stride) })
}

// rank orders the tiles that fit by their cost; channels are multiples of step, which cut
// makes tiles of.
func (t Target) rank(cut func(out, limit int) []segment, step, out, vectors, taps, stride int, fits func(Tile) bool) []Tile {
	var tiles []Tile
	costs := map[Tile]float64{}
	packing := t.isa().packing()
	for v := 1; v <= min(vectors, 8); v++ {
		for o := step; o <= min(out, 32) && fits(Tile{o, v}); o += step {
			tile := Tile{o, v}
			tiles = append(tiles, tile)
			costs[tile] = tileCost(cut(out, o), v, vectors, taps, stride, packing)
		}
	}
	slices.SortStableFunc(tiles, func(a, b Tile) int { return cmp.Compare(costs[a], costs[b]) })
	return tiles
}

// tileCost estimates the cycles that one tap of one input channel costs a whole line, in
// tiles of these channels and v vectors, for a processor that starts two multiply-adds and
// two loads a cycle and finishes a multiply-add after four. A load that is not aligned
// counts double, as half of them cross a line of the cache, and a load of every other lane
// is two loads and a shuffle on the port of a multiply-add. Weights are loaded packing at a
// time.
func tileCost(channels []segment, v, vectors, taps, stride, packing int) (cycles float64) {
	const latency = 4
	for _, so := range channels {
		for _, sv := range balanced(vectors, v) {
			fmas, loads, shuffles := float64(so.size*sv.size), float64(sv.size), 0.0
			if taps > 1 {
				loads *= 2
			}
			if stride == 2 {
				loads, shuffles = 2*loads, float64(sv.size)
			}
			loads += float64(roundUp(so.size, packing) / packing)
			c := max((fmas+shuffles)/2, loads/2, latency)
			c += 0.075 * (fmas + loads) / 2 // what no model knows
			cycles += c * float64(so.n*sv.n)
		}
	}
	return cycles
}
