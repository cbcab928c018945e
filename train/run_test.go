package train

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"ultrafast/box"
	"ultrafast/dataset"
	"ultrafast/graph"
	"ultrafast/scene"
	"ultrafast/tensor"
)

// tinyData draws 8 pictures for training and 3 for validation.
func tinyData(t testing.TB) *dataset.Data {
	t.Helper()
	yaml, err := scene.Write(t.TempDir(), scene.Set{Train: 8, Val: 3, Width: 64, Height: 48, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	data, err := dataset.Open(yaml, dataset.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// tinyNet is a detector of one level.
func tinyNet() *graph.Graph {
	r := rand.New(rand.NewPCG(3, 4))
	random := func(shape ...int) *tensor.Tensor {
		x := tensor.New(shape...)
		for i := range x.Data {
			x.Data[i] = r.Float32()
		}
		return x
	}
	g := &graph.Graph{}
	x := g.Add("images", &graph.Input{Shape: [4]int{1, 3, 64, 64}})
	x = g.Add("model.0.conv", &graph.Conv{Weight: random(4, 3, 8, 8), Stride: [2]int{8, 8}, Dilation: [2]int{1, 1}, Groups: 1}, x)
	x = g.Add("model.0.bn", &graph.BatchNorm{Gamma: random(4), Beta: random(4), Mean: random(4), Var: random(4), Eps: 1e-3, Momentum: 0.03}, x)
	x = g.Add("model.0.act", &graph.Activation{Kind: graph.SiLU}, x)
	x = g.Add("model.1.m.0", &graph.Conv{Weight: random(14, 4, 1, 1), Bias: random(14), Stride: [2]int{1, 1}, Dilation: [2]int{1, 1}, Groups: 1}, x)
	x = g.Add("model.1", &graph.Detect{Anchors: [][][2]float32{{{12, 12}, {24, 24}}}, Strides: []int{8}, Classes: 2}, x)
	g.Outputs = append(g.Outputs, x)
	return g
}

func tinyConfig(dir string) Config {
	return Config{Dir: dir, Epochs: 5, Batch: 3, Size: 64, Seed: 9, Workers: 2, Weights: "a: b", Cfg: "tiny", Data: "data.yaml"}
}

func TestRun(t *testing.T) {
	data, dir := tinyData(t), filepath.Join(t.TempDir(), "exp")
	c := tinyConfig(dir)
	var steps, vals, ends int
	c.Progress = func(p Progress) {
		switch {
		case p.Validated != nil:
			ends++
			if p.Epoch != ends || p.Fitness != fitness(p.Validated.Report) || !p.Best {
				t.Errorf("end of epoch %d: %+v", ends, p)
			}
		case p.Validating:
			vals++
		default:
			steps++
			if p.Step < 1 || p.Steps != 2 || p.Loss.Obj <= 0 || p.PerSecond <= 0 || p.Left < 0 {
				t.Errorf("step %d: %+v", steps, p)
			}
		}
	}
	var seen []int
	found := 0
	c.Sees = func(epoch, step int, b *dataset.Batch) { seen = append(seen, 10*epoch+step, b.X.Shape[0]) }
	c.Found = func(b *dataset.Batch, boxes [][]box.Box) {
		if len(boxes) != len(b.Items) {
			t.Errorf("boxes of %d pictures, of %d", len(boxes), len(b.Items))
		}
		found += len(boxes)
	}
	g := tinyNet()
	result, err := Run(t.Context(), Drift(), g, data, c)
	if err != nil {
		t.Fatal(err)
	}
	if want := []int{0, 3, 1, 3, 10, 3, 11, 3}; len(seen) != 20 || !slices.Equal(seen[:8], want) || found != 15 {
		t.Errorf("saw %v, want %v first; found something in %d pictures, want 15", seen, want, found)
	}
	if steps != 10 || vals != 5 || ends != 5 {
		t.Errorf("%d steps, %d validation batches, %d ends", steps, vals, ends)
	}
	if result.Epochs != 5 || result.BestEpoch != 5 || result.Report.Pictures != 3 || result.Report.Labels == 0 {
		t.Errorf("got %+v", result)
	}
	if !reflect.DeepEqual(g, tinyNet()) {
		t.Error("the graph was changed")
	}
	text, err := os.ReadFile(filepath.Join(dir, "results.csv"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if len(lines) != 6 {
		t.Fatalf("results.csv has %d lines:\n%s", len(lines), text)
	}
	for i, line := range lines {
		fields := strings.Split(line, ",")
		if len(fields) != 14 {
			t.Errorf("line %d has %d columns: %q", i+1, len(fields), line)
		}
		for _, f := range fields {
			if len(f) != 20 {
				t.Errorf("line %d: column %q is not 20 wide", i+1, f)
			}
		}
	}
	if want := "               epoch,      train/box_loss,      train/obj_loss,"; !strings.HasPrefix(lines[0], want) {
		t.Errorf("the head is %q", lines[0])
	}
	if !strings.HasPrefix(lines[1], "                   0,") || !strings.HasPrefix(lines[5], "                   4,") {
		t.Errorf("epochs are not 0 to 4:\n%s", text)
	}
	if _, err := Run(t.Context(), Drift(), g, data, c); err == nil || !strings.Contains(err.Error(), "there already") {
		t.Errorf("a second run in the folder: %v", err)
	}
	c.Resume = true
	state := weightsFile(dir, stateName(5)) // as a program leaves it that is killed as it finishes
	empty(t, state)
	if _, err := Run(t.Context(), Drift(), nil, data, c); err == nil || !strings.Contains(err.Error(), "finished") {
		t.Errorf("resuming a finished run: %v", err)
	}
	if _, err := os.Stat(state); err == nil {
		t.Error("the state of a finished run stays")
	}
}

// empty makes a file with nothing in it.
func empty(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o666); err != nil {
		t.Fatal(err)
	}
}

func TestRunRefuses(t *testing.T) {
	data := tinyData(t)
	other := *data
	other.Names = []string{"a", "b", "c"}
	none := *data
	none.Val = nil
	for name, test := range map[string]struct {
		data   *dataset.Data
		change func(*Config)
		want   []string
	}{
		"classes":     {&other, nil, []string{"2 classes", "3 [a b c]"}},
		"no pictures": {&none, nil, []string{"validation data", "no pictures"}},
		"size":        {data, func(c *Config) { c.Size = 68 }, []string{"68", "stride 8"}},
		"optimizer":   {data, func(c *Config) { c.Optimizer = "Lion" }, []string{"Lion", "AdamW"}},
		"freeze":      {data, func(c *Config) { c.Freeze = []int{0, 7} }, []string{"no layer model.7"}},
		"all frozen":  {data, func(c *Config) { c.Freeze = []int{0, 1} }, []string{"nothing to learn"}},
		"no folder":   {data, func(c *Config) { c.Dir = "" }, []string{"folder"}},
		"batch":       {data, func(c *Config) { c.Batch = -1 }, []string{"-1 pictures"}},
		"hyp":         {data, func(c *Config) { c.Hyp = DefaultHyp(); c.Hyp.Mixup = 2 }, []string{"mixup"}},
		"no run":      {data, func(c *Config) { c.Resume = true }, []string{"no finished epoch"}},
		"no weights": {data, func(c *Config) {
			empty(t, weightsFile(c.Dir, "last"))
			c.Resume = true
		}, []string{"last.safetensors"}},
	} {
		c := tinyConfig(t.TempDir())
		if test.change != nil {
			test.change(&c)
		}
		_, err := Run(t.Context(), Drift(), tinyNet(), test.data, c)
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		for _, part := range test.want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: error %q does not say %q", name, err, part)
			}
		}
	}
}

// A fool answers with maps of its own.
type fool struct {
	Backend
	raw float32
}

type foolNet struct {
	Network
	raw float32
}

func (f fool) Load(g *graph.Graph, o LoadOptions) (Network, error) {
	n, err := f.Backend.Load(g, o)
	return foolNet{n, f.raw}, err
}

func (n foolNet) Step(x *tensor.Tensor, loss Loss) error {
	m := tensor.New(x.Shape[0], 14, 8, 8)
	for i := range m.Data {
		m.Data[i] = n.raw
	}
	_, err := loss([]*tensor.Tensor{m})
	return err
}

func TestDivergenceStops(t *testing.T) {
	zero := float32(0)
	_, err := Run(t.Context(), fool{Drift(), zero / zero}, tinyNet(), tinyData(t), tinyConfig(t.TempDir()))
	if err == nil || !strings.Contains(err.Error(), "diverged") {
		t.Errorf("got %v", err)
	}
}

func TestPatience(t *testing.T) {
	c := tinyConfig(t.TempDir())
	c.Patience = 1
	r := &run{c: c.withDefaults(), be: Drift(), at: position{epochs: 3, bestEpoch: 2}}
	r.data = tinyData(t)
	if err := r.prepare(tinyNet()); err != nil {
		t.Fatal(err)
	}
	if err := r.start(); err != nil {
		t.Fatal(err)
	}
	var err error
	if r.net, err = Drift().Load(tinyNet(), LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := r.save(0, true, func() {}); err != nil {
		t.Fatal(err)
	}
	result, err := r.epochs(t.Context())
	if err != nil || result.Epochs != 3 || result.BestEpoch != 2 {
		t.Errorf("got %+v, %v", result, err)
	}
}
