package compress

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"ultrafast/graph"
	"ultrafast/prune"
	"ultrafast/train"
	"ultrafast/yolo"
)

// The time left is that of the training at work, and the plan's for those after it, as much
// slower as this one is.
func TestLeft(t *testing.T) {
	r := &run{slower: map[bool]float64{}, plan: &Estimate{Steps: []Step{
		{Name: "baseline", Epochs: 10, Seconds: 100}, {Name: "round 1", Epochs: 2, Seconds: 20, Taught: true}, {Name: "final training", Epochs: 5, Seconds: 50}}}}
	at := func(epoch, step int) train.Progress {
		return train.Progress{Epoch: epoch, Epochs: 10, Step: step, Steps: 10}
	}
	p := at(5, 5)
	p.Left = 110 * time.Second // half are behind, and it is twice as slow
	if got := r.left("baseline", p); math.Abs(got-(110+20+100)) > 1 {
		t.Errorf("%v seconds left, want 230", got)
	}
	p = at(10, 10)
	p.Validating = true
	if got := r.left("baseline", p); math.Abs(got-(20+100)) > 1 {
		t.Errorf("%v seconds left in the last validation, want 120", got)
	}
	p = train.Progress{Epoch: 1, Epochs: 4, Step: 5, Steps: 10, Left: 35 * time.Second}
	if got := r.left("round 1"+again, p); math.Abs(got-(35+100)) > 5 {
		t.Errorf("%v seconds left in a second attempt, want about 135", got)
	}
	p = train.Progress{Epoch: 1, Epochs: 1, Step: 10, Steps: 10, Left: 9 * time.Second}
	if got := r.left("round 2"+preparing, p); math.Abs(got-(9+100)) > 5 {
		t.Errorf("%v seconds left in a round that was not planned, want about 109", got)
	}
}

// A model that lacks a class of the data's is trained on before it is a parent; the order of
// the classes does not matter.
func TestStart(t *testing.T) {
	data := drawn(t)
	for _, c := range []struct {
		weights string
		names   []string
		known   bool
	}{
		{"a.pt", []string{"face", "mask"}, true}, {"a.pt", []string{"mask", "face"}, true}, {"a.pt", []string{"dog", "mask", "face"}, true},
		{"a.pt", []string{"face", "dog"}, false}, {"", []string{"face", "mask"}, false},
	} {
		job, o := task(data)
		job.Weights = c.weights
		o.Model = func() (*graph.Graph, error) {
			cfg, err := yolo.ParseConfig(strings.NewReader(tiny))
			if err != nil {
				return nil, err
			}
			return yolo.New(cfg, c.names, 1)
		}
		r, err := newRun("", job, data, o)
		if err != nil {
			t.Fatal(err)
		}
		g, known, err := r.start()
		if err != nil || known != c.known || !slices.Equal(g.Names, data.Names) {
			t.Errorf("%q with %v: known %v, want %v; classes %v; %v", c.weights, c.names, known, c.known, g.Names, err)
		}
	}
}

// Files of a run lead nowhere else.
func TestOutside(t *testing.T) {
	r := &run{dir: t.TempDir()}
	for _, name := range []string{"../a.safetensors", "/etc/passwd", ""} {
		if _, err := r.open(name); err == nil || !strings.Contains(err.Error(), "no file of the run's") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestFolders(t *testing.T) {
	data := drawn(t)
	job, o := task(data)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "thesis.txt"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), dir, job, data, o); err == nil || !strings.Contains(err.Error(), "thesis.txt") {
		t.Errorf("a folder with something else in it: %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left in it: %v, %v", entries, err)
	}

	// What a first start that was killed or failed leaves is no obstacle.
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ".state.json1234"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	wrong := job
	wrong.Target = "params=100"
	if _, err := Run(t.Context(), dir, wrong, data, o); err == nil || !strings.Contains(err.Error(), "out of reach") {
		t.Errorf("100 parameters: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, ".state.json1234")); !missing(err) {
		t.Errorf("half a state.json is still there: %v", err)
	}
	planned, stop := context.WithCancel(t.Context())
	right := o
	right.Progress = func(p Progress) {
		if p.Training != nil {
			stop()
		}
	}
	if _, err := Run(planned, dir, job, data, right); !errors.Is(err, context.Canceled) {
		t.Errorf("the target that was corrected: %v", err)
	}
	if _, err := Run(t.Context(), dir, wrong, data, o); err == nil || !strings.Contains(err.Error(), "target is params=100 and was params=10k") {
		t.Errorf("another target once there is a plan: %v", err)
	}

	dir = t.TempDir()
	release, err := lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if _, err := Run(t.Context(), dir, job, data, o); err == nil || !strings.Contains(err.Error(), "at work in another process") {
		t.Errorf("a run that is at work: %v", err)
	}
	if _, err := ReadResult(t.TempDir()); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "no run of compress") {
		t.Errorf("an empty folder: %v", err)
	}
}

