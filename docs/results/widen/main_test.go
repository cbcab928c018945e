package main

import (
	"math/rand/v2"
	"testing"

	"ultrafast/engine"
	"ultrafast/graph"
	"ultrafast/tensor"
	"ultrafast/yolo"
)

// Each map is what it was, each of its channels twice: relative to the map's largest number, since
// random weights make later maps small.
func TestWiden(t *testing.T) {
	g, s := standard(t, "yolov5n"), standard(t, "yolov5s")
	want := infer(t, g)
	if err := widen(g, rand.New(rand.NewPCG(0, 0))); err != nil {
		t.Fatal(err)
	}
	have := infer(t, g)
	for _, n := range g.Nodes {
		a, b := want[n], have[n]
		times := len(b.Data) / len(a.Data)
		area := len(a.Data)
		if times == 2 {
			area /= a.Shape[1]
		}
		largest := float32(0)
		for _, v := range a.Data {
			largest = max(largest, v, -v)
		}
		for i, v := range b.Data {
			d := v - a.Data[i/area/times*area+i%area]
			if d > 1e-4*largest || d < -1e-4*largest {
				t.Fatalf("%s: number %d is off by %g, the largest is %g", n.Name, i, d, largest)
			}
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

func infer(t *testing.T, g *graph.Graph) map[*graph.Node]*tensor.Tensor {
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
	return outs
}
