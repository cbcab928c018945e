package amd64

// Moves.
var (
	VMOVUPS    = move("vmovups", both|m0F, 0x10, 0x11, fullMem)
	VMOVAPS    = move("vmovaps", both|m0F, 0x28, 0x29, fullMem)         // aligned to the width
	VMOVNTPS   = opMR("vmovntps", both|m0F|noReg|noMask, 0x2B, fullMem) // past the caches; aligned
	VMOVDQU8   = move("vmovdqu8", evex|pF2|m0F, 0x6F, 0x7F, fullMem)
	VMOVDQU16  = move("vmovdqu16", evex|pF2|m0F|w1, 0x6F, 0x7F, fullMem)
	VMOVD      = move("vmovd", both|p66|m0F|noY|noZ|noReg|noMask, 0x6E, 0x7E, scalar32)
	VMASKMOVPS = Op{name: "vmaskmovps", form: formRVM, enc: vex | p66 | m38 | noReg, code: 0x2C, store: 0x2E, mem: fullMem}

	VBROADCASTSS    = opRM("vbroadcastss", both|p66|m38, 0x18, scalar32)
	VBROADCASTF128  = opRM("vbroadcastf128", vex|p66|m38|noX|noReg, 0x1A, mem128)
	VBROADCASTF32X4 = opRM("vbroadcastf32x4", evex|p66|m38|noX|noReg, 0x1A, mem128)
	VPBROADCASTB    = opRM("vpbroadcastb", both|p66|m38, 0x78, scalar8)
	VPBROADCASTW    = opRM("vpbroadcastw", both|p66|m38, 0x79, scalar16)
	VPBROADCASTD    = opRM("vpbroadcastd", both|p66|m38, 0x58, scalar32)
	VPBROADCASTQ    = opRM("vpbroadcastq", both|p66|m38|evexW1, 0x59, scalar64)
)

// Arithmetic on float32. Mul-adds are named by the order of factors and summand: 132 is
// d*y + x, 213 is x*d + y, 231 is x*y + d.
var (
	VADDPS      = opRVM("vaddps", both|m0F, 0x58, full32)
	VSUBPS      = opRVM("vsubps", both|m0F, 0x5C, full32)
	VMULPS      = opRVM("vmulps", both|m0F, 0x59, full32)
	VDIVPS      = opRVM("vdivps", both|m0F, 0x5E, full32)
	VMINPS      = opRVM("vminps", both|m0F, 0x5D, full32)
	VMAXPS      = opRVM("vmaxps", both|m0F, 0x5F, full32)
	VANDPS      = opRVM("vandps", both|m0F, 0x54, full32)
	VANDNPS     = opRVM("vandnps", both|m0F, 0x55, full32)
	VORPS       = opRVM("vorps", both|m0F, 0x56, full32)
	VXORPS      = opRVM("vxorps", both|m0F, 0x57, full32)
	VSQRTPS     = opRM("vsqrtps", both|m0F, 0x51, full32)
	VRCPPS      = opRM("vrcpps", vex|m0F, 0x53, fullMem)
	VRCP14PS    = opRM("vrcp14ps", evex|p66|m38, 0x4C, full32)
	VROUNDPS    = opRMI("vroundps", vex|p66|m3A, 0x08, fullMem)
	VRNDSCALEPS = opRMI("vrndscaleps", evex|p66|m3A, 0x08, full32)
	VREDUCEPS   = opRMI("vreduceps", evex|p66|m3A, 0x56, full32)
	VSCALEFPS   = opRVM("vscalefps", evex|p66|m38, 0x2C, full32)

	VFMADD132PS  = opRVM("vfmadd132ps", both|p66|m38, 0x98, full32)
	VFMADD213PS  = opRVM("vfmadd213ps", both|p66|m38, 0xA8, full32)
	VFMADD231PS  = opRVM("vfmadd231ps", both|p66|m38, 0xB8, full32)
	VFMSUB213PS  = opRVM("vfmsub213ps", both|p66|m38, 0xAA, full32)
	VFNMADD132PS = opRVM("vfnmadd132ps", both|p66|m38, 0x9C, full32)
	VFNMADD213PS = opRVM("vfnmadd213ps", both|p66|m38, 0xAC, full32)
	VFNMADD231PS = opRVM("vfnmadd231ps", both|p66|m38, 0xBC, full32)
)

