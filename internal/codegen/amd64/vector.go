package amd64

// A writeMask selects the lanes that an instruction writes.
type writeMask struct {
	k    Mask // 0: all
	zero bool // the other lanes become 0; else they stay
}

// K sets the mask of the next vector instruction, and of that one only: lanes whose bit in
// k is clear stay as they were or, where zero is set, become 0.
func (a *Assembler) K(k Mask, zero bool) *Assembler {
	switch {
	case k > 7:
		a.fail("mask", "no mask register %d", k)
	case k == 0 && zero:
		a.fail("mask", "zeroing needs a mask register")
	case a.mask != (writeMask{}):
		a.fail("mask", "two masks for one instruction")
	default:
		a.mask = writeMask{k, zero}
	}
	return a
}

// V2 appends an instruction on a destination and a source.
func (a *Assembler) V2(o Op, w Width, d Vec, s Operand) {
	if a.checkForm(o, "V2", o.enc&toMask == 0 && (o.form == formRM || o.form == formMR)) {
		a.rmOrMR(o, w, d, s)
	}
}

// V2I appends an instruction on a destination, a source and an immediate.
func (a *Assembler) V2I(o Op, w Width, d Vec, s Operand, imm uint8) {
	switch o.form {
	case formRMI, formMRI:
		a.rmOrMR(o, w, d, s)
	case formVMI:
		if _, ok := s.(Mem); ok {
			o.enc &^= vex // the VEX form takes a register only
		}
		a.vector(o, w, o.code, Vec(o.digit), d, s)
	default:
		a.checkForm(o, "V2I", false)
	}
	a.bytes(imm)
}

// rmOrMR appends an instruction whose destination is in ModRM.reg, or else in ModRM.rm.
func (a *Assembler) rmOrMR(o Op, w Width, d Vec, s Operand) {
	if o.form == formRM || o.form == formRMI {
		a.vector(o, w, o.code, d, 0, s)
		return
	}
	if s, ok := s.(Vec); ok {
		a.vector(o, w, o.code, s, 0, d)
		return
	}
	a.fail(o.name, "the source must be a register")
}

// V3 appends an instruction on a destination, which some read as well, and two sources.
func (a *Assembler) V3(o Op, w Width, d, x Vec, y Operand) {
	if a.checkForm(o, "V3", o.form == formRVM) {
		a.vector(o, w, o.code, d, x, y)
	}
}

// V3I appends an instruction on a destination, two sources and an immediate. VCMPPS writes
// a vector here.
func (a *Assembler) V3I(o Op, w Width, d, x Vec, y Operand, imm uint8) {
	if a.checkForm(o, "V3I", o.form == formRVMI) {
		if o.enc&toMask != 0 {
			o.enc &^= evex
		}
		a.vector(o, w, o.code, d, x, y)
		a.bytes(imm)
	}
}

// V4 appends an instruction on a destination and three sources.
func (a *Assembler) V4(o Op, w Width, d, x Vec, y Operand, z Vec) {
	if z > 15 {
		a.fail(o.name, "the last source must be a register below 16")
		return
	}
	if a.checkForm(o, "V4", o.form == formRVMS) {
		a.vector(o, w, o.code, d, x, y)
		a.bytes(uint8(z) << 4)
	}
}

// V2K appends an instruction on a mask register as destination and a source.
func (a *Assembler) V2K(o Op, w Width, d Mask, s Vec) {
	if a.checkForm(o, "V2K", o.form == formRM && o.enc&toMask != 0) && a.checkMask(o.name, d) {
		a.vector(o, w, o.code, Vec(d), 0, s)
	}
}

// V3IK appends an instruction on a mask register as destination, two sources and an
// immediate: comparisons, with the predicates of Intel's manual.
func (a *Assembler) V3IK(o Op, w Width, d Mask, x Vec, y Operand, imm uint8) {
	ok := a.checkForm(o, "V3IK", o.form == formRVMI && o.enc&toMask != 0)
	if ok && a.checkMask(o.name, d) && a.checkMerging(o) {
		o.enc &^= vex
		a.vector(o, w, o.code, Vec(d), x, y)
		a.bytes(imm)
	}
}

// StoreV appends an instruction that writes to memory.
func (a *Assembler) StoreV(o Op, w Width, m Mem, s Vec) {
	ok := o.form == formMR || o.form == formRM && o.store != 0
	if a.checkForm(o, "StoreV", ok) && a.checkMerging(o) {
		code := o.code
		if o.store != 0 {
			code = o.store
		}
		a.vector(o, w, code, s, 0, m)
	}
}

// StoreVI appends an instruction with an immediate that writes to memory.
func (a *Assembler) StoreVI(o Op, w Width, m Mem, s Vec, imm uint8) {
	if a.checkForm(o, "StoreVI", o.form == formMRI) && a.checkMerging(o) {
		a.vector(o, w, o.code, s, 0, m)
		a.bytes(imm)
	}
}

