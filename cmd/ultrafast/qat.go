package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"ultrafast"
	"ultrafast/dataset"
	"ultrafast/graph"
	"ultrafast/quant"
	"ultrafast/train"
)

// What --qat means where nothing else is said.
const (
	qatEpochs   = 8
	qatPictures = 300 // for ranges, as many as quantize takes
)

// qatHyp are the hyper-parameters of --qat: weights are to move by fractions of their steps, so
// the rate is a tenth of that of a training from scratch, falls to nothing, and biases do not
// start from a higher one. Pictures vary as they did when the float model learned them: without
// mosaics a few epochs learn small sets by heart.
func qatHyp() train.Hyp {
	h := train.DefaultHyp()
	h.LR0, h.LRF = 0.001, 0
	h.WarmupEpochs, h.WarmupBiasLR = 0, 0
	return h
}

// applyQAT gives what the user has left open the values of --qat. The teacher is the float model
// itself, which only the process that leads has to have.
func (f *trainFlags) applyQAT(c *cobra.Command, leads bool) error {
	switch {
	case !f.qat:
		return nil
	case f.weights == "":
		return errors.New("--qat teaches a trained model to compute in 8 bits: name one with --weights")
	case f.cfg != "":
		return errors.New("--qat and --cfg are both given: a new model has to learn in float first")
	case f.recipe.sparse != "":
		return errors.New("--qat and --sparse are both given: one prepares a cut, and a model in 8 bits is not cut")
	}
	f.noAutoAnchor = true // the model is to stay what it is
	if !c.Flags().Changed("epochs") {
		f.epochs = qatEpochs
	}
	if c.Flags().Changed("teacher") || !leads {
		return nil
	}
	g, err := ultrafast.Load(f.weights)
	if err == nil && g.Quantized() == nil {
		f.teacher = f.weights
	}
	return err
}

// inEightBits returns g in 8 bits, with ranges measured on training pictures. One that is in 8
// bits already keeps its own.
func (f *trainFlags) inEightBits(c *cobra.Command, g *graph.Graph, items []dataset.Item) (*graph.Graph, error) {
	if g.Quantized() != nil {
		return g, nil
	}
	p := &calibration{ctx: c.Context(), w: f.img, h: f.img, out: c.ErrOrStderr()}
	r, err := quant.Calibrate(g, p.pictures("ranges", items, qatPictures), p.runner, quant.MSE)
	if err != nil {
		return nil, err
	}
	noteRanges(c.ErrOrStderr(), r)
	fmt.Fprintf(c.OutOrStdout(), "in 8 bits with ranges of %d pictures by %s\n", r.Pictures, r.Method)
	return quant.Quantize(g, r, quant.Options{})
}
