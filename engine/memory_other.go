//go:build !linux

package engine

// physicalMemory stands in for the bytes of memory that the machine has.
func physicalMemory() int64 { return 16 << 30 }
