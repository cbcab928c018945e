package ort

import (
	"bytes"
	"fmt"

	"ultrafast/graph"
	"ultrafast/onnx"
	"ultrafast/pass"
)

// Compile loads a graph for inputs of one shape, [batch, C, height, width], as a model in
// memory with batch norms folded. Its outputs are g's. g is not changed, nor kept.
func (r *Runtime) Compile(g *graph.Graph, batch, height, width int, o Options) (*Session, error) {
	g = g.Clone()
	if err := pass.Run(g, pass.Inference...); err != nil {
		return nil, fmt.Errorf("ONNX Runtime: %w", err)
	}
	var model bytes.Buffer
	if err := onnx.Write(&model, g, onnx.WriteOptions{Batch: batch, Height: height, Width: width}); err != nil {
		return nil, fmt.Errorf("ONNX Runtime: %w", err)
	}
	return r.Load(model.Bytes(), o)
}
