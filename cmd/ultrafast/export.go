package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ultrafast"
	"ultrafast/graph"
	"ultrafast/onnx"
	"ultrafast/safetensors"
)

type exportFlags struct {
	weights, img, out string
	include           []string
	opset, batch      int
	dynamic, heads    bool
	half              bool
}

func exportCommand() *cobra.Command {
	f := &exportFlags{}
	c := &cobra.Command{
		Use:   "export --weights MODEL --include onnx|safetensors",
		Short: "Write a model as ONNX, or as a checkpoint of this program",
		Long: `Write a model as ONNX, with batch norms folded, and class names, stride and anchors
in the metadata. The output is YOLOv5's: one tensor of decoded boxes; --heads gives
the raw maps instead.

With --include safetensors the checkpoint can be trained on, and with --half its weights
are in half precision: half the size, to keep or to send.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	fl := c.Flags()
	fl.StringVar(&f.weights, "weights", "", "model: .pt, .safetensors or .onnx (required)")
	fl.StringSliceVar(&f.include, "include", []string{"onnx"}, "formats to write: onnx, safetensors")
	fl.StringVar(&f.img, "img", "640", "network input: a side, or WIDTHxHEIGHT")
	fl.IntVar(&f.batch, "batch", 1, "pictures at a time")
	fl.IntVar(&f.opset, "opset", onnx.DefaultOpset, "ONNX opset, 12 to 17; a quantised network needs 13, and has it by default")
	fl.BoolVar(&f.dynamic, "dynamic", false, "leave batch, height and width open")
	fl.BoolVar(&f.heads, "heads", false, "raw maps as outputs, without decoding")
	fl.StringVarP(&f.out, "output", "o", "", "file to write, of one format (default: the model's name with .onnx or .safetensors)")
	fl.BoolVar(&f.half, "half", false, "write the weights of a checkpoint in half precision")
	must(c.MarkFlagRequired("weights"))
	return c
}

func (f *exportFlags) run(c *cobra.Command) error {
	switch {
	case len(f.include) == 0:
		return errors.New("--include names no format: want onnx, safetensors")
	case len(f.include) > 1 && f.out != "":
		return errors.New("--output: names one file, and --include several formats")
	case f.half && slices.Contains(f.include, "onnx"):
		return errors.New("--half: is for --include safetensors")
	case !slices.Contains(f.include, "onnx") && (c.Flags().Changed("opset") || c.Flags().Changed("batch") || f.dynamic || f.heads):
		return errors.New("--opset, --batch, --dynamic and --heads: are for --include onnx")
	case f.batch < 1 || f.batch > 1024:
		return fmt.Errorf("--batch %d: want 1 to 1024", f.batch)
	}
	w, h, err := parseSize(f.img)
	if err != nil {
		return err
	}
	outputs := make([]string, len(f.include))
	for i, format := range f.include {
		if outputs[i], err = f.output(format); err != nil {
			return err
		}
	}
	g, err := ultrafast.Load(f.weights)
	if err != nil {
		return err
	}
	for i, format := range f.include {
		switch format {
		case "onnx":
			err = f.onnx(c, g, outputs[i], w, h)
		case "safetensors":
			err = f.checkpoint(c, g, outputs[i])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// output is the file of a format, which may be written.
func (f *exportFlags) output(format string) (string, error) {
	if format != "onnx" && format != "safetensors" {
		return "", fmt.Errorf("--include %s: this program writes onnx and safetensors", format)
	}
	if f.out != "" {
		if err := checkSmaller(f.out, f.weights); err != nil {
			return "", err
		}
		if filepath.Ext(f.out) != "."+format {
			return "", fmt.Errorf("-o %s: want a name that ends in .%s", f.out, format)
		}
		return f.out, nil
	}
	out := strings.TrimSuffix(f.weights, filepath.Ext(f.weights)) + "." + format
	if sameFile(out, f.weights) {
		return "", fmt.Errorf("%s: would be overwritten by its own export; name another file with -o", f.weights)
	}
	if format == "safetensors" && !missing(out) { // may be what was trained, where an ONNX can be made again
		return "", fmt.Errorf("%s: is there already; name the file to write with -o", out)
	}
	return out, checkOutput(out)
}

func (f *exportFlags) onnx(c *cobra.Command, g *graph.Graph, out string, w, h int) error {
	w, h, note := fitSize(g, w, h)
	if note != "" {
		fmt.Fprintln(c.ErrOrStderr(), note)
	}
	if !c.Flags().Changed("opset") && g.Quantized() != nil {
		f.opset = onnx.QuantisedOpset
	}
	size, err := onnx.Save(out, g, onnx.WriteOptions{Opset: f.opset, Batch: f.batch, Height: h, Width: w, Dynamic: f.dynamic, Heads: f.heads, Version: version})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "%s: %d parameters, %.2f MB, input %dx%d, opset %d\n", out, g.ParamCount(), float64(size)/1e6, w, h, f.opset)
	return err
}

func (f *exportFlags) checkpoint(c *cobra.Command, g *graph.Graph, out string) error {
	if err := safetensors.Save(out, &safetensors.File{Graph: g, Half: f.half}); err != nil {
		return err
	}
	st, err := os.Stat(out)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "%s: %d parameters, %.2f MB\n", out, g.ParamCount(), float64(st.Size())/1e6)
	return err
}

// exportOptions are those of a model for one size, as a device takes it.
func exportOptions(batch, w, h int) onnx.WriteOptions {
	return onnx.WriteOptions{Batch: batch, Width: w, Height: h, Version: version}
}