// Every field of a job is compared.
func TestDifferences(t *testing.T) {
	var a, b Job
	v := reflect.ValueOf(&a).Elem()
	for i := range v.NumField() {
		a = Job{}
		switch f := v.Field(i); f.Kind() {
		case reflect.String:
			f.SetString("x")
		case reflect.Float64:
			f.SetFloat(1)
		case reflect.Uint64:
			f.SetUint(1)
		default:
			f.SetInt(1)
		}
		if d := a.Differences(b); len(d) != 1 {
			t.Errorf("%s: %v", v.Type().Field(i).Name, d)
		}
	}
}

func TestRecipes(t *testing.T) {
	h := train.DefaultHyp()
	h.Mixup, h.CopyPaste = 0.4, 0.2
	l := lighter(h, 0.5)
	if l.Mixup != 0.2 || l.CopyPaste != 0.1 || l.Mosaic != 0.75 || lighter(h, 1) != h || lighter(h, 2) != h {
		t.Errorf("lighter: %+v", l)
	}
	if b := brief(h, 6, 16); b.NBS != 16 || b.WarmupEpochs != 0.5 || brief(h, 100, 64) != h {
		t.Errorf("brief: %+v", b)
	}
	for _, c := range [][3]float64{{30, 29, roundRate}, {30, 40, roundRate}, {30, 20, 1. / 3}, {30, 2, hurtRate}, {0, 0, hurtRate}} {
		if rate := tuneRate(c[0], c[1]); math.Abs(rate-c[2]) > 1e-9 {
			t.Errorf("after a cut from %v to %v points a rate of %v, want %v", c[0], c[1], rate, c[2])
		}
	}
	g := gentle(h, 0.1)
	if g.LR0 != h.LR0*0.1 || g.WarmupBiasLR != g.LR0 {
		t.Errorf("gentle: %+v", g)
	}
	size := func(params int) prune.Cost { return prune.Cost{Params: params, GFLOP: 1} }
	for _, c := range []struct {
		goal   string
		rounds int
	}{{"params=99000", 1}, {"params=60000", 1}, {"params=59000", 2}, {"params=36000", 2}, {"params=5k", 6}, {"params=65k,flops=0.4G", 2}, {"params=20k,flops=3G", 4}} {
		limits, err := prune.ParseLimits(c.goal)
		if err != nil {
			t.Fatal(err)
		}
		at := size(100000)
		if n := roundsTo(at, limits); n != c.rounds {
			t.Errorf("to %s in %d rounds, want %d", c.goal, n, c.rounds)
		}
		for range c.rounds {
			if met(at, limits) {
				t.Errorf("%s is met too early", c.goal)
			}
			for _, l := range next(at, limits) {
				if l.Quantity == prune.Parameters {
					at.Params = int(math.Round(l.Most))
				} else {
					at.GFLOP = min(at.GFLOP, l.Most/1e9)
				}
			}
		}
		if e := limits.Excess(at); e > 1+1e-4 {
			t.Errorf("rounds to %s end at %v times that", c.goal, e)
		}
	}
}

// A stage is done when all is there that its output tells of.
func TestWhole(t *testing.T) {
	r := &run{dir: t.TempDir()}
	for _, c := range []struct {
		write, text string
		stage       string
		whole       bool
	}{
		{"thin.json", `{"file": "thin.safetensors"}`, "thin.json", false},
		{"thin.safetensors", "", "thin.json", true},
		{"rounds.json", `{"file": ""}`, "rounds.json", true},
		{"child.onnx", "", "child.onnx", true},
		{int8File, "", "child.onnx", false},
		{"child-int8.onnx", "", "child.onnx", true},
		{"report.json", "{}", "report.json", false},
		{"report.html", "", "report.json", true},
		{"bf16.json", "{", "bf16.json", true}, // whoever reads it says what is wrong
		{"", "", "choice.json", false},
	} {
		if c.write != "" {
			if err := r.write(c.write, []byte(c.text)); err != nil {
				t.Fatal(err)
			}
		}
		if got := r.whole(c.stage); got != c.whole {
			t.Errorf("with %s, %s is whole: %v", c.write, c.stage, got)
		}
	}
	if r.finished() {
		t.Error("finished without a child")
	}
}
