package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"ultrafast/compress"
	"ultrafast/engine"
	"ultrafast/graph"
	"ultrafast/quant"
	"ultrafast/report"
	"ultrafast/scene"
	"ultrafast/tensor"
	"ultrafast/yolo"
)

// Each precision is measured in the runtimes that have it, and what has not is named.
func TestBenchmarkTimes(t *testing.T) {
	cfg, err := yolo.ParseConfig(strings.NewReader(tinyConfig))
	if err != nil {
		t.Fatal(err)
	}
	g, err := yolo.New(cfg, scene.Names, 1)
	if err != nil {
		t.Fatal(err)
	}
	x := tensor.New(1, 3, 64, 64)
	for i := range x.Data {
		x.Data[i] = float32(i*i%251) / 250
	}
	pictures := func(yield func(*tensor.Tensor, error) bool) { yield(x, nil) }
	ranges, err := quant.Calibrate(g, pictures, (&calibration{w: 64, h: 64}).runner, "")
	if err != nil {
		t.Fatal(err)
	}
	q, err := quant.Quantize(g, ranges, quant.Options{})
	if err != nil {
		t.Fatal(err)
	}
	both, without := []string{report.Native}, "ONNX Runtime cannot be measured beside it: "
	if ortFound() {
		both, without = append(both, report.ONNXRuntime), ""
	}
	for _, c := range []struct {
		precision string
		g         *graph.Graph
		runtimes  []string
		tolerance float64 // 0 is met by the engine beside itself alone
		missing   string
	}{
		{engine.FP32, g, both, 0.1, without},
		{engine.BF16, g, both[:1], 0.1, "ONNX Runtime does not compute in it"},
		{engine.Int8, q, both, 2, without},
		{engine.Int8, q, both[:1], 0, "it is not measured in ONNX Runtime, which gives other numbers here"},
	} {
		if c.precision == engine.BF16 && engine.BF16Missing() != nil || c.tolerance == 0 && len(both) == 1 {
			continue
		}
		was := tolerances[c.precision]
		tolerances[c.precision] = c.tolerance
		var out bytes.Buffer
		times, missing, err := benchmarkTimes(t.Context(), &out, c.g, compress.Job{Width: 64, Height: 64, Threads: 1}, c.precision)
		tolerances[c.precision] = was
		if err != nil || !strings.HasPrefix(missing, c.missing) || (missing == "") != (c.missing == "") {
			t.Errorf("%s: %q, %v", c.precision, missing, err)
		}
		var runtimes []string
		for _, m := range times {
			if m.Precision != c.precision || !(m.Milliseconds > 0) {
				t.Errorf("%s: %+v", c.precision, m)
			}
			if !slices.Contains(runtimes, m.Runtime) {
				runtimes = append(runtimes, m.Runtime)
			}
		}
		if !slices.Equal(runtimes, c.runtimes) {
			t.Errorf("%s is measured in %v, want %v", c.precision, runtimes, c.runtimes)
		}
	}
	if len(both) == 1 || runtime.GOOS != "linux" {
		return
	}
	t.Chdir(t.TempDir()) // where a library is found that is none
	if err := errors.Join(os.Mkdir(".deps", 0o777), os.WriteFile(".deps/libonnxruntime.so", []byte("junk"), 0o666)); err != nil {
		t.Fatal(err)
	}
	times, missing, err := benchmarkTimes(t.Context(), io.Discard, g, compress.Job{Width: 64, Height: 64, Threads: 1}, engine.FP32)
	if err != nil || len(times) != 1 || !strings.HasPrefix(missing, "ONNX Runtime cannot be measured beside it: ") {
		t.Errorf("with a broken library: %v, missing %q, %v", times, missing, err)
	}
}

// TestCompressClocks has each runtime of this machine measure a network in float and one in 8 bits.
func TestCompressClocks(t *testing.T) {
	cfg, err := yolo.ParseConfig(strings.NewReader(tinyConfig))
	if err != nil {
		t.Fatal(err)
	}
	g, err := yolo.New(cfg, nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	eight, err := timedInEightBits(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	command := compressCommand()
	command.SetContext(t.Context())
	for runtime, precision := range map[string]string{"native": engine.FP32, engine.Int8: engine.Int8} {
		var o compress.Options
		d, err := (&compressFlags{}).clock(command, compress.Job{Runtime: runtime, Width: 64, Height: 64}, &o)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if o.Runtime.Precision != precision || o.Runtime.Runtime != report.Native {
			t.Errorf("%s is called %+v", runtime, o.Runtime)
		}
		for _, g := range []*graph.Graph{g, eight} {
			if p, err := o.Profile(g); err != nil || p.Ms <= 0 {
				t.Errorf("%s: %v, %v", runtime, p.Ms, err)
			}
		}
		if b := inBF16(d); b.Missing == "" {
			if p, err := b.Profile(g); err != nil || p.Ms <= 0 {
				t.Errorf("%s in bf16: %v, %v", runtime, p.Ms, err)
			}
		}
	}
}
