package compress

import (
	"context"
	"fmt"
	"path/filepath"

	"ultrafast/graph"
	"ultrafast/prune"
	"ultrafast/train"
)

// scores are the ways to tell which channels matter. No one is the best for every network,
// so a round tries each and keeps the cut that finds the most before any training, with
// statistics measured anew: EagleEye's criterion (arXiv 2007.02491).
var scores = []prune.Score{prune.L2, prune.Gamma}

// A cutting is the contents of cut.json.
type cutting struct {
	Score  string             `json:"score"` // of the cut that was taken; empty where there is none
	Points float64            `json:"points"`
	Tried  map[string]float64 `json:"tried"` // points of mAP50-95 by score
	Cost   Cost               `json:"cost"`
	Why    string             `json:"why"` // there is none
}

// cut cuts the network of a round down to its goal.
func (r *run) cut(ctx context.Context, v *Round) error {
	g, err := r.open(v.From)
	if err != nil {
		return err
	}
	c := cutting{Tried: map[string]float64{}}
	var best *graph.Graph
	for _, score := range scores {
		small, cost, err := r.cutTo(ctx, g, v.Goal, score)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			c.Why = err.Error() // the floors are reached
			continue
		}
		small, err = train.Recalibrate(ctx, r.o.Backend, small, r.data.Train, train.RecalibrateOptions{Size: r.job.side(), Batch: r.job.Batch,
			Progress: func(done, batches int) {
				r.tell(Progress{Doing: v.Name() + ", statistics", Done: done, Of: batches})
			}})
		if err != nil {
			return err
		}
		found, err := r.validate(ctx, fmt.Sprintf("%s, cut by %s", v.Name(), score), small)
		if err != nil {
			return err
		}
		points := 100 * found.MAP5095
		r.log("cut", "by", score, "to", cost.String(), "mAP50-95", found.MAP5095)
		c.Tried[string(score)] = points
		if best == nil || points > c.Points {
			best, c.Score, c.Points, c.Cost = small, string(score), points, cost
		}
	}
	if best != nil {
		c.Why = ""
		if err := r.save(filepath.Join(v.Folder, "cut.safetensors"), best); err != nil {
			return err
		}
	}
	return r.writeJSON(filepath.Join(v.Folder, "cut.json"), c)
}

// cutTo returns g cut by a score until the target counts no more than goal, and its cost.
// Parameters are what is cut, so for another target the share of them is searched for.
func (r *run) cutTo(ctx context.Context, g *graph.Graph, goal float64, score prune.Score) (*graph.Graph, Cost, error) {
	if r.target.Kind == Params {
		return r.cutParameters(ctx, g, goal/float64(g.ParamCount()), score)
	}
	low, high := 0.0, 1.0 // too small or enough; too large
	var best *graph.Graph
	var cost Cost
	for range 7 {
		keep := (low + high) / 2
		small, c, err := r.cutParameters(ctx, g, keep, score)
		switch {
		case ctx.Err() != nil:
			return nil, c, ctx.Err()
		case err != nil: // out of reach
			if low = keep; best == nil && high < 1 && high-low < 0.02 {
				return nil, c, err
			}
		case r.target.of(c) <= goal:
			best, cost, low = small, c, keep
		default:
			high = keep
		}
	}
	if best == nil {
		return nil, cost, fmt.Errorf("no cut of %d parameters has %s or less", g.ParamCount(), r.target.say(goal))
	}
	return best, cost, nil
}

func (r *run) cutParameters(ctx context.Context, g *graph.Graph, keep float64, score prune.Score) (*graph.Graph, Cost, error) {
	plan, err := prune.New(g, prune.Target{Keep: keep, Score: score})
	if err != nil {
		return nil, Cost{}, err
	}
	small, err := plan.Apply(g)
	if err != nil {
		return nil, Cost{}, err
	}
	c, err := r.cost(ctx, small)
	return small, c, err
}
