package codegen

import "fmt"

// Map describes the copying of rows, with an activation and an addition on the way:
// for each channel and row, out = act(in) + add.
//
// Arguments: 0 input, 3 output, 4 what is added (with Add), 5 masks (with MaskLast,
// MaskAll).
type Map struct {
	Channels, Rows     int
	InRow, InChannel   int
	OutRow, OutChannel int
	AddRow, AddChannel int
	Add                bool
	Act                Activation
	Line               Line
	Pairs              bool // of bfloat16, and so is what is added; channels count pairs
}

// Map writes the copying.
func (b *Builder) Map(c Map) (Func, error) {
	if c.Channels < 1 || c.Rows < 1 || c.Line.Vectors < 1 || !c.Act.known() {
		return 0, fmt.Errorf("codegen: impossible %+v", c)
	}
	if c.Pairs && !b.target.pairs() {
		return 0, errNoPairs(b.target)
	}
	return b.kernel(c, func(m isa) {
		m.arg(rConst, argConst)
		m.arg(rX, 0)
		m.arg(rOut, 3)
		if c.Add {
			m.arg(rRes, 4)
		}
		if c.Line.Mask == MaskLast || c.Line.Mask == MaskAll {
			m.arg(rMask, 5)
		}
		// Vectors are at most unrolled so often; the rest of a line is a loop.
		const unroll = 4
		size := 4 * m.lanes()
		loops := convWriter{b, m, Conv{Stride: 1, Add: c.Add, Line: c.Line, Act: c.Act, Tile: Tile{1, unroll}, PairsOut: c.Pairs}}
		m.loop(rTiles, c.Channels, func() {
			m.push(rX, rOut, rRes)
			m.loop(rCount, c.Rows, func() {
				m.push(rX, rOut, rRes, rMask, rCount)
				loops.pixels(func(s segment, last bool) {
					y, _, free := b.registers(s.size*loops.perLane(), 0)
					for j, v := range y[len(y)-s.size:] {
						m.load(v, rX, j*size)
						if c.Pairs {
							m.(pairISA).lower(y[j], v)
							m.(pairISA).upper(v, v)
						}
					}
					loops.store(y, free, loops.perLane(), s.size, last)
				})
				m.pop(rX, rOut, rRes, rMask, rCount)
				m.add(rX, c.InRow)
				m.add(rOut, c.OutRow)
				m.add(rRes, c.AddRow)
			})
			m.pop(rX, rOut, rRes)
			m.add(rX, c.InChannel)
			m.add(rOut, c.OutChannel)
			m.add(rRes, c.AddChannel)
		})
		m.leave()
	})
}

// Upsample describes the doubling of rows: each pixel becomes two by two.
//
// Arguments: 0 input, 3 output, 5 masks of the output's vectors (with MaskLast).
type Upsample struct {
	Channels, Rows     int // of the input
	InRow, InChannel   int
	OutRow, OutChannel int
	Line               Line // of the output, without MaskAll
}

// Upsample writes the doubling.
func (b *Builder) Upsample(c Upsample) (Func, error) {
	if c.Channels < 1 || c.Rows < 1 || c.Line.Vectors < 1 || c.Line.Mask == MaskAll {
		return 0, fmt.Errorf("codegen: impossible %+v", c)
	}
	return b.kernel(c, func(m isa) {
		m.arg(rConst, argConst)
		m.arg(rX, 0)
		m.arg(rOut, 3)
		if c.Line.Mask == MaskLast {
			m.arg(rMask, 5)
		}
		const in, lo, hi, t vec = 0, 1, 2, 3
		size := 4 * m.lanes()
		m.loop(rTiles, c.Channels, func() {
			m.move(rCurX, rX)
			m.move(rCurW, rOut)
			m.loop(rOuter, c.Rows, func() {
				for v := 0; v < c.Line.Vectors; v += 2 {
					m.load(in, rCurX, v/2*size)
					m.twice(lo, hi, in)
					for i, half := range []vec{lo, hi}[:min(2, c.Line.Vectors-v)] {
						last := v+i == c.Line.Vectors-1
						if last && c.Line.Mask == MaskLast {
							m.andM(half, half, rMask, 0)
						}
						for row := range 2 {
							off := row*c.OutRow + (v+i)*size
							if last && c.Line.Mask == MaskPart {
								m.storeFirst(rCurW, off, half, t, c.Line.Last)
							} else {
								m.store(rCurW, off, half)
							}
						}
					}
				}
				m.add(rCurX, c.InRow)
				m.add(rCurW, 2*c.OutRow)
			})
			m.add(rX, c.InChannel)
			m.add(rOut, c.OutChannel)
		})
		m.leave()
	})
}
