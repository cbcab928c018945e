package compress

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ultrafast/train"
)

// What a round is.
const (
	roundKeep = 0.7  // of what the target counts stays in a round, or somewhat more
	roundRate = 0.15 // share of lr0 in the training after a cut
	roundPart = 0.15 // share of a full training's epochs
	attempts  = 2    // of which the second cuts half and trains twice as long
)

// A Round is one attempt to make the network smaller: the contents of verdict.json.
type Round struct {
	Number   int     `json:"number"`
	Attempt  int     `json:"attempt"` // from 1
	Folder   string  `json:"folder"`
	From     string  `json:"from"`  // the network that was cut
	Goal     float64 `json:"goal"`  // of what the target counts
	Score    string  `json:"score"` // by which channels left; empty where none could
	Before   float64 `json:"before"`
	AfterCut float64 `json:"after_cut"` // points of mAP50-95, statistics measured anew
	Model    *Model  `json:"model"`     // after the training; nil where nothing could be cut
	Epochs   int     `json:"epochs"`
	Drop     float64 `json:"drop"` // points of mAP50-95, against the parent
	Kept     bool    `json:"kept"`
	Why      string  `json:"why"`
	Seconds  float64 `json:"seconds"` // of the session that ended it
}

// Rounds are the contents of rounds.json.
type Rounds struct {
	All     []Round `json:"all"` // in order, those that were rolled back too
	File    string  `json:"file"`
	Cost    Cost    `json:"cost"`   // of that network
	Epochs  int     `json:"epochs"` // of the rounds that were kept
	Reached bool    `json:"reached"`
	Why     string  `json:"why"` // it ended
}

// slack is what measured milliseconds may be above a target: they are never the same twice.
func (t Target) slack() float64 {
	if t.Kind == Latency {
		return 1.02
	}
	return 1 + 1e-9
}

// next is how far the coming round goes, so that all that are left cut as much.
func next(at, goal float64) float64 {
	return at * math.Pow(goal/at, 1/float64(roundsTo(at, goal)))
}

// roundsTo is how many rounds there are to a goal.
func roundsTo(at, goal float64) int {
	return max(1, int(math.Ceil(math.Log(goal/at)/math.Log(roundKeep)-1e-9)))
}

// roundEpochs is how long a round trains.
func roundEpochs(epochs int) int { return max(1, int(math.Round(roundPart*float64(epochs)))) }

// rounds cuts and trains by turns until the target is met or the budget is not.
func (r *run) rounds(ctx context.Context) error {
	parent, err := r.readModel("parent.json")
	if err != nil {
		return err
	}
	g, err := r.open("trim.safetensors")
	if err != nil {
		return err
	}
	all := Rounds{File: "trim.safetensors"}
	if err := r.remember("trim.json", &all.Cost, func() (Cost, error) { return r.cost(ctx, g) }); err != nil {
		return err
	}
	goal, before := r.target.goal(parent.Cost), parent.points()
	for n := 1; ; n++ {
		at := r.target.of(all.Cost)
		if all.Reached = at <= goal*r.target.slack(); all.Reached {
			all.Why = "the target is met"
			break
		}
		var last Round
		for attempt := 1; attempt <= attempts; attempt++ {
			to := next(at, goal)
			if attempt > 1 {
				to = math.Sqrt(at * to)
			}
			last = Round{Number: n, Attempt: attempt, From: all.File, Goal: to, Before: before}
			if err := r.round(ctx, parent, &last); err != nil {
				return fmt.Errorf("round %d: %w", n, err)
			}
			all.All = append(all.All, last)
			if last.Kept || last.Model == nil {
				break
			}
		}
		if !last.Kept {
			all.Why = fmt.Sprintf("round %d was rolled back: %s; the best reachable within %v points is %s",
				n, last.Why, r.job.MaxDrop, r.target.say(at))
			break
		}
		all.File, all.Cost, before = last.Model.File, last.Model.Cost, last.Model.points()
		all.Epochs += last.Epochs
	}
	r.log("rounds end", "why", all.Why, "left", r.target.say(r.target.of(all.Cost)))
	return r.writeJSON("rounds.json", all)
}

