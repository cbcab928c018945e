package compress

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"ultrafast/dataset"
	"ultrafast/graph"
	"ultrafast/prune"
	"ultrafast/quant"
	"ultrafast/tensor"
	"ultrafast/train"
)

// Stages of the child in 8 bits, and its files.
const (
	int8Name     = "int8"
	int8Training = "int8: training"
	int8Choice   = "int8: choice"

	int8File   = "child-int8.safetensors" // the better one of the two
	int8Chosen = "int8-choice.json"
	calibrated = "int8-calibrated.safetensors"
	rangesFile = "int8-ranges.json"
	int8Folder = "int8-trained"
)

// rangePictures are training pictures that ranges are measured on. More change them little.
const rangePictures = 300

// Int8Drop is how many points of mAP50-95 8 bits may cost before the child is trained in them.
// Ranges by the least squared error cost a few tenths (YOLOv7 in TensorRT 0.2 of 51.2:
// NVIDIA-AI-IOT/yolo_deepstream); what costs half a point or more has values that no range
// serves, and only weights that are used to it do better.
const Int8Drop = 0.5

// The training in 8 bits is short and gentle: its weights are nearly right.
const (
	int8Epochs = 8
	int8Rate   = 0.001 // learning rate in the beginning, which falls to 0
)

// An unfit error is why a network cannot be had in 8 bits. The run goes on without.
type unfit struct{ error }

// int8 measures the ranges of the child's values and makes it one in 8 bits by them.
func (r *run) int8(ctx context.Context) error {
	child, err := r.handed()
	if err != nil {
		return err
	}
	g, err := r.open("child.safetensors")
	if err != nil {
		return err
	}
	ranges, err := r.ranges(ctx, g)
	if err == nil {
		g, err = r.quantised(g, ranges)
	}
	var why unfit
	if errors.As(err, &why) {
		r.log("there is no child in 8 bits", "why", why)
		return r.writeJSON("int8.json", Model{Missing: why.Error()})
	}
	if err != nil {
		return err
	}
	if err := r.save(calibrated, g); err != nil {
		return err
	}
	m, err := r.measureInt8(ctx, int8Name, calibrated, g)
	if err != nil {
		return err
	}
	m.Epochs = child.Epochs
	return r.writeJSON("int8.json", m)
}

// quantised is g in 8 bits, or unfit.
func (r *run) quantised(g *graph.Graph, ranges *quant.Ranges) (*graph.Graph, error) {
	q, err := quant.Quantize(g, ranges, quant.Options{})
	if err == nil {
		_, err = r.o.Values(q) // scales may be beyond what can be computed
	}
	if err != nil {
		return nil, unfit{err}
	}
	return q, nil
}

// ranges measures those of the child's values, once. The error is unfit where it is the
// network's.
func (r *run) ranges(ctx context.Context, g *graph.Graph) (*quant.Ranges, error) {
	if !r.done(rangesFile) {
		found, err := r.calibrate(ctx, g)
		if err != nil {
			return nil, err
		}
		var text bytes.Buffer
		if err := errors.Join(found.Write(&text), r.write(rangesFile, text.Bytes())); err != nil {
			return nil, err
		}
	}
	return r.readRanges()
}

func (r *run) readRanges() (*quant.Ranges, error) {
	text, err := os.ReadFile(r.path(rangesFile))
	if err != nil {
		return nil, err
	}
	ranges, err := quant.ReadRanges(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.path(rangesFile), err)
	}
	return ranges, nil
}

// calibrate shows training pictures as validation sees its own, in squares.
func (r *run) calibrate(ctx context.Context, g *graph.Graph) (*quant.Ranges, error) {
	d, err := detectOf(g)
	if err != nil {
		return nil, err
	}
	items := dataset.Spread(r.data.Train, rangePictures)
	if len(items) < rangePictures {
		r.log("8 bits: there are few pictures to measure ranges on, and others may hold larger values", "pictures", len(items), "wanted", rangePictures)
	}
	loader, err := dataset.NewLoader(items, dataset.LoaderOptions{Size: r.job.Size, Stride: slices.Max(d.Strides), Batch: 1, CacheBytes: -1, CacheDir: r.o.Pictures, Lost: r.lost("training")})
	if err != nil {
		return nil, err
	}
	var ended error // too many pictures are lost, or the run was stopped
	found, err := quant.Calibrate(g, func(yield func(*tensor.Tensor, error) bool) {
		done := 0
		for b, err := range loader.Epoch(ctx, 0) {
			if err != nil {
				ended = err
				yield(nil, err)
				return
			}
			if !b.Lost[0] && !yield(b.X, nil) {
				return
			}
			done++
			r.tell(Progress{Doing: int8Name + ", ranges", Done: done, Of: len(items)})
		}
	}, r.o.Values, quant.MSE)
	switch {
	case ended != nil:
		return nil, err
	case err != nil:
		return nil, unfit{err}
	}
	r.log("ranges are measured", "values", len(found.Values), "pictures", found.Pictures, "by", found.Method)
	return found, nil
}

