package codegen

import "golang.org/x/sys/cpu"

func hasAVX2() bool { return cpu.X86.HasAVX2 && cpu.X86.HasFMA }

func hasAVX512() bool {
	return cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VL && hasAVX2()
}

// hasAVX512VNNI asks for VBMI as well, which looks bytes up in a table.
func hasAVX512VNNI() bool {
	return cpu.X86.HasAVX512VNNI && cpu.X86.HasAVX512VBMI && hasAVX512()
}

func hasAVX512BF16() bool { return cpu.X86.HasAVX512BF16 && hasAVX512() }
