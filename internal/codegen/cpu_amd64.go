package codegen

import (
	"slices"
	"sync"

	"golang.org/x/sys/cpu"

	"ultrafast/internal/cpuinfo"
)

func hasAVX2() bool { return cpu.X86.HasAVX2 && cpu.X86.HasFMA }

func hasAVX512() bool {
	return cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VL && hasAVX2()
}

// hasAVX512VNNI asks for VBMI as well, which looks bytes up in a table.
func hasAVX512VNNI() bool {
	return cpu.X86.HasAVX512VNNI && cpu.X86.HasAVX512VBMI && hasAVX512()
}

func hasAVX512BF16() bool { return cpu.X86.HasAVX512BF16 && hasAVX512() }

// twice reports whether this processor starts two multiply-adds of 512 bits a cycle: Intel's
// for servers since Skylake, all that have AMX among them, and Zen 5. Others put one together
// from two of 256.
var twice = sync.OnceValue(func() bool { return cpu.X86.HasAMXTile || twiceBy(cpuinfo.First()) })

func twiceBy(processor map[string]string) bool {
	switch processor["vendor_id"] {
	case "GenuineIntel": // Skylake and Cascade Lake, Ice Lake, Sapphire and Emerald Rapids, Granite Rapids
		return processor["cpu family"] == "6" && slices.Contains([]string{"85", "106", "108", "143", "207", "173", "174"}, processor["model"])
	case "AuthenticAMD":
		return processor["cpu family"] == "26"
	}
	return false
}
