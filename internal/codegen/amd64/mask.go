package amd64

// Moves to mask registers.

// KmovRK copies the lower 32 bits of s to d and clears the others (kmovd).
func (a *Assembler) KmovRK(d Mask, s GPR) { a.kmov("kmovd", pF2|m0F, d, s) }

// Kmovq copies the 64 bits of s to d.
func (a *Assembler) Kmovq(d Mask, s GPR) { a.kmov("kmovq", pF2|m0F|vexW1, d, s) }

func (a *Assembler) kmov(name string, e encoding, d Mask, s GPR) {
	if a.checkMask(name, d) && a.checkGPR(name, s) {
		a.vexPrefix(prefix{e: e, reg: uint8(d), base: uint8(s)})
		a.bytes(0x92)
		a.modrmReg(uint8(d), uint8(s))
	}
}

// KmovMem reads 16 bits from memory and clears the others of d (kmovw).
func (a *Assembler) KmovMem(d Mask, m Mem) {
	const name = "kmovw"
	if a.checkMask(name, d) && a.checkMem(name, m) {
		a.vexMem(m0F, 0x90, uint8(d), m)
	}
}

// vexMem appends a VEX instruction of 128 bits on reg and memory, a valid operand.
func (a *Assembler) vexMem(e encoding, code byte, reg uint8, m Mem) {
	a.vexPrefix(prefix{e: e, reg: reg, index: m.index(), base: uint8(m.Base)})
	a.bytes(code)
	a.modrmMem(reg, m, 1)
}
