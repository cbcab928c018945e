package main

import (
	"bytes"
	"context"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ultrafast/dataset"
	"ultrafast/prune"
	"ultrafast/report"
	"ultrafast/safetensors"
	"ultrafast/scene"
	"ultrafast/train"
	"ultrafast/yolo"
)

func TestCosineShare(t *testing.T) {
	for _, c := range []struct {
		epoch, epochs int
		want          float64
	}{{0, 11, 1}, {5, 11, 0.6}, {10, 11, 0.2}, {0, 1, 1}} {
		if got := cosineShare(c.epoch, c.epochs); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("epoch %d of %d has a share of %v, want %v", c.epoch, c.epochs, got, c.want)
		}
	}
}

// The gauge goes on in the file of a run that was stopped, and looks at cuts in the first
// epoch of a session and in the last of a run at least.
func TestGauge(t *testing.T) {
	yaml, err := scene.Write(t.TempDir(), scene.Set{Train: 4, Val: 3, Width: 64, Height: 64, Seed: 1})
	must(err)
	data, err := dataset.Open(yaml, dataset.OpenOptions{})
	must(err)
	cfg, err := yolo.Standard("yolov5n")
	must(err)
	cfg.Width = 0.0625
	net, err := yolo.New(cfg, data.Names, 1)
	must(err)
	dir := t.TempDir()
	must(os.Mkdir(filepath.Join(dir, "weights"), 0o777))
	must(safetensors.Save(filepath.Join(dir, "weights", "last.safetensors"), &safetensors.File{Graph: net}))
	must(report.WriteSparsity(filepath.Join(dir, sparsityFile), []report.SparsityPoint{
		{Epoch: 1, What: report.SparsityMAP50, At: 0.5, Value: 0.25},
		{Epoch: 2, What: report.SparsityMAP50, At: 0.5, Value: 0.5}, // of the epoch that was lost
	}))
	var out bytes.Buffer
	g := gauge{ctx: context.Background(), out: &out, be: train.Drift(), data: data, dir: dir, size: 64, score: prune.L2,
		warn: func(what string, err error) { t.Errorf("%s: %v", what, err) }}
	shown := 0
	c := train.Config{Progress: func(train.Progress) { shown++ }}
	g.watch(&c)
	c.Progress(train.Progress{Epoch: 2, Epochs: 3})
	for epoch := 2; epoch <= 3; epoch++ {
		c.Progress(train.Progress{Epoch: epoch, Epochs: 3, Validated: &train.Validation{}})
	}
	if shown != 3 {
		t.Errorf("%d of 3 were shown", shown)
	}
	if n := strings.Count(out.String(), "a cut to 50 % would keep mAP50 0.00 of 0.00, on 3 pictures"); n != 2 {
		t.Errorf("said %q", out.String())
	}
	count := map[report.SparsityPoint]int{}
	for _, p := range g.points {
		p.Value = 0
		count[p]++
	}
	for epoch, want := range []int{0, 1, 1, 1} {
		if got := count[report.SparsityPoint{Epoch: epoch, What: report.SparsityMAP50, At: 0.5}]; got != want {
			t.Errorf("epoch %d has %d points of a cut to half, want %d", epoch, got, want)
		}
		if got := count[report.SparsityPoint{Epoch: epoch, What: report.SparsityNorm, At: 0.95}]; got != want && epoch != 1 {
			t.Errorf("epoch %d has %d points of norms, want %d", epoch, got, want)
		}
	}
}
