package compress

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"ultrafast/box"
	"ultrafast/graph"
	"ultrafast/onnx"
	"ultrafast/prune"
	"ultrafast/report"
	"ultrafast/train"
)

// A Model is one that was measured: the contents of parent.json and its like.
type Model struct {
	File       string           `json:"file"` // within the run's folder
	prune.Cost                  // for a picture of the job's size; Ms is what a latency table predicts
	Measured   float64          `json:"measured"` // milliseconds; 0 where the device is not here
	Epochs     int              `json:"epochs"`   // that it was trained for in this run, in all
	Accuracy   *report.Accuracy `json:"accuracy"`
	Missing    string           `json:"missing,omitempty"` // why there is no such network; Accuracy is nil then
}

// points is mAP50-95 in points, 0 to 100.
func (m Model) points() float64 { return 100 * float64(m.Accuracy.MAP5095) }

// Idle says that a parent finds nothing, so that nothing can be lost; "" where it does.
func (m Model) Idle() string {
	if m.points() > 0 {
		return ""
	}
	return "the parent finds nothing in the validation pictures, so that nothing can be lost: is it the model for these data?"
}

// Milliseconds are the measured ones or, where the device is not here, those predicted.
func (m Model) Milliseconds() float64 { return cmp.Or(m.Measured, m.Ms) }

// cost says what g takes. Milliseconds are there only if the target is in them, and are
// those that the latency table predicts: they are the same each time, as measured ones never
// are, and the cut goes by them.
func (r *run) cost(g *graph.Graph) (prune.Cost, error) {
	if r.clock == nil { // not a nil pointer in an interface
		return prune.CostOf(g, nil, r.job.Width, r.job.Height)
	}
	return prune.CostOf(g, r.clock, r.job.Width, r.job.Height)
}

// clocked measures the milliseconds of g on the device. It is 0 where the device is not here.
func (r *run) clocked(g *graph.Graph) (float64, error) { return r.fp32().clocked(g) }

func (p Precision) clocked(g *graph.Graph) (float64, error) {
	if p.Profile == nil {
		return 0, nil
	}
	least, err := leasts(func() (prune.Profile, error) { return p.Profile(g) })
	if err != nil {
		return 0, err
	}
	return least[0], nil
}

// Turns of measurements go on until so many in a row have made none faster by more than 1 %, or for
// so long.
const (
	steadyTurns = 5
	mostTurns   = 20
	turnsFor    = 20 * time.Second
)

// leasts takes measurements in turns, and returns the least milliseconds of each: whatever else a
// machine does makes it slower.
func leasts(profiles ...func() (prune.Profile, error)) ([]float64, error) {
	least := slices.Repeat([]float64{math.Inf(1)}, len(profiles))
	start, steady := time.Now(), 0
	for turn := 1; steady < steadyTurns && turn <= mostTurns && (turn <= 3 || time.Since(start) < turnsFor); turn++ {
		steady++
		for i, profile := range profiles {
			m, err := profile()
			if err != nil {
				return nil, err
			}
			if !(m.Ms > 0) {
				return nil, fmt.Errorf("the device measures %v ms: it has no clock that can be gone by", m.Ms)
			}
			if m.Ms < 0.99*least[i] {
				steady = 0
			}
			least[i] = min(least[i], m.Ms)
		}
	}
	return least, nil
}

// compared measures g as a profile does, in turns with another network of the run, and returns how many
// times as long as the other it takes, and the milliseconds of the other by now: what else a machine does
// slows both, so the ratio says more.
func (r *run) compared(g *graph.Graph, profile func(*graph.Graph) (prune.Profile, error), with *Model) (ratio, ms float64, err error) {
	other, err := r.open(with.File)
	if err != nil {
		return 0, 0, err
	}
	least, err := leasts(func() (prune.Profile, error) { return r.o.Profile(other) }, func() (prune.Profile, error) { return profile(g) })
	if err != nil {
		return 0, 0, err
	}
	return least[1] / least[0], least[0], nil
}

// timed is what g takes in a precision, in the milliseconds of the parent, so that what is measured hours
// apart compares; those of the parent itself are the device's.
func (r *run) timed(in Precision, g *graph.Graph) (float64, error) {
	if in.Profile == nil || r.o.Profile == nil || !r.done("parent.json") {
		return in.clocked(g)
	}
	parent, err := r.readModel("parent.json")
	if err != nil {
		return 0, err
	}
	ratio, _, err := r.compared(g, in.Profile, parent)
	return ratio * parent.Measured, err
}

func say(c prune.Cost) string {
	s := fmt.Sprintf("%d parameters, %.3g GFLOP, %.2f MB", c.Params, c.GFLOP, float64(c.Bytes)/1e6)
	if c.Ms > 0 {
		s += fmt.Sprintf(", %.2f ms", c.Ms)
	}
	return s
}

func (r *run) exportOptions() onnx.WriteOptions {
	return onnx.WriteOptions{Batch: 1, Width: r.job.Width, Height: r.job.Height, Version: r.o.Version}
}

// validate measures what g finds in the validation pictures, in squares and in fp32, as val
// does by default.
func (r *run) validate(ctx context.Context, what string, g *graph.Graph) (box.Report, error) {
	return r.validateIn(ctx, r.fp32(), what, g)
}

func (r *run) validateIn(ctx context.Context, in Precision, what string, g *graph.Graph) (box.Report, error) {
	d, err := detectOf(g)
	if err != nil {
		return box.Report{}, err
	}
	predict, err := in.Predictor(g)
	if err != nil {
		return box.Report{}, err
	}
	v, err := train.Validate(ctx, predict, d, r.data.Val, train.ValOptions{Size: r.job.Size, Batch: r.job.Batch, CacheDir: r.o.Pictures, Lost: r.lost("validation"),
		Progress: func(done, batches int) { r.tell(Progress{Doing: what + ", validation", Done: done, Of: batches}) }})
	return v.Report, err
}

// lost warns of pictures that went bad after the data set was opened.
func (r *run) lost(what string) func(err error, lost int) {
	return func(err error, lost int) {
		r.o.Log.Warn("a picture can no longer be read and is left out", "of", what, "so far", lost, "error", err)
	}
}

// measure is all of them.
func (r *run) measure(ctx context.Context, what, file string, g *graph.Graph) (*Model, error) {
	m := &Model{File: file}
	var err error
	if m.Cost, err = r.cost(g); err != nil && r.o.Profile != nil { // a latency table of the parent need not have the layers of another network
		m.Cost, err = prune.CostOf(g, nil, r.job.Width, r.job.Height)
	}
	if err != nil {
		return nil, err
	}
	return m, r.weigh(ctx, r.fp32(), what, m, g)
}

// weigh measures what m's network, g, takes and finds in a precision.
func (r *run) weigh(ctx context.Context, in Precision, what string, m *Model, g *graph.Graph) error {
	var err error
	if m.Measured, err = r.timed(in, g); err != nil {
		return err
	}
	found, err := r.validateIn(ctx, in, what, g)
	if err != nil {
		return err
	}
	m.Accuracy = report.AccuracyOf(g.Names, found)
	r.log("measured", "what", what, "cost", say(m.Cost), "measured ms", round4(m.Measured), "mAP50", round4(found.MAP50), "mAP50-95", round4(found.MAP5095))
	return nil
}

func round4(v float64) float64 { return math.Round(v*1e4) / 1e4 }
