// Package arm64 encodes AArch64 instructions: the general ones that loops need, and
// Advanced SIMD on float32 with the dot products of int8 and bfloat16.
//
// An Assembler appends one instruction per call, or a few where an immediate or an offset
// is too large for one. Destinations come first, as in Arm's manual, whose names the
// methods keep:
//
//	var a arm64.Assembler
//	a.MovI(arm64.X2, 100)
//	a.Movi0(0)
//	top := a.Here()
//	a.LdrQ(1, arm64.X0, 64)
//	a.Fadd(0, 0, 1)
//	a.AddI(arm64.X0, arm64.X0, 16)
//	a.SubsI(arm64.X2, arm64.X2, 1)
//	a.Bne(top)
//	a.Ret()
//	code, err := a.Finish()
//
// X16 and X17, which Arm's procedure call standard sets aside for such use, belong to the
// encoder: constants and addresses that fit no instruction are made there. They may be
// operands, but a method that takes an immediate or an offset may change them.
//
// The package runs nothing and asks no processor what it can do: it builds anywhere, and
// who calls it chooses instructions. Encodings follow the Arm Architecture Reference
// Manual for A-profile, whose terms the comments use.
package arm64
