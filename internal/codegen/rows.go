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
	// Quads of bytes, and so is what is added; channels count quads. Of Quant the table takes
	// the place of Act, and Add says how to add.
	Quads bool
	Quant Quant
}

// Map writes the copying.
func (b *Builder) Map(c Map) (Func, error) {
	if c.Channels < 1 || c.Rows < 1 || c.Line.Vectors < 1 || !c.Act.known() {
		return 0, fmt.Errorf("codegen: impossible %+v", c)
	}
	if err := c.checkQuads(); err != nil {
		return 0, err
	}
	return b.kernel(c, c.Pairs, func(m isa) {
		lineArgs(m, c.Line, c.Add)
		// Vectors are at most unrolled so often; the rest of a line is a loop.
		const unroll = 4
		size := 4 * m.lanes()
		loops := convWriter{b, m, Conv{Stride: 1, Add: c.Add, Line: c.Line, Act: c.Act, Tile: Tile{1, unroll}, PairsOut: c.Pairs, Quant: c.Quant}}
		m.loop(rTiles, c.Channels, func() {
			m.push(rX, rOut, rRes)
			m.loop(rCount, c.Rows, func() {
				m.push(rX, rOut, rRes, rMask, rCount)
				loops.pixels(func(vectors int, last bool) {
					if c.Quads {
						y, _, free := b.registers(vectors, 0)
						for j, v := range y {
							m.load(v, rX, j*size)
							loops.finishQuads(v, [6]vec(free[:6]), 0, j*size, j, last && j == vectors-1)
						}
						return
					}
					y, _, free := b.registers(vectors*loops.perLane(), 0)
					for j, v := range y[len(y)-vectors:] {
						m.load(v, rX, j*size)
						if c.Pairs {
							m.(pairISA).lower(y[j], v)
							m.(pairISA).upper(v, v)
						}
					}
					loops.store(y, free, loops.perLane(), vectors, last)
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
	})
}

func (c *Map) checkQuads() error {
	switch {
	case !c.Quads && c.Quant == Quant{}:
		return nil
	case !c.Quads || c.Pairs || c.Act.Kind != "":
		return fmt.Errorf("codegen: map of quads %v and pairs %v by %+v and activation %q", c.Quads, c.Pairs, c.Quant, c.Act.Kind)
	}
	return c.Quant.Add.check()
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
	return b.kernel(c, false, func(m isa) {
		lineArgs(m, c.Line, false)
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
						for row := range 2 {
							c.Line.store(b, rCurW, row*c.OutRow+(v+i)*size, half, t, 0, last)
						}
					}
				}
				m.add(rCurX, c.InRow)
				m.add(rCurW, 2*c.OutRow)
			})
			m.add(rX, c.InChannel)
			m.add(rOut, c.OutChannel)
		})
	})
}
