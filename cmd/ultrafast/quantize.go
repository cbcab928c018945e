package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"ultrafast"
	"ultrafast/dataset"
	"ultrafast/engine"
	"ultrafast/graph"
	"ultrafast/onnx"
	"ultrafast/picture"
	"ultrafast/quant"
	"ultrafast/safetensors"
	"ultrafast/tensor"
)

type quantizeFlags struct {
	weights, data, img, method, ranges, out string
	keep                                    []string
	pictures                                int
	maxDrop                                 float64 // points of mAP50-95
	symmetric                               bool
}

func quantizeCommand() *cobra.Command {
	f := &quantizeFlags{}
	c := &cobra.Command{
		Use:   "quantize --weights MODEL --data DATA -o FILE",
		Short: "Turn a trained model into one of 8-bit numbers",
		Long: `Turn a trained model into one of 8-bit numbers: weights of int8 with a scale for each
output channel, values of uint8. Their ranges are measured on training pictures. The last
convolutions stay in float, and so do the layers that --keep-float names, with what is computed
between them. Without it, where 8 bits cost more than --max-drop, layers go back to float, first
those that cost most for what 8 bits make faster, until the cost is allowed or half of the
multiply-adds are in float.

Channels between two convolutions are equalised where nothing, ReLU or LeakyReLU is between
them, and biases corrected, if that brings the raw maps nearer to those of the float model;
corrected biases must not cost mAP50-95 either.

FILE is an .onnx with QuantizeLinear and DequantizeLinear, for ONNX Runtime and OpenVINO, or a
.safetensors. For TensorRT add --symmetric, which it asks for: values are of int8 then, with zero
points 0. That is less exact, since SiLU's results lie on one side of zero. ONNX Runtime on x86
without VNNI adds pairs of products in 16 bits, which saturates at times: such a model is to be
run in this program there, which computes both in 8 bits.

The table says how much of each layer's result is left, as signal to noise in dB on ` + fmt.Sprint(lossPictures) + ` validation
pictures: at 20 the error is a tenth of the value, at 40 a hundredth. The drop is what the layer
alone costs in 8 bits, in points of mAP50-95 on ` + fmt.Sprint(dropPictures) + ` validation pictures spread over the set, as
squares of the longer side.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	fl := c.Flags()
	fl.StringVar(&f.weights, "weights", "", "model: .pt, .safetensors or .onnx (required)")
	fl.StringVar(&f.data, "data", "", dataHelp+" (required)")
	fl.StringVar(&f.img, "img", "640", "network input: a side, or WIDTHxHEIGHT")
	fl.IntVar(&f.pictures, "pictures", 300, "training pictures to measure ranges on, spread over the set")
	fl.StringVar(&f.method, "method", string(quant.MSE), "how ranges follow from values: mse, percentile or minmax")
	fl.StringSliceVar(&f.keep, "keep-float", []string{autoKeep}, "layers to leave in float, as model.0 or model.2.cv1, or "+autoKeep+": as few as --max-drop allows; '' is none")
	fl.Float64Var(&f.maxDrop, "max-drop", 0.5, "points of mAP50-95, 0 to 100, that 8 bits may cost before layers go back to float")
	fl.BoolVar(&f.symmetric, "symmetric", false, "zero in the middle of every range, for TensorRT, which asks for it; less exact")
	fl.StringVar(&f.ranges, "ranges", "", "file of ranges: taken if it is there, which spares the measuring, else written")
	fl.StringVarP(&f.out, "output", "o", "", "file to write, .onnx or .safetensors (required)")
	for _, name := range []string{"weights", "data", "output"} {
		must(c.MarkFlagRequired(name))
	}
	return c
}

// fewPictures are too few to trust the ranges of.
const fewPictures = 50

// lossPictures are few: a noise is seen on any picture.
const lossPictures = 4

func (f *quantizeFlags) run(c *cobra.Command) error {
	ext := filepath.Ext(f.out)
	switch {
	case f.pictures < 1:
		return errors.New("--pictures: want at least 1")
	case ext != ".onnx" && ext != ".safetensors":
		return fmt.Errorf("-o %s: want a name that ends in .onnx or .safetensors", f.out)
	}
	if err := quant.Method(f.method).Check(); err != nil {
		return fmt.Errorf("--method: %w", err)
	}
	if err := f.checkKeep(c.Flags().Changed("max-drop")); err != nil {
		return err
	}
	if err := checkSmaller(f.out, f.weights); err != nil {
		return err
	}
	if f.ranges != "" {
		if err := checkWritten("--ranges", f.ranges); err != nil {
			return err
		}
		if sameName(f.ranges, f.out) {
			return fmt.Errorf("--ranges %s: is the file of -o, which would take its place: choose another name", f.ranges)
		}
	}
	g, err := ultrafast.Load(f.weights)
	if err != nil {
		return err
	}
	if g.Detect() == nil {
		return fmt.Errorf("%s: the model has no detection head, so what 8 bits cost cannot be measured", f.weights)
	}
	if err := (quant.Options{KeepFloat: f.named()}).Check(g); err != nil { // before the data set is read and ranges are measured
		return err
	}
	w, h, err := parseSize(f.img)
	if err != nil {
		return err
	}
	w, h, note := fitSize(g, w, h)
	if note != "" {
		fmt.Fprintln(c.ErrOrStderr(), note)
	}
	data, err := openData(c.Context(), c.ErrOrStderr(), f.data, dataset.OpenOptions{})
	if err != nil {
		return err
	}
	if data, err = matchClasses(c.ErrOrStderr(), g, f.weights, data, f.data); err != nil {
		return err
	}
	p := &calibration{ctx: c.Context(), w: w, h: h, out: c.ErrOrStderr()}
	b, err := f.prepare(g, p, data.Train)
	if err != nil {
		return err
	}
	noteRanges(c.ErrOrStderr(), b.ranges)
	if err := f.save(b.whole, w, h); err != nil { // before what it loses, which takes long and may fail
		return err
	}
	j, err := newPointsJudge(c.Context(), data.Val, max(w, h), g, c.ErrOrStderr())
	if err == nil {
		err = f.finish(b, j.points, j.items, c.OutOrStdout(), c.ErrOrStderr())
	}
	if err != nil {
		return fmt.Errorf("%s is written, but not what it loses: %w", f.out, err)
	}
	st, err := os.Stat(f.out)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "%s: %.2f MB, ranges of %d pictures by %s\n", f.out, float64(st.Size())/1e6, b.ranges.Pictures, b.ranges.Method)
	return err
}

// noteRanges says what is doubtful about ranges.
func noteRanges(out io.Writer, r *quant.Ranges) {
	noteDead(out, r)
	if r.Pictures < fewPictures {
		fmt.Fprintf(out, "there are few pictures to measure ranges on, %d, and others may hold larger values: a few hundred are enough\n", r.Pictures)
	}
}

// finish measures what is lost, by what the judge finds in these pictures, saves the network anew
// if that changes it, and prints all of that.
func (f *quantizeFlags) finish(b *quantization, judge quant.Judge, val []dataset.Item, out, progress io.Writer) error {
	saved := b.whole
	w, err := f.weigh(b, judge, len(val), progress)
	if err != nil {
		return err
	}
	if w.choice.Network != saved {
		if err := f.save(w.choice.Network, b.p.w, b.p.h); err != nil {
			return err
		}
	}
	losses, err := quant.Losses(b.g, w.choice.Network, b.p.pictures("losses", val, lossPictures), b.p.runner)
	if err != nil {
		return err
	}
	f.note(progress, w)
	b.print(out)
	return w.print(out, losses, b.p.w, b.p.h)
}

// noteDead says which values the ranges know nothing of.
func noteDead(w io.Writer, r *quant.Ranges) {
	for _, v := range r.Values {
		if v.Dead() {
			fmt.Fprintf(w, "%s is the same everywhere in all %d pictures (%.3g to %.3g): is the layer dead? Its 8 bits cover %.3g to %.3g\n", v.Name, r.Pictures, v.Min, v.Max, v.Low, v.High)
		}
	}
}

func (f *quantizeFlags) save(q *graph.Graph, w, h int) error {
	if filepath.Ext(f.out) == ".safetensors" {
		return safetensors.Save(f.out, &safetensors.File{Graph: q})
	}
	_, err := onnx.Save(f.out, q, onnx.WriteOptions{Batch: 1, Height: h, Width: w, Version: version})
	return err
}

// A calibration runs networks on pictures as detect sees them.
type calibration struct {
	ctx  context.Context
	w, h int
	out  io.Writer // of the progress
}

// runner runs a network as fast as this machine can.
func (p *calibration) runner(g *graph.Graph) (func(*tensor.Tensor) ([]*tensor.Tensor, error), error) {
	program, err := engine.Compile(g, engine.Options{Batch: 1, Height: p.h, Width: p.w})
	if err != nil {
		return nil, err
	}
	return program.NewSession().Run, nil
}

// mostLost is the share of pictures that may be lost, as in package dataset.
const mostLost = 0.03

// pictures reads at most so many, spread over the items, one at a time. One that can no longer
// be read is left out, with a warning; more than mostLost, and more than one, are an error.
func (p *calibration) pictures(what string, items []dataset.Item, most int) iter.Seq2[*tensor.Tensor, error] {
	return func(yield func(*tensor.Tensor, error) bool) {
		bar := newProgress(p.out)
		defer bar.clear()
		some := dataset.Spread(items, most)
		x := tensor.New(1, 3, p.h, p.w)
		pixels := make([]uint8, 3*p.h*p.w)
		boxer := picture.NewLetterboxer(p.w, p.h, 0)
		lost, most := 0, min(max(1, int(mostLost*float64(len(some)))), len(some)-1)
		warn := warnLost(p.out, bar)
		for i, item := range some {
			img, err := picture.Open(item.Path)
			if p.ctx.Err() != nil {
				err = p.ctx.Err()
			} else if err != nil && lost < most {
				lost++
				warn(err, lost)
				continue
			}
			if err != nil {
				yield(nil, err)
				return
			}
			boxer.Letterbox(pixels, img)
			for k, v := range pixels {
				x.Data[k%3*p.h*p.w+k/3] = float32(v) / 255
			}
			if !yield(x, nil) {
				return
			}
			bar.set(what, i+1, len(some))
		}
	}
}
