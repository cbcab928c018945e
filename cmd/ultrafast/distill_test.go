package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ultrafast/dataset"
	"ultrafast/safetensors"
	"ultrafast/scene"
	"ultrafast/train"
	"ultrafast/yolo"
)

// A run that goes on finds the teacher that it was started with, or says what is wrong.
func TestResumedRunNeedsItsTeacher(t *testing.T) {
	dir := t.TempDir()
	yaml, err := scene.Write(filepath.Join(dir, "set"), scene.Set{Train: 4, Val: 1, Width: 64, Height: 64, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	data, err := dataset.Open(yaml, dataset.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	teacher, folder := filepath.Join(dir, "teacher.safetensors"), filepath.Join(dir, "run")
	config, err := yolo.Standard("yolov5n")
	if err != nil {
		t.Fatal(err)
	}
	config.Width = 0.1
	g, err := yolo.New(config, data.Names, 1)
	if err != nil {
		t.Fatal(err)
	}
	save := func() {
		t.Helper()
		if err := safetensors.Save(teacher, &safetensors.File{Graph: g}); err != nil {
			t.Fatal(err)
		}
	}
	save()
	ctx, cancel := context.WithCancel(t.Context())
	_, err = train.Run(ctx, train.Drift(), g, data, train.Config{Dir: folder, Epochs: 3, Batch: 4, Size: 64, Data: yaml, NoAutoAnchor: true,
		Distill: &train.Distill{Teacher: g, Source: teacher},
		Progress: func(p train.Progress) {
			if p.Epoch == 2 {
				cancel()
			}
		}})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	resume := func(more ...string) (code int, said string) {
		var out bytes.Buffer
		code = run(t.Context(), append([]string{"train", "--resume", folder}, more...), &out, &out)
		return code, out.String()
	}
	if err := os.Remove(teacher); err != nil {
		t.Fatal(err)
	}
	if code, said := resume(); code == 0 || !strings.Contains(said, "the run's teacher") || !strings.Contains(said, teacher) {
		t.Errorf("a teacher that is gone: %d, %s", code, said)
	}
	if !torchBuilt() {
		t.Skip("the bridge to libtorch is not built: ultrafast engine build")
	}
	first := &g.Params()[0].Tensor().Data[0]
	old := *first
	*first++
	save()
	if code, said := resume(); code == 0 || !strings.Contains(said, "another teacher than "+teacher) {
		t.Errorf("another teacher: %d, %s", code, said)
	}
	*first = old
	teacher += ".moved.safetensors"
	save()
	if code, said := resume("--teacher", teacher); code != 0 {
		t.Errorf("its own teacher: %d, %s", code, said)
	}
}
