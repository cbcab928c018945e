package train

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"ultrafast/dataset"
	"ultrafast/graph"
	"ultrafast/safetensors"
	"ultrafast/tensor"
)

// tinyData writes 11 pictures of one square each, and opens them.
func tinyData(t testing.TB) *dataset.Data {
	t.Helper()
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 11 {
		split := "train"
		if i >= 8 {
			split = "val"
		}
		p := image.NewRGBA(image.Rect(0, 0, 64, 40+4*(i%3)))
		x, y := r.IntN(40), r.IntN(20)
		for dy := range 16 {
			for dx := range 16 {
				p.Set(x+dx, y+dy, color.RGBA{255, uint8(100 * (i % 2)), 0, 255})
			}
		}
		h := float64(p.Rect.Dy())
		label := fmt.Sprintf("%d %g %g %g %g\n", i%2, float64(x+8)/64, float64(y+8)/h, 16.0/64, 16/h)
		write(t, filepath.Join(dir, "labels", split, fmt.Sprint(i, ".txt")), func(w io.Writer) error { _, err := io.WriteString(w, label); return err })
		write(t, filepath.Join(dir, "images", split, fmt.Sprint(i, ".png")), func(w io.Writer) error { return png.Encode(w, p) })
	}
	yaml := filepath.Join(dir, "data.yaml")
	write(t, yaml, func(w io.Writer) error {
		_, err := io.WriteString(w, "train: images/train\nval: images/val\nnames: [plain, odd]\n")
		return err
	})
	data, err := dataset.Open(yaml, dataset.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func write(t testing.TB, path string, content func(io.Writer) error) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(content(f), f.Close()); err != nil {
		t.Fatal(err)
	}
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

// A keeper is a Backend that remembers its last network.
type keeper struct {
	Backend
	net Network
}

func (k *keeper) Load(g *graph.Graph, o LoadOptions) (Network, error) {
	n, err := k.Backend.Load(g, o)
	k.net = n
	return n, err
}

func tinyConfig(dir string) Config {
	return Config{Dir: dir, Epochs: 5, Batch: 3, Size: 64, Seed: 9, Workers: 2, Weights: "a: b", Data: "data.yaml"}
}

// sameRun compares all that two runs left.
func sameRun(t *testing.T, dir, want string) {
	t.Helper()
	for _, name := range []string{"weights/last.safetensors", "weights/best.safetensors", "results.csv", "hyp.yaml", "opt.yaml"} {
		a, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(want, name))
		if err != nil {
			t.Fatal(err)
		}
		if string(a) != string(b) {
			t.Errorf("%s differs from the undisturbed run's", name)
		}
	}
	for _, pattern := range []string{"weights/*", "weights/.*", ".results*"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if name := filepath.Base(f); name != "last.safetensors" && name != "best.safetensors" {
				t.Errorf("%s is left", f)
			}
		}
	}
}

