package codegen

import "fmt"

// RGB describes the unpacking of a row of interleaved 8-bit RGB pixels into six rows of
// float32 from 0 to 1: red, green and blue of the even columns, then of the odd ones. Or
// into three rows of pairs from 0 to 255, which bfloat16 holds exactly: red, green and
// blue, those of the even columns in the lower halves.
//
// Arguments: 0 the pixels, readable for a vector beyond the row, 3 output, 5 masks of the
// output's vectors (with MaskLast).
type RGB struct {
	OutChannel int
	Line       Line // of the output, with MaskNone or MaskLast
	Pairs      bool
}

// RGBReads is how many bytes behind a row RGB and Halves may read.
const RGBReads = 256

// RGB writes the unpacking.
func (b *Builder) RGB(c RGB) (Func, error) {
	if c.Line.Vectors < 1 || c.Line.Mask == MaskAll || c.Line.Mask == MaskPart {
		return 0, fmt.Errorf("codegen: impossible %+v", c)
	}
	return b.kernel(c, c.Pairs, func(m isa) {
		lineArgs(m, c.Line, false)
		size := 4 * m.lanes()
		vectors := func(last bool) {
			planes := m.rgb(rX)
			const t vec = 6 // free
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
				if last && c.Line.Mask == MaskLast {
					m.andM(v, v, rMask, 0)
				}
				m.store(rOut, i*c.OutChannel, v)
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
