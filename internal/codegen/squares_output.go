package codegen

// squaresOutput turns the sums of one tile into outputs.
func (b *Builder) squaresOutput(w Squares, out, v int) {
	size := 4 * b.isa.lanes()
	side := WinogradPlanes(w.Stride)
	for o := range out {
		for j := range v {
			sums := func(row, column int) int { return ((row*side+column)*out*v + o*v + j) * size }
			to := func(r int) int { return r*w.OutRow + o*w.OutChannel + squareSide*j*size }
			p := newPool(b.isa.vectors())
			if w.Stride == 1 {
				b.squaresBack1(p, w.Act, sums, to)
			} else {
				b.squaresBack2(p, w.Act, sums, to)
			}
		}
	}
}

// squaresBack1 goes back from the planes at stride 1: along the columns first, for all rows.
func (b *Builder) squaresBack1(p *pool, act Activation, sums func(row, column int) int, to func(r int) int) {
	var rows [squareSide][6]vec
	for column := range 6 {
		var planes [6]vec
		for i := range planes {
			planes[i] = p.take()
			b.isa.load(planes[i], rScratch, sums(i, column))
		}
		for r, y := range b.winogradBack1(p, planes) {
			rows[r][column] = y
		}
	}
	for r, planes := range rows {
		b.storeSquares(p, act, b.winogradBack1(p, planes), to(r))
	}
}

// squaresBack2 is the same at stride 2, for two rows at a time, which have a sum in common.
func (b *Builder) squaresBack2(p *pool, act Activation, sums func(row, column int) int, to func(r int) int) {
	m := b.isa
	c := func(v float32) int { return b.consts.offset(v) }
	for first := range 2 {
		var rows [2][9]vec
		for column := range 9 {
			at := func(plane int) int { return sums(plane, column) }
			common, third := p.take(), p.take()
			y, z := p.take(), p.take()
			m.load(common, rScratch, at(1))
			m.load(third, rScratch, at(3))
			m.load(y, rScratch, at(5+first))
			m.load(z, rScratch, at(7+first))
			if first == 0 {
				m.addM(common, common, rScratch, at(2))
				m.addM(y, y, rScratch, at(0))
				m.addV(y, y, third)
				m.fmaM(z, third, rConst, c(4))
			} else {
				second := p.take()
				m.load(second, rScratch, at(2))
				m.subV(common, common, second)
				p.give(second)
				m.addM(z, z, rScratch, at(4))
				m.fmaM(y, third, rConst, c(2))
				m.fmaM(z, third, rConst, c(8))
			}
			m.addV(y, y, common)
			m.addV(z, z, common)
			p.give(common, third)
			rows[0][column], rows[1][column] = y, z
		}
		b.storeSquares(p, act, b.winogradBack2(p, rows[0]), to(first))
		b.storeSquares(p, act, b.winogradBack2(p, rows[1]), to(first+2))
	}
}

// winogradBack1 is y = A^T M at stride 1. The planes are used up.
func (b *Builder) winogradBack1(p *pool, a [6]vec) [4]vec {
	m := b.isa
	c := func(v float32) int { return b.consts.offset(v) }
	sum1, dif2, sum2, dif1 := a[1], a[2], a[3], p.take()
	m.subV(dif1, a[1], a[2])
	m.addV(sum1, a[1], a[2])
	m.subV(dif2, a[3], a[4])
	m.addV(sum2, a[3], a[4])
	m.addV(a[0], a[0], sum1)
	m.addV(a[0], a[0], sum2)
	m.addV(a[5], a[5], dif1)
	m.fmaM(a[5], dif2, rConst, c(8))
	m.fmaM(dif1, dif2, rConst, c(2))
	m.fmaM(sum1, sum2, rConst, c(4))
	p.give(dif2, sum2, a[4])
	return [4]vec{a[0], dif1, sum1, a[5]}
}

// winogradBack2 is the same at stride 2.
func (b *Builder) winogradBack2(p *pool, a [9]vec) [4]vec {
	m := b.isa
	c := func(v float32) int { return b.consts.offset(v) }
	sum, dif := a[1], p.take()
	m.subV(dif, a[1], a[2])
	m.addV(sum, a[1], a[2])
	m.addV(a[5], a[5], a[0])
	m.addV(a[5], a[5], a[3])
	m.fmaM(a[6], a[3], rConst, c(2))
	m.fmaM(a[7], a[3], rConst, c(4))
	m.fmaM(a[8], a[3], rConst, c(8))
	m.addV(a[8], a[8], a[4])
	m.addV(a[5], a[5], sum)
	m.addV(a[6], a[6], dif)
	m.addV(a[7], a[7], sum)
	m.addV(a[8], a[8], dif)
	p.give(a[0], sum, a[2], a[3], a[4], dif)
	return [4]vec{a[5], a[6], a[7], a[8]}
}

// storeSquares applies the activation to one row of all squares of a vector, given by its
// four columns, and stores it, the columns in order. The registers are given back.
func (b *Builder) storeSquares(p *pool, act Activation, y [4]vec, to int) {
	m := b.isa
	size := 4 * m.lanes()
	for _, y := range y {
		if act.Kind != "" {
			t, q, u := p.take(), p.take(), p.take()
			b.activate(act, false, y, t, q, u)
			p.give(t, q, u)
		}
	}
	even, odd := b.zip(p, y[0], y[2]), b.zip(p, y[1], y[3])
	for i := range 2 {
		for j, v := range b.zip(p, even[i], odd[i]) {
			m.store(rOut, to+(2*i+j)*size, v)
			p.give(v)
		}
	}
}

// zip lays the lanes of x and y one by one beside each other. Both are given back.
func (b *Builder) zip(p *pool, x, y vec) [2]vec {
	lo, hi := p.take(), p.take()
	b.isa.zip(lo, hi, x, y)
	p.give(x, y)
	return [2]vec{lo, hi}
}

// A pool holds registers that are free.
type pool []vec

func newPool(registers int) *pool {
	p := make(pool, registers)
	for i := range p {
		p[i] = vec(i)
	}
	return &p
}

func (p *pool) take() vec {
	v := (*p)[0]
	*p = (*p)[1:]
	return v
}

func (p *pool) give(v ...vec) { *p = append(*p, v...) }
