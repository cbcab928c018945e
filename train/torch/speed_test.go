package torch

import (
	"context"
	"os"
	"syscall"
	"testing"
	"time"

	"ultrafast/graph"
	"ultrafast/tensor"
	"ultrafast/train"
	"ultrafast/yolo"
)

func cpuTime() time.Duration {
	var r syscall.Rusage
	syscall.Getrusage(0, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func TestSpeed(t *testing.T) {
	path, err := Build(context.Background(), BuildOptions{Log: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	b, err := Open(OpenOptions{Library: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(b)
	cfg, err := yolo.Standard("yolov5n")
	if err != nil {
		t.Fatal(err)
	}
	var g *graph.Graph
	g, err = yolo.New(cfg, []string{"a", "b", "c"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	n, err := b.Load(g, train.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	x := tensor.New(16, 3, 320, 320)
	for i := range x.Data {
		x.Data[i] = float32(i%255) / 255
	}
	for i := range 14 {
		t0, c0 := time.Now(), cpuTime()
		var lossTime time.Duration
		err := n.Step(x, func(m []*tensor.Tensor) ([]*tensor.Tensor, error) {
			t1 := time.Now()
			var gs []*tensor.Tensor
			for _, v := range m {
				g := tensor.New(v.Shape...)
				for i := range g.Data {
					g.Data[i] = 1e-4 * v.Data[i]
				}
				gs = append(gs, g)
			}
			lossTime = time.Since(t1)
			return gs, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		t1 := time.Now()
		err = n.Update(train.Update{Rate: [3]float64{0.01, 0.01, 0.01}, Momentum: 0.9, Average: 0.99, MaxNorm: 10})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("step %d: %v (loss %v, update %v, cpu %v) live %d", i, time.Since(t0), lossTime, time.Since(t1), cpuTime()-c0, b.(*backend).lib.live())
	}
	t0 := time.Now()
	if _, err := n.Predict(x, train.Averaged); err != nil {
		t.Fatal(err)
	}
	t.Log("predict", time.Since(t0))
}
