package compress

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ultrafast/graph"
	"ultrafast/prune"
	"ultrafast/train"
)

// What a round is.
const (
	roundKeep  = 0.6  // of what the target counts stays in a round, or somewhat more
	roundRate  = 0.15 // share of lr0 in its trainings: in that after the cut at least
	hurtRate   = 0.5  // and at most, by how much the cut hurt
	readyPart  = 0.05 // share of a full training's epochs that prepare the cut
	roundPart  = 0.15 // and of those after it
	groupRate  = 3e-4 // of the group decay that prepares it
	roundSlack = 0.1  // of the parent's mAP50-95 may be lost beyond the budget: the training at the end brings it back, or steps back
	attempts   = 2    // of which the second cuts half and trains twice as long
	nearMiss   = 1.25 // times what a round may lose: within, its network is trained on before its cut is halved
	leastCut   = 1.05 // times smaller: after the first round, half a cut of less is not worth its training
)

// A Round is one attempt to make the network smaller: the contents of verdict.json.
type Round struct {
	Number   int          `json:"number"`
	Attempt  int          `json:"attempt"` // from 1
	Folder   string       `json:"folder"`
	From     string       `json:"from"` // the network that was cut
	Goal     prune.Limits `json:"goal"`
	Blocks   bool         `json:"blocks"` // whole ones might leave
	By       string       `json:"by"`     // which channels left: the table, or a score alone; empty where none could
	Before   float64      `json:"before"`
	AfterCut float64      `json:"after_cut"` // points of mAP50-95, statistics measured anew
	Model    *Model       `json:"model"`     // after the training; nil where nothing could be cut
	Epochs   int          `json:"epochs"`
	Drop     float64      `json:"drop"` // points of mAP50-95, against the parent
	Kept     bool         `json:"kept"`
	Why      string       `json:"why"`
	Seconds  float64      `json:"seconds"` // of the session that ended it
}

// Rounds are the contents of rounds.json, and of ended.json: as far as the child came.
type Rounds struct {
	All       []Round    `json:"all"` // in order, those that were rolled back too
	File      string     `json:"file"`
	Folder    string     `json:"folder,omitempty"` // in ended.json: of the final training
	Cost      prune.Cost `json:"cost"`             // of that network
	Epochs    int        `json:"epochs"`           // of the rounds that were kept
	Reached   bool       `json:"reached"`
	Corrected int        `json:"corrected"` // how often measured milliseconds made the goal tighter
	Why       string     `json:"why"`       // it ended
}

// last is the network that the rounds left; nil where it is the trimmed parent.
func (all *Rounds) last() *Model {
	for _, v := range slices.Backward(all.All) {
		if v.Kept {
			return v.Model
		}
	}
	return nil
}

// mistimed reports whether the rounds ended because of the latency table, with accuracy to spare.
func (all *Rounds) mistimed() bool {
	return !all.Reached && len(all.All) > 0 && all.All[len(all.All)-1].Kept
}

// met reports whether a goal is, but for the last bits.
func met(c prune.Cost, goal prune.Limits) bool { return goal.Excess(c) <= 1+1e-9 }

// next is how far the coming round goes, so that all that are left cut as much.
func next(at prune.Cost, goal prune.Limits) prune.Limits {
	return toward(at, goal, 1/float64(roundsTo(at, goal)))
}

// toward goes a part of the way, and holds what has arrived.
func toward(at prune.Cost, goal prune.Limits, part float64) prune.Limits {
	var to prune.Limits
	for _, l := range goal {
		if v := l.Quantity.Of(at); v > l.Most {
			l.Most = v * math.Pow(l.Most/v, part)
		}
		to = append(to, l)
	}
	return to
}

// roundsTo is how many rounds there are to a goal.
func roundsTo(at prune.Cost, goal prune.Limits) int {
	return max(1, int(math.Ceil(-math.Log(goal.Excess(at))/math.Log(roundKeep)-1e-9)))
}

// readyEpochs is how long a round prepares its cut, roundEpochs how long it trains after it.
func readyEpochs(epochs int) int { return part(readyPart, epochs) }
func roundEpochs(epochs int) int { return part(roundPart, epochs) }

