package arm64

// Movi0 clears d.
func (a *Assembler) Movi0(d V) { a.word(0x6F00E400 | a.v("movi", d)) }

// Mov16B copies n to d.
func (a *Assembler) Mov16B(d, n V) { a.vvv("mov", 0x4EA01C00, d, n, n) } // orr d, n, n

// Dup sets all lanes of d to lane index of n.
func (a *Assembler) Dup(d, n V, index int) {
	if index < 0 || index > 3 {
		a.fail("dup", "no element %d", index)
		return
	}
	a.vv("dup", 0x4E040400|uint32(index)<<19, d, n)
}

// DupX sets all lanes of d to the lower 32 bits of n.
func (a *Assembler) DupX(d V, n X) { a.word(0x4E040C00 | a.x("dup", n)<<5 | a.v("dup", d)) }

// Uzp1 sets d to lanes 0 and 2 of n, then those of m.
func (a *Assembler) Uzp1(d, n, m V) { a.vvv("uzp1", 0x4E801800, d, n, m) }

// Uzp2 sets d to lanes 1 and 3 of n, then those of m.
func (a *Assembler) Uzp2(d, n, m V) { a.vvv("uzp2", 0x4E805800, d, n, m) }

// Zip1 sets d to lane 0 of n, of m, lane 1 of n and of m.
func (a *Assembler) Zip1(d, n, m V) { a.vvv("zip1", 0x4E803800, d, n, m) }

// Zip2 sets d to lane 2 of n, of m, lane 3 of n and of m.
func (a *Assembler) Zip2(d, n, m V) { a.vvv("zip2", 0x4E807800, d, n, m) }

// Trn1 sets d to lane 0 of n, of m, lane 2 of n and of m.
func (a *Assembler) Trn1(d, n, m V) { a.vvv("trn1", 0x4E802800, d, n, m) }

// Trn2 sets d to lane 1 of n, of m, lane 3 of n and of m.
func (a *Assembler) Trn2(d, n, m V) { a.vvv("trn2", 0x4E806800, d, n, m) }

// Ext sets d to 16 bytes of n followed by m, from byte first on: 0 to 15.
func (a *Assembler) Ext(d, n, m V, first int) {
	if first < 0 || first > 15 {
		a.fail("ext", "from byte %d", first)
		return
	}
	a.vvv("ext", 0x6E000000|uint32(first)<<11, d, n, m)
}

// Tbl sets each byte of d to the byte of n that the same byte of m numbers, and to 0 where
// there is none.
func (a *Assembler) Tbl(d, n, m V) { a.vvv("tbl", 0x4E000000, d, n, m) }
