package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"ultrafast"
	"ultrafast/dataset"
	"ultrafast/engine"
	"ultrafast/graph"
	"ultrafast/prune"
	"ultrafast/safetensors"
	"ultrafast/train"
)

type pruneFlags struct {
	weights, data, img, out, score, device, plan string
	keep                                         float64
	floor, round, batch, pictures                int
}

func pruneCommand() *cobra.Command {
	f := &pruneFlags{}
	c := &cobra.Command{
		Use:   "prune --weights MODEL --data DATA --keep 0.5|--plan plan.yaml -o small.safetensors",
		Short: "Cut the least important channels out of a model",
		Long: `Cut whole channels, those that matter least, until the given share of the
parameters is left. Channels that shortcuts and joins tie together leave together.
The statistics of the batch norms are then measured anew on training pictures.

With --plan the plan of ultrafast plan is carried out instead, and what came out is compared
with what the plan had estimated.

What a channel's importance is --score says: l2 and gamma look at the weights alone, taylor
and fisher at how the loss on training pictures would change without the channel.

What comes out is a smaller model, not a sparse one: train it on to win back accuracy
(ultrafast train --weights small.safetensors).`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	fl := c.Flags()
	fl.StringVar(&f.weights, "weights", "", "model: .pt, .safetensors or .onnx with batch norms (required)")
	fl.StringVar(&f.data, "data", "", dataHelp+"; its training pictures renew the statistics (required)")
	fl.Float64Var(&f.keep, "keep", 0.5, "share of the parameters that stays")
	fl.StringVar(&f.plan, "plan", "", "plan to carry out, of ultrafast plan")
	fl.StringVarP(&f.out, "output", "o", "", "file to write, .safetensors (required)")
	fl.StringVar(&f.score, "score", string(prune.DefaultScore), "what a channel's importance is: l2, gamma, taylor or fisher")
	fl.IntVar(&f.floor, "floor", 0, "channels that every group keeps; 0 means a tenth, at least 4")
	fl.IntVar(&f.round, "round", 1, "round kept channels up to a multiple, such as 8")
	fl.StringVar(&f.img, "img", "640", "side of the network's input while statistics are measured")
	fl.IntVar(&f.batch, "batch", 16, "pictures at a time")
	fl.IntVar(&f.pictures, "pictures", 800, "training pictures to measure statistics on, and gradients where the score needs them")
	fl.StringVar(&f.device, "device", "cpu", "cpu, cuda or cuda:N")
	for _, name := range []string{"weights", "data", "output"} {
		must(c.MarkFlagRequired(name))
	}
	for _, name := range []string{"keep", "score", "floor", "round"} {
		c.MarkFlagsMutuallyExclusive("plan", name)
	}
	return c
}

func (f *pruneFlags) run(c *cobra.Command) error {
	switch {
	case filepath.Ext(f.out) != ".safetensors":
		return fmt.Errorf("-o %s: want a name that ends in .safetensors", f.out)
	case f.batch < 1 || f.pictures < 1:
		return errors.New("--batch and --pictures: want at least 1")
	case !(f.keep > 0 && f.keep <= 1):
		return fmt.Errorf("--keep %v: want a share above 0 and at most 1", f.keep)
	case f.floor < 0 || f.round < 0:
		return errors.New("--floor and --round: want 0 or more")
	case !slices.Contains(prune.AllScores, prune.Score(f.score)):
		return fmt.Errorf("--score %q: want one of %v", f.score, prune.AllScores)
	}
	if err := checkSmaller(f.out, f.weights, f.plan); err != nil {
		return err
	}
	g, err := ultrafast.Load(f.weights)
	if err != nil {
		return err
	}
	side, err := squareSide(g, f.img, c.ErrOrStderr())
	if err != nil {
		return err
	}
	var file *prune.File
	var plan *prune.Plan
	if f.plan != "" {
		if file, err = readPlan(f.plan); err != nil {
			return fmt.Errorf("--plan: %w", err)
		}
		if plan, err = file.Plan(g); err != nil {
			return fmt.Errorf("%s: %w", f.plan, err)
		}
	}
	noteFolded(c.ErrOrStderr(), g, f.weights)
	splits := []string{"train"}
	if file != nil {
		splits = append(splits, "val")
		if !c.Flags().Changed("img") {
			if side, err = squareSide(g, fmt.Sprint(cmp.Or(file.Estimate.Size, max(file.Width, file.Height))), c.ErrOrStderr()); err != nil {
				return err
			}
		}
	}
	data, err := openData(c.Context(), c.ErrOrStderr(), f.data, dataset.OpenOptions{Splits: splits})
	if err != nil {
		return err
	}
	if data, err = matchClasses(c.ErrOrStderr(), g, f.weights, data, f.data); err != nil {
		return err
	}
	be, err := openBackend(f.device, 0, nil)
	if err != nil {
		return err
	}
	defer be.Close()
	if plan == nil {
		if plan, err = f.decide(c, be, g, data, side); err != nil {
			return err
		}
	}
	small, err := plan.Apply(g)
	if err != nil {
		return err
	}
	if small, err = recalibrate(c.Context(), be, small, data, side, f.batch, f.pictures, c.ErrOrStderr()); err != nil {
		return err
	}
	if err := safetensors.Save(f.out, &safetensors.File{Graph: small}); err != nil {
		return err
	}
	if err := f.print(c, plan, file, g, small, data, side); err != nil {
		return fmt.Errorf("%s is written, but not what has become of it: %w", f.out, err)
	}
	return nil
}

// print tells what was cut and, where there is a file of the plan, what it had estimated.
func (f *pruneFlags) print(c *cobra.Command, plan *prune.Plan, file *prune.File, g, small *graph.Graph, data *dataset.Data, side int) error {
	a, err := prune.CostOf(g, nil, side, side)
	if err != nil {
		return err
	}
	b, err := prune.CostOf(small, nil, side, side)
	if err != nil {
		return err
	}
	fmt.Fprintln(c.OutOrStdout(), plan)
	printCosts(c.OutOrStdout(), a, b)
	if file != nil {
		if err := f.compare(c, file, g, small, data, side); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintln(c.OutOrStdout(), f.out)
	return err
}

// decide makes a plan, where there is no file of one.
func (f *pruneFlags) decide(c *cobra.Command, be train.Backend, g *graph.Graph, data *dataset.Data, side int) (*prune.Plan, error) {
	target := prune.Target{Keep: f.keep, Floor: f.floor, Round: f.round, Score: prune.Score(f.score)}
	var err error
	if target.Score.NeedsEvidence() {
		if target.Evidence, err = gather(c.Context(), be, g, data, side, f.pictures, c.ErrOrStderr()); err != nil {
			return nil, fmt.Errorf("%s: %w", f.weights, err)
		}
	}
	plan, err := prune.New(g, target)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.weights, err)
	}
	return plan, nil
}

