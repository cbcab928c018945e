package codegen

import (
	"cmp"
	"slices"
	"unsafe"
)

// AMX multiplies tiles: C[out][pixel] += A[out][pair] * B[pair][pixel], with at most 16 of
// each. A tile B is the input as it lies in memory, 16 pixels of some pairs of channels that
// are InChannel apart; A are weights, and C sums in float32. With quads in the place of pairs
// C sums in int32. A convolution adds up such
// products over ranges of pairs: one for each tap or, where the rows of a kernel's column
// follow each other as channels do, one for each column.

const (
	tileRows  = 16
	tileWidth = 64 // bytes of a row
	tileSize  = tileRows * tileWidth
	tileCount = 8
)

// AMXScratch is the bytes of memory of its own that a thread needs for ConvAMX.
const AMXScratch = 6 * tileSize

// An amxPlan says how a convolution is cut into tiles.
type amxPlan struct {
	rows   int   // output channels of a tile; the last may have fewer
	tiles  int   // of output channels
	ranges []int // where each begins, in bytes from the input of the first tap
	pairs  int   // of a range
	depth  int   // pairs of a tile
	steps  int   // tiles of a range, the last of which may overlap the one before
	merged bool  // whether a range has all rows of a column of the kernel
}

func (c *Conv) amxPlan() (p amxPlan) {
	p.tiles = (c.Out + tileRows - 1) / tileRows
	p.rows = (c.Out + p.tiles - 1) / p.tiles
	switch {
	case c.PairsOut, c.Wide:
		p.rows = roundUp(p.rows, 2)
	case c.QuadsOut:
		p.rows = roundUp(p.rows, 4)
	}
	p.merged = true
	for ky := range c.Kernel[0] {
		p.merged = p.merged && c.tapAt(ky, 0) == ky*c.In*c.InChannel
	}
	p.pairs = c.In
	rows := c.Kernel[0]
	if p.merged {
		p.pairs, rows = c.In*rows, 1
	}
	for ky := range rows {
		for kx := range c.Kernel[1] {
			p.ranges = append(p.ranges, c.tapAt(ky, kx))
		}
	}
	p.steps = (p.pairs + tileRows - 1) / tileRows
	p.depth = (p.pairs + p.steps - 1) / p.steps
	return p
}

// tapAt returns where the input for row ky and column kx of the kernel begins, in bytes from
// that for the first.
func (c *Conv) tapAt(ky, kx int) int {
	if c.Apart != [2]int{} {
		return ky%2*c.Apart[0] + ky/2*c.InRow + kx%2*c.Apart[1] + 4*(kx/2)
	}
	return ky*c.InRow + 4*kx
}

// start returns the first pair of a step. What the last has in common with the one before
// has weights of zero: so nothing is read that the sums have no part in.
func (p *amxPlan) start(step int) int { return min(step*p.depth, p.pairs-p.depth) }

// PackAMX orders the weights [Out, 2*In, taps] of a convolution as ConvAMX reads them: for
// each block of output channels, step by step the tiles A of each range.
func (c Conv) PackAMX(weights []float32) []float32 {
	taps := c.Kernel[0] * c.Kernel[1]
	return c.packAMX(func(o, pair, tap int) float32 {
		w := weights[(o*c.In+pair)*2*taps:]
		return Pair(w[tap], w[taps+tap])
	})
}

// PackAMXQuads is PackAMX for a convolution of quads, with weights as PackQuads takes them.
func (c Conv) PackAMXQuads(weights []int8) []float32 {
	taps := c.Kernel[0] * c.Kernel[1]
	return c.packAMX(func(o, quad, tap int) float32 {
		return Quad(weightQuad(weights[(o*c.In+quad)*4*taps:], taps, tap))
	})
}

// packAMX orders lanes of weights.
func (c Conv) packAMX(lane func(o, pair, tap int) float32) []float32 {
	p := c.amxPlan()
	packed := floatsOf(aligned(p.tiles * p.steps * len(p.ranges) * p.rows * tileWidth))
	to := packed
	tile := func(step, column, first int) {
		skip := step*p.depth - p.start(step)
		for o := range p.rows {
			for i := skip; i < p.depth && first+o < c.Out; i++ {
				pair, tap := p.start(step)+i, column
				if p.merged {
					pair, tap = pair%c.In, pair/c.In*c.Kernel[1]+column
				}
				to[o*tileWidth/4+i] = lane(first+o, pair, tap)
			}
		}
		to = to[p.rows*tileWidth/4:]
	}
	first := 0
	for _, s := range balanced(p.tiles, c.Tile.Out/tileRows) {
		for range s.n {
			for step := range p.steps {
				for column := range p.ranges {
					for i := range s.size {
						tile(step, column, first+i*p.rows)
					}
				}
			}
			first += s.size * p.rows
		}
	}
	return packed
}

// floatsOf returns the same memory as float32.
func floatsOf(b []byte) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(&b[0])), len(b)/4)
}

// fitsAMX reports whether a block of the sums of ConvAMX leaves tiles for what it
// multiplies: the fewer of its A and B stay in tiles, the others pass through the rest.
func (tile Tile) fitsAMX() bool {
	a, b := tile.Out/tileRows, tile.Vectors
	return tile.Out%tileRows == 0 && a > 0 && b > 0 && a*b+min(a, b)+1 <= tileCount
}

// TilesAMX returns the tiles for ConvAMX, those first that a model of the processor takes
// for the fastest. vectors is those of a line, taps the taps of the kernel.
func TilesAMX(out, vectors, taps int) []Tile {
	var all []Tile
	costs := map[Tile]float64{}
	count := (out + tileRows - 1) / tileRows
	for a := 1; a <= count; a++ {
		for b := 1; b <= vectors; b++ {
			if tile := (Tile{tileRows * a, b}); tile.fitsAMX() {
				all = append(all, tile)
				costs[tile] = amxCost(count, vectors, taps, a, b)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b Tile) int { return cmp.Compare(costs[a], costs[b]) })
	return all
}

// Cycles that a tile takes: a product, and a load of rows that are lines of the cache, or
// lie across two.
const (
	amxProduct  = 16
	amxLoad     = 8
	amxLoadSlow = 16
)

// amxCost estimates the cycles that one step of one range costs a whole line of vectors, in
// blocks of a by b tiles. Products and loads go on side by side; where each B that lies across
// lines of the cache makes one product only, that needs many tiles for B to pass through: a stem
// in blocks of 1 by 2 takes three quarters of the time that it takes in 1 by 6.
func amxCost(tiles, vectors, taps, a, b int) (cycles float64) {
	load := amxLoad
	if taps > 1 {
		load = amxLoadSlow
	}
	const enough = 5
	waits := taps > 1 && a == 1 && tileCount-b-1 < enough
	for _, sa := range balanced(tiles, a) {
		for _, sb := range balanced(vectors, b) {
			products, loads := float64(amxProduct*sa.size*sb.size), float64(amxLoad*sa.size+load*sb.size)
			both := max(products, loads)
			if waits {
				both = products + loads
			}
			cycles += float64(sa.n*sb.n) * (both + loads/8)
		}
	}
	return cycles
}

// WorthAMX reports whether ConvAMX should be faster than Conv, for whom a product of 16
// pixels takes half a cycle: few channels leave tiles empty. ranges of so many pairs, or
// quads, are what is added up for each output.
func WorthAMX(out, ranges, pairs int) bool {
	up := func(n int) int { return (n + tileRows - 1) / tileRows }
	return amxProduct*up(out)*up(pairs)*ranges < out*pairs*ranges/2
}