func part(share float64, epochs int) int { return max(1, int(math.Round(share*float64(epochs)))) }

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
	if all.Cost, err = r.cost(g); err != nil {
		return err
	}
	goal, before := r.limits.On(parent.Cost), parent.points()
	for n := 1; ; n++ {
		if met(all.Cost, goal) {
			var tighter prune.Limits
			if tighter, err = r.reached(&all, parent, goal); err != nil {
				return err
			}
			if tighter == nil {
				break
			}
			goal = tighter
		}
		var last Round
		for attempt := 1; attempt <= attempts; attempt++ {
			to := next(all.Cost, goal)
			if attempt > 1 {
				half := toward(all.Cost, to, 0.5)
				known := r.done(filepath.Join(Round{Number: n, Attempt: attempt}.folder(), "verdict.json")) // by a program that cut less
				if n > 1 && half.Excess(all.Cost) < leastCut && !known {
					last.Why += fmt.Sprintf("; half of its cut would be less than %.0f %%", 100*(leastCut-1))
					break
				}
				to = half
			}
			last = Round{Number: n, Attempt: attempt, From: all.File, Goal: to, Before: before,
				Blocks: goal.Excess(parent.Cost) > blocksBeyond}
			if err := r.round(ctx, parent, &last); err != nil {
				return fmt.Errorf("round %d: %w", n, err)
			}
			all.All = append(all.All, last)
			if last.Kept || last.Model == nil {
				break
			}
		}
		if !last.Kept {
			all.Why = fmt.Sprintf("round %d was rolled back: %s", n, last.Why)
			break
		}
		all.File, all.Cost, before = last.Model.File, last.Model.Cost, last.Model.points()
		all.Epochs += last.Epochs
	}
	r.judge = nil // it holds many pictures
	r.log("rounds end", "why", all.Why, "left", r.limits.Kept(all.Cost))
	return r.writeJSON("rounds.json", all)
}

// preparing is behind the name of the training before a cut.
const preparing = ", before the cut"

// cutFile is a round's network as it was cut.
const cutFile = "cut.safetensors"

// again is behind the name of a second attempt, longer behind that of a training that goes on.
const (
	again  = " again"
	longer = ", trained on"
)

func (v Round) Name() string {
	name := fmt.Sprintf("round %d", v.Number)
	if v.Attempt > 1 {
		name += again
	}
	return name
}

// epochs is how long its network is trained after the cut, of a full training's.
func (v Round) epochs(full int) int { return v.Attempt * roundEpochs(full) }

// folder is where an attempt stands: round-1, round-1-again.
func (v Round) folder() string { return strings.ReplaceAll(v.Name(), " ", "-") }

// round carries out one attempt, or reads what it came to.
func (r *run) round(ctx context.Context, parent *Model, v *Round) error {
	v.Folder = v.folder()
	verdict := filepath.Join(v.Folder, "verdict.json")
	if r.done(verdict) {
		if err := r.readJSON(verdict, v); err != nil {
			return err
		}
		if v.Model == nil || r.done(v.Model.File) { // else the training is there, which it is taken from again
			return v.check(r.path(verdict))
		}
	}
	start := time.Now()
	if err := os.MkdirAll(r.path(v.Folder), 0o777); err != nil {
		return err
	}
	file := func(name string) string { return filepath.Join(v.Folder, name) }
	err := r.stages(ctx, []stage{
		{v.Name() + ": regularisation", []string{v.From}, file("ready.safetensors"), func(ctx context.Context) error { return r.regularise(ctx, v) }},
		{v.Name() + ": cut", []string{file("ready.safetensors")}, file("cut.json"), func(ctx context.Context) error { return r.cut(ctx, v) }},
		{v.Name() + ": training", []string{file("cut.json")}, file("tuned.json"), func(ctx context.Context) error { return r.tune(ctx, v) }},
	})
	if err != nil {
		return err
	}
	var c cutting
	if err := r.readJSON(file("cut.json"), &c); err != nil {
		return err
	}
	if v.By, v.AfterCut = c.By, c.Points; c.By == "" {
		v.Why = c.Why
	} else {
		if v.Model, err = r.readModel(file("tuned.json")); err != nil {
			return err
		}
		most := r.job.MaxDrop + roundSlack*parent.points()
		helped := v.Model.File != file(cutFile) // else to train on would be the same training once more
		if drop := parent.points() - v.Model.points(); helped && drop > most && drop <= nearMiss*most {
			err := r.stages(ctx, []stage{{v.Name() + longer, []string{file("tuned.json")}, file("longer.json"), func(ctx context.Context) error { return r.tuneOn(ctx, v) }}})
			if err != nil {
				return err
			}
			if v.Model, err = r.readModel(file("longer.json")); err != nil {
				return err
			}
		}
		v.Epochs, v.Drop = readyEpochs(r.job.Epochs)+v.Model.Epochs, parent.points()-v.Model.points()
		v.Kept = v.Drop <= most
		v.Why = fmt.Sprintf("%.2f points of mAP50-95 below the parent, %.3g are allowed in a round", v.Drop, most)
		if v.Drop < 0 {
			v.Why = fmt.Sprintf("%.2f points of mAP50-95 above the parent", -v.Drop)
		}
	}
	v.Seconds = time.Since(start).Seconds()
	r.log(v.Name(), "kept", v.Kept, "why", v.Why)
	return r.writeJSON(verdict, v)
}

