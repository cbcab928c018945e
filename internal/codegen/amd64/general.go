package amd64

import "math"

// rex appends a REX prefix where one is needed: w asks for 64-bit operands, the others are
// register numbers whose fourth bits go there.
func (a *Assembler) rex(w bool, reg, index, base uint8) {
	p := reg>>3<<2 | index>>3<<1 | base>>3
	if w {
		p |= 1 << 3
	}
	if p != 0 {
		a.bytes(0x40 | p)
	}
}

func (a *Assembler) checkGPR(name string, regs ...GPR) bool {
	for _, r := range regs {
		if r > R15 {
			a.fail(name, "no general register %d", r)
			return false
		}
	}
	return true
}

// regReg appends a 64-bit instruction on two registers.
func (a *Assembler) regReg(name string, code byte, reg, rm GPR) {
	if a.checkGPR(name, reg, rm) {
		a.rex(true, uint8(reg), 0, uint8(rm))
		a.bytes(code)
		a.modrmReg(uint8(reg), uint8(rm))
	}
}

// regMem appends an instruction on reg, or an opcode extension in its place, and memory.
func (a *Assembler) regMem(name string, w bool, reg GPR, m Mem, code ...byte) {
	if a.checkGPR(name, reg) && a.checkMem(name, m) {
		a.rex(w, uint8(reg), m.index(), uint8(m.Base))
		a.bytes(code...)
		a.modrmMem(uint8(reg), m, 1)
	}
}

// regImm appends a 64-bit instruction of two opcodes, for immediates of 8 and of 32 bits.
func (a *Assembler) regImm(name string, code8, code32 byte, reg, rm GPR, v int) {
	switch {
	case !a.checkGPR(name, reg, rm):
	case v < math.MinInt32 || v > math.MaxInt32:
		a.fail(name, "%d needs more than 32 bits", v)
	case fitsInt8(v):
		a.regReg(name, code8, reg, rm)
		a.bytes(byte(v))
	default:
		a.regReg(name, code32, reg, rm)
		a.int32(int32(v))
	}
}

// MovRR copies s to d.
func (a *Assembler) MovRR(d, s GPR) { a.regReg("mov", 0x89, s, d) }

// MovRI sets d to v, in the shortest way that leaves the flags alone.
func (a *Assembler) MovRI(d GPR, v int64) {
	const name = "mov"
	switch {
	case !a.checkGPR(name, d):
	case v >= 0 && v <= math.MaxUint32: // the upper half becomes 0
		a.rex(false, 0, 0, uint8(d))
		a.bytes(0xB8 | uint8(d)&7)
		a.int32(int32(uint32(v)))
	case v >= math.MinInt32 && v < 0:
		a.regReg(name, 0xC7, 0, d)
		a.int32(int32(v))
	default:
		a.rex(true, 0, 0, uint8(d))
		a.bytes(0xB8 | uint8(d)&7)
		a.int32(int32(v))
		a.int32(int32(v >> 32))
	}
}

// Load reads 64 bits.
func (a *Assembler) Load(d GPR, m Mem) { a.regMem("mov", true, d, m, 0x8B) }

// Store writes 64 bits.
func (a *Assembler) Store(m Mem, s GPR) { a.regMem("mov", true, s, m, 0x89) }

// Load32 reads 32 bits and clears the upper half of d.
func (a *Assembler) Load32(d GPR, m Mem) { a.regMem("mov", false, d, m, 0x8B) }

// Store32 writes the lower 32 bits of s.
func (a *Assembler) Store32(m Mem, s GPR) { a.regMem("mov", false, s, m, 0x89) }

// Lea sets d to the address of m.
func (a *Assembler) Lea(d GPR, m Mem) { a.regMem("lea", true, d, m, 0x8D) }

// AddRR adds s to d.
func (a *Assembler) AddRR(d, s GPR) { a.regReg("add", 0x01, s, d) }

// AddRI adds v, of 32 bits at most, to d.
func (a *Assembler) AddRI(d GPR, v int) { a.regImm("add", 0x83, 0x81, 0, d, v) }

