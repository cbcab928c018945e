package compress

import (
	"context"
	"fmt"
	"math"

	"ultrafast/box"
	"ultrafast/graph"
	"ultrafast/onnx"
	"ultrafast/report"
	"ultrafast/train"
)

// A Cost is what a model takes on the device, for one picture of the job's size.
type Cost struct {
	Parameters   int     `json:"parameters"`
	GFLOP        float64 `json:"gflop"`
	Bytes        int64   `json:"bytes"`        // of the ONNX file in fp32
	Milliseconds float64 `json:"milliseconds"` // of the network in Options.Time
}

func (c Cost) String() string {
	return fmt.Sprintf("%d parameters, %.2f GFLOP, %.2f MB, %.2f ms", c.Parameters, c.GFLOP, float64(c.Bytes)/1e6, c.Milliseconds)
}

// A Model is one that was measured: the contents of parent.json and its like.
type Model struct {
	File string `json:"file"` // within the run's folder
	Cost
	Epochs   int              `json:"epochs"` // that it was trained for in this run, in all
	Accuracy *report.Accuracy `json:"accuracy"`
}

// points is mAP50-95 in points, 0 to 100.
func (m Model) points() float64 { return 100 * float64(m.Accuracy.MAP5095) }

// cost measures what g takes.
func (r *run) cost(ctx context.Context, g *graph.Graph) (c Cost, err error) {
	c.Parameters = g.ParamCount()
	if c.GFLOP, err = g.GFLOP(r.job.Width, r.job.Height); err != nil {
		return c, err
	}
	if c.Bytes, err = onnx.Size(g, r.exportOptions()); err != nil {
		return c, err
	}
	c.Milliseconds, err = r.o.Time(ctx, g, r.job.Width, r.job.Height)
	return c, err
}

func (r *run) exportOptions() onnx.WriteOptions {
	return onnx.WriteOptions{Batch: 1, Width: r.job.Width, Height: r.job.Height, Version: r.o.Version}
}

// validate measures what g finds in the validation pictures, in squares and in fp32, as val
// does by default.
func (r *run) validate(ctx context.Context, what string, g *graph.Graph) (box.Report, error) {
	d, err := detectOf(g)
	if err != nil {
		return box.Report{}, err
	}
	predict, err := r.o.Predictor(g)
	if err != nil {
		return box.Report{}, err
	}
	v, err := train.Validate(ctx, predict, d, r.data.Val, train.ValOptions{Size: r.job.side(), Batch: r.job.Batch,
		Progress: func(done, batches int) { r.tell(Progress{Doing: what + ", validation", Done: done, Of: batches}) }})
	return v.Report, err
}

// measure is both. A cost that is known already is taken as it is: milliseconds are never
// the same twice, and what has one shape is to have one number.
func (r *run) measure(ctx context.Context, what, file string, g *graph.Graph, known *Cost) (*Model, error) {
	m := &Model{File: file}
	var err error
	if known != nil {
		m.Cost = *known
	} else if m.Cost, err = r.cost(ctx, g); err != nil {
		return nil, err
	}
	found, err := r.validate(ctx, what, g)
	if err != nil {
		return nil, err
	}
	m.Accuracy = report.AccuracyOf(g.Names, found)
	r.log("measured", "what", what, "cost", m.Cost.String(), "mAP50", round4(found.MAP50), "mAP50-95", round4(found.MAP5095))
	return m, nil
}

func round4(v float64) float64 { return math.Round(v*1e4) / 1e4 }
