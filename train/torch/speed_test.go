package torch

import (
	"testing"

	"ultrafast/tensor"
	"ultrafast/train"
	"ultrafast/yolo"
)

// BenchmarkStep is a step and an update of YOLOv5n, 16 pictures of 320x320:
//
//	go test -run - -bench Step -benchtime 10x ./train/torch
func BenchmarkStep(b *testing.B) {
	config, err := yolo.Standard("yolov5n")
	if err != nil {
		b.Fatal(err)
	}
	g, err := yolo.New(config, []string{"face", "mask", "other"}, 1)
	if err != nil {
		b.Fatal(err)
	}
	n := load(b, open(b, 0), g)
	x := random(1, 16, 3, 320, 320)
	loss := func(maps []*tensor.Tensor) ([]*tensor.Tensor, error) {
		for _, m := range maps {
			for i := range m.Data {
				m.Data[i] *= 1e-4
			}
		}
		return maps, nil
	}
	once := func() {
		if err := n.Step(x, loss); err != nil {
			b.Fatal(err)
		}
		update(b, n, train.Update{Rate: [3]float64{0.01, 0.01, 0.01}, Momentum: 0.9, MaxNorm: 10, Average: 0.999})
	}
	once() // oneDNN writes its kernels, memory grows to its size
	for b.Loop() {
		once()
	}
	b.ReportMetric(16*float64(b.N)/b.Elapsed().Seconds(), "pictures/s")
}
