package main

import (
	"context"
	"fmt"
	"io"
	"math"

	"ultrafast/dataset"
	"ultrafast/detect"
	"ultrafast/engine"
	"ultrafast/graph"
	"ultrafast/prune"
	"ultrafast/tensor"
	"ultrafast/train"
)

// A judge tells what a cut network is worth: it measures the statistics of its batch norms
// anew and validates it, hundreds of times on the same pictures, which it keeps.
type judge struct {
	be         train.Backend
	statistics []*tensor.Tensor // batches of training pictures
	val        []dataset.Item
	loader     *dataset.Loader // of val; nil reads them each time
	size       int
	precision  string
}

// judgeStatistics is how many training pictures renew the statistics of each cut: few, since
// that takes half of the time.
const judgeStatistics = 64

// validationPictures is enough to compare cuts of one network.
const validationPictures = 300

// newValidation is a judge of networks whose statistics are right, by so many validation
// pictures, spread evenly over the set.
func newValidation(data *dataset.Data, size, pictures int) *judge {
	return &judge{val: dataset.Spread(data.Val, pictures), size: size, precision: engine.FP32}
}

// newJudge keeps pictures: some for training, and as many for validation as given.
func newJudge(ctx context.Context, be train.Backend, data *dataset.Data, size, pictures int, out io.Writer) (*judge, error) {
	j := newValidation(data, size, pictures)
	j.be = be
	if canBF16() {
		j.precision = engine.BF16
	}
	var err error
	if j.loader, err = dataset.NewLoader(j.val, dataset.LoaderOptions{Size: size}); err != nil {
		return nil, err
	}
	loader, err := dataset.NewLoader(dataset.Spread(data.Train, judgeStatistics), dataset.LoaderOptions{Size: size, CacheBytes: -1})
	if err != nil {
		return nil, err
	}
	bar := newProgress(out)
	defer bar.clear()
	for b, err := range loader.Epoch(ctx, 0) {
		if err != nil {
			return nil, err
		}
		j.statistics = append(j.statistics, b.X.Clone())
		bar.set("pictures", len(j.statistics), loader.Batches())
	}
	return j, nil
}

// noteFolded says so where a model has no statistics that could be renewed after a cut.
func noteFolded(out io.Writer, g *graph.Graph, path string) {
	for _, n := range g.Nodes {
		if _, ok := n.Op.(*graph.BatchNorm); ok {
			return
		}
	}
	fmt.Fprintf(out, "%s has no batch norms (an export folds them): no statistics are renewed, and cuts cost more accuracy than they need; take the checkpoint\n", path)
}

// canBF16 reports whether the engine computes in bfloat16 on this machine.
func canBF16() bool {
	g, err := graph.Parse("ultrafast graph 1\nx = input shape=1,1,1,1\noutput x\n")
	if err != nil {
		panic(err)
	}
	_, err = engine.Compile(g, engine.Options{Precision: engine.BF16})
	return err == nil
}

// worth is a prune.Judge.
func (j *judge) worth(ctx context.Context, g *graph.Graph) (prune.Worth, error) {
	precision, err := j.be.Precision(train.Precision(j.precision))
	if err != nil {
		precision = train.FP32
	}
	net, err := j.be.Load(g, train.LoadOptions{Precision: precision})
	if err != nil {
		return prune.Worth{}, err
	}
	defer net.Close()
	err = net.Recalibrate(func(yield func(*tensor.Tensor, error) bool) {
		for _, x := range j.statistics {
			if ctx.Err() != nil {
				yield(nil, ctx.Err())
				return
			}
			if !yield(x, nil) {
				return
			}
		}
	})
	if err != nil {
		return prune.Worth{}, err
	}
	if g, err = net.Graph(train.Live); err != nil {
		return prune.Worth{}, err
	}
	return j.validate(ctx, g)
}

// validate tells what a network is worth as it is.
func (j *judge) validate(ctx context.Context, g *graph.Graph) (prune.Worth, error) {
	p, head, err := newPredictor(g, detect.Native, j.precision)
	if err != nil {
		return prune.Worth{}, err
	}
	v, err := train.Validate(ctx, p.predict, head, j.val, train.ValOptions{Size: j.size, Loader: j.loader, Loss: train.NewLoss(head, train.DefaultHyp().Loss(head, j.size))})
	if err != nil {
		return prune.Worth{}, err
	}
	w := prune.Worth{MAP: v.Report.MAP5095, Box: v.Loss.Box, Obj: v.Loss.Obj, Cls: v.Loss.Cls}
	if sum := w.Box + w.Obj + w.Cls; math.IsNaN(sum) || math.IsInf(sum, 0) {
		return w, fmt.Errorf("the loss of the cut network is %v: its weights hold numbers that are not finite", sum)
	}
	return w, nil
}
