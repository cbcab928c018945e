package codegen

import "ultrafast/internal/codegen/amd64"

// avx for quads. Without VNNI there is no exact product of bytes (VPMADDUBSW saturates): they are
// multiplied in 16 bits, the even ones first and then the odd ones. Tables are looked up with VBMI or, as
// on Cascade Lake, which has VNNI, without.

func (a *avx) tapQuads(acc, x []vec, o int, base reg, off int, free []vec) {
	if a.dot {
		op := amd64.VPDPBUSD
		if !a.wide {
			op = op.VEX()
		}
		a.taps(op, acc, x, o, base, off, free)
		return
	}
	v := len(x)
	even, w, t := free[:v], free[v], free[v+1]
	for j := range v {
		a.andM(even[j], x[j], rConst, constLowBytes*constSize)
		a.V2I(amd64.VPSRLW, a.w, amd64.Vec(x[j]), amd64.Vec(x[j]), 8)
	}
	for i := range o {
		for k, x := range [][]vec{even, x} {
			a.spread(w, base, off+8*i+4*k)
			for j := range v {
				a.v3(amd64.VPMADDWD, t, x[j], amd64.Vec(w))
				a.v3(amd64.VPADDD, acc[i*v+j], acc[i*v+j], amd64.Vec(t))
			}
		}
	}
}

func (a *avx) quadRegisters(vectors int) int {
	if a.dot {
		return max(vectors+1, activationRegisters)
	}
	return 2*vectors + 2
}

func (a *avx) quadWeight() int {
	if a.dot {
		return 1
	}
	return 2
}

func (a *avx) inputOffset() int32 { return 0 }

func (a *avx) addIntM(d, x vec, base reg, off int) { a.v3(amd64.VPADDD, d, x, at(base, off)) }

func (a *avx) addUpper(y, lower vec) {
	a.V2I(amd64.VPSLLD, a.w, amd64.Vec(y), amd64.Vec(y), 8)
	a.v3(amd64.VPADDD, y, y, amd64.Vec(lower))
}

func (a *avx) scaleQuads(y, t vec, base reg, off int, plus bool) {
	a.V2(amd64.VCVTDQ2PS, a.w, amd64.Vec(y), amd64.Vec(y))
	with := func(op amd64.Op, off int) {
		if a.wide {
			a.v3(op, y, y, at(base, off).Bcast())
			return
		}
		a.spread(t, base, off)
		a.v3(op, y, y, amd64.Vec(t))
	}
	with(amd64.VMULPS, off)
	if plus {
		with(amd64.VADDPS, off+4)
	}
}

func (a *avx) quotient(d, x, s vec) { a.divV(d, x, s, s) }

// round holds any y below 2^31, which would become the smallest number.
func (a *avx) round(y vec, any bool) {
	if any {
		a.minM(y, y, rConst, constHigh*constSize)
	}
	a.V2(amd64.VCVTPS2DQ, a.w, amd64.Vec(y), amd64.Vec(y))
}

// packQuads: what the packs saturate at 16 bits is beyond 8 with any zero point.
func (a *avx) packQuads(y [4]vec, zero uint8, zeros int) {
	for i := 0; i < 4; i += 2 {
		a.v3(amd64.VPACKSSDW, y[i], y[i], amd64.Vec(y[i+1]))
		if zero != 0 {
			a.v3(amd64.VPADDSW, y[i], y[i], at(rConst, zeros))
		}
	}
	a.v3(amd64.VPACKUSWB, y[0], y[0], amd64.Vec(y[2]))
	a.v3(amd64.VPSHUFB, y[0], y[0], at(rConst, constQuads*constSize))
}

