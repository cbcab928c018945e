package codegen

// winogradOutput turns the sums of one tile into rows of output.
func (b *Builder) winogradOutput(w Winograd, out, v int, last bool) {
	m := b.isa
	size := 4 * m.lanes()
	const bias, t, p, q vec = 10, 11, 12, 13
	for o := range out {
		m.spread(bias, rBias, 4*o)
		for j := range v {
			from := func(plane int) int { return (plane*out*v + o*v + j) * size }
			var rows [WinogradRows]vec
			if w.Stride == 1 {
				rows = b.winogradRows1(bias, from)
			} else {
				rows = b.winogradRows2(bias, from)
			}
			for r, y := range rows[:w.Rows] {
				if w.Act.Kind != "" {
					b.activate(w.Act, false, y, t, p, q)
				}
				if w.Add {
					m.addM(y, y, rRes, r*w.AddRow+o*w.AddChannel+j*size)
				}
				to := r*w.OutRow + o*w.OutChannel + j*size
				w.Line.store(b, rOut, to, y, t, j, last && j == v-1)
			}
		}
	}
}

// winogradRows1 computes the rows at stride 1 from the planes, with the registers below
// bias.
func (b *Builder) winogradRows1(bias vec, from func(plane int) int) [WinogradRows]vec {
	m := b.isa
	const m1, m2, m3, m4, y0, y3, sum1, dif1, sum2, dif2 vec = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9
	c := func(v float32) int { return b.consts.offset(v) }
	for i, v := range []vec{m1, m2, m3, m4} {
		m.load(v, rScratch, from(1+i))
	}
	m.addV(sum1, m1, m2)
	m.subV(dif1, m1, m2)
	m.addV(sum2, m3, m4)
	m.subV(dif2, m3, m4)
	m.addM(y0, bias, rScratch, from(0))
	m.addV(y0, y0, sum1)
	m.addV(y0, y0, sum2)
	m.addM(y3, bias, rScratch, from(5))
	m.addV(y3, y3, dif1)
	m.fmaM(y3, dif2, rConst, c(8))
	m.addV(dif1, dif1, bias)
	m.fmaM(dif1, dif2, rConst, c(2))
	m.addV(sum1, sum1, bias)
	m.fmaM(sum1, sum2, rConst, c(4))
	return [WinogradRows]vec{y0, dif1, sum1, y3}
}

// winogradRows2 is the same at stride 2.
func (b *Builder) winogradRows2(bias vec, from func(plane int) int) [WinogradRows]vec {
	m := b.isa
	const m2, m3, y0, y1, y2, y3, sum, dif vec = 0, 1, 2, 3, 4, 5, 6, 7
	c := func(v float32) int { return b.consts.offset(v) }
	m.load(dif, rScratch, from(1))
	m.load(m2, rScratch, from(2))
	m.load(m3, rScratch, from(3))
	m.addV(sum, dif, m2)
	m.subV(dif, dif, m2)
	for i, y := range []vec{y0, y1, y2, y3} {
		m.addM(y, bias, rScratch, from(5+i))
	}
	m.addM(y0, y0, rScratch, from(0))
	m.addV(y0, y0, sum)
	m.addV(y0, y0, m3)
	m.addV(y1, y1, dif)
	m.fmaM(y1, m3, rConst, c(2))
	m.addV(y2, y2, sum)
	m.fmaM(y2, m3, rConst, c(4))
	m.addM(y3, y3, rScratch, from(4))
	m.addV(y3, y3, dif)
	m.fmaM(y3, m3, rConst, c(8))
	return [WinogradRows]vec{y0, y1, y2, y3}
}
