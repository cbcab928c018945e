package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"runtime"
	"slices"

	"ultrafast/compress"
	"ultrafast/engine"
	"ultrafast/graph"
	"ultrafast/report"
)

// timesSeconds is what a row of the report's table of times takes.
const timesSeconds = 0.6

// benchmarkTimes measures a network as benchmark does, with one thread and with the job's, in
// the engine and, where its library is and computes in that precision, in ONNX Runtime; missing
// says why it does not. What ONNX Runtime makes of 8 bits saturates on some processors: where it
// is not what the engine gives, in whatever precision, it is left out.
func benchmarkTimes(ctx context.Context, out io.Writer, g *graph.Graph, j compress.Job, precision string) (times []report.Time, missing string, err error) {
	names := []string{"native", "ort"}
	switch {
	case precision == engine.BF16:
		names, missing = names[:1], "ONNX Runtime does not compute in it on CPUs"
	default:
		if _, err := peerVersion(ctx, out); err != nil {
			names, missing = names[:1], "ONNX Runtime cannot be measured beside it: "+err.Error()
		}
	}
	times, err = timesIn(ctx, out, names, g, j, precision)
	var unlike *unlikeError
	if errors.As(err, &unlike) && len(names) > 1 {
		missing = "it is not measured in ONNX Runtime, which gives other numbers here: " + unlike.Error()
		times, err = timesIn(ctx, out, names[:1], g, j, precision)
	}
	return times, missing, err
}

// peerVersion is what ONNX Runtime says of itself; the error, why it cannot be opened.
func peerVersion(ctx context.Context, out io.Writer) (string, error) {
	r, err := openRunner(ctx, out, "ort", "cpu", engineFlags{})
	if err != nil {
		return "", err
	}
	defer r.Close()
	return r.String(), nil
}

// timesIn measures in these runtimes, in turns.
func timesIn(ctx context.Context, out io.Writer, names []string, g *graph.Graph, j compress.Job, precision string) ([]report.Time, error) {
	b, err := newBenchmark(g, j.Width, j.Height)
	if err != nil {
		return nil, err
	}
	defer b.close()
	for _, name := range names {
		if err := b.open(ctx, out, name, "cpu", engineFlags{}); err != nil {
			return nil, err
		}
	}
	asked := precision
	if asked == engine.Int8 { // cannot be asked for: a quantised network has it
		asked = engine.FP32
	}
	var times []report.Time
	for _, threads := range slices.Compact([]int{1, cmp.Or(j.Threads, runtime.GOMAXPROCS(0))}) {
		rows, err := b.cell(ctx, threads, asked, timesSeconds, false, func() {})
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			times = append(times, report.Time{Runtime: runtimeName(r.Runtime), Threads: r.Threads, Precision: r.Precision,
				Milliseconds: report.Number(r.Network.Median), Q1: report.Number(r.Network.Q1), Q3: report.Number(r.Network.Q3)})
		}
	}
	return times, nil
}

// runtimeName is what a report calls a runtime.
func runtimeName(name string) string {
	if name == "ort" {
		return report.ONNXRuntime
	}
	return report.Native
}

// inBF16 is how a compression measures in bfloat16: as d does, if that is the engine.
func inBF16(d *device) compress.Precision {
	if err := engine.BF16Missing(); err != nil {
		return compress.Precision{Missing: err.Error()}
	}
	p := compress.Precision{Predictor: predictorIn(engine.BF16)}
	if d != nil && d.name == "native" {
		same := *d
		same.int8, same.o.Precision = false, engine.BF16
		p.Profile = same.profile
	}
	return p
}
