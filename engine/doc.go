// Package engine runs a graph on this CPU. Compile fixes the shapes, folds and fuses what
// it may, chooses a kernel for every node, plans the memory and writes the machine code;
// a Program never changes and may be shared; a Session is the memory and the threads to
// run it with, for one goroutine at a time.
//
//	prog, err := engine.Compile(g, engine.Options{})
//	s := prog.NewSession()
//	outs, err := s.Run(x)
//
// A program is a list of steps, each a loop of jobs of which every thread has a share
// (workers.go); some run together, a band of rows at a time (bands.go). What a step computes is
// in one of two worlds:
//
//   - Machine code (native*.go, on package codegen): maps lie with their padding in forms
//     that suit vectors (place.go), convolutions take activation and addition along, and
//     concatenations are written in parts by whoever computes them. Values of a quantised
//     network are bytes there (nativequads.go).
//   - Plain Go (conv.go, act.go, layout.go, norm.go, pool.go, detect.go, plainquantised.go):
//     kernels over plain NCHW tensors, for what has no machine code and for processors
//     without it.
//
// Values are converted where the two meet. Reference evaluates a graph by the plainest
// loops there are; it is the truth that both are tested against.
package engine
