package codegen

import (
	"encoding/binary"
	"math"
)

// Kernels can also work on 8 bits: a lane of 32 bits then holds a quad, that is channels 4i
// to 4i+3 of a pixel from the lowest byte up, and one instruction multiplies and adds for
// four input channels, with sums in int32. As with pairs, what moves whole lanes is the
// same, and a value may have quads that are not full: those of channels that a
// concatenation has put next to each other, or the last one of a count that is no multiple
// of four. What lies in the bytes of no channel is arbitrary, and the weights over them are 0.
//
// Padding holds the zero point. Where masks leave lanes out, Line.Pad is written there.

// A quadISA is an isa that has instructions for quads.
type quadISA interface {
	isa
	// tapQuads is tap for quads of input channels: each sum, in int32, gets all four
	// products of bytes without and weights with sign. Inputs are used up.
	tapQuads(acc []vec, x []vec, o int, base reg, off int, free []vec)
	quadRegisters(vectors int) int // how many tapQuads needs beside the sums
	quadWeight() int               // how many lanes the weights of a quad take
	inputOffset() int32            // what it takes off every input

	addIntM(d, x vec, base reg, off int)               // d = x + memory in int32
	addUpper(y, lower vec)                             // y = 256*y + lower in int32
	scaleQuads(y, t vec, base reg, off int, plus bool) // y, in int32, times the float32 in memory, plus the next one; t is used up
	quotient(d, x, s vec)                              // d = x/s, rounded to the nearest
	round(y vec, any bool)                             // y to int32, halves to even; any: what is beyond, too, which becomes large or small
	packQuads(y [4]vec, zero uint8, zeros int)         // y[0] = the quads of y, in int32, plus zero, which stands at zeros among the constants in 16 bits; others are used up
	// addBytes sets y to the bytes (y*w.y + r*w.r + w.begin) >> w.shift, held to what fits. Pairs
	// of the weights and begin are among the constants; r and t are used up.
	addBytes(y, r vec, t [4]vec, w wholeAdd, weights, begin int)
	lookup(y vec, table int, t [4]vec) // bytes of y to those in a table of 256 among the constants; t are used up
	quadByte(d, s vec, i int)          // d = byte i of each lane of s, in float32
	// rgbQuads takes the same 2*lanes() interleaved 8-bit RGB pixels of two rows. A pixel of the
	// result is two by two of these: the first quad has the even column's red, green and blue
	// of the first row and the odd one's red, and so on. Registers 0 to 2.
	rgbQuads(first, second reg) [3]vec
	maxBytesM(d, x vec, base reg, off int) // d = the larger bytes of x and memory
}

// Quad returns the lane that holds the four bytes.
func Quad(b [4]uint8) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b[:])) }

// Unquad returns the bytes in the lane q.
func Unquad(q float32) (b [4]uint8) {
	binary.LittleEndian.PutUint32(b[:], math.Float32bits(q))
	return b
}

// MaxQuadProducts is the most products that a convolution of quads may sum up, so that the
// sum fits 32 bits whatever the bytes are.
const MaxQuadProducts = math.MaxInt32 / (255 * 127)

// quadTiles is tiles for a convolution of quads: where both numbers are multiples of four so
// are all tiles, as it has to be where the output is quads, too.
func quadTiles(out, limit int) []segment {
	if out%4 != 0 || limit%4 != 0 {
		return tiles(out, limit)
	}
	return multiples(out, limit, 4)
}

// weightQuad returns the weights of a quad of input channels, for one output channel and tap.
func weightQuad(weights []int8, taps, tap int) (q [4]uint8) {
	for c := range q {
		q[c] = uint8(weights[c*taps+tap])
	}
	return q
}

// PackQuads is Pack for a convolution of quads: the weights are [out, 4*in, taps], from -127
// to 127, where in is the quads of input channels.
func (t Target) PackQuads(weights []int8, out, in, taps int, tile Tile) []float32 {
	m := t.isa().(quadISA)
	words := m.quadWeight()
	return pack(quadTiles(out, tile.Out), m.packing(), in*taps, words, func(to []float32, o, i int) {
		q := weightQuad(weights[(o*in+i/taps)*4*taps:], taps, i%taps)
		if words == 1 {
			to[0] = Quad(q)
			return
		}
		// in 16 bits, channels 0 and 2, then 1 and 3
		for k := range to {
			lo, hi := uint16(int8(q[k])), uint16(int8(q[k+2]))
			to[k] = math.Float32frombits(uint32(lo) | uint32(hi)<<16)
		}
	})
}

// storeQuads finishes the sums of a tile, as its Quant says, and writes them out. free are
// at least three registers.
func (w convWriter) storeQuads(acc, free []vec, out, v int, last bool) {
	m := w.m.(quadISA)
	size := 4 * m.lanes()
	for o := 0; o < out; o += 4 {
		for j := range v {
			var y [4]vec
			for i := range y {
				y[i] = acc[(o+i)*v+j]
				m.scaleQuads(y[i], free[i%len(free)], rBias, 4*(quantSums*(o+i)+1), !w.Quant.Whole)
				m.round(y[i], !w.Quant.Whole)
			}
			m.packQuads(y, w.Quant.Zero, w.b.consts.zeros(w.Quant.Zero))
			w.finishQuads(y[0], [6]vec{y[1], y[2], y[3], free[0], free[1], free[2]}, o/4, j*size, j, last && j == v-1)
		}
	}
}

// finishQuads looks a vector of quads up in the table, adds to it, and writes it out.
func (w convWriter) finishQuads(y vec, t [6]vec, quad, off, index int, last bool) {
	if w.Quant.Table != nil {
		w.m.(quadISA).lookup(y, w.b.consts.table(w.Quant.Table), [4]vec(t[:4]))
	}
	if w.Add {
		w.b.addQuads(&w.Quant.Add, y, t[4], [4]vec(t[:4]), rRes, quad*w.AddChannel+off)
	}
	w.Line.store(w.b, rOut, quad*w.OutChannel+off, y, t[5], index, last)
}

// addQuads adds the quads in memory to y. R and t are used up.
func (b *Builder) addQuads(a *QuantAdd, y, r vec, t [4]vec, base reg, off int) {
	w := a.whole()
	b.isa.load(r, base, off)
	b.isa.(quadISA).addBytes(y, r, t, w, b.consts.bits(uint32(uint16(w.y))|uint32(uint16(w.r))<<16), b.consts.bits(uint32(w.begin)))
}
