package onnx_test

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"testing"

	"ultrafast/graph"
	"ultrafast/onnx"
	"ultrafast/pass"
	"ultrafast/pt"
	"ultrafast/tensor"
	"ultrafast/yolo"
)

const weights = "../../shared/weights"

func floats(t *testing.T, file string, shape ...int) *tensor.Tensor {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(weights, file))
	if err != nil {
		t.Skipf("no recorded weights beside the checkout: %v", err)
	}
	v := make([]float32, len(b)/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	x, err := tensor.From(v, shape...)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// TestCheckpoints writes networks that YOLOv5 itself trained and compares what ONNX
// Runtime makes of them with what YOLOv5 recorded.
func TestCheckpoints(t *testing.T) {
	x := floats(t, "input.64x96.f32", 1, 3, 64, 96)
	r := onnxRuntime(t)
	for _, c := range []struct {
		file, truth string
		per         int
	}{
		{"yolov5n-v7-coco.pt", "yolov5n-v7-coco.64x96.out.f32", 85},
		{"yolov5-v1.0-w0125-zip.pt", "yolov5-v1.0-w0125.64x96.out.f32", 8},
		{"yolov5-v3.1-w0125-zip.pt", "yolov5-v3.1-w0125.64x96.out.f32", 8},
		{"yolov5-v5.0-w0125-zip.pt", "yolov5-v5.0-w0125.64x96.out.f32", 8},
	} {
		t.Run(c.file, func(t *testing.T) {
			want := floats(t, c.truth, 1, 378, c.per)
			ck, err := pt.Open(filepath.Join(weights, c.file))
			if err != nil {
				t.Fatal(err)
			}
			g, err := yolo.FromModule(ck.Model)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range []onnx.WriteOptions{{Opset: 12, Height: 96, Width: 32, Dynamic: true}, {Opset: 17, Height: 64, Width: 96}} {
				file := write(t, g, o)
				compare(t, "ONNX Runtime", runORT(t, r, file, x)[0], []*tensor.Tensor{want}, 1e-4)
				back := read(t, file)
				g.Input().Op.(*graph.Input).Shape = back.Input().Op.(*graph.Input).Shape
				if back.String() != g.String() {
					t.Errorf("read\n%s\nwant\n%s", back, g)
				}
			}
			if err := pass.Run(g, pass.Inference...); err != nil {
				t.Fatal(err)
			}
			compare(t, "folded", runORT(t, r, write(t, g, onnx.WriteOptions{Dynamic: true}), x)[0], []*tensor.Tensor{want}, 1e-4)
		})
	}
}
