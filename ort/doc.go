// Package ort runs ONNX models in ONNX Runtime, through its C library, which is loaded at
// run time: nothing is linked, no cgo, and a program that never opens it runs without it.
//
// It is the second runtime beside package engine, and the peer in benchmarks. Execution is
// on the CPU, sequential, with all of ONNX Runtime's graph optimisations.
package ort
