package codegen

import "fmt"

// Interleave describes how four maps, the phases, become one of twice their height and
// width: row y, column x of phase 2*a+b is row 2y+a, column 2x+b of the output.
//
// Arguments: 0 a row of phase 0, 3 the first of the two rows of the output, 5 masks of the
// output's vectors (with MaskLast).
type Interleave struct {
	Channels           int
	InChannel, InPhase int // from one phase to the next
	OutRow, OutChannel int
	Line               Line // of the output, without MaskAll
}

// Interleave writes the interleaving.
func (b *Builder) Interleave(c Interleave) (Func, error) {
	if c.Channels < 1 || c.Line.Vectors < 1 || c.Line.Mask == MaskAll {
		return 0, fmt.Errorf("codegen: impossible %+v", c)
	}
	return b.kernel(c, false, func(m isa) {
		lineArgs(m, c.Line, false)
		const even, odd, lo, hi, t vec = 0, 1, 2, 3, 4
		size := 4 * m.lanes()
		vectors := func(n int, last bool) { // one or two of the output
			m.load(even, rCurX, 0)
			m.load(odd, rCurX, c.InPhase)
			m.zip(lo, hi, even, odd)
			for i, v := range []vec{lo, hi}[:n] {
				c.Line.store(b, rCurW, i*size, v, t, 0, last && i == n-1)
			}
			m.add(rCurX, size)
			m.add(rCurW, 2*size)
		}
		m.loop(rTiles, c.Channels, func() {
			for row := range 2 {
				m.lea(rCurX, rX, row*2*c.InPhase)
				m.lea(rCurW, rOut, row*c.OutRow)
				pairs := (c.Line.Vectors - 1) / 2 // without the last vector
				if pairs > 0 {
					m.loop(rOuter, pairs, func() { vectors(2, false) })
				}
				vectors(c.Line.Vectors-2*pairs, true)
			}
			m.add(rX, c.InChannel)
			m.add(rOut, c.OutChannel)
		})
	})
}
