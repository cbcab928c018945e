package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/pflag"

	"ultrafast/detect"
	"ultrafast/engine"
	"ultrafast/graph"
	"ultrafast/tensor"
)

// A runner is what networks run in: the engine, or ONNX Runtime.
type runner interface {
	String() string // with its version
	// Compile is a detect.Compiler. Its networks must not run after Close.
	Compile(raw *graph.Graph, o detect.Options) (detect.Network, error)
	// Profile runs a network that many times and returns its steps in order.
	Profile(raw *graph.Graph, o detect.Options, x *tensor.Tensor, runs int) ([]stepTime, error)
	Close() error
}

// A stepTime is a line of a profile.
type stepTime struct {
	Name   string        // of the node that it computes: model.4.cv1.conv
	Kernel string        // how
	FLOP   int64         // of a convolution, two a multiply-add; 0 for the rest
	Time   time.Duration // of one run, the median
}

// runtimeFlags say what a command's network runs in.
type runtimeFlags struct{ runtime, provider string }

func (f *runtimeFlags) addRuntime(fl *pflag.FlagSet) {
	fl.StringVar(&f.runtime, "runtime", "native", "what the network runs in: native, or ort (ONNX Runtime)")
	addProvider(fl, &f.provider)
}

func addProvider(fl *pflag.FlagSet, provider *string) {
	fl.StringVar(provider, "provider", "cpu", "what ONNX Runtime computes with: cpu, cuda or tensorrt")
}

func (f *runtimeFlags) openRuntime() (runner, error) {
	if err := checkProvider(f.provider, f.runtime); err != nil {
		return nil, err
	}
	r, err := openRunner(f.runtime, f.provider)
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

func openRunner(name, provider string) (runner, error) {
	switch name {
	case "native":
		return native{}, nil
	case "ort":
		return openORT(provider)
	}
	return nil, errors.New("want native or ort")
}

// native is package engine.
type native struct{}

func (native) String() string { return "engine of ultrafast " + version }

func (native) Compile(raw *graph.Graph, o detect.Options) (detect.Network, error) {
	return detect.Native(raw, o)
}

func (native) Close() error { return nil }

func (native) Profile(raw *graph.Graph, o detect.Options, x *tensor.Tensor, runs int) ([]stepTime, error) {
	p, err := engine.Compile(raw, engine.Options{Batch: 1, Height: o.Height, Width: o.Width, Threads: o.Threads})
	if err != nil {
		return nil, err
	}
	s := p.NewSession()
	if _, err := s.Run(x); err != nil { // warms up
		return nil, err
	}
	infos := p.Steps()
	times := make([][]time.Duration, len(infos))
	s.Time(func(step int, d time.Duration) { times[step] = append(times[step], d) })
	for range runs {
		if _, err := s.Run(x); err != nil {
			return nil, err
		}
	}
	steps := make([]stepTime, len(infos))
	for i, info := range infos {
		steps[i] = stepTime{info.Name, info.Kernel, 2 * info.MACs, newSpread(times[i]).median}
	}
	return steps, nil
}
