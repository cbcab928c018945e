// Package onnx writes networks as ONNX files and reads the ONNX files that detectors come
// in: its own, and ultralytics' exports of YOLOv5.
//
// The wire format is read and written field by field with protowire; onnx.proto of
// github.com/onnx/onnx gives the field numbers. A network read back equals the one
// written: its structure is that of the ONNX graph, and everything else (class names,
// anchors, strides, blocks) lies in the model's metadata, where other tools can see it.
package onnx
