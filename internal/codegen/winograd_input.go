package codegen

import "fmt"

// WinogradInput describes the transformation of input rows into T. The columns left and
// right of the map have to hold zeros. At stride 1 column 0 of T is the one left of the
// map; at stride 2 that is column 0 of the odd columns, and the map's first column 0 of
// the even ones.
//
// Arguments: 0 input at the first row and column that the first group reads, 1 T.
type WinogradInput struct {
	Channels  int
	Stride    int
	InRow     int
	InChannel int
	Vectors   int // of a row of T, padding included
	Groups    int // side by side in T
	LastRows  int // of input that the last group has; rows that it lacks count as zeros
	Pitch     int // of T: from one group to the next,
	Channel   int // one channel to the next,
	Plane     int // one plane to the next,
	Even      int // and from the odd columns to the even ones, at stride 2
}

// WinogradInput writes the input's transformation. Where groups lie side by side, the
// vectors of one may reach into the next, which is written later; behind the last group
// of a channel there has to be room for a vector.
func (b *Builder) WinogradInput(w WinogradInput) (Func, error) {
	if w.Channels < 1 || w.Vectors < 1 || w.Groups < 1 || w.Stride != 1 && w.Stride != 2 ||
		w.LastRows < 1 || w.LastRows > WinogradReads(w.Stride, WinogradRows) {
		return 0, fmt.Errorf("codegen: impossible %+v", w)
	}
	return b.kernel(w, false, func(m isa) {
		m.arg(rX, 0)
		m.arg(rOut, 1)
		if w.Stride == 2 {
			m.pickLanes()
		}
		row := func(rows int) {
			for v := range w.Vectors {
				off := v * 4 * m.lanes()
				if w.Stride == 1 {
					b.winogradInput1(w, rows, off)
				} else {
					b.winogradInput2(w, rows, off, off, m.loadEven)
					b.winogradInput2(w, rows, off, w.Even+off, m.loadOdd)
				}
			}
		}
		m.loop(rTiles, w.Channels, func() {
			m.move(rCurX, rX)
			m.move(rCurW, rOut)
			if w.Groups > 1 {
				m.loop(rOuter, w.Groups-1, func() {
					row(WinogradReads(w.Stride, WinogradRows))
					m.add(rCurX, w.Stride*WinogradRows*w.InRow)
					m.add(rCurW, w.Pitch)
				})
			}
			row(w.LastRows)
			m.add(rX, w.InChannel)
			m.add(rOut, w.Channel)
		})
	})
}

// winogradInput1 transforms one vector of columns at stride 1.
func (b *Builder) winogradInput1(w WinogradInput, rows, off int) {
	m := b.isa
	p := newPool(m.vectors())
	var d [6]vec
	for i := range d {
		d[i] = p.take()
		if i < rows {
			m.load(d[i], rCurX, i*w.InRow+off)
		} else {
			m.zero(d[i])
		}
	}
	b.winogradForth1(p, d, func(plane int, v vec) { m.store(rCurW, plane*w.Plane+off, v) })
}

// winogradInput2 transforms one vector of even or odd columns at stride 2.
func (b *Builder) winogradInput2(w WinogradInput, rows, off, to int, load func(d vec, base reg, off int)) {
	m := b.isa
	p := newPool(m.vectors())
	row := func(i int) vec {
		d := p.take()
		if i < rows {
			load(d, rCurX, i*w.InRow+2*off)
		} else {
			m.zero(d)
		}
		return d
	}
	store := func(plane int, v vec) { m.store(rCurW, plane*w.Plane+to, v) }
	u := [5]vec{row(0), row(2), row(4), row(6), row(8)}
	b.winogradForth2(p, u, store)
	p.give(u[:]...)
	for i := range WinogradRows {
		v := row(2*i + 1)
		store(5+i, v)
		p.give(v)
	}
}

// winogradForth1 is T = B^T d at stride 1, plane by plane. d is changed.
func (b *Builder) winogradForth1(p *pool, d [6]vec, store func(plane int, v vec)) {
	m := b.isa
	c := func(v float32) int { return b.consts.offset(v) }
	x, y, r, s := p.take(), p.take(), p.take(), p.take()
	m.copy(x, d[4])
	m.fmaM(x, d[2], rConst, c(-4))
	m.copy(y, d[3])
	m.fmaM(y, d[1], rConst, c(-4))
	m.subV(r, d[4], d[2])
	m.subV(s, d[3], d[1])
	m.fmaM(d[4], d[2], rConst, c(-5))
	m.fmaM(d[4], d[0], rConst, c(4))
	store(0, d[4])
	t := d[0] // of no more use
	m.addV(t, x, y)
	store(1, t)
	m.subV(x, x, y)
	store(2, x)
	m.copy(t, r)
	m.fmaM(t, s, rConst, c(2))
	store(3, t)
	m.fmaM(r, s, rConst, c(-2))
	store(4, r)
	m.fmaM(d[5], d[3], rConst, c(-5))
	m.fmaM(d[5], d[1], rConst, c(4))
	store(5, d[5])
	p.give(x, y, r, s)
}

// winogradForth2 is the same at stride 2 for the odd rows u, the first five planes.
func (b *Builder) winogradForth2(p *pool, u [5]vec, store func(plane int, v vec)) {
	m := b.isa
	c := func(v float32) int { return b.consts.offset(v) }
	s, t, v := p.take(), p.take(), p.take()
	m.subV(t, u[3], u[1])
	store(3, t)
	m.subV(s, u[0], u[2])
	m.copy(v, t)
	m.fmaM(v, s, rConst, c(2))
	store(0, v)
	m.addV(s, u[1], u[2])
	m.subV(s, t, s)
	store(1, s)
	m.subV(s, u[1], u[2])
	m.copy(v, t)
	m.fmaM(v, s, rConst, c(3))
	store(2, v)
	m.subV(s, u[4], u[2])
	m.fmaM(s, t, rConst, c(-2))
	store(4, s)
	p.give(s, t, v)
}
