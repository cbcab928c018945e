package codegen

import "ultrafast/internal/codegen/amd64"

// avx writes AVX2 with FMA (8 lanes, 16 registers) or AVX-512 F, BW, DQ and VL (16 lanes,
// 32 registers).
type avx struct {
	amd64.Assembler
	wide bool // AVX-512
	dot  bool // VPDPBUSD: AVX-512 VNNI or AVX-VNNI
	vbmi bool // VPERMI2B: AVX-512 VBMI
	pick bool // two registers hold the indices of even and odd lanes
	w    amd64.Width
}

// General registers. RDI holds the arguments at entry.
var gprs = [registers]amd64.GPR{
	rX: amd64.RSI, rW: amd64.RDX, rBias: amd64.R9, rOut: amd64.R8, rRes: amd64.R14, rMask: amd64.R13, rConst: amd64.R15,
	rCurX: amd64.RAX, rCurW: amd64.RBX, rCount: amd64.RCX, rTiles: amd64.R11, rOuter: amd64.R12, rScratch: amd64.R10,
}

func newAVX512(dot, vbmi bool) *avx { return &avx{wide: true, dot: dot, vbmi: vbmi, w: amd64.Z} }
func newAVX2(dot bool) *avx         { return &avx{dot: dot, w: amd64.Y} }

func (a *avx) lanes() int {
	if a.wide {
		return 16
	}
	return 8
}

func (a *avx) vectors() int {
	switch {
	case a.pick:
		return int(evenIndex)
	case a.wide:
		return 32
	}
	return 16
}

func (a *avx) packing() int { return 1 }

const evenIndex, oddIndex amd64.Vec = 30, 31

func at(base reg, off int) amd64.Mem { return amd64.At(gprs[base], off) }

func (a *avx) arg(d reg, index int) { a.Load(gprs[d], amd64.At(amd64.RDI, 8*index)) }
func (a *avx) move(d, s reg)        { a.MovRR(gprs[d], gprs[s]) }
func (a *avx) lea(d, s reg, n int)  { a.Lea(gprs[d], at(s, n)) }

func (a *avx) add(d reg, n int) {
	if n != 0 {
		a.AddRI(gprs[d], n)
	}
}

func (a *avx) push(r ...reg) {
	for _, r := range r {
		a.Push(gprs[r])
	}
}

func (a *avx) pop(r ...reg) {
	for i := len(r) - 1; i >= 0; i-- {
		a.Pop(gprs[r[i]])
	}
}

func (a *avx) loop(count reg, n int, body func()) {
	if n == 1 {
		body()
		return
	}
	a.MovRI(gprs[count], int64(n))
	a.Align(16)
	top := a.Here()
	body()
	a.Dec(gprs[count])
	a.Jnz(top)
}

func (a *avx) leave() {
	a.Vzeroupper()
	a.Ret()
}

func (a *avx) fetch(base reg, off int) { a.PrefetchT0(at(base, off)) }

func (a *avx) load(d vec, base reg, off int) { a.V2(amd64.VMOVUPS, a.w, amd64.Vec(d), at(base, off)) }

func (a *avx) loadEven(d vec, base reg, off int) { a.alternate(d, base, off, evenIndex, 0x88) }
func (a *avx) loadOdd(d vec, base reg, off int)  { a.alternate(d, base, off, oddIndex, 0xDD) }

func (a *avx) alternate(d vec, base reg, off int, index amd64.Vec, shuffle uint8) {
	a.load(d, base, off)
	v := amd64.Vec(d)
	if a.wide {
		a.V3(amd64.VPERMT2PS, a.w, v, index, at(base, off+64))
		return
	}
	// [0 1 2 3|4 5 6 7] and [8 9 a b|c d e f] give [0 2 8 a|4 6 c e], then [0 2 4 6|8 a c e].
	a.V3I(amd64.VSHUFPS, a.w, v, v, at(base, off+32), shuffle)
	a.V2I(amd64.VPERMPD, a.w, v, v, 0xD8)
}

func (a *avx) store(base reg, off int, s vec) {
	a.StoreV(amd64.VMOVUPS, a.w, at(base, off), amd64.Vec(s))
}

// storeFar is weakly ordered. Whoever hands its memory to another thread does that by a
// locked instruction, which waits for it.
func (a *avx) storeFar(base reg, off int, s vec) {
	a.StoreV(amd64.VMOVNTPS, a.w, at(base, off), amd64.Vec(s))
}

func (a *avx) storeFirst(base reg, off int, s, t vec, n int) {
	if a.wide {
		a.MovRI(gprs[rCount], 1<<n-1)
		a.KmovRK(1, gprs[rCount])
		a.K(1, false).StoreV(amd64.VMOVUPS, a.w, at(base, off), amd64.Vec(s))
		return
	}
	a.load(t, rConst, constFirst*constSize+4*(8-n))
	a.MaskStore(at(base, off), amd64.Vec(t), amd64.Vec(s))
}

func (a *avx) spread(d vec, base reg, off int) {
	a.V2(amd64.VBROADCASTSS, a.w, amd64.Vec(d), at(base, off))
}

