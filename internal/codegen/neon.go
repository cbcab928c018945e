package codegen

import "ultrafast/internal/codegen/arm64"

// neon writes AArch64's Advanced SIMD: 4 lanes, 32 registers. The last one takes what
// comes from memory, since instructions have no operands there.
type neon struct {
	arm64.Assembler
	far address // what farReg holds
	dot bool    // take dot products of bytes
}

// An address is a register and an offset. The zero value is none, as X0 is no base.
type address struct {
	base arm64.X
	off  int
}

const (
	neonLanes = 4
	quad      = 4 * neonLanes // bytes of a vector

	argReg         = arm64.X0  // the arguments, at entry
	farReg         = arm64.X14 // an address near the last one that no offset reached
	memory arm64.V = 31
)

func newNEON(dot bool) *neon { return &neon{dot: dot} }

func (*neon) lanes() int   { return neonLanes }
func (*neon) vectors() int { return int(memory) }
func (*neon) packing() int { return neonLanes }
func (*neon) pickLanes()   {}

// gpr is the general register r: X1 and following.
func gpr(r reg) arm64.X { return arm64.X1 + arm64.X(r) }

// set returns the register d, which is about to be written.
func (n *neon) set(d reg) arm64.X {
	if n.far.base == gpr(d) {
		n.far = address{}
	}
	return gpr(d)
}

// reach returns a register and an offset that loads and stores of vectors can encode.
// Accesses come in groups with offsets far from the register but near each other, the taps
// of a row for one. The first of them moves farReg there.
func (n *neon) reach(base reg, off int) (arm64.X, int) {
	encodes := func(off int) bool {
		return off >= -256 && off < 256 || off >= 0 && off%quad == 0 && off/quad < 1<<12
	}
	b := gpr(base)
	if encodes(off) {
		return b, off
	}
	if n.far.base != b || !encodes(off-n.far.off) {
		n.AddI(farReg, b, off)
		n.far = address{b, off}
	}
	return farReg, off - n.far.off
}

func (n *neon) arg(d reg, index int)  { n.Ldr(n.set(d), argReg, 8*index) }
func (n *neon) move(d, s reg)         { n.Mov(n.set(d), gpr(s)) }
func (n *neon) lea(d, s reg, off int) { n.AddI(n.set(d), gpr(s), off) }

func (n *neon) add(d reg, off int) {
	if off != 0 {
		n.AddI(n.set(d), gpr(d), off)
	}
}

// The stack pointer stays at a multiple of 16, so registers go there in pairs.

func (n *neon) push(r ...reg) {
	for i := 0; i < len(r); i += 2 {
		x, y := pair(r[i:])
		n.StpPre(x, y, arm64.SP, -16)
	}
}

func (n *neon) pop(r ...reg) {
	for i := (len(r) - 1) &^ 1; i >= 0; i -= 2 {
		x, y := pair(r[i:])
		n.LdpPost(x, y, arm64.SP, 16)
	}
	n.far = address{}
}

func pair(r []reg) (x, y arm64.X) {
	if len(r) == 1 {
		return gpr(r[0]), arm64.XZR
	}
	return gpr(r[0]), gpr(r[1])
}

func (n *neon) loop(count reg, times int, body func()) {
	if times == 1 {
		body()
		return
	}
	n.MovI(n.set(count), int64(times))
	n.Align(16)
	n.far = address{} // as it may be when the loop comes back
	top := n.Here()
	body()
	n.SubsI(gpr(count), gpr(count), 1)
	n.Bne(top)
}

func (n *neon) leave() { n.Ret() }

func (n *neon) loadV(d arm64.V, base reg, off int) {
	x, off := n.reach(base, off)
	n.LdrQ(d, x, off)
}

func (n *neon) load(d vec, base reg, off int) { n.loadV(arm64.V(d), base, off) }

func (n *neon) loadEven(d vec, base reg, off int) {
	n.load(d, base, off)
	n.loadV(memory, base, off+quad)
	n.Uzp1(arm64.V(d), arm64.V(d), memory)
}

func (n *neon) loadOdd(d vec, base reg, off int) {
	n.load(d, base, off)
	n.loadV(memory, base, off+quad)
	n.Uzp2(arm64.V(d), arm64.V(d), memory)
}

func (n *neon) store(base reg, off int, s vec) {
	x, off := n.reach(base, off)
	n.StrQ(arm64.V(s), x, off)
}

func (n *neon) storeFar(base reg, off int, s vec) { n.store(base, off, s) }

func (n *neon) storeFirst(base reg, off int, s, t vec, lanes int) {
	x, off := n.reach(base, off)
	switch lanes {
	case 1:
		n.StrS(arm64.V(s), x, off)
	case 2:
		n.StrD(arm64.V(s), x, off)
	case 3:
		n.StrD(arm64.V(s), x, off)
		n.Dup(arm64.V(t), arm64.V(s), 2)
		n.StrS(arm64.V(t), x, off+8)
	default:
		n.StrQ(arm64.V(s), x, off)
	}
}

func (n *neon) spread(d vec, base reg, off int) {
	x, off := n.reach(base, off)
	n.LdrS(arm64.V(d), x, off)
	n.Dup(arm64.V(d), arm64.V(d), 0)
}