// MaskStore writes those of the 8 lanes of s to m whose sign bit in mask is set: the store
// of VMASKMOVPS, for processors without mask registers.
func (a *Assembler) MaskStore(m Mem, mask, s Vec) {
	a.vector(VMASKMOVPS, Y, VMASKMOVPS.store, s, mask, m)
}

// VmovdR copies the lower 32 bits of s to the first lane of d and clears the others.
func (a *Assembler) VmovdR(d Vec, s GPR) { a.vmovd(VMOVD.code, d, s) }

// VmovR copies the first lane of s, 32 bits, to d and clears the upper half of d.
func (a *Assembler) VmovR(d GPR, s Vec) { a.vmovd(VMOVD.store, s, d) }

func (a *Assembler) vmovd(code byte, v Vec, r GPR) {
	o := VMOVD
	if a.checkGPR(o.name, r) {
		o.enc &^= noReg
		a.vector(o, X, code, v, 0, Vec(r)) // a general register is encoded as a vector below 16 is
	}
}

// Vzeroupper clears all bits of the vector registers 0 to 15 above the first 128.
func (a *Assembler) Vzeroupper() { a.bytes(0xC5, 0xF8, 0x77) }

// checkForm reports whether ok; if not, the method named was given an instruction of
// another form, which is an error.
func (a *Assembler) checkForm(o Op, method string, ok bool) bool {
	if !ok {
		a.fail(o.name, "not an instruction for %s", method)
	}
	return ok
}

func (a *Assembler) checkMask(name string, k Mask) bool {
	if k > 7 {
		a.fail(name, "no mask register %d", k)
	}
	return k <= 7
}

// checkMerging reports whether the mask leaves lanes as they are: memory and mask registers
// are not zeroed.
func (a *Assembler) checkMerging(o Op) bool {
	if a.mask.zero {
		a.fail(o.name, "the destination cannot be zeroed under a mask")
	}
	return !a.mask.zero
}

// vector appends the instruction o, but for an immediate, with its opcode and what goes to
// ModRM.reg (reg), vvvv (v) and ModRM.rm (rm), in the encoding that these need.
func (a *Assembler) vector(o Op, w Width, code byte, reg, v Vec, rm Operand) {
	mask := a.mask
	a.mask = writeMask{}

	m, inMem := rm.(Mem)
	r, ok := a.checkOperand(o, rm)
	switch {
	case !ok:
		return
	case reg > 31 || v > 31 || r > 31:
		a.fail(o.name, "no vector register %d", max(reg, v, r))
		return
	case o.enc.excludes(w):
		a.fail(o.name, "not an instruction of %d bits", w)
		return
	case mask.k != 0 && o.enc&noMask != 0:
		a.fail(o.name, "takes no mask")
		return
	}

	needs512 := w == Z || max(reg, v, r) > 15 || mask.k != 0 || m.Broadcast
	p := prefix{e: o.enc, w: w, reg: uint8(reg), v: uint8(v), index: uint8(r) >> 1, base: uint8(r)}
	if inMem {
		p.index, p.base = m.index(), uint8(m.Base)
	}
	n := int32(1)
	switch {
	case o.enc&vex != 0 && !needs512 && o.enc&(evex|preferEVEX) != evex|preferEVEX:
		a.vexPrefix(p)
	case o.enc&evex != 0:
		a.evexPrefix(p, mask, m.Broadcast)
		n = o.mem.size(w)
		if m.Broadcast {
			n = o.mem.element()
		}
	default:
		a.fail(o.name, "has no EVEX form, which its width, registers, mask or operand would need")
		return
	}
	a.bytes(code)
	if inMem {
		a.modrmMem(uint8(reg), m, n)
	} else {
		a.modrmReg(uint8(reg), uint8(r))
	}
}

// checkOperand reports whether o takes rm and, if rm is a register, returns its number.
func (a *Assembler) checkOperand(o Op, rm Operand) (r Vec, ok bool) {
	switch rm := rm.(type) {
	case Vec:
		if ok = o.enc&(noReg|fromMask) == 0; !ok {
			a.fail(o.name, "takes no vector register as its last operand")
		}
		return rm, ok
	case Mask:
		if ok = o.enc&fromMask != 0; !ok {
			a.fail(o.name, "takes no mask register as its last operand")
			return 0, false
		}
		return Vec(rm), a.checkMask(o.name, rm)
	case Mem:
		switch {
		case o.mem == noTuple:
			a.fail(o.name, "takes no memory operand")
			return 0, false
		case rm.Broadcast && o.mem.element() != 0:
			rm.Broadcast = false
		}
		return 0, a.checkMem(o.name, rm)
	}
	a.fail(o.name, "lacks an operand")
	return 0, false
}
