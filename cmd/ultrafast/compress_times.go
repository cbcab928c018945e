package main

import (
	"context"
	"io"
	"runtime"
	"slices"

	"ultrafast/engine"
	"ultrafast/graph"
	"ultrafast/report"
)

// timesSeconds is what a row of the report's table of times takes.
const timesSeconds = 0.6

// benchmarkTimes measures a network as benchmark does, with one thread and with all cores, in
// the engine and, where its library is, in ONNX Runtime.
func benchmarkTimes(ctx context.Context, out io.Writer, g *graph.Graph, w, h int) ([]report.Time, error) {
	b, err := newBenchmark(g, w, h)
	if err != nil {
		return nil, err
	}
	defer b.close()
	names := []string{"native"}
	if ortFound() {
		names = append(names, "ort")
	}
	for _, name := range names {
		if err := b.open(ctx, out, name, "cpu", engineFlags{}); err != nil {
			return nil, err
		}
	}
	var times []report.Time
	for _, threads := range slices.Compact([]int{1, runtime.GOMAXPROCS(0)}) {
		rows, err := b.cell(ctx, threads, engine.FP32, timesSeconds, false, func() {})
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
		return "ONNX Runtime"
	}
	return name
}