func (n *neon) zero(d vec)    { n.Movi0(arm64.V(d)) }
func (n *neon) copy(d, s vec) { n.Mov16B(arm64.V(d), arm64.V(s)) }

func (n *neon) addV(d, x, y vec) { n.Fadd(arm64.V(d), arm64.V(x), arm64.V(y)) }
func (n *neon) subV(d, x, y vec) { n.Fsub(arm64.V(d), arm64.V(x), arm64.V(y)) }
func (n *neon) mulV(d, x, y vec) { n.Fmul(arm64.V(d), arm64.V(x), arm64.V(y)) }

// withMemory writes an instruction whose second source is in memory.
func (n *neon) withMemory(op func(d, x, y arm64.V), d, x vec, base reg, off int) {
	n.loadV(memory, base, off)
	op(arm64.V(d), arm64.V(x), memory)
}

func (n *neon) addM(d, x vec, base reg, off int) { n.withMemory(n.Fadd, d, x, base, off) }
func (n *neon) mulM(d, x vec, base reg, off int) { n.withMemory(n.Fmul, d, x, base, off) }
func (n *neon) minM(d, x vec, base reg, off int) { n.withMemory(n.FminNM, d, x, base, off) }
func (n *neon) maxM(d, x vec, base reg, off int) { n.withMemory(n.FmaxNM, d, x, base, off) }
func (n *neon) andM(d, x vec, base reg, off int) { n.withMemory(n.And, d, x, base, off) }
func (n *neon) xorM(d, x vec, base reg, off int) { n.withMemory(n.Eor, d, x, base, off) }
func (n *neon) fmaM(d, x vec, base reg, off int) { n.withMemory(n.Fmla, d, x, base, off) }

func (n *neon) horner(d, x vec, base reg, off int) {
	n.loadV(memory, base, off)
	n.Fmla(memory, arm64.V(d), arm64.V(x))
	n.Mov16B(arm64.V(d), memory)
}

func (n *neon) split(s, t vec) (whole, rest vec) {
	n.minM(s, s, rConst, constMost*constSize)
	n.maxM(s, s, rConst, constLeast*constSize)
	n.Frintm(arm64.V(t), arm64.V(s))
	n.subV(s, s, t)
	return t, s
}

// scale adds the exponent to s as a whole number.
func (n *neon) scale(d, s, exponent vec) {
	e := arm64.V(exponent)
	n.Fcvtns(e, e)
	n.Shl(e, e, 23)
	n.Add4S(arm64.V(d), arm64.V(s), e)
}

// divV takes the processor's estimate of 1/s, good to 8 bits, and two steps of Newton's:
// a division takes longer.
func (n *neon) divV(d, x, s, t vec) {
	n.Frecpe(arm64.V(t), arm64.V(s))
	for range 2 {
		n.Frecps(memory, arm64.V(t), arm64.V(s))
		n.Fmul(arm64.V(t), arm64.V(t), memory)
	}
	n.mulV(d, x, t)
}

func (n *neon) twice(lo, hi, s vec) {
	n.Zip1(arm64.V(lo), arm64.V(s), arm64.V(s))
	n.Zip2(arm64.V(hi), arm64.V(s), arm64.V(s))
}

func (n *neon) zip(lo, hi, x, y vec) {
	n.Zip1(arm64.V(lo), arm64.V(x), arm64.V(y))
	n.Zip2(arm64.V(hi), arm64.V(x), arm64.V(y))
}

func (n *neon) unzip(even, odd, x, y vec) {
	n.Uzp1(arm64.V(even), arm64.V(x), arm64.V(y))
	n.Uzp2(arm64.V(odd), arm64.V(x), arm64.V(y))
}

// rgb takes the bytes 6j+k of 24, j = 0 to 3, where k is the plane: j = 0 and 1 from the
// first 16, j = 2 and 3 from the last.
func (n *neon) rgb(base reg) [6]vec {
	const first, last, t = 6, 7, 8
	n.load(first, base, 0)
	n.load(last, base, 8)
	var planes [6]vec
	for k := range planes {
		v := arm64.V(k)
		n.loadV(memory, rConst, (constFirstBytes+k)*constSize)
		n.Tbl(v, first, memory)
		n.loadV(memory, rConst, (constLastBytes+k)*constSize)
		n.Tbl(t, last, memory)
		n.Orr(v, v, t)
		n.Scvtf(v, v)
		planes[k] = vec(k)
	}
	return planes
}

// tap takes four weights in one register and multiplies by one lane of it at a time.
func (n *neon) tap(acc, x []vec, o int, base reg, off int, free []vec) {
	v := len(x)
	for i := range o {
		w := arm64.V(free[i/neonLanes%len(free)])
		if i%neonLanes == 0 {
			n.loadV(w, base, off+4*i)
		}
		for j := range v {
			n.FmlaElem(arm64.V(acc[i*v+j]), arm64.V(x[j]), w, i%neonLanes)
		}
	}
}

func (n *neon) finish() ([]byte, error) { return n.Finish() }

func (n *neon) fetch(base reg, off int) { n.PrfmL1Keep(gpr(base), off) }
