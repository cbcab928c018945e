package compress

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"ultrafast/onnx"
	"ultrafast/report"
	"ultrafast/train"
)

// export writes the ONNX of the child and, first, of the child in 8 bits where there is one.
func (r *run) export(context.Context) error {
	for _, from := range []string{int8File, "child.safetensors"} {
		if from == int8File && !r.done(from) {
			continue
		}
		g, err := r.open(from)
		if err != nil {
			return err
		}
		to := r.path(strings.TrimSuffix(from, ".safetensors") + ".onnx")
		size, err := onnx.Save(to, g, r.exportOptions())
		if err != nil {
			return err
		}
		r.log("exported", "file", to, "MB", round4(float64(size)/1e6))
	}
	return nil
}

// commands says what to do with the result, and how it was made.
func (r *run) commands(context.Context) error {
	found, err := ReadResult(r.dir)
	if err != nil {
		return err
	}
	return r.write("commands.txt", []byte(strings.Join(r.lines(found), "\n")+"\n"))
}

func (r *run) lines(found *Result) []string {
	j, size := r.job, fmt.Sprintf("%dx%d", r.job.Width, r.job.Height)
	if j.Width == j.Height {
		size = fmt.Sprint(j.Width)
	}
	from := "--weights " + Quote(j.Weights)
	if j.Weights == "" {
		from = "--cfg " + Quote(j.Cfg)
	}
	made := fmt.Sprintf("ultrafast compress %s --data %s --target %s --max-drop %v --img %s --epochs %d --batch %d --precision %s --seed %d",
		from, Quote(j.Data), Quote(j.Target), j.MaxDrop, size, j.Epochs, j.Batch, j.Precision, j.Seed)
	if j.Size != max(j.Width, j.Height) {
		made += fmt.Sprintf(" --train-img %d", j.Size)
	}
	if r.hyp != train.DefaultHyp() {
		made += " --hyp " + Quote(r.path("hyp.yaml"))
	}
	if runtime := cmp.Or(j.Table, j.Runtime); runtime != "native" {
		made += " --runtime " + Quote(runtime)
	}
	if j.Threads != 0 {
		made += fmt.Sprintf(" --threads %d", j.Threads)
	}
	if r.o.Device != "cpu" && r.o.Device != "" {
		made += " --device " + Quote(r.o.Device)
	}
	child, ship := Quote(r.path("child.safetensors")), Quote(r.path("child.onnx"))
	lines := []string{
		made + " -o " + Quote(r.dir),
		fmt.Sprintf("ultrafast val --weights %s --data %s --img %d", child, Quote(j.Data), j.Size),
		fmt.Sprintf("ultrafast benchmark --weights %s --img %s", ship, size),
		fmt.Sprintf("ultrafast detect --weights %s --source %s --img %s", ship, "PICTURES", size),
	}
	return append(lines, r.int8Lines(found, size)...)
}

// int8Lines make the child in 8 bits again where it was trained in them. Where it was not they
// say what is left to try: quantize, with the same ranges, corrects biases and lets layers go back
// to float, so that what it makes has a name of its own.
func (r *run) int8Lines(found *Result, size string) []string {
	in8 := found.HandedInt8()
	if in8 == nil {
		return nil
	}
	j, child, file := r.job, Quote(r.path("child.safetensors")), Quote(r.path(int8File))
	trained := in8 == found.Int8Trained
	if trained {
		file = Quote(filepath.Join("runs", "int8", "weights", "best.safetensors"))
	}
	lines := []string{
		fmt.Sprintf("ultrafast export --weights %s --include onnx --img %s -o %s", file, size, Quote(r.path("child-int8.onnx"))),
		fmt.Sprintf("ultrafast val --weights %s --data %s --img %d", file, Quote(j.Data), j.Size),
	}
	if trained {
		first := fmt.Sprintf("ultrafast train --qat --weights %s --data %s --img %d --epochs %d --batch %d --hyp %s --precision fp32 --seed %d --project runs --name int8",
			child, Quote(j.Data), j.Size, int8Epochs, j.Batch, Quote(r.path(filepath.Join(int8Folder, "hyp.yaml"))), j.Seed)
		return append([]string{first}, lines...)
	}
	return append(lines, fmt.Sprintf("ultrafast quantize --weights %s --data %s --img %d --ranges %s -o %s",
		child, Quote(j.Data), j.Size, Quote(r.path(rangesFile)), Quote(r.path("child-int8-judged.safetensors"))))
}

