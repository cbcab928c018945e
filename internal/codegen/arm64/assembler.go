package arm64

import (
	"encoding/binary"
	"fmt"
)

// An Assembler collects the code of one block. The zero value is ready.
//
// Its methods never panic. What cannot be encoded is an error: the first one is kept and
// returned by Finish.
type Assembler struct {
	code   []byte
	labels []int // offset of each, or unbound
	fixups []fixup
	err    error
}

// A fixup is a branch whose displacement, in instructions, is not written yet.
type fixup struct {
	at    int
	label Label
	field field
}

// A field is where an instruction holds a signed displacement.
type field struct{ lowest, bits uint }

// A Label names a place in the code, for branches.
type Label int

const unbound = -1

// instruction is the size of every instruction, in bytes.
const instruction = 4

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

func (a *Assembler) known(l Label) bool { return l >= 0 && int(l) < len(a.labels) }

// Len returns the number of bytes so far.
func (a *Assembler) Len() int { return len(a.code) }

// Align fills up with no-operations to a multiple of n bytes from the start of the code.
// N is a power of two, at most 4096.
func (a *Assembler) Align(n int) {
	const (
		page = 4096
		nop  = 0xD503201F
	)
	if n < 1 || n > page || n&(n-1) != 0 {
		a.fail("align", "to %d bytes", n)
		return
	}
	for len(a.code)&(n-1) != 0 {
		a.word(nop)
	}
}

// Finish resolves the branches and returns the code, which may be placed at any address
// that is a multiple of 4, or the first error met. The assembler is of no use afterwards.
func (a *Assembler) Finish() ([]byte, error) {
	for _, f := range a.fixups {
		a.resolve(f)
	}
	if a.err != nil {
		return nil, a.err
	}
	return a.code, nil
}

func (a *Assembler) resolve(f fixup) {
	target := a.labels[f.label]
	if target == unbound {
		a.fail("branch", "label %d is not bound", f.label)
		return
	}
	d := (target - f.at) / instruction
	if limit := 1 << (f.field.bits - 1); d < -limit || d >= limit {
		a.fail("branch", "from byte %d to %d is too far", f.at, target)
		return
	}
	word := binary.LittleEndian.Uint32(a.code[f.at:])
	word |= uint32(d) & (1<<f.field.bits - 1) << f.field.lowest
	binary.LittleEndian.PutUint32(a.code[f.at:], word)
}

// fail records an error in the instruction named, unless there is one already.
func (a *Assembler) fail(name, format string, args ...any) {
	if a.err == nil {
		a.err = fmt.Errorf("arm64: %s at byte %d: %s", name, len(a.code), fmt.Sprintf(format, args...))
	}
}

func (a *Assembler) word(w uint32) { a.code = binary.LittleEndian.AppendUint32(a.code, w) }
