package compress

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A Result is what a folder says of its run. What is not known yet is nil.
type Result struct {
	State    State     `json:"state"`
	AtWork   bool      `json:"at_work"` // some process is at it
	Estimate *Estimate `json:"estimate"`
	Parent   *Model    `json:"parent"`
	Rounds   []Round   `json:"rounds"` // that have a verdict, in order
	End      *Rounds   `json:"end"`    // what the rounds came to, or what the child came from
	Final    *Model    `json:"final"`
	Scratch  *Model    `json:"scratch"` // without Accuracy where there is no such network, as the next
	Thin     *Model    `json:"thin"`
	Choice   *Choice   `json:"choice"`

	BF16        *Model `json:"bf16"`         // the child in bfloat16; without Accuracy where it was not measured, as the next two
	Int8        *Model `json:"int8"`         // in 8 bits, as calibrated
	Int8Trained *Model `json:"int8_trained"` // and trained in them

	Finished bool `json:"finished"`
}

// ReadResult reads what there is of the run in a folder, which may be at work.
func ReadResult(dir string) (*Result, error) {
	r := &Result{}
	var err error
	if r.State, err = ReadState(dir); err != nil {
		return nil, err
	}
	for _, f := range []struct {
		name string
		to   any
	}{
		{"estimate.json", &r.Estimate}, {"parent.json", &r.Parent}, {"rounds.json", &r.End}, {"ended.json", &r.End}, {"final.json", &r.Final},
		{"scratch.json", &r.Scratch}, {"thin.json", &r.Thin}, {"choice.json", &r.Choice},
		{"bf16.json", &r.BF16}, {"int8.json", &r.Int8}, {int8Folder + ".json", &r.Int8Trained},
	} {
		if err := readJSON(filepath.Join(dir, f.name), f.to); err != nil && !missing(err) {
			return nil, err
		}
	}
	for file, m := range map[string]*Model{"parent.json": r.Parent, "final.json": r.Final} {
		if m == nil {
			continue
		}
		if err := m.check(filepath.Join(dir, file)); err != nil {
			return nil, err
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "round-") {
			continue
		}
		var v Round
		switch err := readJSON(filepath.Join(dir, e.Name(), "verdict.json"), &v); {
		case err == nil:
			if err := v.check(filepath.Join(dir, e.Name(), "verdict.json")); err != nil {
				return nil, err
			}
			r.Rounds = append(r.Rounds, v)
		case !missing(err):
			return nil, err
		}
	}
	slices.SortFunc(r.Rounds, func(a, b Round) int { return (a.Number*attempts + a.Attempt) - (b.Number*attempts + b.Attempt) })
	if r.End != nil { // a round may have been kept, and taken back after the final training
		for i := range r.Rounds {
			v := &r.Rounds[i]
			if v.Kept && !slices.ContainsFunc(r.End.All, func(o Round) bool { return o.Number == v.Number && o.Attempt == v.Attempt }) {
				v.Kept = false
				v.Why += "; after the final training it was taken back"
			}
		}
	}
	_, err = os.Stat(filepath.Join(dir, "report.json"))
	r.Finished = err == nil && r.Choice != nil
	r.AtWork = !r.Finished && atWork(dir)
	return r, nil
}

// Handed is the model that is handed out; nil before it is chosen.
func (r *Result) Handed() *Model {
	if r.Choice == nil {
		return nil
	}
	for _, m := range []*Model{r.Final, r.Scratch, r.Thin} {
		if m != nil && m.File == r.Choice.File {
			return m
		}
	}
	return nil
}

// HandedInt8 is the child in 8 bits that is handed out; nil before it is known, and where there
// is none.
func (r *Result) HandedInt8() *Model {
	if r.Int8 == nil || r.Int8.Accuracy == nil {
		return nil
	}
	return better(r.Int8, r.Int8Trained)
}
