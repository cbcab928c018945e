package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"math"
	"os"
	"slices"

	"github.com/google/renameio/v2"

	"ultrafast/dataset"
	"ultrafast/graph"
	"ultrafast/quant"
	"ultrafast/tensor"
)

// fixPictures is how many training pictures correct biases, and how many others tell whether
// that and equalisation bring the raw maps nearer to the float ones. They stay in memory, since
// biases are corrected layer by layer.
const fixPictures = 16

// A quantization makes networks of 8 bits of one float network.
type quantization struct {
	g          *graph.Graph // float, equalised where that helps
	ranges     *quant.Ranges
	o          quant.Options
	p          *calibration
	fix, check []*tensor.Tensor
	correct    bool         // biases, since that helps
	whole      *graph.Graph // in which the layers of o alone are in float
	plain      *graph.Graph // whole without corrected biases
	equalised  string       // what became of equalisation
	correction string       // what corrected biases are worth
}

// prepare measures ranges, or takes those of the file, and applies equalisation and bias
// correction where they lower the error of the raw maps.
func (f *quantizeFlags) prepare(g *graph.Graph, p *calibration, items []dataset.Item) (*quantization, error) {
	b := &quantization{g: g, o: quant.Options{KeepFloat: f.named(), Symmetric: f.symmetric}, p: p}
	if err := b.read(items); err != nil {
		return nil, err
	}
	ranges, err := f.readRanges()
	if err != nil {
		return nil, err
	}
	if ranges != nil {
		fmt.Fprintf(p.out, "the ranges are those of %s, of %d pictures by %s: remove the file to measure them anew\n", f.ranges, ranges.Pictures, ranges.Method)
	}
	if err := f.equalise(b, ranges, items); err != nil {
		return nil, err
	}
	if b.plain, err = quant.Quantize(b.g, b.ranges, b.o); err != nil && ranges != nil {
		return nil, fmt.Errorf("--ranges %s: %w", f.ranges, err)
	} else if err != nil {
		return nil, err
	}
	b.whole = b.plain
	return b, b.correctBiases()
}

// read takes pictures spread over the items, in turns to correct with and to check with.
func (b *quantization) read(items []dataset.Item) error {
	for x, err := range b.p.pictures("pictures", items, 2*fixPictures) {
		if err != nil {
			return err
		}
		if len(b.fix) == len(b.check) {
			b.fix = append(b.fix, x.Clone())
		} else {
			b.check = append(b.check, x.Clone())
		}
	}
	if len(b.check) == 0 { // of one picture
		b.check = b.fix
	}
	return nil
}

// each ranges over pictures in memory, until the command is stopped.
func (b *quantization) each(pictures []*tensor.Tensor) iter.Seq2[*tensor.Tensor, error] {
	return func(yield func(*tensor.Tensor, error) bool) {
		for _, x := range pictures {
			if err := b.p.ctx.Err(); err != nil {
				yield(nil, err)
				return
			}
			if !yield(x, nil) {
				return
			}
		}
	}
}

// equalise chooses between the network as it is and equalised. Where ranges are given they say
// which of the two they were measured with.
func (f *quantizeFlags) equalise(b *quantization, ranges *quant.Ranges, items []dataset.Item) error {
	equal, pairs, err := quant.Equalize(b.g)
	if err != nil {
		return err
	}
	b.equalised = "not applied: there are no two convolutions with nothing, ReLU or LeakyReLU between them"
	if ranges != nil {
		b.ranges = ranges
		if pairs == 0 {
			return nil
		}
		ok, err := ranges.Of(equal)
		b.equalised = "not applied, as the file of ranges has it"
		if ok {
			b.g, b.equalised = equal, "applied, as the file of ranges has it"
		}
		return err
	}
	calibrate := func(g *graph.Graph) (*quant.Ranges, error) {
		return quant.Calibrate(g, b.p.pictures("ranges", items, f.pictures), b.p.runner, quant.Method(f.method))
	}
	if b.ranges, err = calibrate(b.g); err != nil {
		return err
	}
	if pairs > 0 {
		r, err := calibrate(equal)
		if err != nil {
			return err
		}
		var errs [2]float64
		for i, c := range []struct {
			g *graph.Graph
			r *quant.Ranges
		}{{b.g, b.ranges}, {equal, r}} {
			q, err := quant.Quantize(c.g, c.r, b.o)
			if err != nil {
				return err
			}
			if errs[i], err = quant.Error(c.g, q, b.each(b.check), b.p.runner); err != nil {
				return err
			}
		}
		b.equalised = fmt.Sprintf("%s: %s, %d pairs of convolutions", applied(errs[1] < errs[0]), inDB(errs), pairs)
		if errs[1] < errs[0] {
			b.g, b.ranges = equal, r
		}
	}
	return f.writeRanges(b.ranges)
}

