package compress

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ultrafast/prune"
	"ultrafast/report"
)

// Whoever may read a run is told whether it is at work.
func TestAtWork(t *testing.T) {
	dir := t.TempDir()
	state, err := json.Marshal(newState(Job{}))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "state.json"), state, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	asked := func(when string, want bool) {
		t.Helper()
		if r, err := ReadResult(dir); err != nil || r.AtWork != want {
			t.Errorf("%s: at work %v, want %v; %v", when, r.AtWork, want, err)
		}
	}
	asked("never begun", false)
	if _, err := os.Stat(filepath.Join(dir, lockFile)); !missing(err) {
		t.Errorf("who asks has written into the folder: %v", err)
	}
	release, err := lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(dir, 0o777) })
	for name, mode := range map[string]os.FileMode{dir: 0o555, filepath.Join(dir, lockFile): 0o444} {
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
	}
	asked("locked, to a reader", true)
	release()
	asked("released", false)
}

// Files of a run that lack what it goes on with are named.
func TestMalformed(t *testing.T) {
	data := drawn(t)
	job, o := task(data)
	for _, c := range []struct {
		file, text, want string
		goesOn           func(*run) error // nil asks for the status
	}{
		{"parent.json", "{}", "no accuracy", nil},
		{"parent.json", " null\n", "nothing is in it", nil},
		{"final.json", "{}", "no accuracy", nil},
		{"round-1/verdict.json", `{"kept": true}`, "a round was kept and no model is in it", nil},
		{"round-1/verdict.json", `{"model": {}}`, "no accuracy", nil},
		{"round-1/verdict.json", `{"kept": true}`, "a round was kept and no model is in it", func(r *run) error { return r.rounds(t.Context()) }},
		{"rounds.json", `{"all": [{"kept": true, "model": {}}]}`, "no accuracy", func(r *run) error { return r.final(t.Context()) }},
		{"int8.json", "{}", "no accuracy", func(r *run) error { return r.trainInt8(t.Context()) }},
	} {
		r := chosen(t, data, o, job, 0)
		g, err := r.open("child.safetensors")
		if err := errors.Join(err, r.save("trim.safetensors", g), r.saveState(), os.Mkdir(r.path("round-1"), 0o777)); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(err, r.write(c.file, []byte(c.text))); err != nil {
			t.Fatal(err)
		}
		if c.goesOn == nil {
			_, err = ReadResult(r.dir)
		} else {
			err = c.goesOn(r)
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.file) {
			t.Errorf("%s of %s: %v, want %s", c.file, c.text, err, c.want)
		}
	}
}

// What a latency table predicts is not what was measured.
func TestRoundTimes(t *testing.T) {
	model := func(measured, ms float64) *Model {
		return &Model{Measured: measured, Cost: prune.Cost{Ms: ms}, Accuracy: &report.Accuracy{}}
	}
	rows := reportRounds(&Result{Rounds: []Round{{Model: model(0, 2)}, {Model: model(3, 2)}, {Model: model(3, 0)}, {}}}, 1.5)
	for i, want := range [][2]report.Number{{report.Unknown(), 2}, {4.5, 2}, {4.5, report.Unknown()}, {report.Unknown(), report.Unknown()}} {
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
			reportRounds(r, 1)
			if r.Parent.points() != r.Final.points() {
				t.Error("one file has two meanings")
			}
			for _, v := range r.Rounds {
				v.Name()
			}
		}
	})
}