// again is behind the name of a second attempt.
const again = " again"

func (v Round) Name() string {
	name := fmt.Sprintf("round %d", v.Number)
	if v.Attempt > 1 {
		name += again
	}
	return name
}

// folder is where an attempt stands: round-1, round-1-again.
func (v Round) folder() string { return strings.ReplaceAll(v.Name(), " ", "-") }

// round carries out one attempt, or reads what it came to.
func (r *run) round(ctx context.Context, parent *Model, v *Round) error {
	v.Folder = v.folder()
	verdict := filepath.Join(v.Folder, "verdict.json")
	if r.done(verdict) {
		return r.readJSON(verdict, v)
	}
	start := time.Now()
	if err := os.MkdirAll(r.path(v.Folder), 0o777); err != nil {
		return err
	}
	file := func(name string) string { return filepath.Join(v.Folder, name) }
	err := r.stages(ctx, []stage{
		{v.Name() + ": cut", []string{v.From}, file("cut.json"), func(ctx context.Context) error { return r.cut(ctx, v) }},
		{v.Name() + ": training", []string{file("cut.json")}, file("tuned.json"), func(ctx context.Context) error { return r.tune(ctx, v) }},
	})
	if err != nil {
		return err
	}
	var c cutting
	if err := r.readJSON(file("cut.json"), &c); err != nil {
		return err
	}
	if v.Score, v.AfterCut = c.Score, c.Points; c.Score == "" {
		v.Why = c.Why
	} else {
		if v.Model, err = r.readModel(file("tuned.json")); err != nil {
			return err
		}
		v.Epochs, v.Drop = v.Model.Epochs, parent.points()-v.Model.points()
		v.Kept = v.Drop <= r.job.MaxDrop
		v.Why = fmt.Sprintf("%.2f points of mAP50-95 below the parent, %v are allowed", v.Drop, r.job.MaxDrop)
		if v.Drop < 0 {
			v.Why = fmt.Sprintf("%.2f points of mAP50-95 above the parent", -v.Drop)
		}
	}
	v.Seconds = time.Since(start).Seconds()
	r.log(v.Name(), "kept", v.Kept, "why", v.Why)
	return r.writeJSON(verdict, v)
}

// tune trains what a cut left, with the parent as teacher.
func (r *run) tune(ctx context.Context, v *Round) error {
	out := filepath.Join(v.Folder, "tuned.json")
	var c cutting
	if err := r.readJSON(filepath.Join(v.Folder, "cut.json"), &c); err != nil {
		return err
	}
	if c.Score == "" { // nothing could be cut
		return r.writeJSON(out, struct{}{})
	}
	g, err := r.open(filepath.Join(v.Folder, "cut.safetensors"))
	if err != nil {
		return err
	}
	epochs := v.Attempt * roundEpochs(r.job.Epochs)
	cfg := train.Config{Epochs: epochs, Hyp: gentle(r.hyp, roundRate), NoAutoAnchor: true}
	if err := r.distil(&cfg); err != nil {
		return err
	}
	if g, err = r.train(ctx, v.Name(), filepath.Join(v.Folder, "training"), g, cfg); err != nil {
		return err
	}
	file := filepath.Join(v.Folder, "tuned.safetensors")
	if err := r.save(file, g); err != nil {
		return err
	}
	m, err := r.measure(ctx, v.Name(), file, g, &c.Cost)
	if err != nil {
		return err
	}
	m.Epochs = epochs
	return r.writeJSON(out, m)
}

// remember reads what a file of the run holds, or makes and writes it.
func (r *run) remember(file string, c *Cost, make func() (Cost, error)) (err error) {
	if r.done(file) {
		return r.readJSON(file, c)
	}
	if *c, err = make(); err != nil {
		return err
	}
	return r.writeJSON(file, c)
}

// distil makes the parent the teacher of a training.
func (r *run) distil(c *train.Config) error { return nil }