func (a *avx) v3(op amd64.Op, d, x vec, y amd64.Operand) {
	a.V3(op, a.w, amd64.Vec(d), amd64.Vec(x), y)
}

func (a *avx) zero(d vec)    { a.v3(a.xor(), d, d, amd64.Vec(d)) }
func (a *avx) copy(d, s vec) { a.V2(amd64.VMOVAPS, a.w, amd64.Vec(d), amd64.Vec(s)) }

func (a *avx) xor() amd64.Op {
	if a.wide {
		return amd64.VPXORD
	}
	return amd64.VXORPS
}

func (a *avx) addV(d, x, y vec) { a.v3(amd64.VADDPS, d, x, amd64.Vec(y)) }
func (a *avx) subV(d, x, y vec) { a.v3(amd64.VSUBPS, d, x, amd64.Vec(y)) }
func (a *avx) mulV(d, x, y vec) { a.v3(amd64.VMULPS, d, x, amd64.Vec(y)) }

// source is what instructions with a source in memory take. A constant is the same in all
// lanes, and one lane of it is cheaper to load.
func (a *avx) source(base reg, off int) amd64.Mem {
	if a.wide && base == rConst {
		return at(base, off).Bcast()
	}
	return at(base, off)
}

func (a *avx) addM(d, x vec, base reg, off int) { a.v3(amd64.VADDPS, d, x, a.source(base, off)) }
func (a *avx) mulM(d, x vec, base reg, off int) { a.v3(amd64.VMULPS, d, x, a.source(base, off)) }
func (a *avx) minM(d, x vec, base reg, off int) { a.v3(amd64.VMINPS, d, x, a.source(base, off)) }
func (a *avx) maxM(d, x vec, base reg, off int) { a.v3(amd64.VMAXPS, d, x, a.source(base, off)) }
func (a *avx) andM(d, x vec, base reg, off int) { a.v3(amd64.VANDPS, d, x, a.source(base, off)) }
func (a *avx) xorM(d, x vec, base reg, off int) { a.v3(amd64.VXORPS, d, x, a.source(base, off)) }
func (a *avx) fmaM(d, x vec, base reg, off int) { a.v3(amd64.VFMADD231PS, d, x, a.source(base, off)) }
func (a *avx) horner(d, x vec, base reg, off int) {
	a.v3(amd64.VFMADD213PS, d, x, a.source(base, off))
}

// split: AVX-512 has an instruction for the rest, and its scale takes the whole of any number.
func (a *avx) split(s, t vec) (whole, rest vec) {
	const floor = 1 | 8 // and no exception
	if a.wide {
		a.V2I(amd64.VREDUCEPS, a.w, amd64.Vec(t), amd64.Vec(s), floor)
		return s, t
	}
	a.minM(s, s, rConst, constMost*constSize)
	a.maxM(s, s, rConst, constLeast*constSize)
	a.V2I(amd64.VROUNDPS, a.w, amd64.Vec(t), amd64.Vec(s), floor)
	a.subV(s, s, t)
	return t, s
}

func (a *avx) scale(d, s, n vec) {
	if a.wide {
		a.v3(amd64.VSCALEFPS, d, s, amd64.Vec(n))
		return
	}
	// n moved to the exponent's bits and added to s as a whole number
	a.V2(amd64.VCVTPS2DQ, a.w, amd64.Vec(n), amd64.Vec(n))
	a.V2I(amd64.VPSLLD, a.w, amd64.Vec(n), amd64.Vec(n), 23)
	a.v3(amd64.VPADDD, d, s, amd64.Vec(n))
}

func (a *avx) divV(d, x, s, _ vec) { a.v3(amd64.VDIVPS, d, x, amd64.Vec(s)) }

func (a *avx) twice(lo, hi, s vec) {
	upper := constUpper8
	if a.wide {
		upper = constUpper
	}
	a.load(lo, rConst, constLower*constSize)
	a.load(hi, rConst, upper*constSize)
	a.v3(amd64.VPERMPS, lo, lo, amd64.Vec(s))
	a.v3(amd64.VPERMPS, hi, hi, amd64.Vec(s))
}

func (a *avx) zip(lo, hi, x, y vec) {
	if a.wide {
		a.load(lo, rConst, constZip*constSize)
		a.load(hi, rConst, constZipUpper*constSize)
		a.v3(amd64.VPERMI2PS, lo, x, amd64.Vec(y))
		a.v3(amd64.VPERMI2PS, hi, x, amd64.Vec(y))
		return
	}
	// [x0 y0 x1 y1|x4 y4 x5 y5] and [x2 y2 x3 y3|x6 y6 x7 y7], then their lower and upper halves
	a.v3(amd64.VUNPCKLPS, lo, x, amd64.Vec(y))
	a.v3(amd64.VUNPCKHPS, x, x, amd64.Vec(y))
	a.V3I(amd64.VPERM2F128, a.w, amd64.Vec(hi), amd64.Vec(lo), amd64.Vec(x), 0x31)
	a.V3I(amd64.VPERM2F128, a.w, amd64.Vec(lo), amd64.Vec(lo), amd64.Vec(x), 0x20)
}

