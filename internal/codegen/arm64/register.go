package arm64

// An X is a general register of 64 bits.
type X uint8

const (
	X0 X = iota
	X1
	X2
	X3
	X4
	X5
	X6
	X7
	X8
	X9
	X10
	X11
	X12
	X13
	X14
	X15
	X16 // the encoder's, see the package comment
	X17 // the encoder's
	X18 // the system's, on some systems
	X19
	X20
	X21
	X22
	X23
	X24
	X25
	X26
	X27
	X28
	X29
	X30 // where Blr leaves the address to return to
	SP  // the stack pointer
	XZR // reads as 0, and forgets what is written
)

// Instructions know SP and XZR by the same number, and each operand means one of the two.
// They are different values here, so that the wrong one is an error.
const number31 = 31

// x returns the number of r as an operand that may be XZR.
func (a *Assembler) x(name string, r X) uint32 {
	switch {
	case r <= X30:
		return uint32(r)
	case r == XZR:
		return number31
	case r == SP:
		a.fail(name, "SP cannot stand here")
	default:
		a.fail(name, "no general register %d", r)
	}
	return 0
}

// xSP returns the number of r as an operand that may be SP: a base address is one.
func (a *Assembler) xSP(name string, r X) uint32 {
	switch {
	case r <= X30:
		return uint32(r)
	case r == SP:
		return number31
	case r == XZR:
		a.fail(name, "XZR cannot stand here")
	default:
		a.fail(name, "no general register %d", r)
	}
	return 0
}

// A V is a vector register of 128 bits, 0 to 31: four lanes of 32 bits, in Arm's terms
// arranged as 4S, unless the name of the method says otherwise.
type V uint8

// v returns the number of r.
func (a *Assembler) v(name string, r V) uint32 {
	if r > 31 {
		a.fail(name, "no vector register %d", r)
		return 0
	}
	return uint32(r)
}
