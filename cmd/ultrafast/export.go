package main

import (
	"bufio"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"ultrafast"
	"ultrafast/graph"
	"ultrafast/onnx"
	"ultrafast/pass"
)

type exportFlags struct {
	weights, img, out string
	include           []string
	opset, batch      int
	dynamic, heads    bool
}

func exportCommand() *cobra.Command {
	f := &exportFlags{}
	c := &cobra.Command{
		Use:   "export --weights MODEL --include onnx",
		Short: "Write a model as ONNX",
		Long: `Write a model as ONNX, with batch norms folded, and class names, stride and anchors
in the metadata. The output is YOLOv5's: one tensor of decoded boxes; --heads gives
the raw maps instead.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	fl := c.Flags()
	fl.StringVar(&f.weights, "weights", "", "model: .pt, .safetensors or .onnx (required)")
	fl.StringSliceVar(&f.include, "include", []string{"onnx"}, "formats to write: onnx")
	fl.StringVar(&f.img, "img", "640", "network input: a side, or WIDTHxHEIGHT")
	fl.IntVar(&f.batch, "batch", 1, "pictures at a time")
	fl.IntVar(&f.opset, "opset", onnx.DefaultOpset, "ONNX opset, 12 to 17")
	fl.BoolVar(&f.dynamic, "dynamic", false, "leave batch, height and width open")
	fl.BoolVar(&f.heads, "heads", false, "raw maps as outputs, without decoding")
	fl.StringVarP(&f.out, "output", "o", "", "file to write (default: the model's name with .onnx)")
	must(c.MarkFlagRequired("weights"))
	return c
}

func (f *exportFlags) run(c *cobra.Command) error {
	for _, format := range f.include {
		if format != "onnx" {
			return fmt.Errorf("--include %s: this program writes onnx", format)
		}
	}
	if !slices.Contains(f.include, "onnx") {
		return errors.New("--include names no format: this program writes onnx")
	}
	if f.batch < 1 || f.batch > 1024 {
		return fmt.Errorf("--batch %d: want 1 to 1024", f.batch)
	}
	w, h, err := parseSize(f.img)
	if err != nil {
		return err
	}
	out := f.out
	if out == "" {
		out = strings.TrimSuffix(f.weights, filepath.Ext(f.weights)) + ".onnx"
	}
	if same, err := filepath.Abs(out); err != nil {
		return err
	} else if in, err := filepath.Abs(f.weights); err == nil && in == same {
		return fmt.Errorf("%s: would be overwritten by its own export; name another file with -o", f.weights)
	}
	if err := checkOutput(out); err != nil {
		return err
	}
	g, err := ultrafast.Load(f.weights)
	if err != nil {
		return err
	}
	w, h, note := fitSize(g, w, h)
	if note != "" {
		fmt.Fprintln(c.ErrOrStderr(), note)
	}
	size, err := exportONNX(g, out, onnx.WriteOptions{Opset: f.opset, Batch: f.batch, Height: h, Width: w, Dynamic: f.dynamic, Heads: f.heads, Version: version})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "%s: %d parameters, %.2f MB, input %dx%d, opset %d\n", out, g.ParamCount(), float64(size)/1e6, w, h, f.opset)
	return err
}

// exportOptions are those of a model for one size, as a device takes it.
func exportOptions(batch, w, h int) onnx.WriteOptions {
	return onnx.WriteOptions{Batch: batch, Width: w, Height: h, Version: version}
}

// exportONNX writes g, with batch norms folded, and returns the file's size. A file of
// that name is replaced once the new one is whole.
func exportONNX(g *graph.Graph, out string, o onnx.WriteOptions) (int64, error) {
	g = g.Clone()
	if err := pass.Run(g, pass.Inference...); err != nil {
		return 0, err
	}
	file, err := renameio.NewPendingFile(out, renameio.WithPermissions(0o644))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", out, err)
	}
	defer file.Cleanup()
	b := bufio.NewWriter(file)
	if err := onnx.Write(b, g, o); err != nil {
		return 0, fmt.Errorf("%s: %w", out, err)
	}
	if err := b.Flush(); err != nil {
		return 0, fmt.Errorf("%s: %w", out, err)
	}
	st, err := file.Stat()
	if err != nil {
		return 0, fmt.Errorf("%s: %w", out, err)
	}
	if err := file.CloseAtomicallyReplace(); err != nil {
		return 0, fmt.Errorf("%s: %w", out, err)
	}
	return st.Size(), nil
}
