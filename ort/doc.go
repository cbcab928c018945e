// Package ort runs models in ONNX Runtime, through its C library, which is loaded at run
// time: nothing is linked, no cgo, and a program that never opens it runs without it.
//
//	path, err := ort.Find()
//	r, err := ort.Open(path)
//	s, err := r.Compile(g, 1, 640, 640, ort.Options{})
//	outs, err := s.Run(x)
//
// It is the second runtime beside package engine, and the peer in benchmarks. Execution is
// sequential, with all of ONNX Runtime's graph optimisations, on the CPU or, where the
// library can, through its CUDA or TensorRT provider.
package ort