func (a *avx) unzip(even, odd, x, y vec) {
	if a.wide {
		a.copy(even, x)
		a.copy(odd, x)
		a.v3(amd64.VPERMT2PS, even, vec(evenIndex), amd64.Vec(y))
		a.v3(amd64.VPERMT2PS, odd, vec(oddIndex), amd64.Vec(y))
		return
	}
	for i, d := range []amd64.Vec{amd64.Vec(even), amd64.Vec(odd)} { // as alternate has it
		a.V3I(amd64.VSHUFPS, a.w, d, amd64.Vec(x), amd64.Vec(y), []uint8{0x88, 0xDD}[i])
		a.V2I(amd64.VPERMPD, a.w, d, d, 0xD8)
	}
}

func (a *avx) tap(acc, x []vec, o int, base reg, off int, free []vec) {
	a.taps(amd64.VFMADD231PS, acc, x, o, base, off, free)
}

func (a *avx) tapPairs(acc, x []vec, o int, base reg, off int, free []vec) {
	a.taps(amd64.VDPBF16PS, acc, x, o, base, off, free)
}

func (a *avx) taps(op amd64.Op, acc, x []vec, o int, base reg, off int, free []vec) {
	v := len(x)
	for i := range o {
		if a.wide && v == 1 { // broadcast in the instruction itself
			a.v3(op, acc[i], x[0], at(base, off+4*i).Bcast())
			continue
		}
		w := free[i%len(free)]
		a.spread(w, base, off+4*i)
		for j := range v {
			a.v3(op, acc[i*v+j], x[j], amd64.Vec(w))
		}
	}
}

// packPairs: the conversion leaves all lower halves before all upper ones.
func (a *avx) packPairs(d, lower, upper, t vec) {
	a.v3(amd64.VCVTNE2PS2BF16, d, upper, amd64.Vec(lower))
	a.load(t, rConst, constPairs*constSize)
	a.v3(amd64.VPERMW, d, t, amd64.Vec(d))
}

func (a *avx) lower(d, s vec) { a.V2I(amd64.VPSLLD, a.w, amd64.Vec(d), amd64.Vec(s), 16) }
func (a *avx) upper(d, s vec) { a.andM(d, s, rConst, constUpperHalf*constSize) }

func (a *avx) roughDiv(d, x, s, t vec) {
	a.V2(amd64.VRCP14PS, a.w, amd64.Vec(t), amd64.Vec(s))
	a.mulV(d, x, t)
}

func (a *avx) finish() ([]byte, error) { return a.Finish() }

func (a *avx) pickLanes() {
	if a.wide {
		a.pick = true
		a.V2(amd64.VMOVUPS, a.w, evenIndex, at(rConst, constEven*constSize))
		a.V2(amd64.VMOVUPS, a.w, oddIndex, at(rConst, constOdd*constSize))
	}
}

// rgb: a 128-bit part of the vectors takes four pixels of every other column, the bytes
// 6j+k, j = 0 to 3, of 24 bytes, where k = 0 to 5 is the plane. j = 0 and 1 are taken from
// a window at byte 0, j = 2 and 3 from one at byte 8.
func (a *avx) rgb(base reg) [6]vec {
	const low, high, t = 6, 7, 9
	a.windows(low, high, 8, t, base)
	var planes [6]vec
	for k := range planes {
		v := vec(k)
		a.fromWindows(v, t, low, high, constFirstBytes+k, constLastBytes+k)
		a.V2(amd64.VCVTDQ2PS, a.w, amd64.Vec(v), amd64.Vec(v))
		planes[k] = v
	}
	return planes
}

// windows loads what rgb takes bytes from; more and t are used up.
func (a *avx) windows(low, high, more, t vec, base reg) {
	if a.wide {
		// Both windows from the 96 bytes, by indices of 32-bit words.
		a.load(low, base, 0)
		a.load(high, base, 0)
		a.load(more, base, 64)
		a.load(t, rConst, constWindow0*constSize)
		a.v3(amd64.VPERMT2D, low, t, amd64.Vec(more))
		a.load(t, rConst, constWindow8*constSize)
		a.v3(amd64.VPERMT2D, high, t, amd64.Vec(more))
	} else {
		for i, w := range []amd64.Vec{amd64.Vec(low), amd64.Vec(high)} {
			a.V2(amd64.VMOVUPS, amd64.X, w, at(base, 8*i))
			a.V3I(amd64.VINSERTF128, a.w, w, w, at(base, 8*i+24), 1)
		}
	}
}

// fromWindows picks bytes from both windows by these constants; t is used up.
func (a *avx) fromWindows(d, t, low, high vec, first, last int) {
	a.v3(amd64.VPSHUFB, d, low, at(rConst, first*constSize))
	a.v3(amd64.VPSHUFB, t, high, at(rConst, last*constSize))
	a.v3(amd64.VORPS, d, d, amd64.Vec(t))
}
