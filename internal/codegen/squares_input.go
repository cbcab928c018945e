package codegen

import (
	"fmt"
	"slices"
)

// SquaresInput describes the transformation of input rows into T. The columns left and
// right of the map have to hold zeros.
//
// First a channel's rows are parted into the phases of their columns, by the remainder of
// column and square side, in scratch memory: one array for each remainder of row and of
// column, in which what a square reads lies one lane after what the square on its left
// does. T is then made of whole vectors.
//
// Arguments: 0 input at the first row and column that the first square reads, 1 and 2 where
// in T the blocks of the first and of the second size begin, as Starts has it, 5 masks (with
// Masked), 6 scratch memory of InputScratch bytes.
type SquaresInput struct {
	Strip
	Channels  int // that the call transforms
	All       int // that T has
	InRow     int
	InChannel int
	Rows      int // of input that there are; those that Reads has beyond count as zeros
	Plane     int // of T: from one plane to the next
	// Masked says that the width is not a multiple of the square's side, so that squares
	// reach beyond the column of zeros on the right. Masks then say which columns count, in
	// the order of Mask.
	Masked bool
}

// phases is the squares' distance in rows or columns of input.
func (s Strip) phases() int { return squareSide * s.Stride }

// rowVectors is how many vectors a row of squares takes, with the lane behind it.
func (s Strip) rowVectors(lanes int) int { return (s.pitch() + lanes - 1) / lanes }

// array is the floats of one phase of rows and columns.
func (s Strip) array(lanes int) int {
	return roundUp((s.Rows+1)*s.pitch()+(1+s.rowVectors(lanes))*lanes, constSize/4)
}

// InputScratch is how many bytes of scratch memory SquaresInput needs.
func (t Target) InputScratch(s Strip) int { return 4 * s.phases() * s.phases() * s.array(t.lanes) }

// Masks returns the masks for rows of input that have width columns, the zeros on the left
// and the right included: true where a lane counts, in vectors of that many lanes.
func (s Strip) Masks(width, lanes int) []bool {
	var mask []bool
	for block := range s.rowVectors(lanes) {
		for phase := range s.phases() {
			for lane := range lanes {
				mask = append(mask, (block*lanes+lane)*s.phases()+phase < width)
			}
		}
	}
	return mask
}

// Masked reports whether squares read columns beyond the one of zeros on the right of an
// input of that width.
func (s Strip) Masked(width int) bool {
	return (s.Columns-1)*s.phases()+WinogradReads(s.Stride, squareSide) > width+2
}

// SquaresInput writes the input's transformation.
func (b *Builder) SquaresInput(w SquaresInput) (Func, error) {
	switch err := w.check(); {
	case err != nil:
		return 0, err
	case w.Channels < 1 || w.All < w.Channels || w.Rows < 1 || w.Rows > w.Reads():
		return 0, fmt.Errorf("codegen: impossible %+v", w)
	}
	return b.kernel(w, false, func(m isa) {
		m.arg(rX, 0)
		m.arg(rOut, 1)
		m.arg(rRes, 2)
		m.arg(rScratch, 6)
		if w.Masked {
			m.arg(rMask, 5)
		}
		m.pickLanes()
		size := 4 * m.lanes()
		m.loop(rTiles, w.Channels, func() {
			b.partSquares(w)
			m.move(rCurX, rScratch)
			for i, s := range w.blocks(m.lanes()) {
				start := [2]reg{rOut, rRes}[i]
				m.move(rCurW, start)
				m.loop(rOuter, s.n, func() {
					m.loop(rCount, s.size, func() {
						b.squaresInput(w)
						m.add(rCurX, size)
						m.add(rCurW, size)
					})
					m.add(rCurW, (w.All-1)*s.size*size)
				})
				m.add(start, s.size*size)
			}
			m.add(rX, w.InChannel)
		})
	})
}

// at is where in scratch memory lies what the present squares read at row and column.
func (w SquaresInput) at(m isa, row, column int) int {
	phases := w.phases()
	array := row%phases*phases + column%phases
	return 4 * (array*w.array(m.lanes()) + row/phases*w.pitch() + column/phases)
}

// partSquares leaves the phases of one channel in scratch memory.
func (b *Builder) partSquares(w SquaresInput) {
	m := b.isa
	m.move(rCurX, rX)
	m.move(rCurW, rScratch)
	phases := w.phases()
	whole := min(w.Strip.Rows, w.Rows/phases)
	if whole > 0 {
		m.loop(rOuter, whole, func() {
			for row := range phases {
				b.partRow(w, row, true)
			}
			m.add(rCurX, phases*w.InRow)
			m.add(rCurW, 4*w.pitch())
		})
	}
	for row := range w.Reads() - whole*phases {
		b.partRow(w, row, whole*phases+row < w.Rows)
	}
}

// partRow parts one row of input, or a row of zeros.
func (b *Builder) partRow(w SquaresInput, row int, there bool) {
	m := b.isa
	size := 4 * m.lanes()
	phases := w.phases()
	for block := range w.rowVectors(m.lanes()) {
		p := newPool(m.vectors())
		columns := make([]vec, phases)
		if there {
			columns = b.phasesOf(p, w.Stride, row*w.InRow+block*phases*size)
		} else {
			for i := range columns {
				columns[i] = p.take()
				m.zero(columns[i])
			}
		}
		for i, v := range columns {
			if there && w.Masked {
				m.andM(v, v, rMask, (block*phases+i)*constSize)
			}
			m.store(rCurW, w.at(m, row, i)+block*size, v)
		}
	}
}

