package engine

import (
	"math"
	"sync"

	"golang.org/x/sys/unix"
)

// physicalMemory is how many bytes of memory the machine has.
var physicalMemory = sync.OnceValue(func() int64 {
	var i unix.Sysinfo_t
	if unix.Sysinfo(&i) != nil {
		return math.MaxInt64
	}
	return int64(i.Totalram) * int64(i.Unit)
})
