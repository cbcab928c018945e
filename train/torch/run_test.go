package torch

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"ultrafast/dataset"
	"ultrafast/engine"
	"ultrafast/graph"
	"ultrafast/prune"
	"ultrafast/scene"
	"ultrafast/tensor"
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
	teacher := parse(t, `names ["face","mask"]
images = input shape=1,3,64,64
model.0.conv = conv images w=f32[12,3,8,8] stride=8
model.0.act = silu model.0.conv
model.1.conv = conv model.0.act w=f32[4,12,2,2] stride=2
model.2.m.0 = conv model.0.act w=f32[21,12,1,1] bias
model.2.m.1 = conv model.1.conv w=f32[7,4,1,1] bias
model.2 = detect model.2.m.0 model.2.m.1 classes=2 strides=8,16 anchors=10,10,12,16,24,32;60,60
output model.2
`)
	for name, change := range map[string]func(*train.Config){
		"plain":                func(*train.Config) {},
		"AdamW, sizes, frozen": func(c *train.Config) { c.Optimizer, c.MultiScale, c.Freeze = train.AdamW, true, []int{0} },
		"image weights, mixes": func(c *train.Config) {
			c.ImageWeights = true
			c.Hyp = train.DefaultHyp()
			c.Hyp.Mixup, c.Hyp.Mosaic9, c.Hyp.FocalGamma, c.Hyp.LabelSmoothing = 0.5, 0.5, 1.5, 0.1
		},
		"penalized, Adam, teacher": func(c *train.Config) {
			c.Optimizer, c.NoAutoAnchor = train.Adam, true
			c.Distill = &train.Distill{Teacher: teacher, Terms: train.Terms{PKD: 0.1}}
			c.Penalty = func(epoch int, live *graph.Graph) (train.Penalty, error) {
				l2, err := prune.GroupDecay(live, 1)
				l1, err2 := prune.GammaDecay(live, 0.1*float64(epoch))
				return train.Penalty{L2: l2, L1: l1}, errors.Join(err, err2)
			}
		},
		"rect": func(c *train.Config) { c.Rect = true },
		"teacher": func(c *train.Config) {
			c.Distill = &train.Distill{Teacher: teacher, Terms: train.Terms{PKD: 0.1, CWD: 0.1, Outputs: 1}}
			c.MultiScale, c.NoAutoAnchor = true, true
		},
	} {
		t.Run(name, func(t *testing.T) { resumeLike(t, g, data, change) })
	}
	t.Run("quantised, teacher, sizes", func(t *testing.T) {
		float := g.Clone()
		float.Names = data.Names
		resumeLike(t, eight(t, g, 64), data, func(c *train.Config) {
			c.Distill = &train.Distill{Teacher: float, Terms: train.DefaultTerms}
			c.MultiScale, c.NoAutoAnchor, c.Predictor = true, true, inEngine
		})
	})
}

// inEngine validates as the program does.
func inEngine(g *graph.Graph) (train.Predict, error) {
	return func(x *tensor.Tensor) ([]*tensor.Tensor, error) {
		all, err := engine.Reference(g, x)
		var maps []*tensor.Tensor
		for _, n := range train.MapsOf(g) {
			maps = append(maps, all[n])
		}
		return maps, err
	}, nil
}

func resumeLike(t *testing.T, g *graph.Graph, data *dataset.Data, change func(*train.Config)) {
	run := func(ctx context.Context, c train.Config) error {
		_, err := train.Run(ctx, open(t, 1), g, data, c)
		return err
	}
	whole, stopped := t.TempDir(), t.TempDir()
	c := train.Config{Epochs: 4, Batch: 4, Size: 64, Seed: 5, Dir: whole}
	change(&c)
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
	again, err := train.ReadConfig(stopped)
	if err != nil {
		t.Fatal(err)
	}
	if c.Distill != nil {
		if again.Distill == nil || again.Distill.Terms != c.Distill.Terms {
			t.Fatalf("the recipe came back with the teacher %+v", again.Distill)
		}
		again.Distill.Teacher = c.Distill.Teacher
	}
	again.Penalty = c.Penalty
	if err := run(t.Context(), again); err != nil {
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
