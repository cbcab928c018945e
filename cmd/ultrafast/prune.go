package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"ultrafast"
	"ultrafast/dataset"
	"ultrafast/graph"
	"ultrafast/prune"
	"ultrafast/safetensors"
	"ultrafast/train"
)

type pruneFlags struct {
	weights, data, img, out, score, device string
	keep                                   float64
	floor, round, batch, pictures          int
}

func pruneCommand() *cobra.Command {
	f := &pruneFlags{}
	c := &cobra.Command{
		Use:   "prune --weights MODEL --data DATA --keep 0.5 -o small.safetensors",
		Short: "Cut the least important channels out of a model",
		Long: `Cut whole channels, those that matter least, until the given share of the
parameters is left. Channels that shortcuts and joins tie together leave together.
The statistics of the batch norms are then measured anew on training pictures.

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
	return c
}

func (f *pruneFlags) run(c *cobra.Command) error {
	switch {
	case filepath.Ext(f.out) != ".safetensors":
		return fmt.Errorf("-o %s: want a name that ends in .safetensors", f.out)
	case f.batch < 1 || f.pictures < 1:
		return errors.New("--batch and --pictures: want at least 1")
	case !slices.Contains(prune.AllScores, prune.Score(f.score)):
		return fmt.Errorf("--score %q: want one of %v", f.score, prune.AllScores)
	}
	side, other, err := parseSize(f.img)
	switch {
	case err != nil:
		return err
	case side != other:
		return fmt.Errorf("--img %s: statistics are measured on squares, want one side", f.img)
	}
	if err := checkOutput(f.out); err != nil {
		return err
	}
	g, err := ultrafast.Load(f.weights)
	if err != nil {
		return err
	}
	side, _, note := fitSize(g, side, side)
	if note != "" {
		fmt.Fprintln(c.ErrOrStderr(), note)
	}
	data, err := openData(c.Context(), c.ErrOrStderr(), f.data, dataset.OpenOptions{Splits: []string{"train"}})
	if err != nil {
		return err
	}
	be, err := openBackend(f.device, 0, nil)
	if err != nil {
		return err
	}
	defer be.Close()
	target := prune.Target{Keep: f.keep, Floor: f.floor, Round: f.round, Score: prune.Score(f.score)}
	if target.Score.NeedsEvidence() {
		if target.Evidence, err = gather(c.Context(), be, g, data, side, f.pictures, c.ErrOrStderr()); err != nil {
			return fmt.Errorf("%s: %w", f.weights, err)
		}
	}
	plan, err := prune.New(g, target)
	if err != nil {
		return fmt.Errorf("%s: %w", f.weights, err)
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
	before, after := g.ParamCount(), small.ParamCount()
	gb, err := g.GFLOP(side, side)
	if err != nil {
		return err
	}
	ga, err := small.GFLOP(side, side)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "%s\nparameters %d -> %d (%.1f %%), GFLOP at %d %.2f -> %.2f\n%s\n", plan, before, after,
		100*float64(after)/float64(before), side, gb, ga, f.out)
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
	o := train.GradientOptions{Size: side, Progress: func(done, pictures int) { bar.set("gradients", done, pictures) }}
	return e, train.PictureGradients(ctx, be, g, dataset.Spread(data.Train, pictures), o, e.Add)
}

// recalibrate measures the statistics of the batch norms anew, telling out how far it is.
func recalibrate(ctx context.Context, be train.Backend, g *graph.Graph, data *dataset.Data, side, batch, pictures int, out io.Writer) (*graph.Graph, error) {
	bar := newProgress(out)
	defer bar.clear()
	return train.Recalibrate(ctx, be, g, data.Train, train.RecalibrateOptions{Size: side, Batch: batch, Pictures: pictures,
		Progress: func(done, batches int) { bar.set("statistics", done, batches) }})
}
