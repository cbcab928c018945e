package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"ultrafast/detect"
	"ultrafast/engine"
	"ultrafast/engine/tuned"
	"ultrafast/graph"
	"ultrafast/tensor"
)

// A runner is what networks run in: the engine, or ONNX Runtime.
type runner interface {
	String() string // with its version
	// Compile is a detect.Compiler. Its networks must not run after Close.
	Compile(raw *graph.Graph, o detect.Options) (func() (detect.Network, error), error)
	// Profile runs a network that many times and returns what the whole takes, and its steps
	// in order.
	Profile(raw *graph.Graph, o detect.Options, x *tensor.Tensor, runs int) (spread, []stepTime, error)
	Close() error
}

// A stepTime is a line of a profile.
type stepTime struct {
	Name   string // of the node that it computes: model.4.cv1.conv
	Kernel string // how
	FLOP   int64  // of a convolution, two a multiply-add; 0 for the rest
	Time   spread // of one run
}

// runtimeFlags say what a command's network runs in.
type runtimeFlags struct {
	runtime, provider, precision string
	engineFlags
}

// engineFlags say what the engine compiles for.
type engineFlags struct {
	cpu  string
	tune time.Duration
}

func (f *runtimeFlags) addRuntime(fl *pflag.FlagSet) {
	fl.StringVar(&f.runtime, "runtime", "native", "what the network runs in: native, or ort (ONNX Runtime)")
	addProvider(fl, &f.provider)
	fl.StringVar(&f.precision, "precision", engine.FP32, "what the engine computes in: fp32, or bf16 where the processor can")
	f.addEngine(fl)
}

func (f *engineFlags) addEngine(fl *pflag.FlagSet) {
	addCPU(fl, &f.cpu)
	fl.DurationVar(&f.tune, "tune", 0, "measure first, for so long, how the model's layers are best computed here, and remember it")
	fl.Lookup("tune").NoOptDefVal = "10s"
}

func addProvider(fl *pflag.FlagSet, provider *string) {
	fl.StringVar(provider, "provider", "cpu", "what ONNX Runtime computes with: cpu, cuda or tensorrt")
}

func addCPU(fl *pflag.FlagSet, cpu *string) {
	fl.StringVar(cpu, "cpu", "", "what the engine writes code for; this machine runs "+strings.Join(engine.CPUs(), ", ")+" (default: the first)")
}

// openRuntime opens what the flags say. Tuning tells out how far it is, until ctx ends.
func (f *runtimeFlags) openRuntime(ctx context.Context, out io.Writer) (runner, error) {
	if err := checkProvider(f.provider, f.runtime); err != nil {
		return nil, err
	}
	if err := f.check(f.runtime); err != nil {
		return nil, err
	}
	if err := checkPrecision(f.precision, f.runtime); err != nil {
		return nil, err
	}
	r, err := openRunner(ctx, out, f.runtime, f.provider, f.engineFlags)
	if err != nil {
		return nil, fmt.Errorf("--runtime %s: %w", f.runtime, err)
	}
	return r, nil
}

func checkProvider(provider string, runtimes ...string) error {
	switch {
	case provider != "cpu" && provider != "cuda" && provider != "tensorrt":
		return fmt.Errorf("--provider %q: want cpu, cuda or tensorrt", provider)
	case provider != "cpu" && !slices.Contains(runtimes, "ort"):
		return fmt.Errorf("--provider %s: is for ONNX Runtime (ort)", provider)
	}
	return nil
}

func checkPrecision(precision string, runtimes ...string) error {
	switch {
	case precision == engine.Int8:
		return fmt.Errorf("--precision %s: is what a quantised model is computed in without it; ultrafast quantize makes one", precision)
	case precision != engine.FP32 && precision != engine.BF16:
		return fmt.Errorf("--precision %q: want %s or %s", precision, engine.FP32, engine.BF16)
	case precision != engine.FP32 && !slices.Contains(runtimes, "native"):
		return fmt.Errorf("--precision %s: is for the engine (native)", precision)
	}
	return nil
}

func (f *engineFlags) check(runtimes ...string) error {
	switch {
	case f.tune < 0:
		return fmt.Errorf("--tune %v: want a time above 0", f.tune)
	case f.tune > 0 && !slices.Contains(runtimes, "native"):
		return errors.New("--tune: is for the engine (native)")
	}
	return checkCPU(f.cpu, runtimes...)
}

func checkCPU(cpu string, runtimes ...string) error {
	if err := engine.CheckCPU(cpu); err != nil {
		return fmt.Errorf("--cpu %q: %w", cpu, err)
	}
	if cpu != "" && !slices.Contains(runtimes, "native") {
		return fmt.Errorf("--cpu %s: is for the engine (native)", cpu)
	}
	return nil
}

func openRunner(ctx context.Context, out io.Writer, name, provider string, f engineFlags) (runner, error) {
	switch name {
	case "native":
		return native{ctx, out, cmp.Or(f.cpu, engine.CPUs()[0]), f.tune}, nil
	case "ort":
		return openORT(provider)
	}
	return nil, errors.New("want native or ort")
}

// native is package engine.
type native struct {
	ctx  context.Context // of the command, which tuning ends with
	out  io.Writer       // for tuning's progress
	cpu  string
	tune time.Duration
}

func (r native) String() string { return "engine of ultrafast " + version + ", " + r.cpu }

func (r native) Compile(raw *graph.Graph, o detect.Options) (func() (detect.Network, error), error) {
	o.CPU = r.cpu
	if r.tune > 0 {
		bar := newProgress(r.out)
		const steps = 1000
		_, err := tuned.Tune(r.ctx, raw, o.Engine(), r.tune, func(done float64) { bar.set("tuning", int(done*steps), steps) })
		bar.clear()
		if err != nil {
			return nil, fmt.Errorf("tuning: %w", err)
		}
	}
	return detect.Native(raw, o)
}

func (native) Close() error { return nil }

func (r native) Profile(raw *graph.Graph, o detect.Options, x *tensor.Tensor, runs int) (spread, []stepTime, error) {
	o.CPU = r.cpu
	p, err := tuned.Compile(raw, o.Engine())
	if err != nil {
		return spread{}, nil, err
	}
	whole, times, err := stepTimes(p, runs, func(s *engine.Session) error {
		_, err := s.Run(x)
		return err
	})
	if err != nil {
		return spread{}, nil, err
	}
	steps := make([]stepTime, len(times))
	for i, info := range p.Steps() {
		steps[i] = stepTime{info.Name, info.Kernel, 2 * info.MACs, times[i]}
	}
	return whole, steps, nil
}

// stepTimes calls run with a session of p, once to warm up and then runs times, fewer where
// that takes long, and returns what the whole and each step took. Looking at the steps costs
// less than a thousandth.
func stepTimes(p *engine.Program, runs int, run func(*engine.Session) error) (spread, []spread, error) {
	s := p.NewSession()
	if err := run(s); err != nil {
		return spread{}, nil, err
	}
	var whole []time.Duration
	all := make([][]time.Duration, len(p.Steps()))
	s.Time(func(step int, d time.Duration) { all[step] = append(all[step], d) })
	for i, start := 0, time.Now(); i < min(runs, 3) || i < runs && time.Since(start) < 5*time.Second; i++ {
		begin := time.Now()
		if err := run(s); err != nil {
			return spread{}, nil, err
		}
		whole = append(whole, time.Since(begin))
	}
	steps := make([]spread, len(all))
	for i, times := range all {
		steps[i] = newSpread(times)
	}
	return newSpread(whole), steps, nil
}
