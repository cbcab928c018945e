package train

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"ultrafast/box"
	"ultrafast/dataset"
	"ultrafast/graph"
	"ultrafast/tensor"
)

// A fading network finds nothing once its weights have drifted away from those it began
// with: its best epoch is not the last.
type fading struct {
	Backend
	limit float32 // of the first weight
}

type fadingNet struct {
	Network
	limit float32
}

func (f fading) Load(g *graph.Graph, o LoadOptions) (Network, error) {
	n, err := f.Backend.Load(g, o)
	return fadingNet{n, f.limit}, err
}

func (n fadingNet) Predict(x *tensor.Tensor, w Weights) ([]*tensor.Tensor, error) {
	maps, err := n.Network.Predict(x, w)
	if err != nil {
		return nil, err
	}
	g, err := n.Graph(w)
	if err == nil && g.Params()[0].Tensor().Data[0] > n.limit {
		for i := range maps[0].Data {
			maps[0].Data[i] = -30
		}
	}
	return maps, err
}

// TestBestIsMeasured: a run ends with a validation of its best weights, which the numbers
// of the epochs know nothing of; also one that is resumed after its last epoch.
func TestBestIsMeasured(t *testing.T) {
	data := tinyData(t)
	be := fading{Drift(), tinyNet().Params()[0].Tensor().Data[0] + 0.0045} // two epochs of two updates
	for name, stop := range map[string]bool{"at once": false, "resumed": true} {
		c := tinyConfig(t.TempDir())
		ctx, cancel := context.WithCancel(t.Context())
		var reports []box.Report
		found := 0
		c.Found = func(b *dataset.Batch, _ [][]box.Box) { found += len(b.Items) }
		c.Progress = func(p Progress) {
			if p.Validated == nil {
				return
			}
			if reports = append(reports, p.Validated.Report); stop && p.Epoch == c.Epochs {
				cancel()
			}
		}
		r, err := Run(ctx, be, tinyNet(), data, c)
		if stop {
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("%s: %v", name, err)
			}
			again, err := ReadConfig(c.Dir)
			if err != nil {
				t.Fatal(err)
			}
			again.Found = c.Found
			if r, err = Run(t.Context(), be, nil, data, again); err != nil {
				t.Fatal(err)
			}
		} else if err != nil {
			t.Fatal(err)
		}
		cancel()
		if last := reports[4]; r.Epochs != 5 || r.BestEpoch == 5 || !(fitness(reports[r.BestEpoch-1]) > fitness(last)) {
			t.Fatalf("%s: the best of %d epochs is %d, and its fitness %v; the last one's is %v", name, r.Epochs, r.BestEpoch, r.Fitness, fitness(last))
		}
		if !reflect.DeepEqual(r.Report, reports[r.BestEpoch-1]) {
			t.Errorf("%s: the report is\n%+v, that of the best epoch\n%+v", name, r.Report, reports[r.BestEpoch-1])
		}
		if found != 3*6 {
			t.Errorf("%s: something was found in %d pictures, want 3 of 5 epochs and the end", name, found)
		}
		if lines := readLines(t, filepath.Join(c.Dir, "results.csv")); len(lines) != 6 {
			t.Errorf("%s: results.csv has %d lines, want a head and five epochs:\n%s", name, len(lines), strings.Join(lines, "\n"))
		}
	}
}

func readLines(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}
