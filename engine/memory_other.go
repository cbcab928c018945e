//go:build !linux

package engine

// availableMemory stands in for the bytes that the system can give to a process.
func availableMemory() int64 { return 16 << 30 }

func preferHugePages([]float32) {}
