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
// vector that belong to the map, minus infinity in the others), 5 masks (with MaskLast),
// 6 scratch memory of Scratch bytes.
type MaxPool struct {
	Channels, Rows     int
	Kernel             int
	InRow, InChannel   int
	OutRow, OutChannel int
	Line               Line // without MaskAll
}

// Scratch is how much memory the pooling needs beside.
func (p MaxPool) Scratch(t Target) int { return (p.Rows + p.Kernel) * p.pitch(t.lanes) }

// pitch is a row of scratch memory: the line with a vector of padding on both sides.
func (p MaxPool) pitch(lanes int) int { return 4 * lanes * (p.Line.Vectors + 2) }

// MaxPool writes the pooling.
func (b *Builder) MaxPool(c MaxPool) (Func, error) {
	if c.Channels < 1 || c.Rows < 1 || c.Line.Vectors < 1 || c.Line.Mask == MaskAll || c.Kernel%2 == 0 || c.Kernel/2 > b.target.lanes {
		return 0, fmt.Errorf("codegen: impossible %+v", c)
	}
	return b.kernel(c, func(m isa) {
		m.arg(rConst, argConst)
		m.arg(rX, 0)
		m.arg(rOut, 3)
		if c.Line.Mask != MaskNone {
			m.arg(rRes, 4)
			m.arg(rMask, 5)
		}
		m.arg(rScratch, 6)
		m.loop(rTiles, c.Channels, func() {
			b.poolFill(c)
			b.poolMaxima(c)
			m.add(rX, c.InChannel)
			m.add(rOut, c.OutChannel)
		})
		m.leave()
	})
}

// The first row of scratch holds the maxima of columns at work, the others the map with
// padding of minus infinity.

// poolFill copies one channel's map and its padding to scratch.
func (b *Builder) poolFill(c MaxPool) {
	m := b.isa
	const inf, y vec = 0, 1
	size, pitch, pad := 4*m.lanes(), c.pitch(m.lanes()), c.Kernel/2
	m.load(inf, rConst, b.consts.offset(float32(math.Inf(-1))))
	border := func(rows int) {
		m.loop(rOuter, rows, func() {
			for v := range c.Line.Vectors + 2 {
				m.store(rCurW, v*size, inf)
			}
			m.add(rCurW, pitch)
		})
	}
	m.move(rCurX, rX)
	m.move(rCurW, rScratch)
	border(1 + pad)
	m.loop(rOuter, c.Rows, func() {
		m.store(rCurW, 0, inf)
		for v := range c.Line.Vectors {
			m.load(y, rCurX, v*size)
			if v == c.Line.Vectors-1 && c.Line.Mask != MaskNone {
				m.minM(y, y, rRes, 0)
			}
			m.store(rCurW, (v+1)*size, y)
		}
		m.store(rCurW, (c.Line.Vectors+1)*size, inf)
		m.add(rCurX, c.InRow)
		m.add(rCurW, pitch)
	})
	if pad > 0 {
		border(pad)
	}
}

// poolMaxima writes one channel's maxima.
func (b *Builder) poolMaxima(c MaxPool) {
	m := b.isa
	const y, t vec = 0, 1
	size, pitch, pad := 4*m.lanes(), c.pitch(m.lanes()), c.Kernel/2
	m.lea(rCurX, rScratch, pitch)
	m.move(rCurW, rOut)
	m.loop(rOuter, c.Rows, func() {
		for v := range c.Line.Vectors {
			m.load(y, rCurX, (v+1)*size)
			for r := 1; r < c.Kernel; r++ {
				m.maxM(y, y, rCurX, r*pitch+(v+1)*size)
			}
			m.store(rScratch, (v+1)*size, y)
		}
		for v := range c.Line.Vectors {
			m.load(y, rScratch, (v+1)*size-4*pad)
			for x := 1; x < c.Kernel; x++ {
				m.maxM(y, y, rScratch, (v+1)*size+4*(x-pad))
			}
			switch last := v == c.Line.Vectors-1; {
			case last && c.Line.Mask == MaskPart:
				m.storeFirst(rCurW, v*size, y, t, c.Line.Last)
				continue
			case last && c.Line.Mask == MaskLast:
				m.andM(y, y, rMask, 0)
			}
			m.store(rCurW, v*size, y)
		}
		m.add(rCurX, pitch)
		m.add(rCurW, c.OutRow)
	})
}
