package train

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ultrafast/graph"
	"ultrafast/safetensors"
	"ultrafast/tensor"
	"ultrafast/train/peers"
)

// distilled is tinyConfig with a teacher that has a wider neck and a level more.
func distilled(dir string) Config {
	c := tinyConfig(dir)
	anchors := [][][2]float32{{{12, 12}, {24, 24}}, {{50, 50}}}
	c.Distill = &Distill{Teacher: detector(8, 6, []int{8, 16}, anchors, "face", "mask"), Source: "teacher.pt", Terms: Terms{PKD: 1, CWD: 1, Outputs: 1}}
	c.NoAutoAnchor = true
	return c
}

// What a run saves is a model like any other; only its state has the adapters.
func TestDistillRun(t *testing.T) {
	data, dir := tinyData(t), t.TempDir()
	c := distilled(dir)
	c.Progress = func(p Progress) {
		if p.Validated == nil || p.Epoch != 2 {
			return
		}
		f, err := safetensors.Open(weightsFile(dir, stateName(2)))
		if err != nil || f.Graph.Node("distill.8") == nil {
			t.Errorf("the state has no adapter, %v", err)
		}
	}
	predicted := 0
	c.Predictor = func(g *graph.Graph) (Predict, error) {
		predicted++
		if g.Node("distill.8") != nil || len(g.Outputs) != 1 {
			t.Error("what is validated has adapters")
		}
		n, err := Drift().Load(g, LoadOptions{})
		return func(x *tensor.Tensor) ([]*tensor.Tensor, error) { return n.Predict(x, Live) }, err
	}
	teacher := c.Distill.Teacher.Clone()
	g := tinyNet()
	if _, err := Run(t.Context(), Drift(), g, data, c); err != nil {
		t.Fatal(err)
	}
	if predicted == 0 || teacher.Fingerprint() != c.Distill.Teacher.Fingerprint() || c.Distill.hash != "" {
		t.Errorf("%d validations, and the teacher is the caller's", predicted)
	}
	g.Names = data.Names
	for _, name := range []string{"last", "best"} {
		f, err := safetensors.Open(weightsFile(dir, name))
		if err != nil || f.Graph.String() != g.String() {
			t.Errorf("%s is not the model: %v", name, err)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "opt.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"teacher: teacher.pt\n", "teacher_hash: " + teacher.Fingerprint() + "\n", "distill: pkd=1,cwd=1,outputs=1\n"} {
		if !strings.Contains(string(text), line) {
			t.Errorf("opt.yaml has no %q:\n%s", line, text)
		}
	}
}

func TestDistillResume(t *testing.T) {
	data, want, dir := tinyData(t), t.TempDir(), t.TempDir()
	if _, err := Run(t.Context(), Drift(), tinyNet(), data, distilled(want)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	c := distilled(dir)
	c.Progress = func(p Progress) {
		if p.Epoch == 3 {
			cancel()
		}
	}
	if _, err := Run(ctx, Drift(), tinyNet(), data, c); err == nil {
		t.Fatal("not stopped")
	}
	c, err := ReadConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	resume := func(teacher *graph.Graph) error {
		c := c
		c.Distill = &Distill{Teacher: teacher, Source: c.Distill.Source}
		_, err := Run(t.Context(), Drift(), nil, data, c)
		return err
	}
	if err := resume(nil); err == nil || !strings.Contains(err.Error(), "teacher.pt") {
		t.Errorf("without its teacher: %v", err)
	}
	other := distilled("").Distill.Teacher
	other.Params()[0].Tensor().Data[0]++
	if err := resume(other); err == nil || !strings.Contains(err.Error(), "another teacher than teacher.pt") {
		t.Errorf("with another teacher: %v", err)
	}
	if err := resume(distilled("").Distill.Teacher); err != nil {
		t.Fatal(err)
	}
	sameRun(t, dir, want)
}

// Only process 0 of a group needs the teacher.
func TestDistillOfProcesses(t *testing.T) {
	data, want, dir := tinyData(t), t.TempDir(), t.TempDir()
	c := distilled(want)
	c.Batch = 4
	if _, err := Run(t.Context(), Drift(), tinyNet(), data, c); err != nil {
		t.Fatal(err)
	}
	for rank, err := range together(t, 2, func(ctx context.Context, p *peers.Peers) error {
		c, d, g := asOneOf(p, dir), *data, tinyNet()
		if p.Rank() > 0 {
			d.Val, g = nil, nil
		} else {
			c.Distill, c.NoAutoAnchor = distilled("").Distill, true
		}
		_, err := Run(ctx, Drift(), g, &d, c)
		return err
	}) {
		if err != nil {
			t.Errorf("process %d: %v", rank, err)
		}
	}
	sameRun(t, dir, want)
}

// Each of several processes has its share of the loss of the whole batch.
func TestDistillSharesTheBatch(t *testing.T) {
	terms, names := Terms{PKD: 1, CWD: 1, Outputs: 1}, []string{"a", "b"}
	d, maps := lesson(t, terms, names, names)
	want := Parts{Pictures: 3}
	gradients, err := d.eval(maps, nothing(maps), 1, &want)
	if err != nil {
		t.Fatal(err)
	}
	for rank, err := range together(t, 2, func(_ context.Context, p *peers.Peers) error {
		d, maps := lesson(t, terms, names, names)
		d.peers = p
		from, to := 0, 2
		if p.Rank() == 1 {
			from, to = 2, 3
		}
		part := func(maps []*tensor.Tensor) (parts []*tensor.Tensor) {
			for _, m := range maps {
				size := m.Len() / m.Shape[0]
				shape := append([]int{to - from}, m.Shape[1:]...)
				parts = append(parts, &tensor.Tensor{Shape: shape, Data: m.Data[from*size : to*size]})
			}
			return parts
		}
		d.maps = part(d.maps)
		mine := part(maps)
		parts := Parts{Pictures: 3}
		got, err := d.eval(mine, nothing(mine), 1, &parts)
		if err != nil {
			return err
		}
		if off := parts.Distill/want.Distill - 1; off > 1e-6 || off < -1e-6 {
			t.Errorf("process %d: loss %v, alone %v", p.Rank(), parts.Distill, want.Distill)
		}
		for i, w := range part(gradients) {
			for k, v := range w.Data {
				if d := got[i].Data[k] - v; d > 1e-5 || d < -1e-5 {
					t.Errorf("process %d: gradient of map %d is %v at %d, alone %v", p.Rank(), i, got[i].Data[k], k, v)
					break
				}
			}
		}
		return nil
	}) {
		if err != nil {
			t.Errorf("process %d: %v", rank, err)
		}
	}
}

func TestDistillRunRefuses(t *testing.T) {
	data := tinyData(t)
	for name, test := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no teacher": {func(c *Config) { c.Distill.Teacher, c.Distill.Source = nil, "" }, "needs a teacher"},
		"no head": {func(c *Config) {
			g := c.Distill.Teacher
			g.Outputs = g.Detect().In
			g.Nodes = g.Nodes[:len(g.Nodes)-1]
		}, "no detection head"},
		"weights": {func(c *Config) { c.Distill.Terms.PKD = -1 }, "pkd is -1"},
		"size":    {func(c *Config) { c.Size = 72 }, "stride 16 of the model or its teacher"},
		"classes": {func(c *Config) { c.Distill.Teacher.Names = []string{"x", "y"} }, "learn from pkd or cwd"},
	} {
		c := distilled(t.TempDir())
		test.change(&c)
		if _, err := Run(t.Context(), Drift(), tinyNet(), data, c); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
