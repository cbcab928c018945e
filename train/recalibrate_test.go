package train

import (
	"context"
	"errors"
	"iter"
	"testing"

	"ultrafast/dataset"
	"ultrafast/graph"
	"ultrafast/tensor"
	"ultrafast/yolo"
)

// A counting network counts the pictures that its statistics are measured on.
type counting struct {
	Backend
	pictures *int
}

type countingNet struct {
	Network
	pictures *int
}

func (c counting) Load(g *graph.Graph, o LoadOptions) (Network, error) {
	n, err := c.Backend.Load(g, o)
	return countingNet{n, c.pictures}, err
}

func (n countingNet) Recalibrate(batches iter.Seq2[*tensor.Tensor, error]) error {
	for x, err := range batches {
		if err != nil {
			return err
		}
		*n.pictures += x.Shape[0]
	}
	return nil
}

func TestRecalibrate(t *testing.T) {
	data := tinyData(t)
	for most, want := range map[int]int{0: 8, 3: 3, 100: 8} {
		pictures, told := 0, 0
		g, err := Recalibrate(t.Context(), counting{Drift(), &pictures}, tinyNet(), data.Train, RecalibrateOptions{Size: 64, Batch: 2, Pictures: most,
			Progress: func(done, batches int) {
				if told++; done != told || batches != (want+1)/2 {
					t.Errorf("batch %d of %d, want %d of %d", done, batches, told, (want+1)/2)
				}
			}})
		if err != nil || pictures != want || g.String() != tinyNet().String() {
			t.Errorf("at most %d: %d pictures, want %d; %v", most, pictures, want, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Recalibrate(ctx, Drift(), tinyNet(), data.Train, RecalibrateOptions{Size: 64}); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
}

func TestFitAnchors(t *testing.T) {
	sizes := dataset.Sizes(tinyData(t).Train, 64, 64)
	for _, c := range []struct {
		anchors [][2]float32
		always  bool
		taken   bool
	}{
		{[][2]float32{{12, 12}, {24, 24}}, false, false}, // which match all
		{[][2]float32{{12, 12}, {24, 24}}, true, true},
		{[][2]float32{{900, 900}, {950, 950}}, false, true},
	} {
		d := &graph.Detect{Anchors: [][][2]float32{c.anchors}, Strides: []int{8}, Classes: 2}
		old := c.anchors[0]
		if _, err := FitAnchors(t.Context(), d, sizes, c.always, yolo.AnchorSearch{Threshold: 4, Seed: 1}); err != nil {
			t.Fatal(err)
		}
		if taken := d.Anchors[0][0] != old; taken != c.taken {
			t.Errorf("%v, always %v: new ones were taken: %v", c.anchors, c.always, taken)
		}
	}
}
