package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"ultrafast/engine"
)

type benchmarkFlags struct {
	modelFlags
	img, provider string
	engineFlags
	seconds             float64
	threads             []int
	runtimes, precision []string
	profile, asJSON     bool
}

func benchmarkCommand() *cobra.Command {
	f := &benchmarkFlags{}
	c := &cobra.Command{
		Use:   "benchmark --weights MODEL | --cfg yolov5n|FILE.yaml",
		Short: "Measure a model's speed beside ONNX Runtime's",
		Long: fmt.Sprintf(`Measure how long a model takes, in this program's engine and in ONNX Runtime: the
network alone, from its input to the raw maps, and whole frames, from a drawn picture
of %dx%d in memory to boxes in it.

The runtimes take turns, %d rounds of each, so that whatever else the machine does meets
both; their ratio is taken within rounds. Before, their maps are compared: where they
differ by more than %g of the largest number (%g in bf16 and int8), nothing is measured,
or, where --precision has quantised the model, only the first.

With --cfg the weights are random; a .pt, .safetensors or .onnx there lends its shape only.`,
			frameWidth, frameHeight, rounds, tolerances[engine.FP32], tolerances[engine.BF16]),
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	fl := c.Flags()
	f.addModel(fl)
	fl.StringVar(&f.img, "img", "640", "network input: a side, or WIDTHxHEIGHT")
	fl.IntSliceVar(&f.threads, "threads", slices.Compact([]int{1, runtime.GOMAXPROCS(0)}), "numbers of threads to measure with")
	fl.StringSliceVar(&f.runtimes, "runtimes", []string{"native", "ort"}, "native, ort (ONNX Runtime), or both")
	addProvider(fl, &f.provider)
	f.addEngine(fl)
	fl.StringSliceVar(&f.precision, "precision", []string{"fp32"}, "what a float network is computed in: fp32; bf16, where ONNX Runtime stays in fp32; int8 in both, quantised with the ranges of the drawn picture")
	fl.Float64Var(&f.seconds, "seconds", 10, "time to measure for, for each runtime and number of threads")
	fl.BoolVar(&f.profile, "profile", false, "print what each step of the network takes, too")
	fl.BoolVar(&f.asJSON, "json", false, "print JSON")
	return c
}

func (f *benchmarkFlags) check() error {
	if err := f.modelFlags.check(); err != nil {
		return err
	}
	switch {
	case !(f.seconds > 0 && f.seconds <= 3600):
		return fmt.Errorf("--seconds %v: want above 0 and at most 3600", f.seconds)
	case len(f.threads) == 0 || len(f.runtimes) == 0 || len(f.precision) == 0:
		return errors.New("--threads, --runtimes and --precision: want at least one each")
	}
	for _, n := range f.threads {
		if n < 1 || n > 1024 {
			return fmt.Errorf("--threads %d: want 1 to 1024", n)
		}
	}
	for _, p := range f.precision {
		if err := checkAnyPrecision(p, f.runtimes...); err != nil {
			return err
		}
	}
	if err := checkProvider(f.provider, f.runtimes...); err != nil {
		return err
	}
	return f.engineFlags.check(f.runtimes...)
}

func (f *benchmarkFlags) run(c *cobra.Command) error {
	if err := f.check(); err != nil {
		return err
	}
	g, w, h, err := f.modelAt(f.img, c.ErrOrStderr())
	if err != nil {
		return err
	}
	b, err := newBenchmark(g, w, h)
	if err != nil {
		return fmt.Errorf("%s: %w", cmp.Or(f.weights, f.cfg), err)
	}
	defer b.close()
	for _, name := range f.runtimes {
		if err := b.open(c.Context(), c.ErrOrStderr(), name, f.provider, f.engineFlags); err != nil {
			return err
		}
	}
	report, err := f.measure(c.Context(), b, newProgress(c.ErrOrStderr()))
	if err != nil {
		return err
	}
	report.Model = f.title()
	if f.asJSON {
		e := json.NewEncoder(c.OutOrStdout())
		e.SetIndent("", " ")
		return e.Encode(report)
	}
	return report.print(c.OutOrStdout())
}

func (f *benchmarkFlags) measure(ctx context.Context, b *benchmark, bar *progress) (*benchReport, error) {
	defer bar.clear()
	report, err := b.report()
	if err != nil {
		return nil, err
	}
	report.Seconds = f.seconds
	done, all := 0, len(f.threads)*len(f.precision)*len(f.runtimes)*rounds
	networks := map[string]*benchmark{}
	for _, precision := range f.precision {
		if networks[precision] = b; precision == engine.Int8 && b.raw.Quantized() == nil {
			if networks[precision], err = b.inInt8(ctx); err != nil {
				return nil, err
			}
		}
	}
	for _, threads := range f.threads {
		for _, precision := range f.precision {
			n := networks[precision]
			step := func() {
				done++
				bar.set("benchmark", done, all)
			}
			rows, err := n.cell(ctx, threads, precision, f.seconds, f.profile, step)
			if unlike, ok := errors.AsType[*unlikeError](err); ok && n != b { // some processors saturate ONNX Runtime's sums
				report.note("in int8 " + unlike.Error() + ": only the first is measured")
				rows, err = n.alone().cell(ctx, threads, precision, f.seconds, f.profile, step)
			}
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err != nil {
				return nil, fmt.Errorf("threads %d, %s: %w", threads, precision, err)
			}
			report.Rows = append(report.Rows, rows...)
		}
	}
	return report, nil
}

// A difference is the largest between the numbers of two runtimes.
type difference struct {
	Abs float64 `json:"abs"`
	Rel float64 `json:"rel"` // of the largest number
}

// tolerances are the Rel above which two runtimes do not compute the same, by precision.
// A bfloat16 has 8 bits of mantissa, and a network rounds some sixty times in a row; of 8 bits,
// one that is rounded the other way is 1/256 of the range.
var tolerances = map[string]float64{engine.FP32: 1e-3, engine.BF16: 0.1, engine.Int8: 0.1}

// roundTo keeps that many decimals, so that JSON is readable.
func roundTo(v float64, decimals int) float64 {
	unit := math.Pow10(decimals)
	return math.Round(v*unit) / unit
}

func inMillis(d time.Duration) float64 { return roundTo(float64(d)/1e6, 4) }
