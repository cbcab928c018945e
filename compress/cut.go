package compress

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"ultrafast/dataset"
	"ultrafast/graph"
	"ultrafast/prune"
	"ultrafast/train"
)

// Pictures that a cut is prepared and judged with, beside those of the validation.
const (
	evidencePictures   = 256 // whose gradients are taken
	statisticsPictures = 800 // on which batch norms are measured anew
)

// blocksBelow is the share of the parent below which whole blocks may leave too.
const blocksBelow = 0.1

// A cutting is the contents of cut.json.
type cutting struct {
	Score  string             `json:"score"` // of the cut that was taken; empty where there is none
	Points float64            `json:"points"`
	Tried  map[string]float64 `json:"tried"` // points of mAP50-95 by score
	Cost   prune.Cost         `json:"cost"`
	Why    string             `json:"why"` // there is none
}

// cut cuts the network of a round down to its goal. No one score is the best for every
// network, so each is tried, and the cut is kept that finds the most before any training,
// with statistics measured anew: EagleEye's criterion (arXiv 2007.02491).
func (r *run) cut(ctx context.Context, v *Round) error {
	g, err := r.open(filepath.Join(v.Folder, "ready.safetensors"))
	if err != nil {
		return err
	}
	evidence, err := r.gather(ctx, v.Name(), g)
	if err != nil {
		return err
	}
	c := cutting{Tried: map[string]float64{}}
	var best *graph.Graph
	var plan *prune.File
	for _, score := range prune.AllScores {
		draft, small, cost, err := r.cutTo(g, v.Share, prune.Target{Score: score, Evidence: evidence, Blocks: v.Blocks})
		if unreachable := new(prune.UnreachableError); errors.As(err, &unreachable) {
			c.Why = err.Error()
			continue
		}
		if err != nil {
			return err
		}
		small, err = train.Recalibrate(ctx, r.o.Backend, small, r.data.Train, train.RecalibrateOptions{Size: r.job.side(), Batch: r.job.Batch, Pictures: statisticsPictures,
			Progress: func(done, batches int) { r.tell(Progress{Doing: v.Name() + ", statistics", Done: done, Of: batches}) }})
		if err != nil {
			return err
		}
		found, err := r.validate(ctx, fmt.Sprintf("%s, cut by %s", v.Name(), score), small)
		if err != nil {
			return err
		}
		points := 100 * found.MAP5095
		r.log("cut", "by", score, "to", say(cost), "mAP50-95", round4(found.MAP5095))
		c.Tried[string(score)] = points
		if best == nil || points > c.Points {
			best, plan, c.Score, c.Points, c.Cost = small, draft, string(score), points, cost
		}
	}
	if best != nil {
		c.Why = ""
		if err := r.save(filepath.Join(v.Folder, "cut.safetensors"), best); err != nil {
			return err
		}
		var text bytes.Buffer
		if _, err := plan.WriteTo(&text); err != nil {
			return err
		}
		if err := r.write(filepath.Join(v.Folder, "plan.yaml"), text.Bytes()); err != nil {
			return err
		}
	}
	return r.writeJSON(filepath.Join(v.Folder, "cut.json"), c)
}

// gather collects what gradients say about the channels of g.
func (r *run) gather(ctx context.Context, name string, g *graph.Graph) (*prune.Evidence, error) {
	e, err := prune.NewEvidence(g)
	if err != nil {
		return nil, err
	}
	o := train.GradientOptions{Size: r.job.side(), Hyp: r.hyp, Progress: func(done, pictures int) {
		r.tell(Progress{Doing: name + ", gradients", Done: done, Of: pictures})
	}}
	return e, train.PictureGradients(ctx, r.o.Backend, g, dataset.Spread(r.data.Train, evidencePictures), o, e.Add)
}

// cutTo returns g cut to a share of what the target counts of it, the plan that this went
// by, and its cost.
func (r *run) cutTo(g *graph.Graph, share float64, t prune.Target) (*prune.File, *graph.Graph, prune.Cost, error) {
	t.Limit = prune.Limit{Quantity: r.limit.Quantity, Share: share}
	t.Width, t.Height = r.job.Width, r.job.Height
	if t.Limit.Quantity == prune.Milliseconds {
		t.Clock = r.clock
	}
	draft, err := prune.Draft(g, t, fmt.Sprintf("%s of the %s, on the way to %s", percent(share), r.limit.Quantity, r.job.Target))
	if err != nil {
		return nil, nil, prune.Cost{}, err
	}
	plan, err := draft.Plan(g)
	if err != nil {
		return nil, nil, prune.Cost{}, err
	}
	small, err := plan.Apply(g)
	if err != nil {
		return nil, nil, prune.Cost{}, err
	}
	c, err := r.cost(small)
	return draft, small, c, err
}

func percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

// latency measures what layers take on the device, or takes over the given table, for a
// target in milliseconds.
func (r *run) latency(ctx context.Context) error {
	if err := r.measureLatency(ctx); err != nil {
		return err
	}
	var text bytes.Buffer
	if err := r.clock.Write(&text); err != nil {
		return err
	}
	return r.write("latency.csv", text.Bytes())
}

func (r *run) measureLatency(ctx context.Context) (err error) {
	if r.clock = r.o.Latency; r.clock != nil {
		return nil
	}
	g, _, err := r.start()
	if err != nil {
		return err
	}
	r.clock, err = prune.Measure(ctx, g, prune.Measurement{Width: r.job.Width, Height: r.job.Height, Seed: r.job.Seed,
		Progress: func(done, of int) { r.tell(Progress{Doing: "latency", Done: done, Of: of}) }}, r.o.Profile)
	if err == nil {
		r.clock.Machine, r.clock.Runtime = r.o.Processor, r.o.Runtime.Runtime
		r.clock.Precision, r.clock.Threads = r.o.Runtime.Precision, r.o.Runtime.Threads
	}
	return err
}

// openLatency reads the table of a run that goes on.
func (r *run) openLatency() error {
	f, err := os.Open(r.path("latency.csv"))
	if missing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if r.clock, err = prune.ReadLatency(f); err != nil {
		return fmt.Errorf("%s: %w", f.Name(), err)
	}
	return nil
}
