package arm64

// Instructions on lanes of 8 and 16 bits, for sums of products of bytes on processors without
// dot products, and for what becomes of such sums.

// Smlal adds to each of the four int32 in d the product of int16 in the lower halves of n and m.
func (a *Assembler) Smlal(d, n, m V) { a.vvv("smlal", 0x0E608000, d, n, m) }

// Smlal2 does as Smlal with the upper halves.
func (a *Assembler) Smlal2(d, n, m V) { a.vvv("smlal2", 0x4E608000, d, n, m) }

// Sqadd8H sets d to n+m in int16, with saturation.
func (a *Assembler) Sqadd8H(d, n, m V) { a.vvv("sqadd", 0x4E600C00, d, n, m) }

// Sub16B sets d to n-m in lanes of 8 bits.
func (a *Assembler) Sub16B(d, n, m V) { a.vvv("sub", 0x6E208400, d, n, m) }

// Umax16B sets d to the larger of n and m in uint8.
func (a *Assembler) Umax16B(d, n, m V) { a.vvv("umax", 0x6E206400, d, n, m) }

// Uzp1H sets d to lanes 0, 2, 4 and 6 of n in 16 bits, then those of m.
func (a *Assembler) Uzp1H(d, n, m V) { a.vvv("uzp1", 0x4E401800, d, n, m) }

// Uzp2H sets d to lanes 1, 3, 5 and 7 of n in 16 bits, then those of m.
func (a *Assembler) Uzp2H(d, n, m V) { a.vvv("uzp2", 0x4E405800, d, n, m) }

// Tbx does as Tbl, and leaves a byte of d where there is none in n.
func (a *Assembler) Tbx(d, n, m V) { a.vvv("tbx", 0x4E001000, d, n, m) }

// Dup8H sets all lanes of 16 bits of d to lane index of n, 0 to 7.
func (a *Assembler) Dup8H(d, n V, index int) {
	if index < 0 || index > 7 {
		a.fail("dup", "no element %d", index)
		return
	}
	a.vv("dup", 0x4E020400|uint32(index)<<18, d, n)
}

// Ushr4S sets d to n, in uint32, shifted right by 1 to 32 bits.
func (a *Assembler) Ushr4S(d, n V, bits int) { a.shiftRight("ushr", 0x6F000400, 32, d, n, bits) }

// Ushr8H sets d to n, in uint16, shifted right by 1 to 16 bits.
func (a *Assembler) Ushr8H(d, n V, bits int) { a.shiftRight("ushr", 0x6F000400, 16, d, n, bits) }

// Sshr4S sets d to n, in int32, shifted right by 1 to 32 bits.
func (a *Assembler) Sshr4S(d, n V, bits int) { a.shiftRight("sshr", 0x4F000400, 32, d, n, bits) }

func (a *Assembler) shiftRight(name string, op uint32, size int, d, n V, bits int) {
	if bits < 1 || bits > size {
		a.fail(name, "by %d bits", bits)
		return
	}
	a.vv(name, op|uint32(2*size-bits)<<16, d, n)
}
