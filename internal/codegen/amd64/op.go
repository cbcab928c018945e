package amd64

// An Op is a vector instruction, of whatever width and encoding. Those that exist are the
// variables of this package.
//
// It is encoded with a VEX prefix where it has such a form, is 128 or 256 bits wide and has
// registers below 16, no mask and no broadcast; else with an EVEX prefix, which is AVX-512.
type Op struct {
	name  string
	form  form
	enc   encoding
	code  byte // the opcode
	store byte // the opcode of the form to memory where that is another one
	digit uint8
	mem   tuple
}

// String returns the name of o as in Intel's manuals, in lower case.
func (o Op) String() string { return o.name }

// VEX returns o without its EVEX form. VPDPBUSD and its kin have a VEX form of their own,
// AVX-VNNI, which few of the processors with the EVEX form know; it is taken only if asked
// for in this way.
func (o Op) VEX() Op {
	o.enc &^= evex
	return o
}

// A form says where the operands go, in the manual's letters ("Op/En"): R is ModRM.reg, M
// is ModRM.rm, V is vvvv, in the order in which they are written; I is an immediate, and
// S a register in the immediate.
type form uint8

const (
	formRM form = iota
	formRMI
	formRVM
	formRVMI
	formRVMS
	formVMI // with an opcode extension in ModRM.reg
	formMR
	formMRI
)

// An encoding is the rest of what is fixed in an instruction: prefixes and limits.
type encoding uint32

const (
	// Mandatory prefix, as coded in pp.
	p66 encoding = 1
	pF3 encoding = 2
	pF2 encoding = 3
	pp  encoding = 3
)

const (
	// Opcode map, as coded in mmmmm, from bit 2.
	m0F encoding = 1 << 2
	m38 encoding = 2 << 2
	m3A encoding = 3 << 2
)

const (
	vex        encoding = 1 << (4 + iota) // has a VEX form
	evex                                  // has an EVEX form
	vexW1                                 // W is set under VEX
	evexW1                                // W is set under EVEX
	noX                                   // not 128 bits wide
	noY                                   // not 256 bits wide
	noZ                                   // not 512 bits wide
	noMask                                // takes no mask
	noReg                                 // M is not a register
	toMask                                // R is a mask register under EVEX
	fromMask                              // M is a mask register
	preferEVEX                            // VEX only if nothing else is left

	both = vex | evex
	w1   = vexW1 | evexW1
)

func (e encoding) prefix() byte { return byte(e & pp) }
func (e encoding) opMap() byte  { return byte(e >> 2 & 3) }

// excludes reports whether there is no such instruction of width w.
func (e encoding) excludes(w Width) bool {
	switch w {
	case X:
		return e&noX != 0
	case Y:
		return e&noY != 0
	case Z:
		return e&noZ != 0
	}
	return true
}

// A tuple is the shape of a memory operand, in the manual's terms. It gives the operand's
// size, which is the N of disp8*N, and whether one element can be broadcast.
type tuple uint8

const (
	noTuple    tuple = iota
	full32           // the width of the instruction, or one element of 4 bytes
	full64           // the width of the instruction, or one element of 8 bytes
	fullMem          // the width of the instruction
	halfMem          // half of it
	quarterMem       // a quarter of it
	scalar8          // one byte
	scalar16         // 2 bytes
	scalar32         // 4 bytes
	scalar64         // 8 bytes
	mem128           // 16 bytes
	mem256           // 32 bytes
)

// element returns the size in bytes of an element that is broadcast, 0 if none can be.
func (t tuple) element() int32 {
	switch t {
	case full32:
		return 4
	case full64:
		return 8
	}
	return 0
}

// size returns the size in bytes of an operand that is not broadcast, 0 if there is none.
func (t tuple) size(w Width) int32 {
	switch t {
	case full32, full64, fullMem:
		return int32(w) / 8
	case halfMem:
		return int32(w) / 16
	case quarterMem:
		return int32(w) / 32
	case scalar8:
		return 1
	case scalar16:
		return 2
	case scalar32:
		return 4
	case scalar64:
		return 8
	case mem128:
		return 16
	case mem256:
		return 32
	}
	return 0
}
