package compress

import (
	"errors"
	"math"
	"testing"

	"ultrafast/graph"
	"ultrafast/prune"
	"ultrafast/tensor"
	"ultrafast/train"
)

// endless is a backend whose networks make no numbers.
type endless struct{ train.Backend }

func (b endless) Load(g *graph.Graph, o train.LoadOptions) (train.Network, error) {
	n, err := b.Backend.Load(g, o)
	return endlessNet{n}, err
}

type endlessNet struct{ train.Network }

func (n endlessNet) Step(x *tensor.Tensor, loss train.Loss) error {
	return n.Network.Step(x, func(maps []*tensor.Tensor) ([]*tensor.Tensor, error) {
		for _, m := range maps {
			for i := range m.Data {
				m.Data[i] = float32(math.NaN())
			}
		}
		return loss(maps)
	})
}

// A control that diverges is none, and the run goes on without it.
func TestControlDiverges(t *testing.T) {
	r, g, _ := roundOf(t)
	parent := model("parent.safetensors", 50)
	parent.Params = 9
	if err := errors.Join(r.writeJSON("parent.json", parent), r.writeJSON("ended.json", Rounds{File: "parent.safetensors", Cost: prune.Cost{Params: 8}})); err != nil {
		t.Fatal(err)
	}
	r.o.Backend = endless{r.o.Backend}
	if err := r.scratch(t.Context()); err != nil {
		t.Fatal(err)
	}
	var m Model
	if err := r.readJSON("scratch.json", &m); err != nil || m.Accuracy != nil || m.Missing == "" {
		t.Errorf("%+v, %v", m, err)
	}
	if _, err := r.contestant(t.Context(), finalName, "final", g, train.Config{Epochs: 1, Hyp: r.hyp}, 1, nil); !errors.Is(err, train.ErrDiverged) {
		t.Errorf("the child's own training: %v", err)
	}
}

// A child of the parent's shape needs no controls, which would take as long as the parent did.
func TestUncutHasNoControls(t *testing.T) {
	r, _, _ := roundOf(t)
	parent := model("parent.safetensors", 50)
	parent.Params = 9
	if err := errors.Join(r.writeJSON("parent.json", parent), r.writeJSON("ended.json", Rounds{File: "parent.safetensors", Cost: prune.Cost{Params: 9}})); err != nil {
		t.Fatal(err)
	}
	r.o.Backend = nil // none is trained
	if err := errors.Join(r.scratch(t.Context()), r.thin(t.Context())); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"scratch.json", "thin.json"} {
		var m Model
		if err := r.readJSON(file, &m); err != nil || m.Missing != uncut {
			t.Errorf("%s: %+v, %v", file, m, err)
		}
	}
}

// Where the device is elsewhere its table says where the time goes.
func TestLayersByTable(t *testing.T) {
	r, g, _ := roundOf(t)
	l, err := prune.Measure(t.Context(), g, prune.Measurement{Width: 64, Height: 64}, func(g *graph.Graph) (prune.Profile, error) { return layerTimes(g), nil })
	if err != nil {
		t.Fatal(err)
	}
	r.o.Profile, r.o.Latency = nil, l
	found := &Result{Choice: &Choice{File: "round-1/tuned.safetensors"}}
	times, err := r.layers(found)
	if err != nil || len(times.Rows) == 0 {
		t.Fatalf("%+v, %v", times, err)
	}
	sum := 0.0
	for _, row := range times.Rows {
		sum += float64(row.Parent)
		if row.Parent != row.Child {
			t.Errorf("%s: %v and %v of one network", row.Name, row.Parent, row.Child)
		}
	}
	if want, _ := l.Ms(g, 64, 64); math.Abs(sum-want) > 1e-6 {
		t.Errorf("layers take %v, the network %v", sum, want)
	}
	l.Rows = l.Rows[:1]
	r.o.Latency = &prune.Latency{Rows: l.Rows[:1]}
	if times, err := r.layers(found); err != nil || len(times.Rows) > 0 {
		t.Errorf("with a table that lacks layers: %+v, %v", times, err)
	}
}
