package compress

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"ultrafast/graph"
	"ultrafast/prune"
	"ultrafast/report"
)

// roundOf is a run whose first round is cut, a network of it, and the points of mAP50-95 that all of its networks
// find.
func roundOf(t *testing.T) (*run, *graph.Graph, float64) {
	t.Helper()
	data := drawn(t)
	job, o := task(data)
	r := quiet(t, job, data, o)
	g, err := o.Model()
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"parent.safetensors", "anchors.safetensors", "round-1/ready.safetensors", "round-1/cut.safetensors", "round-1/tuned.safetensors"} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(r.path(file)), 0o777), r.save(file, g)); err != nil {
			t.Fatal(err)
		}
	}
	found, err := r.validate(t.Context(), "all", g)
	if err != nil {
		t.Fatal(err)
	}
	return r, g, 100 * found.MAP5095
}

func model(file string, points float64) *Model {
	return &Model{File: file, Measured: 1, Epochs: 1, Accuracy: &report.Accuracy{MAP5095: report.Number(points / 100)}}
}

// What misses only narrowly is trained on, and what is farther off is not.
func TestTrainedOn(t *testing.T) {
	for name, c := range map[string]struct {
		tuned        string
		above        float64 // of the parent above what all networks find
		miss         float64 // the round's loss, over what is allowed
		kept, longer bool
		file         string
	}{
		"reached":        {"tuned.safetensors", 1, 0.9, true, false, "tuned.safetensors"},
		"narrow":         {"tuned.safetensors", 1, 1.1, true, true, "longer.safetensors"},
		"narrow in vain": {"tuned.safetensors", 5, 1.1, false, true, "tuned.safetensors"},
		"never better":   {"cut.safetensors", 1, 1.1, false, false, "cut.safetensors"},
		"far":            {"tuned.safetensors", 1, 1.3, false, false, "tuned.safetensors"},
	} {
		t.Run(name, func(t *testing.T) {
			r, _, found := roundOf(t)
			parent := model("parent.safetensors", found+c.above)
			most := r.job.MaxDrop + roundSlack*parent.points()
			if err := errors.Join(r.writeJSON("parent.json", parent), r.writeJSON("round-1/cut.json", cutting{By: "l2"}),
				r.writeJSON("round-1/tuned.json", model("round-1/"+c.tuned, parent.points()-c.miss*most))); err != nil {
				t.Fatal(err)
			}
			v := Round{Number: 1, Attempt: 1, From: "anchors.safetensors", Before: parent.points()}
			if err := r.round(t.Context(), parent, &v); err != nil {
				t.Fatal(err)
			}
			epochs := 1
			if c.longer {
				epochs += roundEpochs(r.job.Epochs)
			}
			if v.Kept != c.kept || v.Model.Epochs != epochs || v.Model.File != filepath.Join("round-1", c.file) || r.done("round-1/longer.json") != c.longer {
				t.Errorf("%+v, %+v", v, v.Model)
			}
			again := Round{Number: 1, Attempt: 1, From: "anchors.safetensors", Before: parent.points()}
			if err := errors.Join(os.Remove(r.path("round-1/verdict.json")), r.round(t.Context(), parent, &again)); err != nil || again.Why != v.Why || again.Model.File != v.Model.File {
				t.Errorf("the verdict is another one the second time: %+v, %v", again, err)
			}
		})
	}
}

// A training that makes a cut network worse is not kept.
func TestWorseTraining(t *testing.T) {
	r, _, found := roundOf(t)
	for points, file := range map[float64]string{found - 0.01: "tuned.safetensors", found + 0.01: "cut.safetensors"} {
		if err := errors.Join(r.writeJSON("parent.json", model("parent.safetensors", found)), r.writeJSON("round-1/cut.json", cutting{By: "l2", Points: points}),
			r.tune(t.Context(), &Round{Number: 1, Attempt: 1, Folder: "round-1", Before: found})); err != nil {
			t.Fatal(err)
		}
		m, err := r.readModel("round-1/tuned.json")
		if err != nil || m.File != filepath.Join("round-1", file) || m.Epochs != roundEpochs(r.job.Epochs) {
			t.Errorf("a cut that finds %v, and after its training %v: %+v, %v", points, found, m, err)
		}
	}
}

// A machine that was busy when the parent was measured, or is now, does not make the rounds cut deeper.
func TestBusyClock(t *testing.T) {
	r, g, found := roundOf(t)
	limits, err := prune.ParseLimits("latency=10ms")
	if err != nil {
		t.Fatal(err)
	}
	r.limits = limits
	for _, busy := range []struct{ then, now float64 }{{1, 1}, {2, 1}, {1, 2}, {2, 2.5}} {
		os.Remove(r.path("check-0.json"))
		r.o.Profile = func(*graph.Graph) (prune.Profile, error) { return prune.Profile{Ms: 9 * busy.now}, nil }
		parent := model("parent.safetensors", found)
		parent.Measured = 9 * busy.then
		all := &Rounds{File: "parent.safetensors", Cost: prune.Cost{Ms: 9}}
		tighter, err := r.reached(all, parent, limits)
		if err != nil {
			t.Fatal(err)
		}
		if both := min(busy.then, busy.now) > 1.2; (tighter == nil) == both {
			t.Errorf("%v times as slow then, %v now: the goal becomes %v", busy.then, busy.now, tighter)
		}
	}
	r.o.Profile = func(*graph.Graph) (prune.Profile, error) { return prune.Profile{}, nil }
	if m, err := r.measure(t.Context(), "it", "round-1/tuned.safetensors", g); err == nil {
		t.Errorf("a clock that stands still: %+v", m)
	}
	r.o.Profile = byParams
	m, err := r.measure(t.Context(), "it", "round-1/tuned.safetensors", g)
	if err != nil || m.Measured == 0 {
		t.Errorf("%+v, %v", m, err)
	}
	if err := r.writeJSON("parent.json", &Model{File: "parent.safetensors", Measured: 7, Accuracy: m.Accuracy}); err != nil {
		t.Fatal(err)
	}
	if m, err = r.measure(t.Context(), "it", "round-1/tuned.safetensors", g); err != nil || m.Measured != 7 {
		t.Errorf("as large as a parent of 7 ms: %+v, %v", m, err)
	}
	if m, err = r.measureInt8(t.Context(), "it in 8 bits", "round-1/tuned.safetensors", g); err != nil || m.Measured != 7 {
		t.Errorf("the same as one of 8 bits: %+v, %v", m, err)
	}
}