// phasesOf returns every fourth column of four vectors, or, at stride 2, every eighth of
// eight.
func (b *Builder) phasesOf(p *pool, stride, off int) []vec {
	m := b.isa
	size := 4 * m.lanes()
	part := func(x, y vec) (even, odd vec) {
		even, odd = p.take(), p.take()
		m.unzip(even, odd, x, y)
		p.give(x, y)
		return even, odd
	}
	if stride == 2 {
		first, last := b.phasesOf(p, 1, off), b.phasesOf(p, 1, off+4*size)
		columns := make([]vec, 8)
		for i := range first {
			columns[i], columns[4+i] = part(first[i], last[i])
		}
		return columns
	}
	var even, odd [2]vec
	for i := range 2 {
		x, y := p.take(), p.take()
		m.load(x, rCurX, off+2*i*size)
		m.load(y, rCurX, off+(2*i+1)*size)
		even[i], odd[i] = part(x, y)
	}
	columns := make([]vec, 4)
	columns[0], columns[2] = part(even[0], even[1])
	columns[1], columns[3] = part(odd[0], odd[1])
	return columns
}

// A forth makes one or two planes of one column from the rows that it names, by B^T. It may
// change the registers u and returns those that then hold the planes; w is one more.
type forth struct {
	planes, rows []int
	make         func(u []vec, w vec) []vec
}

// forths are those of all planes.
func (b *Builder) forths(stride int) []forth {
	m := b.isa
	c := func(v float32) int { return b.consts.offset(v) }
	outer := func(u []vec, _ vec) []vec {
		m.fmaM(u[0], u[1], rConst, c(-5))
		m.fmaM(u[0], u[2], rConst, c(4))
		return u[:1]
	}
	pass := func(u []vec, _ vec) []vec { return u }
	if stride == 1 {
		return []forth{
			{[]int{0}, []int{4, 2, 0}, outer},
			{[]int{1, 2}, []int{4, 2, 3, 1}, func(u []vec, _ vec) []vec {
				m.fmaM(u[0], u[1], rConst, c(-4))
				m.fmaM(u[2], u[3], rConst, c(-4))
				m.subV(u[1], u[0], u[2])
				m.addV(u[0], u[0], u[2])
				return u[:2]
			}},
			{[]int{3, 4}, []int{4, 2, 3, 1}, func(u []vec, _ vec) []vec {
				m.subV(u[0], u[0], u[1])
				m.subV(u[2], u[2], u[3])
				m.copy(u[1], u[0])
				m.fmaM(u[0], u[2], rConst, c(2))
				m.fmaM(u[1], u[2], rConst, c(-2))
				return u[:2]
			}},
			{[]int{5}, []int{5, 3, 1}, outer},
		}
	}
	return []forth{
		{[]int{3, 0}, []int{6, 2, 0, 4}, func(u []vec, _ vec) []vec {
			m.subV(u[0], u[0], u[1])
			m.subV(u[2], u[2], u[3])
			m.copy(u[1], u[0])
			m.fmaM(u[1], u[2], rConst, c(2))
			return u[:2]
		}},
		{[]int{1, 2}, []int{4, 6, 2}, func(u []vec, w vec) []vec {
			m.subV(w, u[2], u[0])
			m.subV(u[1], u[1], u[2])
			m.addV(u[0], u[0], u[2])
			m.subV(u[0], u[1], u[0])
			m.fmaM(u[1], w, rConst, c(3))
			return u[:2]
		}},
		{[]int{4}, []int{8, 4, 6, 2}, func(u []vec, _ vec) []vec {
			m.subV(u[0], u[0], u[1])
			m.subV(u[2], u[2], u[3])
			m.fmaM(u[0], u[2], rConst, c(-2))
			return u[:1]
		}},
		{[]int{5, 6}, []int{1, 3}, pass},
		{[]int{7, 8}, []int{5, 7}, pass},
	}
}

// squaresInput transforms one vector of squares: along the columns for one or two planes, as
// registers allow, then these along rows.
func (b *Builder) squaresInput(w SquaresInput) {
	m := b.isa
	columns := WinogradReads(w.Stride, squareSide)
	for _, f := range b.forths(w.Stride) {
		each := len(f.planes)
		if !fitsSquares(m, each, columns) {
			each = 1
		}
		for first := 0; first < len(f.planes); first += each {
			p := newPool(m.vectors())
			planes := make([][]vec, each)
			for column := range columns {
				u := make([]vec, len(f.rows))
				for i, row := range f.rows {
					u[i] = p.take()
					m.load(u[i], rCurX, w.at(m, row, column))
				}
				spare := p.take()
				made := f.make(u, spare)[first:][:each]
				for i, v := range made {
					planes[i] = append(planes[i], v)
				}
				for _, v := range append(u, spare) {
					if !slices.Contains(made, v) {
						p.give(v)
					}
				}
			}
			for i, d := range planes {
				b.squaresRow(p, w, f.planes[first+i], d)
				p.give(d...)
			}
		}
	}
}

// squaresRow transforms one plane along rows and stores it.
func (b *Builder) squaresRow(p *pool, w SquaresInput, plane int, d []vec) {
	side := WinogradPlanes(w.Stride)
	store := func(column int, v vec) { b.isa.store(rCurW, (plane*side+column)*w.Plane, v) }
	if w.Stride == 1 {
		b.winogradForth1(p, [6]vec(d), store)
		return
	}
	for i := range squareSide {
		store(5+i, d[2*i+1])
	}
	b.winogradForth2(p, [5]vec{d[0], d[2], d[4], d[6], d[8]}, store)
}

// fitsSquares reports whether the registers hold so many rows of so many vectors of squares,
// with four more.
func fitsSquares(m isa, rows, columns int) bool { return rows*columns+4 <= m.vectors() }
