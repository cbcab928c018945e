package amd64

// A prefix holds what VEX and EVEX prefixes say of an instruction. For a register in
// ModRM.rm, base is its number and index half of it, whose fourth bit is then the fifth of
// the number: both prefixes keep the two bits where base and index of memory have theirs.
type prefix struct {
	e           encoding
	w           Width
	reg, v      uint8 // the registers in ModRM.reg and vvvv
	index, base uint8
}

// vexPrefix appends a VEX prefix, of 2 bytes where that will do.
func (a *Assembler) vexPrefix(p prefix) {
	last := ^p.v&15<<3 | p.e.prefix()
	if p.w == Y {
		last |= 1 << 2
	}
	if p.e.opMap() == m0F.opMap() && p.e&vexW1 == 0 && p.index < 8 && p.base < 8 {
		a.bytes(0xC5, inverted(p.reg, 3)<<7|last)
		return
	}
	if p.e&vexW1 != 0 {
		last |= 1 << 7
	}
	a.bytes(0xC4, inverted(p.reg, 3)<<7|inverted(p.index, 3)<<6|inverted(p.base, 3)<<5|p.e.opMap(), last)
}

// evexPrefix appends an EVEX prefix.
func (a *Assembler) evexPrefix(p prefix, mask writeMask, broadcast bool) {
	b1 := inverted(p.reg, 3)<<7 | inverted(p.index, 3)<<6 | inverted(p.base, 3)<<5 | inverted(p.reg, 4)<<4 | p.e.opMap()
	b2 := ^p.v&15<<3 | 1<<2 | p.e.prefix()
	if p.e&evexW1 != 0 {
		b2 |= 1 << 7
	}
	b3 := inverted(p.v, 4)<<3 | uint8(mask.k)
	switch p.w {
	case Y:
		b3 |= 1 << 5
	case Z:
		b3 |= 2 << 5
	}
	if mask.zero {
		b3 |= 1 << 7
	}
	if broadcast {
		b3 |= 1 << 4
	}
	a.bytes(0x62, b1, b2, b3)
}

// inverted returns 1 where bit i of v is 0, and 0 where it is 1: the prefixes hold the upper
// bits of register numbers inverted.
func inverted(v uint8, i uint) byte { return ^v >> i & 1 }
