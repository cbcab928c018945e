package compress

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"ultrafast/dataset"
	"ultrafast/graph"
	"ultrafast/prune"
	"ultrafast/train"
)

// Pictures that a cut is prepared with.
const (
	evidencePictures   = 256 // whose gradients are taken
	statisticsPictures = 800 // on which batch norms are measured anew
)

// blocksBeyond is how many times smaller the target must be for whole blocks to leave too.
const blocksBeyond = 10

// A cutting is the contents of cut.json.
type cutting struct {
	By     string             `json:"by"` // what decided; empty where there is no cut
	Points float64            `json:"points"`
	Tried  map[string]float64 `json:"tried"` // points of mAP50-95 by what decided, on few pictures
	Cost   prune.Cost         `json:"cost"`
	Why    string             `json:"why"` // there is none
}

// byTable is what decided where that was the pruning table.
const byTable = "table"

// cut cuts the network of a round down to its goal: as a table of what cuts of its groups cost
// says, and for comparison by each score alone, since none is the best for every network. The
// cut is kept that finds the most before any training, with statistics measured anew:
// EagleEye's criterion (arXiv 2007.02491).
func (r *run) cut(ctx context.Context, v *Round) error {
	g, err := r.open(filepath.Join(v.Folder, "ready.safetensors"))
	if err != nil {
		return err
	}
	evidence, err := r.gather(ctx, v.Name(), g)
	if err != nil {
		return err
	}
	judge, err := r.theJudge(ctx)
	if err != nil {
		return err
	}
	table, err := r.table(ctx, v, g, evidence)
	if err != nil {
		return err
	}
	type way struct {
		by     string
		target prune.Target
	}
	ways := []way{{byTable, prune.Target{Score: table.Score, Table: table}}}
	for _, score := range prune.AllScores {
		ways = append(ways, way{string(score), prune.Target{Score: score}})
	}
	c := cutting{Tried: map[string]float64{}}
	var all []candidate
	for i, w := range ways {
		r.tell(Progress{Doing: v.Name() + ", cuts", Done: i, Of: len(ways)})
		w.target.Evidence, w.target.Blocks = evidence, v.Blocks
		draft, small, cost, err := r.cutTo(g, v.Goal, w.target)
		if unreachable := new(prune.UnreachableError); errors.As(err, &unreachable) {
			c.Why = err.Error()
			continue
		}
		if err != nil {
			return err
		}
		found, err := judge.Judge(ctx, small)
		if err != nil {
			return err
		}
		points := 100 * found.Report.MAP5095
		r.log("cut", "by", w.by, "to", say(cost), "mAP50-95", round4(found.Report.MAP5095))
		c.Tried[w.by] = points
		all = append(all, candidate{w.by, points, found.Loss.Box + found.Loss.Obj + found.Loss.Cls, draft, small, cost})
	}
	if len(all) > 0 {
		best := choose(all, v.Before)
		c.By, c.Cost, c.Why = best.by, best.cost, ""
		if c.Points, err = r.keepCut(ctx, v, best.small, best.plan); err != nil {
			return err
		}
	}
	return r.writeJSON(filepath.Join(v.Folder, "cut.json"), c)
}

// A candidate is one way to make a round's cut.
type candidate struct {
	by     string
	points float64 // of mAP50-95
	loss   float64
	plan   *prune.File
	small  *graph.Graph
	cost   prune.Cost
}

// deaf is the share of the points before a cut below which those after it say nothing: hardly a
// box is found.
const deaf = 0.1

// choose takes the candidate that finds the most or, where none finds much, the one with the
// least loss: from YOLOv5s to a twentieth, the most points, 0.4 of 23, once chose a network of
// 64,511 parameters where 330,000 were allowed, which learnt nothing after that.
func choose(all []candidate, before float64) candidate {
	best := slices.MaxFunc(all, func(a, b candidate) int { return cmp.Compare(a.points, b.points) })
	if best.points <= deaf*before {
		best = slices.MinFunc(all, func(a, b candidate) int { return cmp.Compare(a.loss, b.loss) })
	}
	return best
}

// keepCut saves a cut and its plan, and returns its points, with statistics of more pictures.
func (r *run) keepCut(ctx context.Context, v *Round, g *graph.Graph, plan *prune.File) (float64, error) {
	g, err := train.Recalibrate(ctx, r.o.Backend, g, r.data.Train, train.RecalibrateOptions{Size: r.job.Size, Batch: r.job.Batch, Pictures: statisticsPictures, CacheDir: r.o.Pictures, Lost: r.lost("training"),
		Progress: func(done, batches int) { r.tell(Progress{Doing: v.Name() + ", statistics", Done: done, Of: batches}) }})
	if err != nil {
		return 0, err
	}
	found, err := r.validate(ctx, v.Name()+", cut", g)
	if err != nil {
		return 0, err
	}
	if err := r.save(filepath.Join(v.Folder, cutFile), g); err != nil {
		return 0, err
	}
	var text bytes.Buffer
	if _, err := plan.WriteTo(&text); err != nil {
		return 0, err
	}
	return 100 * found.MAP5095, r.write(filepath.Join(v.Folder, "plan.yaml"), text.Bytes())
}

// gather collects what gradients say about the channels of g.
func (r *run) gather(ctx context.Context, name string, g *graph.Graph) (*prune.Evidence, error) {
	e, err := prune.NewEvidence(g)
	if err != nil {
		return nil, err
	}
	o := train.GradientOptions{Size: r.job.Size, Hyp: r.hyp, CacheDir: r.o.Pictures, Lost: r.lost("training"), Progress: func(done, pictures int) {
		r.tell(Progress{Doing: name + ", gradients", Done: done, Of: pictures})
	}}
	return e, train.PictureGradients(ctx, r.o.Backend, g, dataset.Spread(r.data.Train, evidencePictures), o, e.Add)
}

// cutTo returns g cut to a goal, the plan that this went by, and its cost.
func (r *run) cutTo(g *graph.Graph, goal prune.Limits, t prune.Target) (*prune.File, *graph.Graph, prune.Cost, error) {
	t.Limits, t.Width, t.Height = goal, r.job.Width, r.job.Height
	if goal.Has(prune.Milliseconds) {
		t.Clock = r.clock
	}
	draft, err := prune.Draft(g, t, fmt.Sprintf("%s, on the way to %s", goal, r.job.Target))
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
	if err := r.write("latency.csv", text.Bytes()); err != nil {
		return err
	}
	return r.openLatency() // with the digits that a run which goes on reads
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
		r.clock.Machine, r.clock.Runtime = r.o.Processor, r.o.Clock
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
