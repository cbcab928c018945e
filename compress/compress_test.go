package compress

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ultrafast/dataset"
	"ultrafast/graph"
	"ultrafast/pass"
	"ultrafast/prune"
	"ultrafast/report"
	"ultrafast/scene"
	"ultrafast/tensor"
	"ultrafast/train"
	"ultrafast/yolo"
)

// drawn is a data set of few pictures.
func drawn(t testing.TB) *dataset.Data {
	t.Helper()
	path, err := scene.Write(t.TempDir(), scene.Set{Train: 6, Val: 3, Width: 64, Height: 64, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	data, err := dataset.Open(path, dataset.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// tiny is a network of two levels, the second of which has no labels at 64 pixels.
const tiny = `
classes: 2
anchors: [[6, 6, 12, 12], [300, 300, 400, 400]]
layers:
  - {block: Conv, args: [16, 3, 4]}
  - {block: Conv, args: [48, 3, 2]}
  - {block: C3, args: [64]}
  - {block: Conv, args: [48, 3, 2]}
  - {block: Detect, from: [2, 3]}
`

// task is a compression on a backend that learns nothing: baseline, rounds, controls.
func task(data *dataset.Data) (Job, Options) {
	job := Job{Cfg: "thin", Data: "data.yaml", DataHash: HashData(data), Target: "params=10k", MaxDrop: 1, Width: 64, Height: 64, Size: 64,
		Runtime: "fake", Epochs: 2, Batch: 3, Precision: "fp32", Hyp: train.DefaultHyp().String()}
	return job, Options{Backend: train.Drift(), Version: "test", Processor: "none",
		Model: func() (*graph.Graph, error) {
			cfg, err := yolo.ParseConfig(strings.NewReader(tiny))
			if err != nil {
				return nil, err
			}
			return yolo.New(cfg, data.Names, 1)
		},
		Predictor: found,
		BF16:      Precision{Predictor: found, Profile: byParams},
		Values:    values,
		Judge: func(ctx context.Context, lost func(error, int)) (*train.Judge, error) {
			return train.NewJudge(ctx, train.Drift(), data.Train, data.Val, train.JudgeOptions{Size: 64, Statistics: 3, Pictures: 3, Predictor: found, Lost: lost})
		},
		Profile: byParams,
		Runtime: report.Time{Runtime: "fake", Threads: 1, Precision: "fp32"}}
}

// found is a predictor that finds something.
func found(g *graph.Graph) (train.Predict, error) { return constant(g, 1), nil }

// foundIf is a predictor that finds something with networks that are good, and nothing with others.
func foundIf(good func(*graph.Graph) bool) func(*graph.Graph) (train.Predict, error) {
	return func(g *graph.Graph) (train.Predict, error) {
		if good(g) {
			return constant(g, 1), nil
		}
		return constant(g, -20), nil
	}
}

// quiet is a run that writes no log, for one stage of it.
func quiet(t *testing.T, job Job, data *dataset.Data, o Options) *run {
	t.Helper()
	r, err := newRun(t.TempDir(), job, data, o)
	if err != nil {
		t.Fatal(err)
	}
	r.file = slog.New(slog.DiscardHandler)
	return r
}

// constant predicts one logit everywhere: boxes like the anchors in every cell, or none.
func constant(g *graph.Graph, logit float32) train.Predict {
	d := g.Detect()
	return func(x *tensor.Tensor) ([]*tensor.Tensor, error) {
		shapes, err := g.Shapes(x.Shape[0], x.Shape[2], x.Shape[3])
		if err != nil {
			return nil, err
		}
		var maps []*tensor.Tensor
		outputs := 5 + d.Op.(*graph.Detect).Classes
		for _, in := range d.In {
			m := tensor.New(shapes[in]...)
			area := shapes[in][2] * shapes[in][3]
			for i := range m.Data {
				if i/area%outputs >= 4 { // objectness and classes
					m.Data[i] = logit
				}
			}
			maps = append(maps, m)
		}
		return maps, nil
	}
}

// results are the files that say what a run came to: all but those with times in them.
func results(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		switch filepath.Base(name) {
		case "state.json", "log.txt", "estimate.json", "report.json", "report.html", "commands.txt", lockFile, "opt.yaml":
			return nil
		}
		text, err := os.ReadFile(path)
		if filepath.Base(name) == "verdict.json" || name == "rounds.json" || name == "ended.json" {
			text = withoutSeconds(t, text)
		}
		files[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func withoutSeconds(t *testing.T, text []byte) []byte {
	var lines []string
	for line := range strings.Lines(string(text)) {
		if !strings.Contains(line, `"seconds"`) {
			lines = append(lines, line)
		}
	}
	return []byte(strings.Join(lines, ""))
}

func same(t *testing.T, got, want map[string]string) {
	t.Helper()
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("%s differs", name)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s is there and was not", name)
		}
	}
}

func TestRun(t *testing.T) {
	data := drawn(t)
	job, o := task(data)
	dir := filepath.Join(t.TempDir(), "run")
	e, err := Plan(t.Context(), job, data, o)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range e.Steps {
		if s.Epochs > 0 {
			names = append(names, s.Name)
		} else if !strings.HasSuffix(s.Name, ", table") && s.Name != int8Name || !(s.Seconds > 0) {
			t.Errorf("a step is %+v", s)
		}
	}
	want := []string{"baseline", "round 1" + preparing, "round 1", "round 2" + preparing, "round 2", "final training", "control: from scratch", "control: thin YOLOv5", int8Training}
	if !slices.Equal(names, want) || e.Child.Params > 10_000 || e.Steps[len(e.Steps)-4].Epochs != 8 || !(e.Seconds > 0) || !(e.Child.Ms > 0) {
		t.Errorf("the plan is %+v", e)
	}

	var told []string
	o.Progress = func(p Progress) {
		if p.Training != nil && p.Training.Validated != nil {
			told = append(told, p.Doing)
		}
	}
	r, err := Run(t.Context(), dir, job, data, o)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Finished || r.AtWork || !r.Choice.Reached || !r.Choice.Within || r.Handed() == nil ||
		r.Handed().points() != max(r.Final.points(), r.Scratch.points(), r.Thin.points()) {
		t.Errorf("it came to %+v", r.Choice)
	}
	if len(r.Rounds) != 2 || r.Final.Params > 10_000 || r.Final.Epochs != 8 || r.Scratch.Params != r.Final.Params || r.Thin.Params > r.Final.Params {
		t.Errorf("rounds %+v\nfinal %+v scratch %+v thin %+v", r.Rounds, r.Final, r.Scratch, r.Thin)
	}
	if !slices.Equal(slices.Compact(told), want[:len(want)-1]) { // 8 bits cost nothing here
		t.Errorf("trained were %v", told)
	}
	if r.BF16 == nil || r.BF16.Accuracy == nil || r.HandedInt8() == nil || r.HandedInt8() != r.Int8 || !strings.HasPrefix(r.Int8Trained.Missing, "8 bits cost 0.00 points") {
		t.Errorf("bf16 %+v, int8 %+v, trained %+v", r.BF16, r.Int8, r.Int8Trained)
	}
	for _, s := range r.State.Stages {
		if !s.Done {
			t.Errorf("stage %s is not done", s.Name)
		}
	}
	for _, name := range []string{"child.safetensors", "child.onnx", "child-int8.safetensors", "child-int8.onnx", rangesFile, "report.json", "report.html", "commands.txt", "log.txt"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}

	// Once finished it stays as it is, whatever a later program does beside.
	if err := os.Remove(filepath.Join(dir, "bf16.json")); err != nil {
		t.Fatal(err)
	}
	before := results(t, dir)
	if _, err := Run(t.Context(), dir, job, data, o); err != nil {
		t.Fatal(err)
	}
	same(t, results(t, dir), before)

	// Another job is refused, and the differences are named.
	for want, change := range map[string]func(*Job){
		"epochs is 5 and was 2":                  func(j *Job) { j.Epochs = 5 },
		"the pictures or labels of data.yaml":    func(j *Job) { j.DataHash = "other" },
		"hyp has other numbers: lr0: 0.5":        func(j *Job) { h := train.DefaultHyp(); h.LR0 = 0.5; j.Hyp = h.String() },
		"weights is other.pt and was none":       func(j *Job) { j.Weights = "other.pt" },
		"target is params=1M and was params=10k": func(j *Job) { j.Target = "params=1M" },
	} {
		other := job
		change(&other)
		if _, err := Run(t.Context(), dir, other, data, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// A model without batch norms, as an export is, has no control from scratch; all the rest it has.
func TestFolded(t *testing.T) {
	data := drawn(t)
	job, o := task(data)
	job.Weights, job.Cfg, job.Target = "a.onnx", "", "params=13k"
	model := o.Model
	o.Model = func() (*graph.Graph, error) {
		g, err := model()
		if err == nil {
			err = pass.FoldBatchNorm(g)
		}
		return g, err
	}
	dir := filepath.Join(t.TempDir(), "run")
	r, err := Run(t.Context(), dir, job, data, o)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Finished || r.Handed() == nil || r.Scratch.Accuracy != nil || !strings.Contains(r.Scratch.Missing, "no batch norms") || r.Thin.Accuracy == nil || r.HandedInt8() == nil {
		t.Errorf("it came to %+v, from scratch %+v", r.Choice, r.Scratch)
	}
	for file, want := range map[string]string{"child.onnx": "", "child.safetensors": "", "report.json": "was not trained from scratch beside it: yolo: the model has no batch norms"} {
		text, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s does not say %q: %v", file, want, err)
		}
	}
}

// Pictures that go bad after the start are left out; a run that goes on wants them back.
func TestLostPictures(t *testing.T) {
	data := drawn(t)
	job, o := task(data)
	job.Weights, job.Cfg, job.Target = "a.pt", "", "params=13k"
	dir := filepath.Join(t.TempDir(), "run")
	var gone []dataset.Item
	o.Progress = func(Progress) {
		for _, split := range [][]dataset.Item{data.Train, data.Val} {
			if len(gone) < 2 {
				gone = append(gone, split[0])
				if err := os.Remove(split[0].Path); err != nil {
					t.Error(err)
				}
			}
		}
	}
	r, err := Run(t.Context(), dir, job, data, o)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Finished || r.Parent.Accuracy.Pictures != len(data.Val)-1 || r.HandedInt8() == nil {
		t.Errorf("it came to %+v, measured on %d pictures", r.Choice, r.Parent.Accuracy.Pictures)
	}
	ranges, err := os.ReadFile(filepath.Join(dir, rangesFile))
	if err != nil || !strings.Contains(string(ranges), `"pictures": 5`) {
		t.Errorf("ranges are measured on others than 5 pictures: %v", err)
	}
	log, err := os.ReadFile(filepath.Join(dir, "log.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for i, of := range []string{"training", "validation"} {
		if want := `left out" of=` + of + ` "so far"=1 error="open ` + gone[i].Path; !strings.Contains(string(log), want) {
			t.Errorf("the log does not say %s", want)
		}
	}

	left := *data
	left.Train, left.Val = data.Train[1:], data.Val[1:]
	job.DataHash = HashData(&left)
	_, err = Run(t.Context(), dir, job, &left, o)
	if want := "2 pictures are missing or left out now, put them back: " + gone[0].Path + ", " + gone[1].Path; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
}

// A run that is stopped again and again ends as one that is not.
func TestStops(t *testing.T) {
	for _, target := range []string{"params=10k", "speedup=1.3x"} {
		t.Run(target, func(t *testing.T) { stops(t, target) })
	}
}

func stops(t *testing.T, target string) {
	data := drawn(t)
	job, o := task(data)
	job.Target, o.Profile = target, func(g *graph.Graph) (prune.Profile, error) { return layerTimes(g), nil }
	whole := filepath.Join(t.TempDir(), "whole")
	steps := 0
	counts := func(p Progress) bool { return p.Doing != "latency" } // which begins anew each time
	o.Progress = func(p Progress) {
		if counts(p) {
			steps++
		}
	}
	if _, err := Run(t.Context(), whole, job, data, o); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	dir, stops := filepath.Join(t.TempDir(), "stopped"), 0
	for {
		ctx, cancel := context.WithCancel(t.Context())
		left := 1 + rng.IntN(steps/4)
		o.Progress = func(p Progress) {
			if !counts(p) {
				return
			}
			if left--; left == 0 {
				cancel()
			}
		}
		_, err := Run(ctx, dir, job, data, o)
		cancel()
		if err == nil {
			break
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if r, err := ReadResult(dir); err != nil || r.Finished || r.AtWork {
			t.Fatalf("status of a stopped run: %+v, %v", r, err)
		}
		if stops++; stops > 200 {
			t.Fatal("it does not come to an end")
		}
	}
	if stops < 3 {
		t.Errorf("stopped only %d times", stops)
	}
	same(t, results(t, dir), results(t, whole))
}

// What finds less than the budget allows is tried again with half the cut, and rolled back.
func TestRollBack(t *testing.T) {
	data := drawn(t)
	job, o := task(data)
	job.MaxDrop = 0
	const cliff = 13_000 // parameters, below which nothing is found
	o.Predictor = foundIf(func(g *graph.Graph) bool { return g.ParamCount() >= cliff })
	r, err := Run(t.Context(), filepath.Join(t.TempDir(), "run"), job, data, o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Parent.points() == 0 {
		t.Fatal("the parent finds nothing, so nothing can be lost")
	}
	last, n := r.Rounds[len(r.Rounds)-1], len(r.Rounds)
	if last.Kept || last.Attempt != 2 || r.Rounds[n-2].Number != last.Number || last.Goal[0].Most <= r.Rounds[n-2].Goal[0].Most || last.Model.Epochs != 2*r.Rounds[n-2].Model.Epochs {
		t.Errorf("the last rounds are %+v and %+v", r.Rounds[n-2], last)
	}
	if r.End.Reached || r.Choice.Reached || r.Final.Params < cliff || !strings.Contains(r.End.Why, "the best reachable within 0 points is") {
		t.Errorf("it ended with %d parameters, %+v", r.Final.Params, r.End)
	}
}

// Floors end the rounds too.
func TestFloors(t *testing.T) {
	data := drawn(t)
	job, o := task(data)
	job.Target = "params=100"
	if _, err := Plan(t.Context(), job, data, o); err == nil || !strings.Contains(err.Error(), "out of reach") {
		t.Errorf("the plan for 100 parameters: %v", err)
	}
}

// Milliseconds are steered by a table that promises too much, and come out right.
func TestMilliseconds(t *testing.T) {
	if testing.Short() {
		t.Skip("trains a dozen networks")
	}
	data := drawn(t)
	job, o := task(data)
	job.Target = "speedup=1.5x"
	o.Profile = func(g *graph.Graph) (prune.Profile, error) { return layerTimes(g), nil }
	r, err := Run(t.Context(), filepath.Join(t.TempDir(), "run"), job, data, o)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Choice.Reached || r.Final.Measured > nearly*r.Parent.Measured/1.5 {
		t.Errorf("%.2f of %.2f ms: %+v", r.Final.Measured, r.Parent.Measured, r.End)
	}
}