// compare measures what a plan has left and says how far its estimate was off.
func (f *pruneFlags) compare(c *cobra.Command, file *prune.File, g, small *graph.Graph, data *dataset.Data, side int) error {
	got, err := prune.CostOf(small, nil, file.Width, file.Height)
	if err != nil {
		return err
	}
	precision := engine.FP32
	if p := file.Precision; p == engine.Int8 || p == engine.BF16 && engine.BF16Missing() == nil {
		precision = p
	}
	ms, err := engineTimes(c, precision, file.Threads, file.Width, file.Height, g, small)
	if err != nil {
		return err
	}
	predict, err := enginePredictor(small)
	if err != nil {
		return err
	}
	val := dataset.Spread(data.Val, cmp.Or(file.Estimate.Pictures, validationPictures))
	worth, err := train.Validate(c.Context(), predict, small.Detect().Op.(*graph.Detect), val, train.ValOptions{Size: side, Lost: warnLost(c.ErrOrStderr(), newProgress(c.ErrOrStderr()))})
	if err != nil {
		return err
	}
	out := c.OutOrStdout()
	if got.Params != file.Estimate.Params {
		fmt.Fprintln(out, "the plan was edited after its estimate: ultrafast plan check renews it")
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "\tbefore\testimate\tmeasured\toff\t\n")
	row := func(name, format string, before, estimate, measured float64) {
		cell := func(v float64) string {
			if v == 0 {
				return ""
			}
			return fmt.Sprintf(format, v)
		}
		off := ""
		if estimate > 0 && measured > 0 {
			off = fmt.Sprintf("%+.1f %%", math.Round(1000*(measured/estimate-1))/10+0) // no -0.0
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t\n", name, cell(before), cell(estimate), cell(measured), off)
	}
	row("parameters", "%.0f", float64(file.Before.Params), float64(file.Estimate.Params), float64(got.Params))
	row("GFLOP", "%.3f", file.Before.GFLOP, file.Estimate.GFLOP, got.GFLOP)
	elsewhere := file.Estimate.Ms > 0 && (file.Machine != "" && file.Machine != processor() || file.Runtime != "" && !strings.HasPrefix(file.Runtime, "native") ||
		engineCPU(file.Runtime) != "" && engineCPU(file.Runtime) != engine.CPUs()[0] ||
		file.Precision != "" && file.Precision != precision)
	if elsewhere { // nothing to compare with
		row("ms", "%.2f", file.Before.Ms, file.Estimate.Ms, 0)
	} else {
		row("ms", "%.2f", cmp.Or(file.Before.Ms, ms[0]), file.Estimate.Ms, ms[1])
	}
	row("mAP50-95", "%.4f", file.Before.MAP, file.Estimate.MAP, worth.Report.MAP5095)
	if err := w.Flush(); err != nil {
		return err
	}
	if elsewhere {
		fmt.Fprintf(out, "the plan's ms are of %.200q, %.200q, %.200q; here it takes %.2f ms\n", file.Machine, file.Runtime, file.Precision, ms[1])
	}
	fmt.Fprintf(out, "ms measured in the engine in %s at %dx%d here, where the uncut model takes %.2f; mAP50-95 in fp32 on %d validation pictures at %d, before any training",
		precision, file.Width, file.Height, ms[0], len(val), side)
	if e := file.Estimate; e.MAP > 0 {
		fmt.Fprintf(out, "; the estimate was %.3f to %.3f", e.Low, e.High)
	}
	_, err = fmt.Fprintln(out)
	return err
}

// gather collects what the gradients of training pictures say about the channels of g.
func gather(ctx context.Context, be train.Backend, g *graph.Graph, data *dataset.Data, side, pictures int, progress io.Writer) (*prune.Evidence, error) {
	e, err := prune.NewEvidence(g)
	if err != nil {
		return nil, err
	}
	bar := newProgress(progress)
	defer bar.clear()
	o := train.GradientOptions{Size: side, Lost: warnLost(progress, bar), Progress: func(done, pictures int) { bar.set("gradients", done, pictures) }}
	return e, train.PictureGradients(ctx, be, g, dataset.Spread(data.Train, pictures), o, e.Add)
}

// recalibrate measures the statistics of the batch norms anew, telling out how far it is.
func recalibrate(ctx context.Context, be train.Backend, g *graph.Graph, data *dataset.Data, side, batch, pictures int, out io.Writer) (*graph.Graph, error) {
	bar := newProgress(out)
	defer bar.clear()
	return train.Recalibrate(ctx, be, g, data.Train, train.RecalibrateOptions{Size: side, Batch: batch, Pictures: pictures, Lost: warnLost(out, bar),
		Progress: func(done, batches int) { bar.set("statistics", done, batches) }})
}
