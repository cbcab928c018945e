package compress

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"ultrafast/prune"
	"ultrafast/report"
)

// What a latency table predicts is not what was measured.
func TestRoundTimes(t *testing.T) {
	model := func(measured, ms float64) *Model {
		return &Model{Measured: measured, Cost: prune.Cost{Ms: ms}, Accuracy: &report.Accuracy{}}
	}
	rows := reportRounds(&Result{Rounds: []Round{{Model: model(0, 2)}, {Model: model(3, 2)}, {Model: model(3, 0)}, {}}})
	for i, want := range [][2]report.Number{{report.Unknown(), 2}, {3, 2}, {3, report.Unknown()}, {report.Unknown(), report.Unknown()}} {
		for k, got := range []report.Number{rows[i].Milliseconds, rows[i].Predicted} {
			if got != want[k] && (got.Known() || want[k].Known()) {
				t.Errorf("round %d has %v, want %v", i, got, want[k])
			}
		}
	}
}

// Whatever is in a run's files, reading it is an error or a result that can be shown.
func FuzzReadResult(f *testing.F) {
	state, err := json.Marshal(newState(Job{Target: "params=1k"}))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(state, []byte(`{"file":"a","accuracy":{}}`))
	f.Add(state, []byte(`{"all":[{"model":null}],"reached":true}`))
	f.Add(state, []byte(`null`))
	f.Fuzz(func(t *testing.T, state, other []byte) {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "round-1"), 0o777); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"estimate.json", "parent.json", "rounds.json", "ended.json", "final.json", "scratch.json", "thin.json", "choice.json", "bf16.json", "int8.json", "int8-trained.json", "round-1/verdict.json"} {
			if err := os.WriteFile(filepath.Join(dir, name), other, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, "state.json"), state, 0o644); err != nil {
			t.Fatal(err)
		}
		if r, err := ReadResult(dir); err == nil {
			r.Handed()
			r.HandedInt8()
			for _, v := range r.Rounds {
				v.Name()
			}
		}
	})
}
