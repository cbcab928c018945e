package train

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ultrafast/box"
	"ultrafast/dataset"
	"ultrafast/graph"
	"ultrafast/safetensors"
	"ultrafast/tensor"
)

// recipes are changes of the recipe, each with something that a resumed run must take up.
var recipes = map[string]func(*Config){
	"AdamW, frozen": func(c *Config) { c.Optimizer, c.Freeze = AdamW, []int{0} },
	"Adam, sizes":   func(c *Config) { c.Optimizer, c.MultiScale = Adam, true },
	"image weights": func(c *Config) {
		c.ImageWeights = true
		c.Hyp = DefaultHyp()
		c.Hyp.Mixup, c.Hyp.CopyPaste, c.Hyp.Mosaic9, c.Hyp.LabelSmoothing, c.Hyp.FocalGamma = 0.5, 0.5, 0.5, 0.1, 1.5
	},
	"rect": func(c *Config) { c.Rect, c.MultiScale = true, true },
}

func TestResumeOfRecipes(t *testing.T) {
	data := tinyData(t)
	for name, change := range recipes {
		config := func() Config {
			c := tinyConfig(t.TempDir())
			change(&c)
			return c
		}
		whole := config()
		be := &keeper{Backend: Drift()}
		if _, err := Run(t.Context(), be, tinyNet(), data, whole); err != nil {
			t.Fatal(name, err)
		}
		c := config()
		ctx, cancel := context.WithCancel(t.Context())
		c.Progress = func(p Progress) {
			if p.Epoch == 3 {
				cancel()
			}
		}
		if _, err := Run(ctx, Drift(), tinyNet(), data, c); !errors.Is(err, context.Canceled) {
			t.Fatal(name, err)
		}
		back, err := ReadConfig(c.Dir)
		if err != nil {
			t.Fatal(name, err)
		}
		again := &keeper{Backend: Drift()}
		if _, err := Run(t.Context(), again, nil, data, back); err != nil {
			t.Fatal(name, err)
		}
		sameRun(t, c.Dir, whole.Dir)
		sameNet(t, again.net, be.net)
	}
}

// A failing network answers as another one, but with NaN from a step on.
type failing struct {
	Backend
	from int
}

type failingNet struct {
	Network
	left *int
}

func (f failing) Load(g *graph.Graph, o LoadOptions) (Network, error) {
	n, err := f.Backend.Load(g, o)
	return failingNet{n, &f.from}, err
}

func (n failingNet) Step(x *tensor.Tensor, loss Loss) error {
	return n.Network.Step(x, func(maps []*tensor.Tensor) ([]*tensor.Tensor, error) {
		if *n.left--; *n.left < 0 {
			maps[0].Data[0] = float32(math.NaN())
			maps[0].Data[4*64] = float32(math.NaN())
		}
		return loss(maps)
	})
}

// A loss that is no number ends the run with the names of the pictures, and the last good
// weights stay and can be gone on from.
func TestNaNNamesPictures(t *testing.T) {
	data, dir := tinyData(t), t.TempDir()
	c := tinyConfig(dir)
	c.Rect = true // three batches of 3, 3 and 2, by aspect: here by name
	_, err := Run(t.Context(), failing{Drift(), 2*3 + 1}, tinyNet(), data, c)
	if err == nil || !strings.Contains(err.Error(), "step 2: the loss is NaN") || !strings.Contains(err.Error(), "up to epoch 2") {
		t.Fatalf("got %v", err)
	}
	for i, item := range data.Train {
		if saw := strings.Contains(err.Error(), filepath.Base(item.Path)); saw != (i >= 3 && i < 6) {
			t.Errorf("%s is named: %v", item.Path, saw)
		}
	}
	f, err := safetensors.Open(weightsFile(dir, "last"))
	if err != nil || f.Meta[keyEpochs] != "2" {
		t.Fatalf("last is %v, %v", f, err)
	}
	if c, err = ReadConfig(dir); err != nil {
		t.Fatal(err)
	}
	if r, err := Run(t.Context(), Drift(), nil, data, c); err != nil || r.Epochs != 5 {
		t.Errorf("resumed: %+v, %v", r, err)
	}
}

func TestNoVal(t *testing.T) {
	c := tinyConfig(t.TempDir())
	c.NoVal = true
	validated := []int{}
	c.Progress = func(p Progress) {
		if p.Validating && p.Validated == nil {
			validated = append(validated, p.Epoch)
		}
	}
	r, err := Run(t.Context(), Drift(), tinyNet(), tinyData(t), c)
	if err != nil || !slices.Equal(validated, []int{5}) || r.BestEpoch != 5 || r.Report.Pictures != 3 {
		t.Errorf("validated in %v: %+v, %v", validated, r, err)
	}
}

// Class 0 has three boxes and is nearly found, class 1 has two and is not: they weigh
// 2/5*(1-0.9)² and 3/5.
func TestImageWeights(t *testing.T) {
	ap := classAP(box.Report{MAP5095: 0.9, Classes: []box.ClassReport{{Class: 1, AP5095: 0}}}, 2)
	if !slices.Equal(ap, []float64{0.9, 0}) {
		t.Fatalf("AP %v", ap)
	}
	r := &run{head: &graph.Detect{Classes: 2}, data: &dataset.Data{Train: []dataset.Item{
		{Labels: []dataset.Label{{}, {}}}, {Labels: []dataset.Label{{Class: 1}, {Class: 1}}}, {Labels: []dataset.Label{{}}},
	}}}
	r.at.ap = ap
	got := r.pictureWeights()
	for i, want := range []float64{2 * 0.4 * 0.01, 2 * 0.6, 0.4 * 0.01} {
		near(t, "weight", got[i], want, 1e-9)
	}
}

// A state carries the classes' AP to the last bit, and one of another model is refused.
func TestStateKeepsAP(t *testing.T) {
	g := tinyNet()
	g.Names = []string{"a", "b"}
	for _, ap := range [][]float64{nil, {1.0 / 3, 0.1}, {0.5}} {
		s := snapshot{position: position{epochs: 1, ap: ap}, live: g, averaged: g}
		path := filepath.Join(t.TempDir(), "state.safetensors")
		if err := s.write(path); err != nil {
			t.Fatal(err)
		}
		f, err := safetensors.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		back, err := readSnapshot(f)
		switch {
		case len(ap) == 1:
			if err == nil || !strings.Contains(err.Error(), "has 1 classes, the model 2") {
				t.Errorf("AP of one class: %v", err)
			}
		case err != nil || !slices.Equal(back.ap, ap):
			t.Errorf("got %v, %v, want %v", back, err, ap)
		}
	}
}