// Conversions, and products of bfloat16.
var (
	VCVTPS2DQ      = opRM("vcvtps2dq", both|p66|m0F, 0x5B, full32)
	VCVTTPS2DQ     = opRM("vcvttps2dq", both|pF3|m0F, 0x5B, full32)
	VCVTDQ2PS      = opRM("vcvtdq2ps", both|m0F, 0x5B, full32)
	VCVTPH2PS      = opRM("vcvtph2ps", both|p66|m38, 0x13, halfMem)
	VCVTPS2PH      = opMRI("vcvtps2ph", both|p66|m3A, 0x1D, halfMem)
	VCVTNEPS2BF16  = opRM("vcvtneps2bf16", evex|pF3|m38, 0x72, full32)
	VCVTNE2PS2BF16 = opRVM("vcvtne2ps2bf16", evex|pF2|m38, 0x72, full32)
	VDPBF16PS      = opRVM("vdpbf16ps", evex|pF3|m38, 0x52, full32)
)

// Arithmetic on integers.
var (
	VPADDD     = opRVM("vpaddd", both|p66|m0F, 0xFE, full32)
	VPSUBD     = opRVM("vpsubd", both|p66|m0F, 0xFA, full32)
	VPMULLD    = opRVM("vpmulld", both|p66|m38, 0x40, full32)
	VPMINSD    = opRVM("vpminsd", both|p66|m38, 0x39, full32)
	VPMAXSD    = opRVM("vpmaxsd", both|p66|m38, 0x3D, full32)
	VPADDB     = opRVM("vpaddb", both|p66|m0F, 0xFC, fullMem)
	VPSUBB     = opRVM("vpsubb", both|p66|m0F, 0xF8, fullMem)
	VPADDW     = opRVM("vpaddw", both|p66|m0F, 0xFD, fullMem)
	VPADDSW    = opRVM("vpaddsw", both|p66|m0F, 0xED, fullMem)
	VPADDUSB   = opRVM("vpaddusb", both|p66|m0F, 0xDC, fullMem)
	VPSUBUSB   = opRVM("vpsubusb", both|p66|m0F, 0xD8, fullMem)
	VPMAXUB    = opRVM("vpmaxub", both|p66|m0F, 0xDE, fullMem)
	VPMINUB    = opRVM("vpminub", both|p66|m0F, 0xDA, fullMem)
	VPMAXSB    = opRVM("vpmaxsb", both|p66|m38, 0x3C, fullMem)
	VPMULHW    = opRVM("vpmulhw", both|p66|m0F, 0xE5, fullMem)
	VPMULHRSW  = opRVM("vpmulhrsw", both|p66|m38, 0x0B, fullMem)
	VPMADDUBSW = opRVM("vpmaddubsw", both|p66|m38, 0x04, fullMem)
	VPMADDWD   = opRVM("vpmaddwd", both|p66|m0F, 0xF5, fullMem)

	VPDPBUSD  = opRVM("vpdpbusd", both|preferEVEX|p66|m38, 0x50, full32)
	VPDPBUSDS = opRVM("vpdpbusds", both|preferEVEX|p66|m38, 0x51, full32)
	VPDPWSSD  = opRVM("vpdpwssd", both|preferEVEX|p66|m38, 0x52, full32)

	VPSLLD = opVMI("vpslld", both|p66|m0F, 0x72, 6, full32)
	VPSRLD = opVMI("vpsrld", both|p66|m0F, 0x72, 2, full32)
	VPSRAD = opVMI("vpsrad", both|p66|m0F, 0x72, 4, full32)
	VPSLLW = opVMI("vpsllw", both|p66|m0F, 0x71, 6, fullMem)
	VPSRLW = opVMI("vpsrlw", both|p66|m0F, 0x71, 2, fullMem)
	VPSRAW = opVMI("vpsraw", both|p66|m0F, 0x71, 4, fullMem)
)

