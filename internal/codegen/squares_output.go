package codegen

// squaresOutput turns the sums of one tile into outputs: back along the columns for one or
// two rows of output, as registers allow, then along rows.
func (b *Builder) squaresOutput(w Squares, out, v int) {
	size := 4 * b.isa.lanes()
	side := WinogradPlanes(w.Stride)
	each := 2
	if !fitsSquares(b.isa, each, side) {
		each = 1
	}
	for o := range out {
		for j := range v {
			for pair := range 2 {
				for first := 0; first < 2; first += each {
					p := newPool(b.isa.vectors())
					rows := make([][]vec, each)
					for column := range side {
						made := b.squaresBack(p, w.Stride, pair, func(plane int) int {
							return ((plane*side+column)*out*v + o*v + j) * size
						})
						for i, y := range made {
							if i >= first && i < first+each {
								rows[i-first] = append(rows[i-first], y)
							} else {
								p.give(y)
							}
						}
					}
					for i, planes := range rows {
						to := (pair+2*(first+i))*w.OutRow + o*w.OutChannel + squareSide*j*size
						if w.Stride == 1 {
							b.storeSquares(p, w.Act, b.winogradBack1(p, [6]vec(planes)), to)
						} else {
							b.storeSquares(p, w.Act, b.winogradBack2(p, [9]vec(planes)), to)
						}
					}
				}
			}
		}
	}
}

// squaresBack goes back along one column of M, by A^T, for row pair of the output and row
// pair+2, which have sums in common. at says where in scratch memory a plane lies.
func (b *Builder) squaresBack(p *pool, stride, pair int, at func(plane int) int) [2]vec {
	m := b.isa
	c := func(v float32) int { return b.consts.offset(v) }
	common, third, t := p.take(), p.take(), p.take()
	m.load(common, rScratch, at(1))
	m.load(third, rScratch, at(3))
	if pair == 0 {
		m.addM(common, common, rScratch, at(2))
	} else {
		m.load(t, rScratch, at(2))
		m.subV(common, common, t)
	}
	switch {
	case stride == 1 && pair == 0:
		m.addM(third, third, rScratch, at(4))
		m.load(t, rScratch, at(0))
		m.addV(t, t, common)
		m.addV(t, t, third)
		m.fmaM(common, third, rConst, c(4))
		p.give(third)
		return [2]vec{t, common}
	case stride == 1:
		m.load(t, rScratch, at(4))
		m.subV(third, third, t)
		m.load(t, rScratch, at(5))
		m.addV(t, t, common)
		m.fmaM(t, third, rConst, c(8))
		m.fmaM(common, third, rConst, c(2))
		p.give(third)
		return [2]vec{common, t}
	}
	y := p.take()
	m.load(y, rScratch, at(5+pair))
	m.load(t, rScratch, at(7+pair))
	if pair == 0 {
		m.addM(y, y, rScratch, at(0))
		m.addV(y, y, third)
		m.fmaM(t, third, rConst, c(4))
	} else {
		m.addM(t, t, rScratch, at(4))
		m.fmaM(y, third, rConst, c(2))
		m.fmaM(t, third, rConst, c(8))
	}
	m.addV(y, y, common)
	m.addV(t, t, common)
	p.give(common, third)
	return [2]vec{y, t}
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
