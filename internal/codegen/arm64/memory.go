package arm64

// An access is a load or store of one register.
type access struct {
	name     string
	scaled   uint32 // opcode with an unsigned offset of 12 bits, counted in units of size
	unscaled uint32 // opcode with a signed offset of 9 bits, in bytes
	size     int64  // bytes
}

var (
	ldr  = access{"ldr", 0xF9400000, 0xF8400000, 8}
	str  = access{"str", 0xF9000000, 0xF8000000, 8}
	ldrS = access{"ldr", 0xBD400000, 0xBC400000, 4}
	strS = access{"str", 0xBD000000, 0xBC000000, 4}
	ldrD = access{"ldr", 0xFD400000, 0xFC400000, 8}
	strD = access{"str", 0xFD000000, 0xFC000000, 8}
	ldrQ = access{"ldr", 0x3DC00000, 0x3CC00000, 16}
	strQ = access{"str", 0x3D800000, 0x3C800000, 16}
	prfm = access{"prfm", 0xF9800000, 0xF8800000, 8}
)

// reaches reports whether one instruction can encode off.
func (m access) reaches(off int64) bool { return m.scales(off) || off >= -256 && off <= 255 }

func (m access) scales(off int64) bool {
	return off >= 0 && off%m.size == 0 && off/m.size < 1<<12
}

// access appends m on register number t and the address base+off, through X16 where one
// instruction does not reach it.
func (a *Assembler) access(m access, t uint32, base X, off int64) {
	switch {
	case m.scales(off):
		a.word(m.scaled | uint32(off/m.size)<<10 | a.xSP(m.name, base)<<5 | t)
	case m.reaches(off):
		a.word(m.unscaled | uint32(off)&0x1FF<<12 | a.xSP(m.name, base)<<5 | t)
	case base == X16:
		a.fail(m.name, "offset %d needs X16, which is the base", off)
	default:
		low := off & 0xFFF // one addition of 12 bits above these reaches 16 MiB
		if !m.reaches(low) {
			low = 0
		}
		a.addImm(m.name, 0, X16, base, off-low)
		a.access(m, t, X16, low)
	}
}

// The methods that follow take any offset, in bytes, and a base that may be SP. Aligned
// ones up to 4095 times the size, and all from -256 to 255, make one instruction; others go
// through X16, which cannot be the base then.

// Ldr loads 64 bits.
func (a *Assembler) Ldr(d X, base X, off int) { a.access(ldr, a.x("ldr", d), base, int64(off)) }

// Str stores 64 bits. S cannot be X16 either where the address needs that.
func (a *Assembler) Str(s X, base X, off int) {
	if s == X16 && !str.reaches(int64(off)) {
		a.fail("str", "offset %d needs X16, which is to be stored", off)
		return
	}
	a.access(str, a.x("str", s), base, int64(off))
}

// LdrS loads 32 bits to lane 0 and clears the other lanes.
func (a *Assembler) LdrS(d V, base X, off int) { a.access(ldrS, a.v("ldr", d), base, int64(off)) }

// StrS stores lane 0.
func (a *Assembler) StrS(s V, base X, off int) { a.access(strS, a.v("str", s), base, int64(off)) }

// LdrD loads 64 bits to lanes 0 and 1 and clears the other lanes.
func (a *Assembler) LdrD(d V, base X, off int) { a.access(ldrD, a.v("ldr", d), base, int64(off)) }

// StrD stores lanes 0 and 1.
func (a *Assembler) StrD(s V, base X, off int) { a.access(strD, a.v("str", s), base, int64(off)) }

// LdrQ loads 128 bits.
func (a *Assembler) LdrQ(d V, base X, off int) { a.access(ldrQ, a.v("ldr", d), base, int64(off)) }

// StrQ stores 128 bits.
func (a *Assembler) StrQ(s V, base X, off int) { a.access(strQ, a.v("str", s), base, int64(off)) }

// PrfmL1Keep asks for the line at base+off in the first cache, to be used more than once.
func (a *Assembler) PrfmL1Keep(base X, off int) {
	const pldl1keep = 0
	a.access(prfm, pldl1keep, base, int64(off))
}

