package compress

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"ultrafast/dataset"
	"ultrafast/graph"
	"ultrafast/prune"
	"ultrafast/quant"
	"ultrafast/report"
	"ultrafast/train"
)

// Options are what a run needs of the machine and of the program around it. They do not
// decide the result, but for what a machine rounds.
type Options struct {
	Backend   train.Backend
	Version   string // of the program, for the files
	Peer      string // ONNX Runtime's version, for the report; empty where Benchmark does not measure in it
	Processor string // of this machine, for the report
	Device    string // of Backend, as --device names it

	// Model returns the model of Job.Weights or, with random weights, of Job.Cfg. Unsized is
	// as train.Config.FitAnchors for it.
	Model   func() (*graph.Graph, error)
	Unsized bool

	// Predictor makes what validations run a network in, in fp32 or, where it is quantised, in
	// 8 bits.
	Predictor func(g *graph.Graph) (train.Predict, error)
	BF16      Precision    // the same for bfloat16
	Values    quant.Runner // runs a network on squares of Job.Size, one at a time, for the ranges of its values
	// Judge makes what compares cuts of a network. It tells lost what train.JudgeOptions says.
	Judge func(ctx context.Context, lost func(err error, lost int)) (*train.Judge, error)
	// Profile runs a network on the device, for a picture of the job's size; nil where the
	// device is not here.
	Profile func(g *graph.Graph) (prune.Profile, error)
	Runtime report.Time // what Profile measures in: all but the milliseconds
	Clock   string      // the same as latency.csv has it
	// Benchmark measures a network for the report on this machine, in a precision, in every
	// runtime that has it and with few and many threads, in turns; missing says which runtime has
	// not. nil leaves that out.
	Benchmark func(ctx context.Context, g *graph.Graph, precision string) (times []report.Time, missing string, err error)

	// Pictures is a folder where decoded pictures are kept for the stages to come and for other
	// runs; empty is none, and then each stage decodes them anew.
	Pictures string

	Latency *prune.Latency // of Job.Table, where the device is not here; Profile is nil then

	Log      *slog.Logger   // beside log.txt, where all goes; nil is only that
	Progress func(Progress) // is told often, if not nil
}

// A Precision is how networks are measured in one, as Options has it for fp32.
type Precision struct {
	Predictor func(g *graph.Graph) (train.Predict, error) // nil where the processor does not compute in it
	Missing   string                                      // why there is no Predictor
	Profile   func(g *graph.Graph) (prune.Profile, error) // nil where the device is not here, or its runtime has no such precision
}

// A run is one compression at work.
type run struct {
	dir    string
	job    Job
	limits prune.Limits
	hyp    train.Hyp
	data   *dataset.Data
	o      Options
	state  State
	plan   *Estimate        // nil before it is made
	judge  *train.Judge     // of cuts; nil until it is needed
	clock  *prune.Latency   // of latency.csv; nil without
	slower map[bool]float64 // than planned, with a teacher and without; see left
	file   *slog.Logger     // log.txt
}

func newRun(dir string, job Job, data *dataset.Data, o Options) (*run, error) {
	if err := job.check(); err != nil {
		return nil, err
	}
	limits, err := prune.ParseLimits(job.Target)
	if err != nil {
		return nil, err
	}
	hyp, err := job.hyp()
	if err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	return &run{dir: dir, job: job, limits: limits, clock: o.Latency, slower: map[bool]float64{}, hyp: hyp, data: data, o: o}, nil
}

// fp32 is also what a quantised network is measured by, which has a precision of its own.
func (r *run) fp32() Precision { return Precision{Predictor: r.o.Predictor, Profile: r.o.Profile} }

func (r *run) log(what string, args ...any) { r.o.Log.Info(what, args...) }

// Run makes the small model that the job asks for in dir, which is made, or goes on with
// the run that was begun there. data is what job.Data names, with training and validation
// pictures. A run that was started with another job is refused, unless it has no plan yet, and
// so is one that is at work. When ctx ends Run stops, within a step of a training; the error
// wraps the context's.
func Run(ctx context.Context, dir string, job Job, data *dataset.Data, o Options) (*Result, error) {
	r, err := newRun(dir, job, data, o)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	release, err := lock(dir)
	if err != nil {
		return nil, err
	}
	defer release()
	was, err := ReadState(dir)
	switch {
	case missing(err):
		if err := empty(dir); err != nil {
			return nil, errors.Join(err, os.Remove(r.path(lockFile))) // nothing of this is to stay there
		}
		r.state = newState(job)
	case err != nil:
		return nil, err
	default:
		if r.state, err = r.goOn(was); err != nil {
			return nil, err
		}
	}
	finished := r.finished()
	if !finished {
		r.state.Device = o.Device
	}
	if err := errors.Join(r.saveState(), r.write("hyp.yaml", []byte(job.Hyp)), r.writeJSON(picturesFile, pathsOf(data))); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(r.path("log.txt"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	r.file = slog.New(slog.NewTextHandler(file, nil))
	r.o.Log = slog.New(slog.NewMultiHandler(r.o.Log.Handler(), r.file.Handler()))
	if err := r.openLatency(); err != nil {
		return nil, err
	}
	if r.done("estimate.json") {
		r.plan = &Estimate{}
		if err := r.readJSON("estimate.json", r.plan); err != nil {
			return nil, err
		}
	}
	if finished {
		return ReadResult(dir)
	}
	if err := r.stages(ctx, r.way()); err != nil {
		r.o.Log.Warn("stopped", "error", err)
		return nil, err
	}
	return ReadResult(dir)
}

// goOn is the state of a run that was begun, if that was with the same job. Where nothing came
// of it yet, a target out of reach for instance, another job may take its place.
func (r *run) goOn(was State) (State, error) {
	d := r.job.Differences(was.Job)
	if len(d) == 0 {
		was.Job = r.job // its files may lie elsewhere now
		return was, nil
	}
	if r.done("estimate.json") {
		if gone := r.gone(); gone != "" && r.job.Data == was.Job.Data {
			d = append(d, gone)
		}
		return was, fmt.Errorf("the run in %s was started with something else: %s; name another folder with -o to start anew", r.dir, strings.Join(d, "; "))
	}
	if err := os.Remove(r.path("latency.csv")); err != nil && !missing(err) { // of another model, perhaps
		return was, err
	}
	return newState(r.job), nil
}

// empty refuses a folder in which something else is, and removes what is left of a state.json
// that was not written to its end.
func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if rest, ok := strings.CutPrefix(name, ".state.json"); ok && strings.Trim(rest, "0123456789") == "" {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				return err
			}
			continue
		}
		if name != lockFile {
			return fmt.Errorf("%s: holds %s and no run of compress: name another folder with -o", dir, name)
		}
	}
	return nil
}
