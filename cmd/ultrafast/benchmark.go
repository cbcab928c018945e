package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ultrafast"
	"ultrafast/engine"
	"ultrafast/graph"
	"ultrafast/yolo"
)

type benchmarkFlags struct {
	weights, cfg, img, provider string
	engineFlags
	width, seconds      float64
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
differ by more than %g of the largest number (%g in bf16), nothing is measured.

With --cfg the weights are random; a .pt, .safetensors or .onnx there lends its shape only.`,
			frameWidth, frameHeight, rounds, tolerances[engine.FP32], tolerances[engine.BF16]),
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	fl := c.Flags()
	fl.StringVar(&f.weights, "weights", "", "model: .pt, .safetensors or .onnx")
	fl.StringVar(&f.cfg, "cfg", "", "instead of --weights: yolov5n, s, m, l, x, thin, ghost, shuffle, mobile, a YAML file, or a model whose shape is taken")
	fl.Float64Var(&f.width, "width", 0, "with --cfg, the multiple of channels; 0 means the description's")
	fl.StringVar(&f.img, "img", "640", "network input: a side, or WIDTHxHEIGHT")
	fl.IntSliceVar(&f.threads, "threads", slices.Compact([]int{1, runtime.GOMAXPROCS(0)}), "numbers of threads to measure with")
	fl.StringSliceVar(&f.runtimes, "runtimes", []string{"native", "ort"}, "native, ort (ONNX Runtime), or both")
	addProvider(fl, &f.provider)
	f.addEngine(fl)
	fl.StringSliceVar(&f.precision, "precision", []string{"fp32"}, "what the engine computes in: fp32, bf16; ONNX Runtime always in fp32")
	fl.Float64Var(&f.seconds, "seconds", 10, "time to measure for, for each runtime and number of threads")
	fl.BoolVar(&f.profile, "profile", false, "print what each step of the network takes, too")
	fl.BoolVar(&f.asJSON, "json", false, "print JSON")
	return c
}

func (f *benchmarkFlags) check() error {
	switch {
	case f.weights != "" && f.cfg != "":
		return errors.New("--weights and --cfg are both given: a model is measured as it is, or made from a description")
	case f.weights == "" && f.cfg == "":
		return errors.New("neither --weights nor --cfg is given: name a model, or a description such as yolov5n")
	case f.width != 0 && !(f.width > 0 && f.width <= 10):
		return fmt.Errorf("--width %v: want above 0 and at most 10", f.width)
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
		if err := checkPrecision(p, f.runtimes...); err != nil {
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
	w, h, err := parseSize(f.img)
	if err != nil {
		return err
	}
	g, err := f.model()
	if err != nil {
		return err
	}
	w, h, note := fitSize(g, w, h)
	if note != "" {
		fmt.Fprintln(c.ErrOrStderr(), note)
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
	for _, threads := range f.threads {
		for _, precision := range f.precision {
			rows, err := b.cell(ctx, threads, precision, f.seconds, f.profile, func() {
				done++
				bar.set("benchmark", done, all)
			})
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

// title says what was measured.
func (f *benchmarkFlags) title() string {
	switch {
	case f.weights != "":
		return f.weights
	case f.width != 0:
		return fmt.Sprintf("%s of width %v, random weights", f.cfg, f.width)
	}
	return f.cfg + ", random weights"
}

func (f *benchmarkFlags) model() (*graph.Graph, error) {
	if f.weights != "" {
		if f.width != 0 {
			return nil, errors.New("--width is for --cfg: a model's own is settled")
		}
		return ultrafast.Load(f.weights)
	}
	g, err := f.shape()
	if err != nil {
		return nil, err
	}
	enliven(g)
	return g, nil
}

// shape returns a model with the weights that training starts from.
func (f *benchmarkFlags) shape() (*graph.Graph, error) {
	if strings.HasSuffix(f.cfg, ".safetensors") || strings.HasSuffix(f.cfg, ".pt") || strings.HasSuffix(f.cfg, ".onnx") {
		if f.width != 0 {
			return nil, errors.New("--width is for descriptions: a model's own is settled")
		}
		g, err := ultrafast.Load(f.cfg)
		if err != nil {
			return nil, err
		}
		if err := yolo.Initialize(g, 0); err != nil {
			return nil, fmt.Errorf("%s: %w", f.cfg, err)
		}
		return g, nil
	}
	cfg, err := description(f.cfg)
	if err != nil {
		return nil, err
	}
	cfg.Width = cmp.Or(f.width, cfg.Width)
	return yolo.New(cfg, nil, 0)
}

// enliven keeps numbers of a random network at one size through its depth, so that every
// layer shows in the maps when they are compared: as yolo.Initialize leaves it, a layer
// makes them smaller, and of the first nothing is left at the end. A variance of 1/6 turns
// weights of variance 1/(3 fan-in) into 2/fan-in (He et al., arXiv 1502.01852).
func enliven(g *graph.Graph) {
	rng := rand.New(rand.NewPCG(0, 0))
	for _, n := range g.Nodes {
		if b, ok := n.Op.(*graph.BatchNorm); ok {
			for i := range b.Var.Data {
				b.Var.Data[i] = 1.0 / 6
				b.Beta.Data[i] = 2*rng.Float32() - 1
			}
		}
	}
}

// A difference is the largest between the numbers of two runtimes.
type difference struct {
	Abs float64 `json:"abs"`
	Rel float64 `json:"rel"` // of the largest number
}

// tolerances are the Rel above which two runtimes do not compute the same, by precision.
// A bfloat16 has 8 bits of mantissa, and a network rounds some sixty times in a row.
var tolerances = map[string]float64{engine.FP32: 1e-3, engine.BF16: 0.1}

// roundTo keeps that many decimals, so that JSON is readable.
func roundTo(v float64, decimals int) float64 {
	unit := math.Pow10(decimals)
	return math.Round(v*unit) / unit
}

func inMillis(d time.Duration) float64 { return roundTo(float64(d)/1e6, 4) }