// correctBiases does so to the whole network if that brings the raw maps nearer.
func (b *quantization) correctBiases() error {
	bar := newProgress(b.p.out)
	defer bar.clear()
	fixed, err := quant.CorrectBias(b.g, b.plain, b.each(b.fix), b.p.runner, func(done, all int) { bar.set("biases", done, all) })
	if err != nil {
		return err
	}
	var errs [2]float64
	for i, q := range []*graph.Graph{b.plain, fixed} {
		if errs[i], err = quant.Error(b.g, q, b.each(b.check), b.p.runner); err != nil {
			return err
		}
	}
	b.correction = inDB(errs)
	if b.correct = errs[1] < errs[0]; b.correct {
		b.whole = fixed
	}
	return nil
}

// judgeCorrection takes corrected biases back where less is found with them: raw maps are mostly
// of cells where there is nothing, and may be nearer there and farther elsewhere.
func (b *quantization) judgeCorrection(judge quant.Judge) error {
	if !b.correct {
		return nil
	}
	without, err := judge(b.plain)
	if err != nil {
		return err
	}
	with, err := judge(b.whole)
	if err != nil {
		return err
	}
	b.correction += fmt.Sprintf(", mAP50-95 is %.2f without and %.2f with it", without, with)
	if with < without {
		b.correct, b.whole = false, b.plain
	}
	return nil
}

func applied(yes bool) string {
	if yes {
		return "applied"
	}
	return "not applied"
}

// inDB says what the errors of raw maps are without and with a step.
func inDB(errs [2]float64) string {
	return fmt.Sprintf("raw maps have %.2f dB without and %.2f dB with it", -10*math.Log10(errs[0]), -10*math.Log10(errs[1]))
}

// quantise makes the network in which these layers stay in float.
func (b *quantization) quantise(keep []string) (*graph.Graph, error) {
	if slices.Equal(keep, b.o.KeepFloat) {
		return b.whole, nil
	}
	o := b.o
	o.KeepFloat = keep
	q, err := quant.Quantize(b.g, b.ranges, o)
	if err != nil || !b.correct {
		return q, err
	}
	return quant.CorrectBias(b.g, q, b.each(b.fix), b.p.runner, func(_, _ int) {})
}

func (b *quantization) print(out io.Writer) {
	fmt.Fprintf(out, "equalisation: %s\nbias correction: %s: %s\n", b.equalised, applied(b.correct), b.correction)
}

// readRanges returns the ranges of the file, nil where there is none yet.
func (f *quantizeFlags) readRanges() (*quant.Ranges, error) {
	if f.ranges == "" {
		return nil, nil
	}
	text, err := os.ReadFile(f.ranges)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r, err := quant.ReadRanges(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("--ranges %s: %w", f.ranges, err)
	}
	return r, nil
}

// writeRanges keeps them where --ranges says so.
func (f *quantizeFlags) writeRanges(r *quant.Ranges) error {
	if f.ranges == "" {
		return nil
	}
	var text bytes.Buffer
	if err := r.Write(&text); err != nil {
		return err
	}
	return renameio.WriteFile(f.ranges, text.Bytes(), 0o644)
}
