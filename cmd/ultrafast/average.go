package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"ultrafast"
	"ultrafast/graph"
	"ultrafast/safetensors"
	"ultrafast/train"
)

type averageFlags struct {
	weights []string
	shares  []float64
	out     string
}

func averageCommand() *cobra.Command {
	f := &averageFlags{}
	c := &cobra.Command{
		Use:   "average --weights A.safetensors,B.safetensors -o FILE.safetensors",
		Short: "Take the mean of trained models of one shape",
		Long: `Take the mean of the weights of models that have one shape: of two trainings, of which one went
on from the other or both from a third, or of the best and the last epochs of one. Such a mean
often finds more than each, and costs nothing when it runs. Look with ultrafast val which one does.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	fl := c.Flags()
	fl.StringSliceVar(&f.weights, "weights", nil, "models: .pt, .safetensors or .onnx, two at least (required)")
	fl.Float64SliceVar(&f.shares, "shares", nil, "how much of each: 3,1 is three quarters of the first")
	fl.Lookup("shares").DefValue = "as much of each"
	fl.StringVarP(&f.out, "output", "o", "", "file to write, .safetensors (required)")
	must(c.MarkFlagRequired("weights"))
	must(c.MarkFlagRequired("output"))
	return c
}

func (f *averageFlags) run(c *cobra.Command) error {
	switch {
	case len(f.weights) < 2:
		return fmt.Errorf("--weights: %d model: want two at least", len(f.weights))
	case f.shares != nil && len(f.shares) != len(f.weights):
		return fmt.Errorf("--shares: %d numbers for %d models: want one for each", len(f.shares), len(f.weights))
	}
	if filepath.Ext(f.out) != ".safetensors" {
		return fmt.Errorf("-o %s: want a name that ends in .safetensors", f.out)
	}
	if err := checkOutput(f.out, f.weights...); err != nil {
		return err
	}
	networks, shares := make([]*graph.Graph, len(f.weights)), f.shares
	for i, path := range f.weights {
		var err error
		if networks[i], err = ultrafast.Load(path); err != nil {
			return err
		}
		if f.shares == nil {
			shares = append(shares, 1)
		}
	}
	mean, err := train.Mean(networks, shares)
	if err != nil {
		return fmt.Errorf("--weights %v: %w", f.weights, err)
	}
	if err := safetensors.Save(f.out, &safetensors.File{Graph: mean}); err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.OutOrStdout(), f.out)
	return err
}
