package codegen

import (
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/cpu"

	"ultrafast/internal/cpuinfo"
)

func hasAVX2() bool { return cpu.X86.HasAVX2 && cpu.X86.HasFMA }

func hasAVX512() bool {
	return cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VL && hasAVX2()
}

func hasAVX512BF16() bool { return cpu.X86.HasAVX512BF16 && hasAVX512() }

// twice reports whether this processor starts two multiply-adds of 512 bits a cycle, as far
// as its name says: Intel's for servers since Skylake but for the smallest, all that have AMX
// among them, and Zen 5 but for laptops. Others put one together from two of 256.
var twice = sync.OnceValue(func() bool { return cpu.X86.HasAMXTile || twiceBy(cpuinfo.First()) })

func twiceBy(processor map[string]string) bool {
	model, err := strconv.Atoi(processor["model"])
	if err != nil {
		return false
	}
	switch processor["vendor_id"] + " " + processor["cpu family"] {
	case "GenuineIntel 6": // Skylake and Cascade Lake, Ice Lake, Sapphire and Emerald Rapids, Granite Rapids
		name := processor["model name"]
		if model == 85 && (strings.Contains(name, "Silver") || strings.Contains(name, "Bronze")) {
			return false
		}
		return slices.Contains([]int{85, 106, 108, 143, 207, 173, 174}, model)
	case "AuthenticAMD 26": // Turin and Granite Ridge
		return model < 32 || model >= 64 && model < 80
	}
	return false
}