// LdpQ loads 128 bits to d and the next 128 to e, another register: in one instruction if
// the offset is a multiple of 16 from -1024 to 1008, and else as LdrQ does.
func (a *Assembler) LdpQ(d, e V, base X, off int) {
	const name = "ldp"
	if d == e {
		a.fail(name, "both to the same register")
		return
	}
	a.pairQ(name, 0xAD400000, ldrQ, d, e, base, int64(off))
}

// StpQ stores the 128 bits of s and, behind them, those of t. Offsets are as in LdpQ.
func (a *Assembler) StpQ(s, t V, base X, off int) {
	a.pairQ("stp", 0xAD000000, strQ, s, t, base, int64(off))
}

func (a *Assembler) pairQ(name string, op uint32, one access, d, e V, base X, off int64) {
	rd, re := a.v(name, d), a.v(name, e)
	if !pairs(off, one.size) {
		a.access(one, rd, base, off)
		a.access(one, re, base, off+one.size)
		return
	}
	a.word(op | pairOffset(off, one.size) | re<<10 | a.xSP(name, base)<<5 | rd)
}

// pairs reports whether the instructions on pairs can encode off: 7 bits with sign, in
// units of size.
func pairs(off, size int64) bool { return off%size == 0 && off/size >= -64 && off/size <= 63 }

func pairOffset(off, size int64) uint32 { return uint32(off/size) & 0x7F << 15 }

// The instructions on pairs of general registers, which are there to save and restore
// them, take multiples of 8 from -512 to 504.

// Ldp loads 64 bits to d and the next 64 to e, another register.
func (a *Assembler) Ldp(d, e X, base X, off int) { a.load2(0xA9400000, d, e, base, off) }

// Stp stores the 64 bits of s and, behind them, those of t.
func (a *Assembler) Stp(s, t X, base X, off int) { a.pair("stp", 0xA9000000, s, t, base, off) }

// LdpPost does as Ldp at offset 0, and adds off to base, a third register.
func (a *Assembler) LdpPost(d, e X, base X, off int) {
	if a.apart("ldp", d, e, base) {
		a.load2(0xA8C00000, d, e, base, off)
	}
}

// StpPre adds off to base, a register other than s and t, and does as Stp at offset 0.
func (a *Assembler) StpPre(s, t X, base X, off int) {
	if a.apart("stp", s, t, base) {
		a.pair("stp", 0xA9800000, s, t, base, off)
	}
}

// apart reports whether base, which is written, is none of d and e, as it has to be.
func (a *Assembler) apart(name string, d, e, base X) bool {
	if base == d || base == e {
		a.fail(name, "the base that moves is an operand as well")
		return false
	}
	return true
}

func (a *Assembler) load2(op uint32, d, e X, base X, off int) {
	const name = "ldp"
	if d == e {
		a.fail(name, "both to the same register")
		return
	}
	a.pair(name, op, d, e, base, off)
}

func (a *Assembler) pair(name string, op uint32, d, e X, base X, off int) {
	const size = 8
	if !pairs(int64(off), size) {
		a.fail(name, "offset %d", off)
		return
	}
	a.word(op | pairOffset(int64(off), size) | a.x(name, e)<<10 | a.xSP(name, base)<<5 | a.x(name, d))
}

// Ld1R loads 32 bits from the address in base, which may be SP, to all lanes.
func (a *Assembler) Ld1R(d V, base X) {
	const name = "ld1r"
	a.word(0x4D40C800 | a.xSP(name, base)<<5 | a.v(name, d))
}

// Ld2 loads eight lanes from the address in base, which may be SP: lanes 0, 2, 4 and 6 to d
// and lanes 1, 3, 5 and 7 to the register after d, which is 0 where d is 31.
func (a *Assembler) Ld2(d V, base X) {
	const name = "ld2"
	a.word(0x4C408800 | a.xSP(name, base)<<5 | a.v(name, d))
}