func (a *avx) addBytes(y, r vec, t [4]vec, w wholeAdd, weights, begin int) {
	zero := amd64.Vec(t[2])
	a.zero(t[2])
	a.v3(amd64.VPUNPCKLBW, t[0], y, amd64.Vec(r))
	a.v3(amd64.VPUNPCKHBW, r, y, amd64.Vec(r))
	a.v3(amd64.VPUNPCKLBW, y, t[0], zero)
	a.v3(amd64.VPUNPCKHBW, t[0], t[0], zero)
	a.v3(amd64.VPUNPCKLBW, t[1], r, zero)
	a.v3(amd64.VPUNPCKHBW, r, r, zero)
	for _, v := range []vec{y, t[0], t[1], r} { // pairs in 16 bits, of the first to the last quarter of 16 bytes
		a.v3(amd64.VPMADDWD, v, v, at(rConst, weights))
		a.v3(amd64.VPADDD, v, v, at(rConst, begin))
		if w.shift > 0 {
			a.V2I(amd64.VPSRAD, a.w, amd64.Vec(v), amd64.Vec(v), uint8(w.shift))
		}
	}
	a.v3(amd64.VPACKSSDW, y, y, amd64.Vec(t[0]))
	a.v3(amd64.VPACKSSDW, t[1], t[1], amd64.Vec(r))
	a.v3(amd64.VPACKUSWB, y, y, amd64.Vec(t[1]))
}

func (a *avx) lookup(y vec, table int, t [4]vec) {
	if a.vbmi {
		const upper amd64.Mask = 1 // of the table
		for i := range 2 {
			a.copy(t[i], y)
			a.load(t[2+i], rConst, table+128*i)
			a.v3(amd64.VPERMI2B, t[i], t[2+i], at(rConst, table+128*i+64))
		}
		a.V2K(amd64.VPMOVB2M, a.w, upper, amd64.Vec(y))
		a.K(upper, false).V3(amd64.VPBLENDMB, a.w, amd64.Vec(y), amd64.Vec(t[0]), amd64.Vec(t[1]))
		return
	}
	// Sixteen bytes of the table at a time. The index into these, plus 0x70, has its upper bit
	// clear where it is from 0 to 15; elsewhere VPSHUFB makes 0 of it.
	index, part, i := t[0], t[1], t[2]
	spread := amd64.VBROADCASTF128
	if a.wide {
		spread = amd64.VBROADCASTF32X4
	}
	a.copy(index, y)
	a.zero(y)
	for k := range 16 {
		if k > 0 {
			a.v3(amd64.VPSUBB, index, index, at(rConst, constSixteen*constSize))
		}
		a.v3(amd64.VPADDUSB, i, index, at(rConst, constNibble*constSize))
		a.V2(spread, a.w, amd64.Vec(part), at(rConst, table+16*k))
		a.v3(amd64.VPSHUFB, i, part, amd64.Vec(i))
		a.v3(amd64.VORPS, y, y, amd64.Vec(i))
	}
}

func (a *avx) quadByte(d, s vec, i int) {
	if i > 0 {
		a.V2I(amd64.VPSRLD, a.w, amd64.Vec(d), amd64.Vec(s), uint8(8*i))
		s = d
	}
	if i < 3 {
		a.andM(d, s, rConst, constLowByte*constSize)
	}
	a.V2(amd64.VCVTDQ2PS, a.w, amd64.Vec(d), amd64.Vec(d))
}

func (a *avx) maxBytesM(d, x vec, base reg, off int) { a.v3(amd64.VPMAXUB, d, x, at(base, off)) }

func (a *avx) rgbQuads(first, second reg) [3]vec {
	const middle, t = 3, 8
	a.windows(4, 5, t, 9, first)
	a.windows(6, 7, t, 9, second)
	pick := func(d vec, row, part int) {
		a.fromWindows(d, t, vec(4+2*row), vec(5+2*row), constFirstQuads+part, constLastQuads+part)
	}
	pick(0, 0, 0)
	pick(1, 0, 1)
	pick(middle, 1, 2)
	pick(2, 1, 3)
	a.v3(amd64.VORPS, 1, 1, amd64.Vec(middle))
	return [3]vec{0, 1, 2}
}
