package codegen

import "fmt"

// Round describes the rounding of float32 to quads: each byte of a quad comes from a row of
// its own, x/Scale rounded to a whole number, halves to even, plus Zero, held to 0 to 255. The
// quotient is rounded to float32 before. What is no number becomes 0.
//
// Arguments: 0, 1, 2 and 4 the rows for the bytes from the lowest up, readable for two vectors
// beyond them, 3 output, 5 masks of the output's vectors (with MaskLast).
type Round struct {
	Columns [4]Columns // of each row
	Scale   float32    // as CanRound says
	Zero    uint8
	Line    Line // of the output, without MaskAll
}

// CanRound reports whether Round takes the scale s: kernels take less than the least normal
// float32 for 0, and beyond 2^97 there are no float32 far from all levels.
func CanRound(s float32) bool { return s >= 0x1p-126 && s <= 0x1p97 }

// Columns says which columns of a row count.
type Columns int

const (
	AllColumns Columns = iota
	EvenColumns
	OddColumns
	NoColumns // there is no row, and its byte is Zero
)

// Round writes the rounding.
func (b *Builder) Round(c Round) (Func, error) {
	if c.Line.Vectors < 1 || c.Line.Mask == MaskAll || !CanRound(c.Scale) {
		return 0, fmt.Errorf("codegen: impossible %+v", c)
	}
	return b.kernel(c, false, func(m isa) {
		quads := m.(quadISA)
		lineArgs(m, c.Line, false)
		rows := [4]reg{rX, rW, rBias, rRes}
		for i, arg := range []int{0, 1, 2, 4} {
			if c.Columns[i] != NoColumns {
				m.arg(rows[i], arg)
			}
		}
		m.pickLanes()
		y, x, scale, free := [4]vec{0, 1, 2, 3}, vec(4), vec(5), vec(6)
		m.load(scale, rConst, b.consts.offset(c.Scale))
		product := productDivides(c.Scale)
		far := c.Scale * (1 << 30) // from all levels, and quotients fit 32 bits
		least, most := b.consts.offset(-far), b.consts.offset(far)
		vectors := func(last bool) {
			for i, v := range y {
				step := 8 * m.lanes()
				switch c.Columns[i] {
				case AllColumns:
					m.load(x, rows[i], 0)
					step /= 2
				case EvenColumns:
					m.loadEven(x, rows[i], 0)
				case OddColumns:
					m.loadOdd(x, rows[i], 0)
				default:
					m.zero(v)
					continue
				}
				m.maxM(x, x, rConst, least)
				m.minM(x, x, rConst, most)
				b.quotient(v, x, scale, c.Scale, product)
				quads.round(v, false)
				m.add(rows[i], step)
			}
			quads.packQuads(y, c.Zero, b.consts.zeros(c.Zero))
			c.Line.store(b, rOut, 0, y[0], free, 0, last)
			m.add(rOut, 4*m.lanes())
		}
		if c.Line.Vectors > 1 {
			m.loop(rCount, c.Line.Vectors-1, func() { vectors(false) })
		}
		vectors(true)
	})
}