// AddRM adds 64 bits from memory to d.
func (a *Assembler) AddRM(d GPR, m Mem) { a.regMem("add", true, d, m, 0x03) }

// SubRR subtracts s from d.
func (a *Assembler) SubRR(d, s GPR) { a.regReg("sub", 0x29, s, d) }

// SubRI subtracts v, of 32 bits at most, from d.
func (a *Assembler) SubRI(d GPR, v int) { a.regImm("sub", 0x83, 0x81, 5, d, v) }

// ImulRRI sets d to s times v, which has 32 bits at most.
func (a *Assembler) ImulRRI(d, s GPR, v int) { a.regImm("imul", 0x6B, 0x69, d, s, v) }

// XorRR sets d to d^s.
func (a *Assembler) XorRR(d, s GPR) { a.regReg("xor", 0x31, s, d) }

// AndRI sets d to d&v. V has 32 bits at most, the last of which is repeated above.
func (a *Assembler) AndRI(d GPR, v int) { a.regImm("and", 0x83, 0x81, 4, d, v) }

// ShlRI shifts d to the left by n bits, 0 to 63.
func (a *Assembler) ShlRI(d GPR, n int) { a.shift("shl", 4, d, n) }

// ShrRI shifts d to the right by n bits, 0 to 63, and fills up with zeros.
func (a *Assembler) ShrRI(d GPR, n int) { a.shift("shr", 5, d, n) }

func (a *Assembler) shift(name string, digit, d GPR, n int) {
	if n < 0 || n > 63 {
		a.fail(name, "by %d bits", n)
		return
	}
	a.regReg(name, 0xC1, digit, d)
	a.bytes(byte(n))
}

// Dec subtracts 1 from d.
func (a *Assembler) Dec(d GPR) { a.regReg("dec", 0xFF, 1, d) }

// CmpRR compares x to y for the jumps.
func (a *Assembler) CmpRR(x, y GPR) { a.regReg("cmp", 0x39, y, x) }

// CmpRI compares x to v, of 32 bits at most, for the jumps.
func (a *Assembler) CmpRI(x GPR, v int) { a.regImm("cmp", 0x83, 0x81, 7, x, v) }

// TestRR compares x&y to 0 for the jumps.
func (a *Assembler) TestRR(x, y GPR) { a.regReg("test", 0x85, y, x) }

// Push puts r on the stack.
func (a *Assembler) Push(r GPR) { a.short("push", 0x50, r) }

// Pop takes r from the stack.
func (a *Assembler) Pop(r GPR) { a.short("pop", 0x58, r) }

// short appends an instruction whose opcode holds its register.
func (a *Assembler) short(name string, code byte, r GPR) {
	if a.checkGPR(name, r) {
		a.rex(false, 0, 0, uint8(r))
		a.bytes(code | uint8(r)&7)
	}
}

// CallR calls the function at the address in r.
func (a *Assembler) CallR(r GPR) {
	const name = "call"
	if a.checkGPR(name, r) {
		a.rex(false, 0, 0, uint8(r))
		a.bytes(0xFF)
		a.modrmReg(2, uint8(r))
	}
}

// Ret returns to the caller.
func (a *Assembler) Ret() { a.bytes(0xC3) }

// PrefetchT0 fetches the line of m into all caches.
func (a *Assembler) PrefetchT0(m Mem) { a.regMem("prefetcht0", false, 1, m, 0x0F, 0x18) }

// PrefetchT1 fetches the line of m into the second cache and beyond.
func (a *Assembler) PrefetchT1(m Mem) { a.regMem("prefetcht1", false, 2, m, 0x0F, 0x18) }

// StMXCSR writes the 32 bits of the control register of floating-point arithmetic.
func (a *Assembler) StMXCSR(m Mem) { a.regMem("stmxcsr", false, 3, m, 0x0F, 0xAE) }

// LdMXCSR reads the 32 bits of the control register of floating-point arithmetic.
func (a *Assembler) LdMXCSR(m Mem) { a.regMem("ldmxcsr", false, 2, m, 0x0F, 0xAE) }
