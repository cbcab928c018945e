//go:build !static

package main

import (
	"cmp"
	"errors"
	"runtime"
	"strings"
	"time"

	"ultrafast/detect"
	"ultrafast/graph"
	"ultrafast/ort"
	"ultrafast/picture"
	"ultrafast/tensor"
)

// ONNX Runtime's library is opened at run time, so the tag "static" leaves it out, as it
// does libtorch (bridge.go).

// onnxRuntime is package ort with one provider. It closes its sessions.
type onnxRuntime struct {
	*ort.Runtime
	provider ort.Provider
	sessions []*ort.Session
}

func openORT(provider string) (runner, error) {
	path, err := ort.Find()
	if err != nil {
		return nil, err
	}
	r, err := ort.Open(path)
	if err != nil {
		return nil, err
	}
	return &onnxRuntime{Runtime: r, provider: ort.Provider(provider)}, nil
}

func (r *onnxRuntime) String() string { return r.Runtime.String() + ", " + string(r.provider) }

func (r *onnxRuntime) Compile(raw *graph.Graph, o detect.Options) (func() (detect.Network, error), error) {
	return func() (detect.Network, error) {
		s, err := r.session(raw, o, false)
		if err != nil {
			return nil, err
		}
		r.sessions = append(r.sessions, s)
		return &ortNetwork{s, tensor.New(1, 3, o.Height, o.Width)}, nil
	}, nil
}

// An ortNetwork turns pixels into the tensor that ONNX Runtime takes.
type ortNetwork struct {
	*ort.Session
	input *tensor.Tensor
}

func (n *ortNetwork) RunRGB(pixels []uint8) ([]*tensor.Tensor, error) {
	p := picture.RGB{Pix: pixels, W: n.input.Shape[3], H: n.input.Shape[2]}
	p.CHW(n.input.Data)
	return n.Run(n.input)
}

func (r *onnxRuntime) session(raw *graph.Graph, o detect.Options, profile bool) (*ort.Session, error) {
	return r.Runtime.Compile(raw, 1, o.Height, o.Width, ort.Options{
		Threads:  cmp.Or(o.Threads, runtime.GOMAXPROCS(0)), // ONNX Runtime counts cores that it may not use
		Provider: r.provider,
		Profile:  profile,
	})
}

func (r *onnxRuntime) Close() error {
	var errs []error
	for _, s := range r.sessions {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, r.Runtime.Close())...)
}

// Profile's names are those of the model's nodes where ONNX Runtime has kept them.
func (r *onnxRuntime) Profile(raw *graph.Graph, o detect.Options, x *tensor.Tensor, runs int) (spread, []stepTime, error) {
	flop, err := convFLOP(raw, o)
	if err != nil {
		return spread{}, nil, err
	}
	whole, _, err := r.runs(raw, o, x, runs, false) // ONNX Runtime's profiling takes time itself
	if err != nil {
		return spread{}, nil, err
	}
	_, nodes, err := r.runs(raw, o, x, runs, true)
	if err != nil {
		return spread{}, nil, err
	}
	var steps []stepTime
	for _, n := range nodes {
		if len(n.Times) <= runs {
			continue // done once, when the model was loaded
		}
		name := strings.TrimSuffix(n.Name, "_nchwc")
		steps = append(steps, stepTime{name, n.Op, flop[name], newSpread(n.Times[1:])})
	}
	return whole, steps, nil
}

// runs runs a network once to warm up and then that many times.
func (r *onnxRuntime) runs(raw *graph.Graph, o detect.Options, x *tensor.Tensor, runs int, profile bool) (whole spread, nodes []ort.NodeTime, err error) {
	s, err := r.session(raw, o, profile)
	if err != nil {
		return whole, nil, err
	}
	defer s.Close()
	times := make([]time.Duration, runs+1)
	for i := range times {
		start := time.Now()
		if _, err := s.Run(x); err != nil {
			return whole, nil, err
		}
		times[i] = time.Since(start)
	}
	if profile {
		if nodes, err = s.EndProfile(); err != nil {
			return whole, nil, err
		}
	}
	return newSpread(times[1:]), nodes, nil
}

// convFLOP returns what each convolution costs for one picture, by its name.
func convFLOP(g *graph.Graph, o detect.Options) (map[string]int64, error) {
	shapes, err := g.Shapes(1, o.Height, o.Width)
	if err != nil {
		return nil, err
	}
	flop := map[string]int64{}
	for _, n := range g.Nodes {
		flop[n.Name] = 2 * n.MACs(shapes)
	}
	return flop, nil
}
