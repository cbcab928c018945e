// Package engine runs a graph on this CPU. Compile fixes the shapes, folds and fuses what
// it may, chooses a kernel for every node and plans the memory; a Program never changes
// and may be shared; a Session is one goroutine's memory to run it in.
//
//	prog, err := engine.Compile(g, engine.Options{})
//	s := prog.NewSession()
//	outs, err := s.Run(x)
//
// Kernels are small functions over plain slices, one file for each kind of op. They work
// plane by plane on NCHW, so every value has the layout of the graph. Reference evaluates
// a graph by the plainest loops there are; it is the truth that all kernels are tested
// against.
package engine
