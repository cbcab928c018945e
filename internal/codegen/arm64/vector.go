package arm64

// vvv appends an instruction on a destination and two sources.
func (a *Assembler) vvv(name string, op uint32, d, n, m V) {
	a.word(op | a.v(name, m)<<16 | a.v(name, n)<<5 | a.v(name, d))
}

// vv appends an instruction on a destination and a source.
func (a *Assembler) vv(name string, op uint32, d, n V) {
	a.word(op | a.v(name, n)<<5 | a.v(name, d))
}

// element appends an instruction on a destination, a source, and 32 bits of m, the index
// of which is 0 to 3.
func (a *Assembler) element(name string, op uint32, d, n, m V, index int) {
	if index < 0 || index > 3 {
		a.fail(name, "no element %d", index)
		return
	}
	i := uint32(index)
	a.vvv(name, op|i&1<<21|i>>1<<11, d, n, m)
}

// Arithmetic on float32. It rounds as the control register FPCR says, and makes NaN of NaN.

// Fadd sets d to n+m.
func (a *Assembler) Fadd(d, n, m V) { a.vvv("fadd", 0x4E20D400, d, n, m) }

// Fsub sets d to n-m.
func (a *Assembler) Fsub(d, n, m V) { a.vvv("fsub", 0x4EA0D400, d, n, m) }

// Fmul sets d to n*m.
func (a *Assembler) Fmul(d, n, m V) { a.vvv("fmul", 0x6E20DC00, d, n, m) }

// FmulElem sets d to n times lane index of m.
func (a *Assembler) FmulElem(d, n, m V, index int) { a.element("fmul", 0x4F809000, d, n, m, index) }

// Fdiv sets d to n/m.
func (a *Assembler) Fdiv(d, n, m V) { a.vvv("fdiv", 0x6E20FC00, d, n, m) }

// Fmla adds n*m to d, rounding once.
func (a *Assembler) Fmla(d, n, m V) { a.vvv("fmla", 0x4E20CC00, d, n, m) }

// FmlaElem adds n times lane index of m to d, rounding once.
func (a *Assembler) FmlaElem(d, n, m V, index int) { a.element("fmla", 0x4F801000, d, n, m, index) }

// Fmls subtracts n*m from d, rounding once.
func (a *Assembler) Fmls(d, n, m V) { a.vvv("fmls", 0x4EA0CC00, d, n, m) }

// Fmax sets d to the larger of n and m, NaN if either is.
func (a *Assembler) Fmax(d, n, m V) { a.vvv("fmax", 0x4E20F400, d, n, m) }

// Fmin sets d to the smaller of n and m, NaN if either is.
func (a *Assembler) Fmin(d, n, m V) { a.vvv("fmin", 0x4EA0F400, d, n, m) }

// FmaxNM sets d to the larger of n and m, the other one if one is a quiet NaN.
func (a *Assembler) FmaxNM(d, n, m V) { a.vvv("fmaxnm", 0x4E20C400, d, n, m) }

// FminNM sets d to the smaller of n and m, the other one if one is a quiet NaN.
func (a *Assembler) FminNM(d, n, m V) { a.vvv("fminnm", 0x4EA0C400, d, n, m) }

// Fneg sets d to n with the sign changed.
func (a *Assembler) Fneg(d, n V) { a.vv("fneg", 0x6EA0F800, d, n) }

// Frecpe sets d to an estimate of 1/n, good to 8 bits.
func (a *Assembler) Frecpe(d, n V) { a.vv("frecpe", 0x4EA1D800, d, n) }

// Frecps sets d to 2-n*m, rounding once: what the estimate n of 1/m is multiplied with in a
// step of Newton's method.
func (a *Assembler) Frecps(d, n, m V) { a.vvv("frecps", 0x4E20FC00, d, n, m) }

// Comparisons fill a lane of d with ones where they hold, and else with zeros. Nothing
// holds of NaN.

// Fcmeq compares n == m.
func (a *Assembler) Fcmeq(d, n, m V) { a.vvv("fcmeq", 0x4E20E400, d, n, m) }

// Fcmge compares n >= m.
func (a *Assembler) Fcmge(d, n, m V) { a.vvv("fcmge", 0x6E20E400, d, n, m) }

// Fcmgt compares n > m.
func (a *Assembler) Fcmgt(d, n, m V) { a.vvv("fcmgt", 0x6EA0E400, d, n, m) }

// Rounding and conversions. To int32 they saturate, and make 0 of NaN.

// Frintn sets d to n rounded to a whole number, halves to even.
func (a *Assembler) Frintn(d, n V) { a.vv("frintn", 0x4E218800, d, n) }

// Frintm sets d to n rounded down to a whole number.
func (a *Assembler) Frintm(d, n V) { a.vv("frintm", 0x4E219800, d, n) }

// Fcvtns sets d to n as int32, rounded with halves to even.
func (a *Assembler) Fcvtns(d, n V) { a.vv("fcvtns", 0x4E21A800, d, n) }

// Fcvtms sets d to n as int32, rounded down.
func (a *Assembler) Fcvtms(d, n V) { a.vv("fcvtms", 0x4E21B800, d, n) }

// Fcvtzs sets d to n as int32, rounded toward zero.
func (a *Assembler) Fcvtzs(d, n V) { a.vv("fcvtzs", 0x4EA1B800, d, n) }

// Scvtf sets d to the int32 in n as float32.
func (a *Assembler) Scvtf(d, n V) { a.vv("scvtf", 0x4E21D800, d, n) }

// Whole numbers and bits.

// Add4S sets d to n+m in lanes of 32 bits.
func (a *Assembler) Add4S(d, n, m V) { a.vvv("add", 0x4EA08400, d, n, m) }

// Sub4S sets d to n-m in lanes of 32 bits.
func (a *Assembler) Sub4S(d, n, m V) { a.vvv("sub", 0x6EA08400, d, n, m) }

// Shl sets d to n shifted left by 0 to 31 bits.
func (a *Assembler) Shl(d, n V, bits int) {
	if bits < 0 || bits > 31 {
		a.fail("shl", "by %d bits", bits)
		return
	}
	a.vv("shl", 0x4F205400|uint32(bits)<<16, d, n)
}

// And sets d to n&m.
func (a *Assembler) And(d, n, m V) { a.vvv("and", 0x4E201C00, d, n, m) }

// Bic sets d to n&^m.
func (a *Assembler) Bic(d, n, m V) { a.vvv("bic", 0x4E601C00, d, n, m) }

// Orr sets d to n|m.
func (a *Assembler) Orr(d, n, m V) { a.vvv("orr", 0x4EA01C00, d, n, m) }

// Eor sets d to n^m.
func (a *Assembler) Eor(d, n, m V) { a.vvv("eor", 0x6E201C00, d, n, m) }

// Bsl takes the bits of n where d has ones and those of m where d has zeros.
func (a *Assembler) Bsl(d, n, m V) { a.vvv("bsl", 0x6E601C00, d, n, m) }
