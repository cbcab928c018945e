package arm64

// Mov copies s to d. Either may be SP.
func (a *Assembler) Mov(d, s X) {
	const name = "mov"
	if d == SP || s == SP {
		a.word(opAddImm | a.xSP(name, s)<<5 | a.xSP(name, d))
		return
	}
	a.word(0xAA0003E0 | a.x(name, s)<<16 | a.x(name, d)) // orr d, xzr, s
}

// MovI sets d to v: MOVZ or MOVN for the first 16 bits that they do not leave right
// anyway, and MOVK for each other.
func (a *Assembler) MovI(d X, v int64) {
	const (
		name = "mov"
		movn = 0x92800000
		movz = 0xD2800000
		movk = 0xF2800000
		ones = 0xFFFF
	)
	rd := a.x(name, d)
	zeros, full := 0, 0
	for i := range 4 {
		switch half(v, i) {
		case 0:
			zeros++
		case ones:
			full++
		}
	}
	op, rest, flip := uint32(movz), uint32(0), uint32(0)
	if full > zeros {
		op, rest, flip = movn, ones, ones
	}
	for i := range 4 {
		if h := half(v, i); h != rest {
			a.word(op | uint32(i)<<21 | (h^flip)<<5 | rd)
			op, flip = movk, 0
		}
	}
	if op != movk {
		a.word(op | rd) // all bits are alike
	}
}

// half returns bits 16i to 16i+15 of v.
func half(v int64, i int) uint32 { return uint32(uint16(v >> (16 * i))) }

// Additions and subtractions: the same instruction but for these bits.
const (
	opAddImm   = 0x91000000
	opAddReg   = 0x8B000000
	subtract   = 1 << 30
	setFlags   = 1 << 29
	shift12    = 1 << 22  // of an immediate
	extendUXTX = 0x206000 // of a register; the form that takes SP
)

// Add sets d to n+m. Either of d and n may be SP.
func (a *Assembler) Add(d, n, m X) { a.addReg("add", opAddReg, d, n, m) }

// Sub sets d to n-m. Either of d and n may be SP.
func (a *Assembler) Sub(d, n, m X) { a.addReg("sub", opAddReg|subtract, d, n, m) }

// Cmp sets the flags as n-m does. N may be SP.
func (a *Assembler) Cmp(n, m X) { a.addReg("cmp", opAddReg|subtract|setFlags, XZR, n, m) }

func (a *Assembler) addReg(name string, op uint32, d, n, m X) {
	if d != SP && n != SP {
		a.word(op | a.x(name, m)<<16 | a.x(name, n)<<5 | a.x(name, d))
		return
	}
	a.word(op | extendUXTX | a.x(name, m)<<16 | a.xSP(name, n)<<5 | a.sum(name, op, d))
}

// sum returns the number of the destination d of an addition: there, where the flags are
// set, number 31 is XZR and else SP.
func (a *Assembler) sum(name string, op uint32, d X) uint32 {
	if op&setFlags != 0 {
		return a.x(name, d)
	}
	return a.xSP(name, d)
}

// AddI sets d to n+v, for any v. Either register may be SP. From 24 bits on, it goes
// through X16, which n cannot be then.
func (a *Assembler) AddI(d, n X, v int) { a.addImm("add", 0, d, n, int64(v)) }

// SubI sets d to n-v, for any v, as AddI does.
func (a *Assembler) SubI(d, n X, v int) { a.addImm("sub", 0, d, n, -int64(v)) }

// SubsI sets d to n-v, for any v, and the flags accordingly. N may be SP. A v that has more
// than 12 bits, or more than 12 above 12 zeros, goes through X16, which n cannot be then.
func (a *Assembler) SubsI(d, n X, v int) { a.addImm("subs", setFlags, d, n, -int64(v)) }

// CmpI sets the flags as n-v does, as SubsI does.
func (a *Assembler) CmpI(n X, v int) { a.SubsI(XZR, n, v) }

// addImm sets d to n+v. The flags, if asked for, are those of n-(-v).
func (a *Assembler) addImm(name string, flags uint32, d, n X, v int64) {
	op, u := opAddImm|flags, uint64(v)
	if v < 0 || v == 0 && flags != 0 { // n-0 and n+0 differ in the carry
		op, u = op|subtract, -u
	}
	rd, rn := a.sum(name, op, d), a.xSP(name, n)
	low, high := uint32(u&0xFFF)<<10, shift12|uint32(u>>12&0xFFF)<<10
	switch {
	case u < 1<<12:
		a.word(op | low | rn<<5 | rd)
	case u < 1<<24 && u&0xFFF == 0:
		a.word(op | high | rn<<5 | rd)
	case u < 1<<24 && flags == 0:
		a.word(op | high | rn<<5 | rd)
		a.word(op | low | rd<<5 | rd)
	case n == X16:
		a.fail(name, "%d needs X16, which holds the other operand", v)
	default:
		a.MovI(X16, int64(u))
		a.addReg(name, opAddReg|op&(subtract|setFlags), d, n, X16)
	}
}

// Madd sets d to s+n*m.
func (a *Assembler) Madd(d, n, m, s X) {
	const name = "madd"
	a.word(0x9B000000 | a.x(name, m)<<16 | a.x(name, s)<<10 | a.x(name, n)<<5 | a.x(name, d))
}

// Lsl sets d to n shifted left by 0 to 63 bits.
func (a *Assembler) Lsl(d, n X, bits int) {
	const name = "lsl"
	if bits < 0 || bits > 63 {
		a.fail(name, "by %d bits", bits)
		return
	}
	a.word(0xD3400000 | uint32(-bits&63)<<16 | uint32(63-bits)<<10 | a.x(name, n)<<5 | a.x(name, d)) // UBFM
}