// Quote makes one word of a name for a shell.
func Quote(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./,=%+-") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// report writes what it all came to.
func (r *run) report(ctx context.Context) error {
	found, err := ReadResult(r.dir)
	if err != nil {
		return err
	}
	c := &report.Compression{
		Title:   strings.Join(r.data.Names, ", "),
		Created: time.Now().UTC().Format(time.RFC3339),
		Machine: report.Machine{Processor: r.o.Processor, Cores: runtime.GOMAXPROCS(0), System: runtime.GOOS + "/" + runtime.GOARCH,
			Versions: r.versions()},
		Data:     report.Data{File: r.job.Data, Train: len(r.data.Train), Val: len(r.data.Val), Classes: r.data.Names},
		Input:    report.Input{Width: r.job.Width, Height: r.job.Height, Validated: r.job.Size},
		Target:   report.Target{Limits: r.job.Target, MaxDrop: r.job.MaxDrop, Reached: found.Choice.Reached, Within: found.Choice.Within},
		Commands: r.lines(found),
		Notes:    r.notes(found),
		Missing:  map[string]string{},
	}
	for _, m := range []struct {
		name, role string
		*Model
	}{
		{"the parent", report.Parent, found.Parent}, {contestants[0].name, report.Child, found.Final},
		{contestants[1].name, report.Control, found.Scratch}, {contestants[2].name, report.Control, found.Thin},
	} {
		if m.Model == nil || m.Accuracy == nil {
			continue
		}
		st, err := os.Stat(r.path(m.File))
		if err != nil {
			return err
		}
		times, unmeasured, err := r.times(ctx, m.name, m.Model)
		if err != nil {
			return err
		}
		if unmeasured != "" {
			c.Missing[report.PartRuntime] = strings.ToUpper(unmeasured[:1]) + unmeasured[1:] + "."
		}
		c.Models = append(c.Models, report.Model{Name: m.name, Role: m.role, HandedOut: m.File == found.Choice.File, File: m.File, Bytes: st.Size(),
			Parameters: m.Params, GFLOP: report.Number(m.GFLOP), Accuracy: m.Accuracy,
			Times: times})
	}
	if c.Precisions, err = r.precisions(ctx, found, c.Models); err != nil {
		return err
	}
	if c.Int8, err = r.reportInt8(found); err != nil {
		return err
	}
	// Rounds were measured beside the parent; on the page its time is the benchmark's.
	now := 1.0
	if p := c.Models[0].Times; found.Parent.Measured > 0 && len(p) > 0 && p[0].Milliseconds.Known() {
		now = float64(p[0].Milliseconds) / found.Parent.Measured
	}
	c.Rounds = reportRounds(found, now)
	if c.Plan, err = r.widths(found); err != nil {
		return err
	}
	if c.Curves, err = r.curves(found); err != nil {
		return err
	}
	if c.Pictures, err = r.examples(ctx); err != nil {
		return err
	}
	if c.Layers, err = r.layers(found); err != nil {
		return err
	}
	if len(c.Layers.Rows) == 0 && r.o.Profile == nil {
		c.Missing[report.PartLayers] = "Milliseconds are those of a latency table, which does not know all layers: the device is not here."
	}
	return report.WriteCompression(r.dir, c)
}

// versions are those of what took part.
func (r *run) versions() map[string]string {
	all := map[string]string{"ultrafast": r.o.Version, "training": r.o.Backend.String()}
	if r.o.Peer != "" {
		all[report.ONNXRuntime] = r.o.Peer
	}
	return all
}

// times are the milliseconds of a model, first those of the device; missing is Benchmark's.
func (r *run) times(ctx context.Context, name string, m *Model) (times []report.Time, missing string, err error) {
	first := r.o.Runtime
	first.Milliseconds, first.Q1, first.Q3 = report.Number(m.Milliseconds()), report.Unknown(), report.Unknown()
	return r.benchmark(ctx, name, m.File, "fp32", []report.Time{first})
}

// benchmark adds the milliseconds of a network of the run in every runtime here to those that
// there are, in the place of what was measured before by the same. missing is Benchmark's.
func (r *run) benchmark(ctx context.Context, name, file, precision string, times []report.Time) (all []report.Time, missing string, err error) {
	if r.o.Benchmark == nil {
		return times, "", nil
	}
	g, err := r.open(file)
	if err != nil {
		return nil, "", err
	}
	r.tell(Progress{Doing: "benchmark of " + name})
	more, missing, err := r.o.Benchmark(ctx, g, precision)
	if err != nil {
		return nil, "", err
	}
	for _, t := range more {
		at := slices.IndexFunc(times, func(have report.Time) bool {
			return have.Runtime == t.Runtime && have.Threads == t.Threads && have.Precision == t.Precision
		})
		if at >= 0 {
			times[at] = t
		} else {
			times = append(times, t)
		}
	}
	return times, missing, nil
}

// notes is what a reader has to know.
func (r *run) notes(found *Result) []string {
	c := found.Choice
	notes := []string{c.Name + " is handed out; " + c.Why}
	if idle := found.Parent.Idle(); idle != "" {
		notes = append(notes, idle)
	}
	if found.Parent.Epochs > 0 {
		notes = append(notes, fmt.Sprintf("there was no model for these data: the parent was trained for %d epochs", found.Parent.Epochs))
	}
	seen := fmt.Sprintf("the pruned network and its controls saw the data %d times each in this run", found.Final.Epochs)
	if found.Parent.Epochs == 0 {
		seen += "; the pruned one began with the weights of the parent, whose training before is not counted"
	}
	notes = append(notes, seen)
	notes = append(notes, found.End.Why)
	if !c.Within {
		notes = append(notes, fmt.Sprintf("it is %.2f points of mAP50-95 below the parent, and %v were allowed", c.Drop, r.job.MaxDrop))
	}
	if s := found.Scratch; s != nil && s.Accuracy == nil {
		notes = append(notes, "the same shape was not trained from scratch beside it: "+s.Missing)
	}
	if found.Thin != nil && found.Thin.Accuracy == nil {
		notes = append(notes, "there is no thin YOLOv5n beside it: "+cmp.Or(found.Thin.Missing, "see log.txt"))
	}
	if m := found.Thin; m != nil && m.File == c.File {
		notes = append(notes, "rounds and plan are those of the pruned network, which is not the one that is handed out")
	}
	return notes
}

// reportRounds takes milliseconds times now.
func reportRounds(found *Result, now float64) []report.Round {
	var all []report.Round
	for _, v := range found.Rounds {
		row := report.Round{Name: v.Name(), Before: report.Number(v.Before / 100), Predicted: report.Unknown(), AfterCut: report.Unknown(),
			Epochs: v.Epochs, RolledBack: !v.Kept, Why: v.Why, Seconds: report.Number(v.Seconds),
			GFLOP: report.Unknown(), Milliseconds: report.Unknown(), AfterTraining: report.Unknown()}
		if v.Model != nil {
			if v.Model.Ms > 0 {
				row.Predicted = report.Number(v.Model.Ms)
			}
			row.AfterCut = report.Number(v.AfterCut / 100)
			row.Done = fmt.Sprintf("cut by %s, %d epochs", v.By, v.Epochs)
			row.Parameters, row.GFLOP = v.Model.Params, report.Number(v.Model.GFLOP)
			if v.Model.Measured > 0 {
				row.Milliseconds = report.Number(now * v.Model.Measured)
			}
			row.AfterTraining = v.Model.Accuracy.MAP5095
		}
		all = append(all, row)
	}
	return all
}
