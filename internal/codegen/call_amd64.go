package codegen

// call enters the code with the arguments.
//
//go:noescape
func call(code uintptr, args *Args)

// flushInstructions has nothing to do: the processor sees what was written.
func flushInstructions([]byte) {}

// Pause tells the processor that the caller spins.
func Pause()
