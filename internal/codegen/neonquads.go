package codegen

import "ultrafast/internal/codegen/arm64"

// neon for quads. With dot products, which multiply bytes with sign, 128 is taken off the
// inputs and put into what sums begin with. Processors without multiply in 16 bits.

// signed is what dot products take off the inputs.
const signed = 128

func (n *neon) tapQuads(acc, x []vec, o int, base reg, off int, free []vec) {
	v := len(x)
	if n.dot {
		n.loadV(memory, rConst, constSigns*constSize)
		for j := range v {
			n.Eor(arm64.V(x[j]), arm64.V(x[j]), memory)
		}
		for i := range o {
			w := arm64.V(free[i/neonLanes%len(free)])
			if i%neonLanes == 0 {
				n.loadV(w, base, off+4*i)
			}
			for j := range v {
				n.SdotElem(arm64.V(acc[i*v+j]), arm64.V(x[j]), w, i%neonLanes)
			}
		}
		return
	}
	// x[j] becomes the channels 0 and 1 of four pixels, in 16 bits, and upper[j] 2 and 3.
	upper, w, t := free[:v], arm64.V(free[v]), arm64.V(free[v+1])
	for j := range v {
		lo, hi := arm64.V(x[j]), arm64.V(upper[j])
		n.loadV(memory, rConst, constLowBytes*constSize)
		n.And(hi, lo, memory)
		n.Ushr8H(memory, lo, 8)
		n.Uzp1H(lo, hi, memory)
		n.Uzp2H(hi, hi, memory)
	}
	for i := range o {
		if i%2 == 0 {
			n.loadV(w, base, off+8*i)
		}
		for k := range 4 { // channel 0, 2, 1, 3, as PackQuads has them
			n.Dup8H(t, w, i%2*4+k)
			for j := range v {
				from := x[j]
				if k%2 == 1 {
					from = upper[j]
				}
				if k < 2 {
					n.Smlal(arm64.V(acc[i*v+j]), arm64.V(from), t)
				} else {
					n.Smlal2(arm64.V(acc[i*v+j]), arm64.V(from), t)
				}
			}
		}
	}
}

func (n *neon) quadRegisters(vectors int) int {
	if n.dot {
		return max(vectors+1, activationRegisters)
	}
	return 2*vectors + 2
}

func (n *neon) quadWeight() int {
	if n.dot {
		return 1
	}
	return 2
}

func (n *neon) inputOffset() int32 {
	if n.dot {
		return signed
	}
	return 0
}

func (n *neon) addIntM(d, x vec, base reg, off int) { n.withMemory(n.Add4S, d, x, base, off) }

func (n *neon) addUpper(y, lower vec) {
	n.Shl(arm64.V(y), arm64.V(y), 8)
	n.Add4S(arm64.V(y), arm64.V(y), arm64.V(lower))
}

func (n *neon) scaleQuads(y, t vec, base reg, off int, plus bool) {
	n.Scvtf(arm64.V(y), arm64.V(y))
	n.spread(t, base, off)
	n.mulV(y, y, t)
	if plus {
		n.spread(t, base, off+4)
		n.addV(y, y, t)
	}
}

func (n *neon) quotient(d, x, s vec) { n.Fdiv(arm64.V(d), arm64.V(x), arm64.V(s)) }

func (n *neon) round(y vec, _ bool) { n.Fcvtns(arm64.V(y), arm64.V(y)) }

// packQuads: what saturates at 16 bits is beyond 8 with any zero point.
func (n *neon) packQuads(y [4]vec, zero uint8, zeros int) {
	if zero != 0 {
		n.loadV(memory, rConst, zeros)
	}
	for i := 0; i < 4; i += 2 {
		d := arm64.V(y[i])
		n.Sqxtn(d, d)
		n.Sqxtn2(d, arm64.V(y[i+1]))
		if zero != 0 {
			n.Sqadd8H(d, d, memory)
		}
	}
	d := arm64.V(y[0])
	n.Sqxtun8B(d, d)
	n.Sqxtun16B(d, arm64.V(y[2]))
	n.loadV(memory, rConst, constQuads*constSize)
	n.Tbl(d, d, memory)
}

// addBytes multiplies the even bytes, in 16 bits, and then the odd ones.
func (n *neon) addBytes(y, r vec, t [4]vec, w wholeAdd, weights, begin int) {
	even := [2]arm64.V{arm64.V(t[0]), arm64.V(t[1])} // of y and r
	odd := [2]arm64.V{arm64.V(y), arm64.V(r)}
	n.loadV(memory, rConst, constLowBytes*constSize)
	for i := range odd {
		n.And(even[i], odd[i], memory)
		n.Ushr8H(odd[i], odd[i], 8)
	}
	lower, upper := arm64.V(t[2]), arm64.V(t[3])
	sum := func(x [2]arm64.V) { // to x[0], in 16 bits
		n.loadV(lower, rConst, begin)
		n.Mov16B(upper, lower)
		for i := range x {
			n.loadV(memory, rConst, weights)
			n.Dup8H(memory, memory, i)
			n.Smlal(lower, x[i], memory)
			n.Smlal2(upper, x[i], memory)
		}
		if w.shift > 0 {
			n.Sshr4S(lower, lower, w.shift)
			n.Sshr4S(upper, upper, w.shift)
		}
		n.Sqxtn(x[0], lower)
		n.Sqxtn2(x[0], upper)
	}
	sum(even)
	sum(odd)
	n.Sqxtun8B(even[0], even[0])
	n.Sqxtun16B(even[0], odd[0])
	n.loadV(memory, rConst, constMix*constSize)
	n.Tbl(odd[0], even[0], memory)
}

// lookup takes sixteen bytes of the table at a time.
func (n *neon) lookup(y vec, table int, t [4]vec) {
	d, index, sixteen := arm64.V(y), arm64.V(t[0]), arm64.V(t[1])
	n.loadV(sixteen, rConst, constSixteen*constSize)
	n.Mov16B(index, d)
	n.Movi0(d)
	for k := range 16 {
		n.loadV(memory, rConst, table+16*k)
		n.Tbx(d, memory, index)
		if k < 15 {
			n.Sub16B(index, index, sixteen)
		}
	}
}

func (n *neon) quadByte(d, s vec, i int) {
	if i > 0 {
		n.Ushr4S(arm64.V(d), arm64.V(s), 8*i)
		s = d
	}
	if i < 3 {
		n.andM(d, s, rConst, constLowByte*constSize)
	}
	n.Scvtf(arm64.V(d), arm64.V(d))
}

func (n *neon) maxBytesM(d, x vec, base reg, off int) { n.withMemory(n.Umax16B, d, x, base, off) }

func (n *neon) rgbQuads(first, second reg) [3]vec {
	const middle, t = 3, 8
	for row, base := range []reg{first, second} {
		n.load(vec(4+2*row), base, 0)
		n.load(vec(5+2*row), base, 8)
	}
	pick := func(d arm64.V, row, part int) {
		n.loadV(memory, rConst, (constFirstQuads+part)*constSize)
		n.Tbl(d, arm64.V(4+2*row), memory)
		n.loadV(memory, rConst, (constLastQuads+part)*constSize)
		n.Tbl(t, arm64.V(5+2*row), memory)
		n.Orr(d, d, t)
	}
	pick(0, 0, 0)
	pick(1, 0, 1)
	pick(middle, 1, 2)
	pick(2, 1, 3)
	n.Orr(1, 1, middle)
	return [3]vec{0, 1, 2}
}
