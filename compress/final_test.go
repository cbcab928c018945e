package compress

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"ultrafast/graph"
	"ultrafast/prune"
	"ultrafast/report"
)

// What the rounds may lose and the training at the end does not bring back is not handed out.
func TestFinalStepsBack(t *testing.T) {
	data := drawn(t)
	job, o := task(data)
	const small = 12_000 // parameters, below which nothing is found
	o.Predictor = foundIf(func(g *graph.Graph) bool { return g.ParamCount() >= small })
	r := quiet(t, job, data, o)
	g, err := o.Model()
	if err != nil {
		t.Fatal(err)
	}
	parent, err := r.measure(t.Context(), "parent", "anchors.safetensors", g)
	if err != nil {
		t.Fatal(err)
	}
	parent.Accuracy.MAP5095 += report.Number(0.9 * job.MaxDrop / 100) // within the budget, but for the smallest
	rounds := Rounds{Reached: true, Epochs: 7}
	from, params := "anchors.safetensors", []int{20_000, 14_000, 10_000}
	err = errors.Join(r.writeJSON("parent.json", parent), r.save(from, g))
	for i, n := range params {
		limits := prune.Limits{{Quantity: prune.Parameters, Most: float64(n)}}
		_, cut, cost, cutErr := r.cutTo(g, limits, prune.Target{})
		if cutErr != nil {
			t.Fatal(cutErr)
		}
		file := fmt.Sprintf("%d.safetensors", i)
		m, measureErr := r.measure(t.Context(), file, file, cut)
		err = errors.Join(err, measureErr, r.save(file, cut))
		rounds.All = append(rounds.All, Round{Number: i + 1, Attempt: 1, From: from, Model: m, Epochs: 2, Kept: true})
		rounds.File, rounds.Cost, from = file, cost, file
	}
	if err := errors.Join(err, r.writeJSON("rounds.json", rounds), r.final(t.Context())); err != nil {
		t.Fatal(err)
	}
	var end Rounds
	final, err := r.readModel("final.json")
	if err := errors.Join(err, r.readJSON("ended.json", &end)); err != nil {
		t.Fatal(err)
	}
	if final.Params < small || final.Params > params[1] || end.Cost.Params != final.Params || end.Reached || end.Epochs != 5 || final.Epochs != 5+job.Epochs ||
		end.Folder != "final-back-1" || !strings.Contains(end.Why, "the best reachable within 1 points is") {
		t.Errorf("it ended with %d parameters, %+v", final.Params, end)
	}
	curves, err := r.curves(&Result{Rounds: rounds.All, End: &end})
	var names []string
	for _, c := range curves {
		names = append(names, c.Name)
	}
	if want := []string{"final training, given up", contestants[0].name}; err != nil || !slices.Equal(names, want) {
		t.Errorf("curves of %q, want of %q; %v", names, want, err)
	}
}

// The parent's anchors stay where others would cost it more than the budget.
func TestAnchors(t *testing.T) {
	data := drawn(t)
	job, o := task(data)
	g, err := o.Model()
	if err != nil {
		t.Fatal(err)
	}
	unfit := [][][2]float32{{{500, 500}, {600, 600}}, {{700, 700}, {800, 800}}}
	g.Detect().Op.(*graph.Detect).Anchors = unfit
	for _, spoils := range []bool{true, false} {
		o.Predictor = foundIf(func(g *graph.Graph) bool {
			return !spoils || reflect.DeepEqual(g.Detect().Op.(*graph.Detect).Anchors, unfit)
		})
		r := quiet(t, job, data, o)
		parent, err := r.measure(t.Context(), "parent", "parent.safetensors", g)
		if err != nil {
			t.Fatal(err)
		}
		parent.Accuracy.MAP5095 = 0.5
		if !spoils {
			parent.Accuracy.MAP5095 = 0
		}
		if err := errors.Join(r.save("parent.safetensors", g), r.writeJSON("parent.json", parent), r.anchors(t.Context())); err != nil {
			t.Fatal(err)
		}
		got, err := r.open("anchors.safetensors")
		if err != nil {
			t.Fatal(err)
		}
		if same := reflect.DeepEqual(got.Detect().Op.(*graph.Detect).Anchors, unfit); same != spoils {
			t.Errorf("others would spoil it: %v, its own stay: %v", spoils, same)
		}
	}
}

func TestChoose(t *testing.T) {
	all := []candidate{{by: "table", points: 20, loss: 0.2}, {by: "l2", points: 22, loss: 0.3}, {by: "taylor", points: 21, loss: 0.1}}
	if by := choose(all, 30).by; by != "l2" {
		t.Errorf("the most points: %s", by)
	}
	if by := choose([]candidate{{by: "table", loss: 0.2}, {by: "taylor", loss: 0.1}}, 0).by; by != "taylor" {
		t.Errorf("where nothing was found before either: %s", by)
	}
	if by := choose(all, 230).by; by != "taylor" {
		t.Errorf("where nothing is found: %s", by)
	}
}
