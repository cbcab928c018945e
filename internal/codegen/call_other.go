//go:build !amd64 && !arm64

package codegen

func call(uintptr, *Args) { panic("codegen: no machine code for this processor") }

func flushInstructions([]byte) {}

// Pause tells the processor that the caller spins.
func Pause() {}