// measureInt8 is measure for a quantised network. No latency table knows what it takes.
func (r *run) measureInt8(ctx context.Context, what, file string, g *graph.Graph) (*Model, error) {
	m := &Model{File: file}
	var err error
	if m.Cost, err = prune.CostOf(g, nil, r.job.Width, r.job.Height); err != nil {
		return nil, err
	}
	for _, n := range g.Nodes {
		if c, ok := n.Op.(*graph.Conv); ok && c.WeightScale != nil { // bytes, and their scales
			m.Bytes += 4*int64(len(c.WeightScale)) - 3*int64(c.Weight.Len())
		}
	}
	return m, r.weigh(ctx, r.fp32(), what, m, g)
}

// trainInt8 trains the child in 8 bits, with itself in fp32 as teacher, where they cost too
// much.
func (r *run) trainInt8(ctx context.Context) error {
	const numbers = int8Folder + ".json"
	child, err := r.handed()
	if err != nil {
		return err
	}
	var before Model
	if err := r.readJSON("int8.json", &before); err != nil {
		return err
	}
	if before.Accuracy == nil && before.Missing == "" {
		return before.check(r.path("int8.json"))
	}
	if why := untrained(child, &before); why != "" {
		r.state.Left = 0 // no training comes after this one
		r.log("there is no training in 8 bits", "why", why)
		return r.writeJSON(numbers, Model{Missing: why})
	}
	g, err := r.open(before.File)
	if err != nil {
		return err
	}
	c, err := r.int8Config()
	if err != nil {
		return err
	}
	if g, err = r.train(ctx, int8Training, int8Folder, g, c); err != nil {
		return err
	}
	m, err := r.measureInt8(ctx, int8Training, int8Folder+"/weights/best.safetensors", g)
	if err != nil {
		return err
	}
	m.Epochs = before.Epochs + int8Epochs
	r.log("trained in 8 bits", "mAP50-95", m.Accuracy.MAP5095, "before", before.Accuracy.MAP5095, "in fp32", child.Accuracy.MAP5095)
	return r.writeJSON(numbers, m)
}

// chooseInt8 puts the better one in place.
func (r *run) chooseInt8(context.Context) error {
	found, err := ReadResult(r.dir)
	if err != nil {
		return err
	}
	best := found.HandedInt8()
	if best == nil {
		return r.writeJSON(int8Chosen, struct{}{})
	}
	g, err := r.open(best.File)
	if err != nil {
		return err
	}
	if err := r.save(int8File, g); err != nil {
		return err
	}
	return r.writeJSON(int8Chosen, struct {
		File string `json:"file"`
	}{int8File})
}

// untrained says why the child need not be trained in 8 bits, or cannot; empty where it is to be.
func untrained(child, in8 *Model) string {
	if in8.Accuracy == nil {
		return in8.Missing
	}
	drop := child.points() - in8.points()
	if drop > Int8Drop {
		return ""
	}
	return fmt.Sprintf("8 bits cost %.2f points of mAP50-95, and training begins above %v", max(drop, 0), Int8Drop)
}

// better is the one that finds more, of equals the first. The second may be nil or not there.
func better(before, trained *Model) *Model {
	if trained != nil && trained.Accuracy != nil && trained.points() > before.points() {
		return trained
	}
	return before
}

// int8Config is the recipe of the training in 8 bits. It is in fp32 in any case: what bfloat16
// rounds is no level any more.
func (r *run) int8Config() (c train.Config, err error) {
	rounds, parent, err := r.before()
	if err != nil {
		return c, err
	}
	h := r.recipe(rounds, parent)
	h.LR0, h.LRF, h.WarmupBiasLR = int8Rate, 0, min(h.WarmupBiasLR, int8Rate)
	teacher, err := r.open("child.safetensors")
	return train.Config{Epochs: int8Epochs, Hyp: h, NoAutoAnchor: true, Precision: train.FP32,
		Distill: &train.Distill{Teacher: teacher, Source: r.path("child.safetensors")}}, err
}

// inFloat lists the layers of a quantised network that multiply in float.
func inFloat(q *graph.Graph) []string {
	var names []string
	for _, n := range q.Nodes {
		switch c := n.Op.(type) {
		case *graph.Conv:
			if c.WeightScale == nil {
				names = append(names, n.Name)
			}
		case *graph.ConvTranspose:
			names = append(names, n.Name)
		}
	}
	return names
}
