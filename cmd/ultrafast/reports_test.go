package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ultrafast/dataset"
	"ultrafast/scene"
	"ultrafast/train"
	"ultrafast/yolo"
)

// started trains two epochs of a model that learns nothing, into dir.
func started(t *testing.T, dir string) (string, error) {
	t.Helper()
	path, err := scene.Write(filepath.Join(t.TempDir(), "set"), scene.Set{Train: 4, Val: 2, Width: 64, Height: 64, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	data, err := dataset.Open(path, dataset.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := yolo.Standard("yolov5n")
	if err != nil {
		t.Fatal(err)
	}
	c.Width = 0.05
	g, err := yolo.New(c, data.Names, 1)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	err = runTraining(t.Context(), &out, train.Drift(), g, data, train.Config{Dir: dir, Epochs: 2, Batch: 2, Size: 64})
	return out.String(), err
}

// Where nothing but weights can be written, the training ends as ever.
func TestReportsThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	names := []string{"labels.png", "train_batch0.jpg", "train_batch1.jpg", "results.csv", "results.png", "P_curve.png", "curves.csv", "confusion_matrix.png", "val_batch0_labels.jpg"}
	for _, name := range names {
		if err := os.MkdirAll(filepath.Join(dir, name, "full"), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	out, err := started(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if !strings.Contains(out, "level=WARN") || !strings.Contains(out, name) {
			t.Errorf("no word of %s:\n%s", name, out)
		}
	}
	for _, name := range []string{"weights/last.safetensors", "weights/best.safetensors", "R_curve.png", "confusion_matrix.csv"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

// A run that goes on leaves what the former session wrote, and begins an event file.
func TestReportsOfAResumedRun(t *testing.T) {
	dir := t.TempDir()
	data := &dataset.Data{Names: []string{"a"}}
	for epoch := 1; epoch <= 2; epoch++ {
		r := newReporter(dir, data, slog.New(slog.NewTextHandler(t.Output(), nil)))
		cfg := train.Config{Progress: func(train.Progress) {}}
		r.watch(&cfg)
		cfg.Progress(train.Progress{Epoch: epoch, Epochs: 2, Step: 1, Steps: 1})
		cfg.Progress(train.Progress{Epoch: epoch, Epochs: 2, Validated: &train.Validation{}})
		r.close()
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 2 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, tag := range train.Columns[1:] {
			if !strings.Contains(filepath.Base(f), "tfevents") || strings.Count(string(b), tag+"\x15") != 1 {
				t.Errorf("%s: %s is not there once", f, tag)
			}
		}
	}
}