// regularise pushes the channels that matter least towards zero before they are cut. A
// second attempt has that behind it.
func (r *run) regularise(ctx context.Context, v *Round) error {
	out := filepath.Join(v.Folder, "ready.safetensors")
	if v.Attempt > 1 {
		first := *v
		first.Attempt = 1
		g, err := r.open(filepath.Join(first.folder(), "ready.safetensors"))
		if err != nil {
			return err
		}
		return r.save(out, g)
	}
	g, err := r.open(v.From)
	if err != nil {
		return err
	}
	c := train.Config{Epochs: readyEpochs(r.job.Epochs), Hyp: gentle(r.hyp, roundRate), NoAutoAnchor: true,
		Penalty: func(_ int, live *graph.Graph) (train.Penalty, error) {
			f, err := prune.GroupDecay(live, groupRate)
			return train.Penalty{L2: f}, err
		}}
	if err := r.distil(&c); err != nil {
		return err
	}
	if g, err = r.train(ctx, v.Name()+preparing, filepath.Join(v.Folder, "regularisation"), g, c); err != nil {
		return err
	}
	return r.save(out, g)
}

// tune trains what a cut left, with the parent as teacher.
func (r *run) tune(ctx context.Context, v *Round) error {
	out := filepath.Join(v.Folder, "tuned.json")
	var c cutting
	if err := r.readJSON(filepath.Join(v.Folder, "cut.json"), &c); err != nil {
		return err
	}
	if c.By == "" { // nothing could be cut
		return r.writeJSON(out, struct{}{})
	}
	g, err := r.open(filepath.Join(v.Folder, cutFile))
	if err != nil {
		return err
	}
	m, err := r.tuned(ctx, v, v.Name(), "training", "tuned.safetensors", g, c.Points)
	if err != nil {
		return err
	}
	if c.Points > m.points() {
		r.log("the training made it worse, so it stays as it was cut", "of", v.Name(), "mAP50-95", round4(c.Points/100), "after", m.Accuracy.MAP5095)
		epochs := m.Epochs
		if m, err = r.measure(ctx, v.Name()+", as it was cut", filepath.Join(v.Folder, cutFile), g); err != nil {
			return err
		}
		m.Epochs = epochs
	}
	return r.writeJSON(out, m)
}

// tuneOn trains what tune left, and missed only narrowly, once more as long.
func (r *run) tuneOn(ctx context.Context, v *Round) error {
	g, err := r.open(v.Model.File)
	if err != nil {
		return err
	}
	m, err := r.tuned(ctx, v, v.Name()+longer, "training-on", "longer.safetensors", g, v.Model.points())
	best := *v.Model
	switch {
	case errors.Is(err, train.ErrDiverged):
		r.log("the training diverged, so it stays as it was", "of", v.Name(), "why", err)
	case err != nil:
		return err
	case m.points() > best.points():
		best = *m
	default:
		r.log("the training made it no better, so it stays as it was", "of", v.Name(), "mAP50-95", best.Accuracy.MAP5095, "after", m.Accuracy.MAP5095)
	}
	best.Epochs = v.Model.Epochs + v.epochs(r.job.Epochs)
	return r.writeJSON(filepath.Join(v.Folder, "longer.json"), best)
}

