package codegen

import "fmt"

// Halves describes the parting of rows into their even and their odd columns, or into the
// halves of rows of pairs, times 255: so bfloat16 holds exactly what was a pixel of 8 bits.
// Rows are written in order, so that the last vector of one may reach into the next.
//
// Arguments: 0 the first row, readable for two vectors beyond it, 3 output, 5 masks of the
// output's vectors (with MaskLast).
type Halves struct {
	Rows   int
	InRow  int // from one row to the next
	OutRow int
	OutOdd int  // from the even columns to the odd ones
	Line   Line // of each half, with MaskNone or MaskLast
	Pairs  bool
}

// Halves writes the parting.
func (b *Builder) Halves(c Halves) (Func, error) {
	if c.Rows < 1 || c.Line.Vectors < 1 || c.Line.Mask == MaskAll || c.Line.Mask == MaskPart {
		return 0, fmt.Errorf("codegen: impossible %+v", c)
	}
	return b.kernel(c, c.Pairs, func(m isa) {
		lineArgs(m, c.Line, false)
		m.pickLanes()
		const even, odd, t vec = 0, 1, 2
		vectors := func(last bool) {
			m.loadEven(even, rX, 0)
			m.loadOdd(odd, rX, 0)
			if c.Pairs {
				m.mulM(even, even, rConst, b.consts.offset(255))
				m.mulM(odd, odd, rConst, b.consts.offset(255))
				m.(pairISA).packPairs(even, even, odd, t)
			}
			c.Line.store(b, rOut, 0, even, t, 0, last)
			if !c.Pairs {
				c.Line.store(b, rOut, c.OutOdd, odd, t, 0, last)
			}
			m.add(rX, 8*m.lanes())
			m.add(rOut, 4*m.lanes())
		}
		m.loop(rOuter, c.Rows, func() {
			m.push(rX, rOut)
			if c.Line.Vectors > 1 {
				m.loop(rCount, c.Line.Vectors-1, func() { vectors(false) })
			}
			vectors(true)
			m.pop(rX, rOut)
			m.add(rX, c.InRow)
			m.add(rOut, c.OutRow)
		})
	})
}