// Logic on integers: those that end in D are AVX-512 alone, the others AVX2 alone.
var (
	VPAND  = opRVM("vpand", vex|p66|m0F, 0xDB, fullMem)
	VPANDN = opRVM("vpandn", vex|p66|m0F, 0xDF, fullMem)
	VPOR   = opRVM("vpor", vex|p66|m0F, 0xEB, fullMem)
	VPXOR  = opRVM("vpxor", vex|p66|m0F, 0xEF, fullMem)
	VPANDD = opRVM("vpandd", evex|p66|m0F, 0xDB, full32)
	VPORD  = opRVM("vpord", evex|p66|m0F, 0xEB, full32)
	VPXORD = opRVM("vpxord", evex|p66|m0F, 0xEF, full32)
)

// Rearrangement of lanes.
var (
	VPSHUFB    = opRVM("vpshufb", both|p66|m38, 0x00, fullMem)
	VPSHUFD    = opRMI("vpshufd", both|p66|m0F, 0x70, full32)
	VSHUFPS    = opRVMI("vshufps", both|m0F, 0xC6, full32)
	VPERMPS    = opRVM("vpermps", both|p66|m38|noX, 0x16, full32)
	VPERMD     = opRVM("vpermd", both|p66|m38|noX, 0x36, full32)
	VPERMQ     = opRMI("vpermq", both|p66|m3A|w1|noX, 0x00, full64)
	VPERMPD    = opRMI("vpermpd", both|p66|m3A|w1|noX, 0x01, full64)
	VPERM2F128 = opRVMI("vperm2f128", vex|p66|m3A|noX, 0x06, fullMem)
	VPERMT2PS  = opRVM("vpermt2ps", evex|p66|m38, 0x7F, full32)
	VPERMT2D   = opRVM("vpermt2d", evex|p66|m38, 0x7E, full32)
	VPERMT2W   = opRVM("vpermt2w", evex|p66|m38|w1, 0x7D, fullMem)
	VPERMT2B   = opRVM("vpermt2b", evex|p66|m38, 0x7D, fullMem)
	VPERMI2PS  = opRVM("vpermi2ps", evex|p66|m38, 0x77, full32)
	VPERMI2B   = opRVM("vpermi2b", evex|p66|m38, 0x75, fullMem)
	VPERMW     = opRVM("vpermw", evex|p66|m38|w1, 0x8D, fullMem)
	VPERMB     = opRVM("vpermb", evex|p66|m38, 0x8D, fullMem)
	VALIGND    = opRVMI("valignd", evex|p66|m3A, 0x03, full32)
	VPALIGNR   = opRVMI("vpalignr", both|p66|m3A, 0x0F, fullMem)

	VUNPCKLPS  = opRVM("vunpcklps", both|m0F, 0x14, full32)
	VUNPCKHPS  = opRVM("vunpckhps", both|m0F, 0x15, full32)
	VPUNPCKLBW = opRVM("vpunpcklbw", both|p66|m0F, 0x60, fullMem)
	VPUNPCKHBW = opRVM("vpunpckhbw", both|p66|m0F, 0x68, fullMem)
	VPUNPCKLWD = opRVM("vpunpcklwd", both|p66|m0F, 0x61, fullMem)
	VPUNPCKHWD = opRVM("vpunpckhwd", both|p66|m0F, 0x69, fullMem)

	VINSERTF128   = opRVMI("vinsertf128", vex|p66|m3A|noX, 0x18, mem128)
	VINSERTF32X4  = opRVMI("vinsertf32x4", evex|p66|m3A|noX, 0x18, mem128)
	VINSERTF32X8  = opRVMI("vinsertf32x8", evex|p66|m3A|noX|noY, 0x1A, mem256)
	VINSERTF64X4  = opRVMI("vinsertf64x4", evex|p66|m3A|w1|noX|noY, 0x1A, mem256)
	VEXTRACTF128  = opMRI("vextractf128", vex|p66|m3A|noX, 0x19, mem128)
	VEXTRACTF32X4 = opMRI("vextractf32x4", evex|p66|m3A|noX, 0x19, mem128)
	VEXTRACTF32X8 = opMRI("vextractf32x8", evex|p66|m3A|noX|noY, 0x1B, mem256)
	VEXTRACTF64X4 = opMRI("vextractf64x4", evex|p66|m3A|w1|noX|noY, 0x1B, mem256)
)

