package torch

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"ultrafast/dataset"
	"ultrafast/scene"
	"ultrafast/train"
)

// A run that was stopped and resumed ends in the same files, bit by bit, as one that was
// not.
func TestResumedRun(t *testing.T) {
	open(t, 1) // or skip
	yaml, err := scene.Write(t.TempDir(), scene.Set{Train: 8, Val: 3, Width: 64, Height: 48, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	data, err := dataset.Open(yaml, dataset.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	g := parse(t, `images = input shape=1,3,64,64
model.0.conv = conv images w=f32[8,3,6,6] stride=4 pad=1
model.0.bn = batchnorm model.0.conv c=8 eps=0.001 momentum=0.03
model.0.act = silu model.0.bn
model.1.conv = conv model.0.act w=f32[8,8,3,3] stride=2 pad=1
model.1.bn = batchnorm model.1.conv c=8 eps=0.001 momentum=0.03
model.1.act = silu model.1.bn
model.2.m.0 = conv model.1.act w=f32[14,8,1,1] bias
model.2 = detect model.2.m.0 classes=2 strides=8 anchors=12,16,24,32
output model.2
`)
	run := func(ctx context.Context, c train.Config) error {
		_, err := train.Run(ctx, open(t, 1), g, data, c)
		return err
	}
	whole, stopped := t.TempDir(), t.TempDir()
	c := train.Config{Epochs: 4, Batch: 4, Size: 64, Seed: 5, Dir: whole}
	if err := run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	c.Dir = stopped
	c.Progress = func(p train.Progress) {
		if p.Epoch == 3 {
			cancel()
		}
	}
	if err := run(ctx, c); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if c, err = train.ReadConfig(stopped); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"weights/last.safetensors", "weights/best.safetensors", "results.csv"} {
		want, err := os.ReadFile(filepath.Join(whole, name))
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(stopped, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs from the undisturbed run's", name)
		}
	}
}
