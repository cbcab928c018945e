package arm64

// Displacements: of B, up to 128 MiB either way, and of the conditional branches, 1 MiB.
var (
	imm26 = field{0, 26}
	imm19 = field{5, 19}
)

// B branches to l.
func (a *Assembler) B(l Label) { a.branch(0x14000000, imm26, l) }

// Beq branches to l if the last comparison found its operands equal, or the last
// subtraction gave 0.
func (a *Assembler) Beq(l Label) { a.branch(0x54000000, imm19, l) }

// Bne branches to l if the last comparison found its operands different, or the last
// subtraction did not give 0.
func (a *Assembler) Bne(l Label) { a.branch(0x54000001, imm19, l) }

// Bge branches to l if the first operand compared was at least the second, both signed.
func (a *Assembler) Bge(l Label) { a.branch(0x5400000A, imm19, l) }

// Blt branches to l if the first operand compared was less than the second, both signed.
func (a *Assembler) Blt(l Label) { a.branch(0x5400000B, imm19, l) }

// Cbz branches to l if n is 0. It leaves the flags alone.
func (a *Assembler) Cbz(n X, l Label) { a.branch(0xB4000000|a.x("cbz", n), imm19, l) }

// Cbnz branches to l if n is not 0. It leaves the flags alone.
func (a *Assembler) Cbnz(n X, l Label) { a.branch(0xB5000000|a.x("cbnz", n), imm19, l) }

func (a *Assembler) branch(op uint32, f field, l Label) {
	if !a.known(l) {
		a.fail("branch", "label %d is not of this assembler", l)
		return
	}
	a.fixups = append(a.fixups, fixup{len(a.code), l, f})
	a.word(op)
}

// Br branches to the address in n.
func (a *Assembler) Br(n X) { a.word(0xD61F0000 | a.x("br", n)<<5) }

// Blr calls the function at the address in n; the address to return to is put into X30.
func (a *Assembler) Blr(n X) { a.word(0xD63F0000 | a.x("blr", n)<<5) }

// Ret branches to the address in X30.
func (a *Assembler) Ret() { a.word(0xD65F0000 | uint32(X30)<<5) }
