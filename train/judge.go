package train

import (
	"context"
	"errors"
	"fmt"
	"math"

	"ultrafast/dataset"
	"ultrafast/graph"
	"ultrafast/tensor"
)

// A Judge tells what cut networks are worth, hundreds of them on the same pictures, which it
// reads once.
type Judge struct {
	be         Backend
	o          JudgeOptions
	statistics []*tensor.Tensor // batches of training pictures
	val        []dataset.Item
	loader     *dataset.Loader // of val
}

// JudgeOptions say on what networks are judged.
type JudgeOptions struct {
	Size       int                                   // side of the network's input; must be given
	Statistics int                                   // training pictures that renew batch norms
	Pictures   int                                   // validation pictures
	Precision  Precision                             // of the pass that renews them; what the backend lacks is FP32
	Predictor  func(g *graph.Graph) (Predict, error) // makes what runs a network in a validation; must be given
	CacheDir   string                                // as in dataset.LoaderOptions
	Lost       func(err error, lost int)             // as in dataset.LoaderOptions, of training and validation pictures apart
	Progress   func(done, batches int)
}

// NewJudge reads the pictures, spread evenly over those given.
func NewJudge(ctx context.Context, be Backend, training, val []dataset.Item, o JudgeOptions) (*Judge, error) {
	if p, err := be.Precision(o.Precision); err == nil {
		o.Precision = p
	} else {
		o.Precision = FP32
	}
	j := &Judge{be: be, o: o, val: dataset.Spread(val, o.Pictures)}
	var err error
	if j.loader, err = dataset.NewLoader(j.val, dataset.LoaderOptions{Size: o.Size, Lost: o.Lost}); err != nil {
		return nil, err
	}
	loader, err := dataset.NewLoader(dataset.Spread(training, o.Statistics), dataset.LoaderOptions{Size: o.Size, CacheBytes: -1, Lost: o.Lost})
	if err != nil {
		return nil, err
	}
	for b, err := range loader.Epoch(ctx, 0) {
		if err != nil {
			return nil, err
		}
		j.statistics = append(j.statistics, b.X.Clone())
		if o.Progress != nil {
			o.Progress(len(j.statistics), loader.Batches())
		}
	}
	return j, nil
}

// Precision is that of the pass that renews the statistics.
func (j *Judge) Precision() Precision { return j.o.Precision }

// Pictures is how many pictures it validates on.
func (j *Judge) Pictures() int { return len(j.val) }

// Judge measures the statistics of g's batch norms anew and validates it. g is not changed.
func (j *Judge) Judge(ctx context.Context, g *graph.Graph) (Validation, error) {
	net, err := j.be.Load(g, LoadOptions{Precision: j.o.Precision, Alone: true})
	if err != nil {
		return Validation{}, err
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
		return Validation{}, err
	}
	if g, err = net.Graph(Live); err != nil {
		return Validation{}, err
	}
	return j.Validate(ctx, g)
}

// Validate tells what a network is worth as it is. A loss that is no finite number is an
// error: the network's weights are broken.
func (j *Judge) Validate(ctx context.Context, g *graph.Graph) (Validation, error) {
	predict, err := j.o.Predictor(g)
	if err != nil {
		return Validation{}, err
	}
	detect := g.Detect()
	if detect == nil {
		return Validation{}, errors.New("the model has no detection head")
	}
	head := detect.Op.(*graph.Detect)
	v, err := Validate(ctx, predict, head, j.val, ValOptions{Loader: j.loader, Loss: NewLoss(head, DefaultHyp().Loss(head, j.o.Size))})
	if err != nil {
		return Validation{}, err
	}
	if sum := v.Loss.Box + v.Loss.Obj + v.Loss.Cls; math.IsNaN(sum) || math.IsInf(sum, 0) {
		return v, fmt.Errorf("the loss of the network is %v: its weights hold numbers that are not finite", sum)
	}
	return v, nil
}
