package train

import (
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// A Trial is one set of hyperparameters and what training by it came to.
type Trial struct {
	Hyp     Hyp
	Fitness float64 // 0.1 mAP50 + 0.9 mAP50-95 of the best epoch
}

// A genome says how a hyperparameter evolves in YOLOv5 v7.0: how strongly it mutates, 0 for
// not at all, and its limits.
type genome struct{ gain, low, high float64 }

// genomes are those of all hyperparameters that YOLOv5 lets evolve.
var genomes = map[string]genome{
	"lr0": {1, 1e-5, 0.1}, "lrf": {1, 0.01, 1}, "momentum": {0.3, 0.6, 0.98}, "weight_decay": {1, 0, 0.001},
	"warmup_epochs": {1, 0, 5}, "warmup_momentum": {1, 0, 0.95}, "warmup_bias_lr": {1, 0, 0.2},
	"box": {1, 0.02, 0.2}, "cls": {1, 0.2, 4}, "cls_pw": {1, 0.5, 2}, "obj": {1, 0.2, 4}, "obj_pw": {1, 0.5, 2},
	"iou_t": {0, 0.1, 0.7}, "anchor_t": {1, 2, 8}, "fl_gamma": {0, 0, 2},
	"hsv_h": {1, 0, 0.1}, "hsv_s": {1, 0, 0.9}, "hsv_v": {1, 0, 0.9},
	"degrees": {1, 0, 45}, "translate": {1, 0, 0.9}, "scale": {1, 0, 0.9}, "shear": {1, 0, 10}, "perspective": {0, 0, 0.001},
	"flipud": {1, 0, 1}, "fliplr": {0, 0, 1}, "mosaic": {1, 0, 1}, "mixup": {1, 0, 1}, "copy_paste": {1, 0, 1},
}

// Evolve returns the hyperparameters of the next trial, as YOLOv5 v7.0 finds them: one of the
// five fittest so far, chosen by its lead, with each number multiplied, four times out of
// five, by 1 + 0.2 * a normal * a uniform variate, 0.3 to 3, and held to its limits. The same
// trials and seed give the same answer. There is at least one trial.
func Evolve(trials []Trial, seed uint64) Hyp {
	const parents, probability, sigma = 5, 0.8, 0.2
	rng := rand.New(rand.NewPCG(seed, uint64(len(trials))))
	best := slices.Clone(trials)
	slices.SortStableFunc(best, func(a, b Trial) int {
		switch {
		case a.Fitness > b.Fitness:
			return -1
		case a.Fitness < b.Fitness:
			return 1
		}
		return 0
	})
	best = best[:min(parents, len(best))]
	least, sum := best[len(best)-1].Fitness, 0.0
	for _, t := range best {
		sum += t.Fitness - least + 1e-6
	}
	child, pick := best[0].Hyp, rng.Float64()*sum
	for _, t := range best {
		if pick -= t.Fitness - least + 1e-6; pick < 0 {
			child = t.Hyp
			break
		}
	}
	for changed := false; !changed; {
		for _, f := range child.fields() {
			g := genomes[f.name]
			if g.gain == 0 || f.high == 0 {
				continue
			}
			factor := 1.0
			if rng.Float64() < probability {
				factor = min(3, max(0.3, 1+g.gain*rng.NormFloat64()*rng.Float64()*sigma))
			}
			v := min(g.high, max(g.low, *f.at*factor))
			if r, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 5, 64), 64); err == nil {
				v = r
			}
			changed = changed || v != *f.at
			*f.at = v
		}
	}
	return child
}

// WriteTrials writes trials as CSV: the fitness, then the hyperparameters by name.
func WriteTrials(w io.Writer, trials []Trial) error {
	c := csv.NewWriter(w)
	var names []string
	for _, f := range new(Hyp).fields() {
		names = append(names, f.name)
	}
	c.Write(append([]string{"fitness"}, names...))
	for _, t := range trials {
		row := []string{strconv.FormatFloat(t.Fitness, 'g', -1, 64)}
		for _, f := range t.Hyp.fields() {
			row = append(row, strconv.FormatFloat(*f.at, 'g', -1, 64))
		}
		c.Write(row)
	}
	c.Flush()
	return c.Error()
}

// maxTrials bounds a file of trials; a thousand have 200 kB.
const maxTrials = 16 << 20

// ReadTrials reads what WriteTrials has written. The error names the line.
func ReadTrials(r io.Reader) ([]Trial, error) {
	rows, err := csv.NewReader(io.LimitReader(r, maxTrials)).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("trials: %w", err)
	}
	if len(rows) == 0 || rows[0][0] != "fitness" {
		return nil, fmt.Errorf("trials: the first line is not that of evolve.csv")
	}
	var trials []Trial
	for i, row := range rows[1:] {
		t := Trial{Hyp: DefaultHyp()}
		fields := t.Hyp.fields()
		for j, cell := range row {
			v, err := strconv.ParseFloat(strings.TrimSpace(cell), 64)
			if err != nil || math.IsNaN(v) {
				return nil, fmt.Errorf("trials, line %d: %q is no number", i+2, cell)
			}
			if j == 0 {
				t.Fitness = v
				continue
			}
			k := slices.IndexFunc(fields, func(f hypField) bool { return f.name == rows[0][j] })
			if k < 0 {
				return nil, fmt.Errorf("trials: hyperparameter %q is unknown", rows[0][j])
			}
			*fields[k].at = v
		}
		if err := t.Hyp.check(); err != nil {
			return nil, fmt.Errorf("trials, line %d: %w", i+2, err)
		}
		trials = append(trials, t)
	}
	return trials, nil
}

// Evolving returns the hyperparameters that evolve, and each one's values by trial.
func Evolving(trials []Trial) (names []string, values [][]float64) {
	for i, f := range new(Hyp).fields() {
		if g := genomes[f.name]; g.gain == 0 || f.high == 0 {
			continue
		}
		names = append(names, f.name)
		var v []float64
		for _, t := range trials {
			v = append(v, *t.Hyp.fields()[i].at)
		}
		values = append(values, v)
	}
	return names, values
}
