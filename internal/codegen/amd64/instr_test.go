package amd64

import (
	"fmt"
	"strings"
)

// An instr is a vector instruction with its operands, to be encoded and to be spelled as
// objdump does: one from the methods of Assembler, the other from the form of the Op.
type instr struct {
	op     Op
	w      Width
	d, x   Vec
	y      Operand // the last source or, in a store, the destination
	z      Vec
	imm    uint8
	mask   writeMask
	store  bool
	toMask bool // d is a mask register
}

func (i instr) emit(a *Assembler) {
	if i.mask.k != 0 {
		a.K(i.mask.k, i.mask.zero)
	}
	m, _ := i.y.(Mem)
	switch {
	case i.op.name == "vmaskmovps" && i.store:
		a.MaskStore(m, i.x, i.d)
	case i.op.form == formMRI && i.store:
		a.StoreVI(i.op, i.w, m, i.d, i.imm)
	case i.store:
		a.StoreV(i.op, i.w, m, i.d)
	case i.op.form == formRM && i.toMask:
		a.V2K(i.op, i.w, Mask(i.d), i.y.(Vec))
	case i.toMask:
		a.V3IK(i.op, i.w, Mask(i.d), i.x, i.y, i.imm)
	default:
		switch i.op.form {
		case formRM, formMR:
			a.V2(i.op, i.w, i.d, i.y)
		case formRMI, formMRI, formVMI:
			a.V2I(i.op, i.w, i.d, i.y, i.imm)
		case formRVM:
			a.V3(i.op, i.w, i.d, i.x, i.y)
		case formRVMI:
			a.V3I(i.op, i.w, i.d, i.x, i.y, i.imm)
		case formRVMS:
			a.V4(i.op, i.w, i.d, i.x, i.y, i.z)
		}
	}
}

// hasX reports whether there is an operand between the first and the last.
func (i instr) hasX() bool {
	return i.op.form == formRVM || i.op.form == formRVMI || i.op.form == formRVMS
}

// needsEVEX reports whether VEX cannot say i.
func (i instr) needsEVEX() bool {
	y, _ := i.y.(Vec)
	m, inMem := i.y.(Mem)
	return i.w == Z || max(i.d, y) > 15 || i.hasX() && i.x > 15 || i.mask.k != 0 || m.Broadcast ||
		i.toMask || inMem && i.op.form == formVMI
}

// encoding returns vex or evex, whichever i is to have, or 0 if there is none.
func (i instr) encoding() encoding {
	vector := i.op.enc&toMask != 0 && !i.toMask // of the comparisons
	switch {
	case i.needsEVEX() && (i.op.enc&evex == 0 || vector):
		return 0
	case i.needsEVEX() || i.op.enc&vex == 0 || i.op.enc&preferEVEX != 0 && i.op.enc&evex != 0:
		return evex
	}
	return vex
}

// text returns i as objdump prints it.
func (i instr) text() string {
	narrow := i.w
	if n := i.op.mem.size(i.w); n != 0 {
		narrow = max(X, Width(8*n))
	}
	last, dest := narrow, i.w
	switch {
	case i.op.form == formMR || i.op.form == formMRI:
		last, dest = i.w, narrow
	case i.op.name == "vcvtneps2bf16":
		dest = max(X, i.w/2)
	}

	suffix := ""
	if i.mask.k != 0 {
		suffix = fmt.Sprintf("{k%d}", i.mask.k)
	}
	if i.mask.zero {
		suffix += "{z}"
	}
	m, inMem := i.y.(Mem)
	var args []string
	switch {
	case i.store:
		args = append(args, i.memory(m)+suffix)
	case i.toMask:
		args = append(args, register(Mask(i.d), 0)+suffix)
	default:
		args = append(args, register(i.d, dest)+suffix)
	}
	if i.hasX() {
		args = append(args, register(i.x, i.w))
	}
	switch {
	case i.store:
		args = append(args, register(i.d, i.w))
	case inMem:
		args = append(args, i.memory(m))
	default:
		args = append(args, register(i.y, last))
	}
	switch i.op.form {
	case formRVMS:
		args = append(args, register(i.z, i.w))
	case formRMI, formMRI, formVMI, formRVMI:
		args = append(args, fmt.Sprintf("%#x", i.imm))
	}
	return i.op.name + " " + strings.Join(args, ",")
}

func register(r Operand, w Width) string {
	switch r := r.(type) {
	case Vec:
		return fmt.Sprintf("%s%d", map[Width]string{X: "xmm", Y: "ymm", Z: "zmm"}[w], r)
	case Mask:
		return fmt.Sprintf("k%d", r)
	}
	return "?"
}

func (i instr) memory(m Mem) string {
	size, kind := i.op.mem.size(i.w), "PTR"
	if m.Broadcast {
		size, kind = i.element(), "BCST"
	}
	s := fmt.Sprintf("%s %s %s", sizes[size], kind, address(m))
	if m.Broadcast && i.op.name == "vcvtneps2bf16" && i.w != Z { // the register shows 512 bits alone
		s += fmt.Sprintf("{1to%d}", i.w/32)
	}
	return s
}

// element returns the size in bytes of an element to broadcast, whether or not i can be a
// broadcast.
func (i instr) element() int32 {
	if i.op.enc&evexW1 != 0 {
		return 8
	}
	return 4
}

var sizes = map[int32]string{1: "BYTE", 2: "WORD", 4: "DWORD", 8: "QWORD", 16: "XMMWORD", 32: "YMMWORD", 64: "ZMMWORD"}

var names64 = strings.Fields("rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15")
var names32 = strings.Fields("eax ecx edx ebx esp ebp esi edi r8d r9d r10d r11d r12d r13d r14d r15d")

// address returns m without its size, as objdump prints it.
func address(m Mem) string {
	s := names64[m.Base]
	if m.Scale != 0 {
		s += fmt.Sprintf("+%s*%d", names64[m.Index], m.Scale)
	}
	if m.Disp != 0 || m.Base&7 == RBP { // which have no encoding without a displacement
		s += fmt.Sprintf("%+#x", m.Disp)
	}
	return "[" + s + "]"
}