func sameNet(t *testing.T, got, want Network) {
	t.Helper()
	for _, w := range []Weights{Live, Averaged} {
		a, err := got.Graph(w)
		if err != nil {
			t.Fatal(err)
		}
		b, err := want.Graph(w)
		if err != nil {
			t.Fatal(err)
		}
		pa := a.Params()
		for i, p := range b.Params() {
			if !reflect.DeepEqual(pa[i].Tensor(), p.Tensor()) {
				t.Errorf("weights %d: %s differs from the undisturbed run's", w, p.Name)
			}
		}
	}
	a, err := got.Momentum()
	if err != nil {
		t.Fatal(err)
	}
	b, err := want.Momentum()
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(a, b) {
		t.Error("momentum differs from the undisturbed run's")
	}
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
	g := tinyNet()
	result, err := Run(t.Context(), Drift(), g, data, c)
	if err != nil {
		t.Fatal(err)
	}
	if steps != 10 || vals != 5 || ends != 5 {
		t.Errorf("%d steps, %d validation batches, %d ends", steps, vals, ends)
	}
	if result.Epochs != 5 || result.BestEpoch != 5 || result.Report.Pictures != 3 || result.Report.Labels != 3 {
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
	if _, err := Run(t.Context(), Drift(), nil, data, c); err == nil || !strings.Contains(err.Error(), "finished") {
		t.Errorf("resuming a finished run: %v", err)
	}
}

// undisturbed trains once without a stop.
func undisturbed(t *testing.T, data *dataset.Data) (dir string, net Network) {
	t.Helper()
	dir = t.TempDir()
	be := &keeper{Backend: Drift()}
	if _, err := Run(t.Context(), be, tinyNet(), data, tinyConfig(dir)); err != nil {
		t.Fatal(err)
	}
	return dir, be.net
}

func TestResume(t *testing.T) {
	data := tinyData(t)
	want, wantNet := undisturbed(t, data)
	for _, at := range []Progress{{Epoch: 2, Step: 1}, {Epoch: 4, Step: 2}, {Epoch: 3, Step: 1, Validating: true}} {
		dir := t.TempDir()
		ctx, cancel := context.WithCancel(t.Context())
		c := tinyConfig(dir)
		c.Progress = func(p Progress) {
			if p.Epoch == at.Epoch && p.Step == at.Step && p.Validating == at.Validating && p.Validated == nil {
				cancel()
			}
		}
		_, err := Run(ctx, Drift(), tinyNet(), data, c)
		if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), dir) {
			t.Fatalf("stopped at %+v: %v", at, err)
		}
		if c, err = ReadConfig(dir); err != nil {
			t.Fatal(err)
		}
		if whole := tinyConfig(dir).withDefaults(); c.Epochs != whole.Epochs || c.Batch != whole.Batch || c.Size != whole.Size ||
			c.Hyp != whole.Hyp || c.Weights != whole.Weights || c.Data != whole.Data || c.Seed != whole.Seed || c.Patience != whole.Patience {
			t.Errorf("the recipe came back as %+v", c)
		}
		be := &keeper{Backend: Drift()}
		if _, err := Run(t.Context(), be, nil, data, c); err != nil {
			t.Fatal(err)
		}
		sameRun(t, dir, want)
		sameNet(t, be.net, wantNet)
	}
}

// The program may be killed between any two files that an epoch's end puts in place.
func TestResumeFromHalfAnEpochsFiles(t *testing.T) {
	data := tinyData(t)
	want, _ := undisturbed(t, data)
	run, before, after := t.TempDir(), t.TempDir(), t.TempDir()
	c := tinyConfig(run)
	c.Progress = func(p Progress) {
		if p.Validated == nil {
			return
		}
		for epoch, to := range map[int]string{2: before, 3: after} {
			if p.Epoch == epoch {
				if err := os.CopyFS(to, os.DirFS(run)); err != nil {
					t.Error(err)
				}
			}
		}
	}
	if _, err := Run(t.Context(), Drift(), tinyNet(), data, c); err != nil {
		t.Fatal(err)
	}
	order := []string{"weights/state-3.safetensors", "weights/best.safetensors", "results.csv", "weights/last.safetensors"}
	for n := range len(order) + 1 {
		dir := filepath.Join(t.TempDir(), "exp")
		if err := os.CopyFS(dir, os.DirFS(before)); err != nil {
			t.Fatal(err)
		}
		for _, name := range order[:n] {
			b, err := os.ReadFile(filepath.Join(after, name))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		c := tinyConfig(dir)
		c.Resume = true
		if _, err := Run(t.Context(), Drift(), nil, data, c); err != nil {
			t.Fatalf("with %v of epoch 3: %v", order[:n], err)
		}
		sameRun(t, dir, want)
	}
}

// A file that cannot be written leaves the last good pair.
func TestNoRoom(t *testing.T) {
	data := tinyData(t)
	want, _ := undisturbed(t, data)
	for _, name := range []string{"weights/state-3.safetensors", "results.csv"} {
		dir := t.TempDir()
		c := tinyConfig(dir)
		obstacle, aside := filepath.Join(dir, name), filepath.Join(dir, "aside")
		c.Progress = func(p Progress) { // a folder stands where the file shall go
			if p.Epoch == 3 && p.Step == 1 && !p.Validating {
				if err := os.Rename(obstacle, aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Error(err)
				}
				if err := os.MkdirAll(filepath.Join(obstacle, "full"), 0o777); err != nil {
					t.Error(err)
				}
			}
		}
		_, err := Run(t.Context(), Drift(), tinyNet(), data, c)
		if err == nil || !strings.Contains(err.Error(), "saving") || !strings.Contains(err.Error(), "up to epoch 2") {
			t.Fatalf("%s: got %v", name, err)
		}
		f, err := safetensors.Open(weightsFile(dir, "last"))
		if err != nil || f.Meta[keyEpochs] != "2" || f.Meta[keyState] != "state-2" {
			t.Fatalf("%s: last is %v, %v", name, f, err)
		}
		if err := os.RemoveAll(obstacle); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(aside, obstacle); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		c = tinyConfig(dir)
		c.Resume = true
		if _, err := Run(t.Context(), Drift(), nil, data, c); err != nil {
			t.Fatal(err)
		}
		sameRun(t, dir, want)
	}
}

// killable names the folder and the data of TestKilled's child.
const killable = "ULTRAFAST_TEST_RUN"

// TestKilled kills a training process again and again and lets the next one go on.
func TestKilled(t *testing.T) {
	if at := os.Getenv(killable); at != "" {
		child(t, at)
		return
	}
	data := tinyData(t)
	want, _ := undisturbed(t, data)
	dir := filepath.Join(t.TempDir(), "exp")
	yaml := filepath.Join(filepath.Dir(data.Train[0].Path), "../../data.yaml")
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	kills := 0
	for n := range 40 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilled$")
		cmd.Env = append(os.Environ(), killable+"="+dir+"|"+yaml)
		var out strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if n < 6 {
			time.AfterFunc(time.Duration(r.IntN(60*(n+1)))*time.Millisecond, func() { cmd.Process.Kill() })
		}
		err := cmd.Wait()
		if err == nil {
			t.Logf("killed %d times", kills)
			sameRun(t, dir, want)
			return
		}
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.Exited() {
			t.Fatalf("the child, start %d: %v\n%s", n, err, out.String())
		}
		kills++
	}
	t.Fatal("the run never ended")
}

