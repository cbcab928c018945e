package amd64

// A fixup is a jump whose target is not known yet.
type fixup struct {
	at    int // of the 32-bit displacement, which counts from its end
	label Label
}

// A Label names a place in the code, for jumps.
type Label int

const unbound = -1

// Label returns a new label, to be bound once.
func (a *Assembler) Label() Label {
	a.labels = append(a.labels, unbound)
	return Label(len(a.labels) - 1)
}

// Bind makes l the place of the next instruction.
func (a *Assembler) Bind(l Label) {
	switch {
	case !a.known(l):
		a.fail("label", "%d is not of this assembler", l)
	case a.labels[l] != unbound:
		a.fail("label", "%d is bound twice", l)
	default:
		a.labels[l] = len(a.code)
	}
}

// Here returns a new label bound to the place of the next instruction.
func (a *Assembler) Here() Label {
	l := a.Label()
	a.Bind(l)
	return l
}

// known reports whether l is a label of this assembler.
func (a *Assembler) known(l Label) bool { return l >= 0 && int(l) < len(a.labels) }

// Jmp goes to l.
func (a *Assembler) Jmp(l Label) { a.jump(l, []byte{0xEB}, []byte{0xE9}) }

// Jz goes to l if the last result was zero, or what was compared equal.
func (a *Assembler) Jz(l Label) { a.jumpIf(l, 0x4) }

// Jnz goes to l if the last result was not zero, or what was compared not equal.
func (a *Assembler) Jnz(l Label) { a.jumpIf(l, 0x5) }

// Jl goes to l if x < y, compared as signed numbers.
func (a *Assembler) Jl(l Label) { a.jumpIf(l, 0xC) }

// Jge goes to l if x >= y, compared as signed numbers.
func (a *Assembler) Jge(l Label) { a.jumpIf(l, 0xD) }

// Jb goes to l if x < y, compared as unsigned numbers.
func (a *Assembler) Jb(l Label) { a.jumpIf(l, 0x2) }

// Jae goes to l if x >= y, compared as unsigned numbers.
func (a *Assembler) Jae(l Label) { a.jumpIf(l, 0x3) }

func (a *Assembler) jumpIf(l Label, condition byte) {
	a.jump(l, []byte{0x70 | condition}, []byte{0x0F, 0x80 | condition})
}

// jump takes the near form where the target is behind and at most 128 bytes away.
func (a *Assembler) jump(l Label, code8, code32 []byte) {
	if !a.known(l) {
		a.fail("jump", "label %d is not of this assembler", l)
		return
	}
	if target := a.labels[l]; target != unbound {
		if d := target - (len(a.code) + len(code8) + 1); fitsInt8(d) {
			a.bytes(code8...)
			a.bytes(byte(d))
			return
		}
	}
	a.bytes(code32...)
	a.fixups = append(a.fixups, fixup{len(a.code), l})
	a.int32(0)
}