// tuned trains g, which finds so many points, in a folder of a round, and measures it.
func (r *run) tuned(ctx context.Context, v *Round, name, folder, file string, g *graph.Graph, points float64) (*Model, error) {
	epochs := v.epochs(r.job.Epochs)
	c := train.Config{Epochs: epochs, Hyp: brief(gentle(r.hyp, tuneRate(v.Before, points)), epochs, r.job.Batch), NoAutoAnchor: true}
	if err := r.distil(&c); err != nil {
		return nil, err
	}
	g, err := r.train(ctx, name, filepath.Join(v.Folder, folder), g, c)
	if err != nil {
		return nil, err
	}
	file = filepath.Join(v.Folder, file)
	if err := r.save(file, g); err != nil {
		return nil, err
	}
	m, err := r.measure(ctx, name, file, g)
	if err == nil {
		m.Epochs = epochs
	}
	return m, err
}

// tuneRate is the share of lr0 in the training after a cut, which is the share of the points of
// mAP50-95 that it took: weights that are hardly hurt are not to be hurt by their training.
func tuneRate(before, after float64) float64 {
	lost := 1 - after/max(before, 1e-9)
	return min(max(lost, roundRate), hurtRate)
}

// nearly is how far measured milliseconds may be above the target, and corrections how
// often the rounds go on because they were not.
const (
	nearly      = 1.05
	corrections = 2
)

// reached ends the rounds at a network that meets its goal. Where milliseconds on a device
// that is here are part of that, they are measured, and if the table had promised too much,
// the tighter goal is returned that is to make up for it; nil otherwise.
func (r *run) reached(all *Rounds, parent *Model, goal prune.Limits) (prune.Limits, error) {
	met := func() (prune.Limits, error) {
		all.Reached, all.Why = true, "the target is met"
		return nil, nil
	}
	at := slices.IndexFunc(goal, func(l prune.Limit) bool { return l.Quantity == prune.Milliseconds })
	if at < 0 || r.o.Profile == nil {
		return met()
	}
	g, err := r.open(all.File)
	if err != nil {
		return nil, err
	}
	var check struct {
		Ms     float64 `json:"measured"`
		Parent float64 `json:"parent"`
	}
	file := fmt.Sprintf("check-%d.json", all.Corrected) // measured once, or a run that goes on might end elsewhere
	if r.done(file) {
		err = r.readJSON(file, &check)
	} else {
		var ratio float64
		if ratio, check.Parent, err = r.compared(g, r.o.Profile, parent); err == nil {
			check.Parent = min(check.Parent, parent.Measured) // the one that other work disturbed less
			check.Ms = ratio * check.Parent
			err = r.writeJSON(file, check)
		}
	}
	if err != nil {
		return nil, err
	}
	most := r.limits[at].Of(prune.Cost{Ms: cmp.Or(check.Parent, parent.Measured)})
	if check.Ms <= nearly*most {
		return met()
	}
	if all.Corrected == corrections {
		all.Why = fmt.Sprintf("the latency table promises %.2f ms, and they are %.2f: measure it anew on an idle machine", all.Cost.Ms, check.Ms)
		return nil, nil
	}
	all.Corrected++
	r.log("the latency table has promised too much, so the rounds go on", "predicted", round4(all.Cost.Ms), "measured", round4(check.Ms), "target", round4(most))
	tighter := slices.Clone(goal)
	tighter[at].Most = min(goal[at].Most, all.Cost.Ms) * most / check.Ms
	return tighter, nil
}

// distil makes the parent the teacher of a training.
func (r *run) distil(c *train.Config) error {
	g, err := r.open("anchors.safetensors") // with the anchors that its pupils have
	c.Distill = &train.Distill{Teacher: g, Source: r.path("anchors.safetensors")}
	return err
}
