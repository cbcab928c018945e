package amd64

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
	mask   writeMask // of the next vector instruction
	err    error
}

// Len returns the number of bytes so far.
func (a *Assembler) Len() int { return len(a.code) }

// Align fills up with no-operations to a multiple of n bytes from the start of the code.
// N is a power of two, at most 4096.
func (a *Assembler) Align(n int) {
	const page = 4096
	if n < 1 || n > page || n&(n-1) != 0 {
		a.fail("align", "to %d bytes", n)
		return
	}
	for gap := -len(a.code) & (n - 1); gap > 0; {
		nop := nops[min(gap, len(nops))-1]
		a.bytes(nop...)
		gap -= len(nop)
	}
}

// nops are the no-operations of 1 to 9 bytes that Intel's manual recommends.
var nops = [...][]byte{
	{0x90},
	{0x66, 0x90},
	{0x0F, 0x1F, 0x00},
	{0x0F, 0x1F, 0x40, 0x00},
	{0x0F, 0x1F, 0x44, 0x00, 0x00},
	{0x66, 0x0F, 0x1F, 0x44, 0x00, 0x00},
	{0x0F, 0x1F, 0x80, 0x00, 0x00, 0x00, 0x00},
	{0x0F, 0x1F, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00},
	{0x66, 0x0F, 0x1F, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00},
}

// Finish resolves the jumps and returns the code, which may be placed at any address, or
// the first error met. The assembler is of no use afterwards.
func (a *Assembler) Finish() ([]byte, error) {
	if a.mask != (writeMask{}) {
		a.fail("mask", "no instruction follows it")
	}
	for _, f := range a.fixups {
		target := a.labels[f.label]
		if target == unbound {
			a.fail("jump", "label %d is not bound", f.label)
			break
		}
		binary.LittleEndian.PutUint32(a.code[f.at:], uint32(target-(f.at+4)))
	}
	if a.err != nil {
		return nil, a.err
	}
	return a.code, nil
}

// fail records an error in the instruction named, unless there is one already.
func (a *Assembler) fail(name, format string, args ...any) {
	if a.err == nil {
		a.err = fmt.Errorf("amd64: %s at byte %d: %s", name, len(a.code), fmt.Sprintf(format, args...))
	}
}

func (a *Assembler) bytes(b ...byte) { a.code = append(a.code, b...) }
func (a *Assembler) int32(v int32)   { a.code = binary.LittleEndian.AppendUint32(a.code, uint32(v)) }
