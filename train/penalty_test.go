package train

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ultrafast/graph"
	"ultrafast/tensor"
)

// Every epoch asks for a penalty of the live weights as they are then, and trains by it.
func TestRunPenalizes(t *testing.T) {
	data := tinyData(t)
	c := tinyConfig(filepath.Join(t.TempDir(), "exp"))
	c.Epochs, c.Sparse, c.SparseRate = 3, "by hand", 0.5
	var epochs []int
	var seen []float32 // one weight at the start of each epoch
	c.Penalty = func(epoch int, live *graph.Graph) (Penalty, error) {
		p := live.Params()[0]
		epochs, seen = append(epochs, epoch), append(seen, p.Tensor().Data[0])
		f := tensor.New(p.Tensor().Shape...)
		for k := range f.Data {
			f.Data[k] = float32(10 * epoch)
		}
		return Penalty{L1: map[string]*tensor.Tensor{p.Name: f}}, nil
	}
	if _, err := Run(t.Context(), Drift(), tinyNet(), data, c); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(epochs, []int{0, 1, 2}) {
		t.Errorf("penalties of epochs %v", epochs)
	}
	// An update of Drift moves by a thousandth, less ten thousandths by the penalty.
	updates := float32(2) // of 2 batches, each with an update of its own in the warm-up
	w := tinyNet().Params()[0].Tensor().Data[0]
	for i, got := range seen[:2] {
		if d := got - w; d > 1e-5 || d < -1e-5 {
			t.Errorf("epoch %d starts at %g, want %g", i, got, w)
		}
		w += 0.001 * updates
	}
	if seen[2] >= seen[1] {
		t.Errorf("weights go from %g to %g under a penalty that is stronger than the gradient", seen[1], seen[2])
	}
	if o := c.options(); o.Sparse != "by hand" || o.SparseRate != 0.5 {
		t.Errorf("written down: %q, %v", o.Sparse, o.SparseRate)
	}

	bad := errors.New("no channels")
	c.Dir = filepath.Join(t.TempDir(), "bad")
	c.Penalty = func(int, *graph.Graph) (Penalty, error) { return Penalty{}, bad }
	if _, err := Run(t.Context(), Drift(), tinyNet(), data, c); !errors.Is(err, bad) || !strings.Contains(err.Error(), "penalty") {
		t.Errorf("error %v, want the penalty's", err)
	}
}
