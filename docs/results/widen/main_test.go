package main

import (
	"math/rand/v2"
	"testing"

	"ultrafast/engine"
	"ultrafast/graph"
	"ultrafast/tensor"
	"ultrafast/yolo"
)

func TestWiden(t *testing.T) {
	g, s := standard(t, "yolov5n"), standard(t, "yolov5s")
	want := infer(t, g)
	if err := widen(g, rand.New(rand.NewPCG(0, 0))); err != nil {
		t.Fatal(err)
	}
	have := infer(t, g)
	for i, v := range want.Data {
		if d := v - have.Data[i]; d > 1e-3 || d < -1e-3 {
			t.Fatalf("number %d of the output: %g, before %g", i, have.Data[i], v)
		}
	}
	if taken := yolo.Take(s, g); taken.Taken != taken.Of {
		t.Errorf("it is no YOLOv5s: %s", taken)
	}
}

func standard(t *testing.T, name string) *graph.Graph {
	t.Helper()
	c, err := yolo.Standard(name)
	if err != nil {
		t.Fatal(err)
	}
	g, err := yolo.New(c, []string{"face", "mask"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func infer(t *testing.T, g *graph.Graph) *tensor.Tensor {
	t.Helper()
	x := tensor.New(1, 3, 32, 32)
	rng := rand.New(rand.NewPCG(1, 0))
	for i := range x.Data {
		x.Data[i] = rng.Float32()
	}
	outs, err := engine.Reference(g, x)
	if err != nil {
		t.Fatal(err)
	}
	return outs[g.Outputs[0]]
}
