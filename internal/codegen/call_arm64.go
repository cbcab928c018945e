package codegen

// call enters the code with the arguments.
//
//go:noescape
func call(code uintptr, args *Args)

// flushInstructions makes what was written as data visible to those who fetch it as
// instructions.
//
//go:noescape
func flushInstructions(code []byte)

// Pause tells the processor that the caller spins.
func Pause()
