package engine

import (
	"fmt"
	"math"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// availableMemory is how many bytes the system can give to a process without moving others
// out of memory.
func availableMemory() int64 {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return math.MaxInt64
	}
	for line := range strings.Lines(string(text)) {
		var kib int64
		if n, _ := fmt.Sscanf(line, "MemAvailable: %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	return math.MaxInt64
}

// preferHugePages asks the system for large pages under b, of which the processor needs to
// remember fewer. It is a wish: nothing depends on whether it is granted.
func preferHugePages(b []float32) {
	const huge = 2 << 20
	begin := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	first := (begin + huge - 1) &^ (huge - 1)
	end := (begin + uintptr(4*len(b))) &^ (huge - 1)
	if first < end {
		unix.Madvise(unsafe.Slice((*byte)(unsafe.Pointer(&b[(first-begin)/4])), end-first), unix.MADV_HUGEPAGE)
	}
}