// Narrower and wider integers. Packs saturate, within 128 bits; so does VPMOVUSDB, over all.
var (
	VPACKSSDW = opRVM("vpackssdw", both|p66|m0F, 0x6B, full32)
	VPACKUSDW = opRVM("vpackusdw", both|p66|m38, 0x2B, full32)
	VPACKSSWB = opRVM("vpacksswb", both|p66|m0F, 0x63, fullMem)
	VPACKUSWB = opRVM("vpackuswb", both|p66|m0F, 0x67, fullMem)
	VPMOVZXBD = opRM("vpmovzxbd", both|p66|m38, 0x31, quarterMem)
	VPMOVSXBD = opRM("vpmovsxbd", both|p66|m38, 0x21, quarterMem)
	VPMOVZXWD = opRM("vpmovzxwd", both|p66|m38, 0x33, halfMem)
	VPMOVZXBW = opRM("vpmovzxbw", both|p66|m38, 0x30, halfMem)
	VPMOVSXBW = opRM("vpmovsxbw", both|p66|m38, 0x20, halfMem)
	VPMOVDB   = opMR("vpmovdb", evex|pF3|m38, 0x31, quarterMem)
	VPMOVUSDB = opMR("vpmovusdb", evex|pF3|m38, 0x11, quarterMem)
)

// Choice by mask. In a blend, a set bit takes the last source, a clear one the first.
var (
	VBLENDPS  = opRVMI("vblendps", vex|p66|m3A, 0x0C, fullMem)
	VBLENDVPS = Op{name: "vblendvps", form: formRVMS, enc: vex | p66 | m3A, code: 0x4A, mem: fullMem}
	VBLENDMPS = opRVM("vblendmps", evex|p66|m38, 0x65, full32)
	VPBLENDMD = opRVM("vpblendmd", evex|p66|m38, 0x64, full32)
	VPBLENDMB = opRVM("vpblendmb", evex|p66|m38, 0x66, fullMem)
	VCMPPS    = opRVMI("vcmpps", both|toMask|m0F, 0xC2, full32)
	VPCMPUB   = opRVMI("vpcmpub", evex|toMask|p66|m3A, 0x3E, fullMem)
	VPMOVB2M  = opRM("vpmovb2m", evex|toMask|pF3|m38|noMask, 0x29, noTuple)
	VPMOVM2B  = opRM("vpmovm2b", evex|fromMask|pF3|m38|noMask, 0x28, noTuple)
)

func opRM(name string, e encoding, code byte, m tuple) Op {
	return Op{name: name, form: formRM, enc: e, code: code, mem: m}
}

func opRMI(name string, e encoding, code byte, m tuple) Op {
	return Op{name: name, form: formRMI, enc: e, code: code, mem: m}
}

func opRVM(name string, e encoding, code byte, m tuple) Op {
	return Op{name: name, form: formRVM, enc: e, code: code, mem: m}
}

func opRVMI(name string, e encoding, code byte, m tuple) Op {
	return Op{name: name, form: formRVMI, enc: e, code: code, mem: m}
}

func opMR(name string, e encoding, code byte, m tuple) Op {
	return Op{name: name, form: formMR, enc: e, code: code, mem: m}
}

func opMRI(name string, e encoding, code byte, m tuple) Op {
	return Op{name: name, form: formMRI, enc: e, code: code, mem: m}
}

// opVMI is a shift: digit goes to ModRM.reg.
func opVMI(name string, e encoding, code byte, digit uint8, m tuple) Op {
	return Op{name: name, form: formVMI, enc: e, code: code, digit: digit, mem: m}
}

// move is an instruction that loads or stores, with an opcode for either.
func move(name string, e encoding, load, store byte, m tuple) Op {
	return Op{name: name, form: formRM, enc: e, code: load, store: store, mem: m}
}
