package compress

import (
	"context"
	"fmt"
	"slices"

	"ultrafast/graph"
	"ultrafast/train"
)

// finalName is the last training's.
const finalName = "final training"

// finalRate is the share of lr0 in the last training: its weights are good already.
const finalRate = 0.5

// final trains what the rounds left by the whole recipe. Where that costs more than the
// budget allows, it steps back a round, and so on: the promise is kept before the target is.
func (r *run) final(ctx context.Context) error {
	var rounds Rounds
	if err := r.readJSON("rounds.json", &rounds); err != nil {
		return err
	}
	for i := range rounds.All {
		if err := rounds.All[i].check(r.path("rounds.json")); err != nil {
			return err
		}
	}
	parent, err := r.readModel("parent.json")
	if err != nil {
		return err
	}
	ends, err := r.ends(&rounds)
	if err != nil {
		return err
	}
	for back, end := range ends {
		m, err := r.trainOut(ctx, back, &end, parent)
		if err != nil {
			return err
		}
		drop := parent.points() - m.points()
		if drop > r.job.MaxDrop && back < len(ends)-1 {
			r.log("the training did not bring back enough, so it steps back a round", "points below the parent", round4(drop), "allowed", r.job.MaxDrop)
			continue
		}
		if back > 0 {
			end.Why = fmt.Sprintf("smaller ones were more than %v points of mAP50-95 below the parent after all training", r.job.MaxDrop)
		}
		switch {
		case drop > r.job.MaxDrop:
			end.Why += fmt.Sprintf("; this one is %.2f below it too", drop)
		case !end.Reached && !(back == 0 && rounds.mistimed()):
			cost := end.Cost
			cost.Ms = m.Milliseconds()
			end.Why += fmt.Sprintf("; the best reachable within %v points is %s", r.job.MaxDrop, r.limits.Kept(cost))
		}
		if err := r.writeJSON("ended.json", end); err != nil {
			return err
		}
		return r.writeJSON("final.json", m)
	}
	return nil
}

// ends are the networks that the child may come from, the smallest first: what the rounds
// left, and what each of them began with.
func (r *run) ends(rounds *Rounds) ([]Rounds, error) {
	ends, epochs := []Rounds{*rounds}, rounds.Epochs
	for i, v := range slices.Backward(rounds.All) {
		if !v.Kept {
			continue
		}
		g, err := r.open(v.From)
		if err != nil {
			return nil, err
		}
		epochs -= v.Epochs
		end := Rounds{All: rounds.All[:i], File: v.From, Epochs: epochs, Corrected: rounds.Corrected}
		if end.Cost, err = r.cost(g); err != nil {
			return nil, err
		}
		ends = append(ends, end)
	}
	return ends, nil
}

// measured measures a network of the run that nobody has measured, once.
func (r *run) measured(ctx context.Context, file string, g *graph.Graph) (*Model, error) {
	numbers := file + ".json"
	if r.done(numbers) {
		return r.readModel(numbers)
	}
	m, err := r.measure(ctx, file, file, g)
	if err != nil {
		return nil, err
	}
	return m, r.writeJSON(numbers, m)
}

// finalTraining is the last training's name and folder, of a network so many rounds back.
func finalTraining(back int) (name, folder string) {
	if back == 0 {
		return finalName, "final"
	}
	return fmt.Sprintf("%s, %d back", finalName, back), fmt.Sprintf("final-back-%d", back)
}

// trainOut trains one of them by the whole recipe, with the parent as teacher. Where that
// made it no better, it stays as it was.
func (r *run) trainOut(ctx context.Context, back int, end *Rounds, parent *Model) (*Model, error) {
	name, folder := finalTraining(back)
	end.Folder = folder
	file := end.Folder + "-trained.json"
	if r.whole(file) {
		return r.readModel(file)
	}
	g, err := r.open(end.File)
	if err != nil {
		return nil, err
	}
	before := end.last()
	if before == nil { // what the rounds began with
		if before, err = r.measured(ctx, end.File, g); err != nil {
			return nil, err
		}
	}
	c := train.Config{Epochs: r.job.Epochs, Hyp: brief(gentle(r.recipe(end, parent), finalRate), r.job.Epochs, r.job.Batch), NoAutoAnchor: true}
	if err := r.distil(&c); err != nil {
		return nil, err
	}
	m, err := r.contestant(ctx, name, end.Folder, g, c, parent.Epochs+end.Epochs+r.job.Epochs, before)
	if err != nil {
		return nil, err
	}
	return m, r.writeJSON(file, m)
}
