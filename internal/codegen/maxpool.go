package codegen

import (
	"fmt"
	"math"
)

// MaxPool describes a max pooling with an odd kernel, stride 1 and as much padding as
// keeps the size. It takes the maxima of columns first and of rows then, so that a kernel
// of 5x5 costs 10 comparisons instead of 25.
//
// Arguments: 0 input, 3 output, 4 limits (with a mask: infinity in the lanes of the last
// vector that belong to the map, minus infinity in the others; with Quads, all bits set and
// all clear), 5 masks (with MaskLast), 6 scratch memory of Scratch bytes.
type MaxPool struct {
	Channels, Rows     int
	Kernel             int
	InRow, InChannel   int
	OutRow, OutChannel int
	Line               Line // without MaskAll
	Pairs              bool // of bfloat16; channels count pairs
	Quads              bool // of bytes; channels count quads
}

// Scratch is how much memory the pooling needs beside.
func (p MaxPool) Scratch(t Target) int { return (p.Rows + p.Kernel) * p.pitch(t.lanes) }

// pitch is a row of scratch memory: the line with vectors of padding on both sides.
func (p MaxPool) pitch(lanes int) int { return 4 * lanes * (p.Line.Vectors + 2*p.margin(lanes)) }

// margin is how many vectors of padding are on one side.
func (p MaxPool) margin(lanes int) int { return (p.Kernel/2 + lanes - 1) / lanes }

// MaxPool writes the pooling.
func (b *Builder) MaxPool(c MaxPool) (Func, error) {
	if c.Channels < 1 || c.Rows < 1 || c.Line.Vectors < 1 || c.Line.Mask == MaskAll || c.Kernel < 1 || c.Kernel%2 == 0 {
		return 0, fmt.Errorf("codegen: impossible %+v", c)
	}
	if c.Quads && c.Pairs {
		return 0, fmt.Errorf("codegen: max pool of pairs and quads")
	}
	return b.kernel(c, c.Pairs, func(m isa) {
		lineArgs(m, c.Line, c.Line.Mask != MaskNone)
		m.arg(rScratch, 6)
		m.loop(rTiles, c.Channels, func() {
			if c.Pairs {
				b.poolFill(c, lowerHalf)
				b.poolMaxima(c, lowerHalf)
				b.poolFill(c, upperHalf)
				b.poolMaxima(c, upperHalf)
			} else {
				b.poolFill(c, wholeLane)
				b.poolMaxima(c, wholeLane)
			}
			m.add(rX, c.InChannel)
			m.add(rOut, c.OutChannel)
		})
	})
}

// A lanePart is what is pooled at a time: a lane of pairs half by half, in float32.
type lanePart int

const (
	wholeLane lanePart = iota
	lowerHalf
	upperHalf // last, as it keeps the lower half that is there
)

// The first row of scratch holds the maxima of columns at work, the others the map with
// padding of minus infinity.

// poolFill copies one channel's map and its padding to scratch.
func (b *Builder) poolFill(c MaxPool, part lanePart) {
	m := b.isa
	const inf, y vec = 0, 1
	size, pitch, pad, margin := 4*m.lanes(), c.pitch(m.lanes()), c.Kernel/2, c.margin(m.lanes())
	if c.Quads { // 0 is least among bytes
		m.zero(inf)
	} else {
		m.load(inf, rConst, b.consts.offset(float32(math.Inf(-1))))
	}
	border := func(rows int) {
		m.loop(rOuter, rows, func() {
			for v := range c.Line.Vectors + 2*margin {
				m.store(rCurW, v*size, inf)
			}
			m.add(rCurW, pitch)
		})
	}
	m.move(rCurX, rX)
	m.move(rCurW, rScratch)
	border(1 + pad)
	m.loop(rOuter, c.Rows, func() {
		for v := range margin {
			m.store(rCurW, v*size, inf)
			m.store(rCurW, (margin+c.Line.Vectors+v)*size, inf)
		}
		for v := range c.Line.Vectors {
			m.load(y, rCurX, v*size)
			switch part {
			case lowerHalf:
				m.(pairISA).lower(y, y)
			case upperHalf:
				m.(pairISA).upper(y, y)
			}
			if v == c.Line.Vectors-1 && c.Line.Mask != MaskNone {
				if c.Quads {
					m.andM(y, y, rRes, 0)
				} else {
					m.minM(y, y, rRes, 0)
				}
			}
			m.store(rCurW, (margin+v)*size, y)
		}
		m.add(rCurX, c.InRow)
		m.add(rCurW, pitch)
	})
	if pad > 0 {
		border(pad)
	}
}

// poolMaxima writes one channel's maxima.
func (b *Builder) poolMaxima(c MaxPool, part lanePart) {
	m := b.isa
	const y, other, t vec = 0, 1, 2
	maxM := m.maxM
	if c.Quads {
		maxM = m.(quadISA).maxBytesM
	}
	size, pitch, pad, margin := 4*m.lanes(), c.pitch(m.lanes()), c.Kernel/2, c.margin(m.lanes())
	m.lea(rCurX, rScratch, pitch)
	m.move(rCurW, rOut)
	m.loop(rOuter, c.Rows, func() {
		for v := range c.Line.Vectors {
			off := (margin + v) * size
			m.load(y, rCurX, off)
			for r := 1; r < c.Kernel; r++ {
				maxM(y, y, rCurX, r*pitch+off)
			}
			m.store(rScratch, off, y)
		}
		for v := range c.Line.Vectors {
			off := (margin + v) * size
			m.load(y, rScratch, off-4*pad)
			for x := 1; x < c.Kernel; x++ {
				maxM(y, y, rScratch, off+4*(x-pad))
			}
			switch part {
			case lowerHalf:
				m.zero(other)
				m.(pairISA).packPairs(y, y, other, t)
			case upperHalf:
				m.load(other, rCurW, v*size)
				m.(pairISA).lower(other, other)
				m.(pairISA).packPairs(y, other, y, t)
			}
			c.Line.store(b, rCurW, v*size, y, t, 0, v == c.Line.Vectors-1)
		}
		m.add(rCurX, pitch)
		m.add(rCurW, c.OutRow)
	})
}
