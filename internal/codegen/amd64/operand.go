package amd64

import "math"

// A GPR is a general-purpose register.
type GPR uint8

// The general-purpose registers.
const (
	RAX GPR = iota
	RCX
	RDX
	RBX
	RSP
	RBP
	RSI
	RDI
	R8
	R9
	R10
	R11
	R12
	R13
	R14
	R15
)

// A Vec is a vector register, 0 to 31. Its width comes from the instruction. Registers
// above 15 exist in AVX-512 alone.
type Vec uint8

// A Width is the width of a vector instruction in bits. Where the operands differ in
// width, as in conversions, it is that of the widest.
type Width uint16

// The widths of vector registers: xmm, ymm, zmm.
const (
	X Width = 128
	Y Width = 256
	Z Width = 512
)

// A Mask is a mask register, 0 to 7. As the mask of an instruction, 0 means none.
type Mask uint8

// A Tile is an AMX tile register, 0 to 7.
type Tile uint8

// A Mem is the memory operand Base + Index*Scale + Disp.
type Mem struct {
	Base, Index GPR   // Index is any register but RSP
	Scale       uint8 // 0: no index; else 1, 2, 4 or 8
	Disp        int32 // bytes
	Broadcast   bool  // one element is read, and stands in all lanes

	far bool // the displacement asked for does not fit Disp
}

// At returns the operand [base+disp].
func At(base GPR, disp int) Mem {
	return Mem{Base: base, Disp: int32(disp), far: disp < math.MinInt32 || disp > math.MaxInt32}
}

// Bcast returns m as a broadcast of one element.
func (m Mem) Bcast() Mem {
	m.Broadcast = true
	return m
}

// Plus returns m with the index register index, times scale: 1, 2, 4 or 8.
func (m Mem) Plus(index GPR, scale int) Mem {
	m.Index, m.Scale = index, noScale
	switch scale {
	case 1, 2, 4, 8:
		m.Scale = uint8(scale)
	}
	return m
}

// noScale is the Scale of an operand that cannot be encoded.
const noScale = math.MaxUint8

// An Operand is the source of a vector instruction: a Vec, a Mem or, where the instruction
// says so, a Mask.
type Operand interface{ operand() }

func (Vec) operand()  {}
func (Mem) operand()  {}
func (Mask) operand() {}