func child(t *testing.T, at string) {
	dir, yaml, _ := strings.Cut(at, "|")
	data, err := dataset.Open(yaml, dataset.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c := tinyConfig(dir)
	_, err = os.Stat(weightsFile(dir, "last"))
	c.Resume = err == nil
	if _, err := Run(t.Context(), Drift(), tinyNet(), data, c); err != nil && !strings.Contains(err.Error(), "finished") {
		t.Fatal(err)
	}
}

func TestRunRefuses(t *testing.T) {
	data := tinyData(t)
	other := *data
	other.Names = []string{"a", "b", "c"}
	empty := *data
	empty.Val = nil
	for name, test := range map[string]struct {
		data   *dataset.Data
		change func(*Config)
		want   []string
	}{
		"classes":     {&other, nil, []string{"2 classes", "3 [a b c]"}},
		"no pictures": {&empty, nil, []string{"validation data", "no pictures"}},
		"size":        {data, func(c *Config) { c.Size = 68 }, []string{"68", "stride 8"}},
		"no folder":   {data, func(c *Config) { c.Dir = "" }, []string{"folder"}},
		"batch":       {data, func(c *Config) { c.Batch = -1 }, []string{"-1 pictures"}},
		"hyp":         {data, func(c *Config) { c.Hyp = DefaultHyp(); c.Hyp.Mixup = 1 }, []string{"mixup"}},
		"no run":      {data, func(c *Config) { c.Resume = true }, []string{"no finished epoch"}},
		"no weights": {data, func(c *Config) {
			write(t, weightsFile(c.Dir, "last"), func(io.Writer) error { return nil })
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

func TestStateIsMissing(t *testing.T) {
	data, dir := tinyData(t), t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	c := tinyConfig(dir)
	c.Progress = func(p Progress) {
		if p.Epoch == 3 {
			cancel()
		}
	}
	if _, err := Run(ctx, Drift(), tinyNet(), data, c); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if err := os.Remove(weightsFile(dir, "state-2")); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadConfig(dir); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "state-2") {
		t.Errorf("got %v", err)
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
	r := &run{c: c.withDefaults(), at: position{epochs: 3, bestEpoch: 2}}
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
	if err := r.save(0, true, func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	result, err := r.epochs(t.Context())
	if err != nil || result.Epochs != 3 || result.BestEpoch != 2 {
		t.Errorf("got %+v, %v", result, err)
	}
}
