package codegen

import "fmt"

// RGB describes the unpacking of a row of interleaved 8-bit RGB pixels into six rows of
// float32 from 0 to 1: red, green and blue of the even columns, then of the odd ones. Or
// into three rows of pairs from 0 to 255, which bfloat16 holds exactly: red, green and
// blue, those of the even columns in the lower halves. Or of two rows into three rows of
// quads, the bytes as they are: of the first row red, green and blue of the even columns and
// of the odd ones, then those of the second.
//
// Arguments: 0 the pixels, readable for a vector beyond the row, 1 those of the second row
// (with Quads), 3 output, 5 masks of the output's vectors (with MaskLast).
type RGB struct {
	OutChannel int
	Line       Line // of the output, with MaskNone or MaskLast
	Pairs      bool
	Quads      bool
}

// RGBReads is how many bytes behind a row RGB and Halves may read.
const RGBReads = 256

// RGB writes the unpacking.
func (b *Builder) RGB(c RGB) (Func, error) {
	if c.Line.Vectors < 1 || c.Line.Mask == MaskAll || c.Line.Mask == MaskPart || c.Pairs && c.Quads {
		return 0, fmt.Errorf("codegen: impossible %+v", c)
	}
	if c.Quads {
		return b.rgbQuads(c)
	}
	return b.kernel(c, c.Pairs, func(m isa) {
		lineArgs(m, c.Line, false)
		size := 4 * m.lanes()
		vectors := func(last bool) {
			planes := m.rgb(rX)
			const t vec = 6
			rows := planes[:]
			if c.Pairs {
				rows = rows[:3]
				for i, v := range rows {
					m.(pairISA).packPairs(v, v, planes[3+i], t)
				}
			}
			for i, v := range rows {
				if !c.Pairs {
					m.mulM(v, v, rConst, b.consts.offset(1./255))
				}
				c.Line.store(b, rOut, i*c.OutChannel, v, t, 0, last)
			}
			m.add(rX, 6*m.lanes())
			m.add(rOut, size)
		}
		if c.Line.Vectors > 1 {
			m.loop(rCount, c.Line.Vectors-1, func() { vectors(false) })
		}
		vectors(true)
	})
}

// rgbQuads writes the unpacking to quads.
func (b *Builder) rgbQuads(c RGB) (Func, error) {
	return b.kernel(c, false, func(m isa) {
		lineArgs(m, c.Line, false)
		m.arg(rW, 1)
		vectors := func(last bool) {
			const free vec = 3
			for i, v := range m.(quadISA).rgbQuads(rX, rW) {
				c.Line.store(b, rOut, i*c.OutChannel, v, free, 0, last)
			}
			m.add(rX, 6*m.lanes())
			m.add(rW, 6*m.lanes())
			m.add(rOut, 4*m.lanes())
		}
		if c.Line.Vectors > 1 {
			m.loop(rCount, c.Line.Vectors-1, func() { vectors(false) })
		}
		vectors(true)
	})
}
