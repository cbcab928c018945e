package train

import (
	"errors"
	"testing"

	"ultrafast/graph"
	"ultrafast/tensor"
)

func TestFitBatch(t *testing.T) {
	for _, test := range []struct {
		available, each float64
		limit, want     int
	}{
		{1000, 100, 64, 8},  // ten fit
		{1600, 100, 64, 16}, // sixteen fit exactly
		{1e9, 1, 64, 64},
		{1e9, 1, 48, 32}, // of 48 pictures
		{50, 100, 64, 1}, // there is always one
		{100, 0, 64, 64}, // nothing measurable
		{0, 100, 64, 1},
	} {
		if got := fitBatch(test.available, test.each, test.limit); got != test.want {
			t.Errorf("%v bytes of %v each, at most %d: %d, want %d", test.available, test.each, test.limit, got, test.want)
		}
	}
}

func TestAutoBatch(t *testing.T) {
	g := tinyNet()
	n, err := AutoBatch(Drift(), g, 20, Config{Size: 64})
	if err != nil || n != 16 { // it needs next to nothing, so the pictures decide
		t.Errorf("got %d, %v", n, err)
	}
	g.Outputs = g.Outputs[:0]
	g.Nodes = g.Nodes[:len(g.Nodes)-1]
	if _, err := AutoBatch(Drift(), g, 20, Config{Size: 64}); err == nil {
		t.Error("a model without a head is no error")
	}
}

// A card is a device whose networks take memory by a rule and fail where it ends.
type card struct {
	Backend
	free, least int64 // now, and since ever
}

func (c *card) FreeMemory() (int64, error) { return c.least, nil }

func (c *card) Load(g *graph.Graph, o LoadOptions) (Network, error) {
	n, err := c.Backend.Load(g, o)
	c.free -= 500 // weights
	c.least = c.free
	return cardNet{n, c}, err
}

type cardNet struct {
	Network
	card *card
}

func (n cardNet) Step(x *tensor.Tensor, _ Loss) error {
	left := n.card.free - 100*int64(x.Shape[0])
	if left < 0 {
		return errors.New("out of memory")
	}
	n.card.least = min(n.card.least, left)
	return nil
}

func TestAutoBatchOnADevice(t *testing.T) {
	for _, test := range []struct {
		memory int64
		want   int
	}{
		{1e6, 64},  // the nominal batch
		{4000, 16}, // 80 %, less the weights, is 27 pictures
		{1600, 4},  // 7 pictures, and a step of 16 fails
		{950, 2},   // 2 pictures, and a step of 8 fails too
	} {
		n, err := AutoBatch(&card{Backend: Drift(), free: test.memory, least: test.memory}, tinyNet(), 100, Config{Size: 64})
		if err != nil || n != test.want {
			t.Errorf("%d bytes: got %d, %v, want %d", test.memory, n, err, test.want)
		}
	}
	if _, err := AutoBatch(&card{Backend: Drift(), free: 600, least: 600}, tinyNet(), 100, Config{Size: 64}); err == nil {
		t.Error("a device without room for two pictures is no error")
	}
}

func TestDeviceValidatesItself(t *testing.T) {
	c := tinyConfig(t.TempDir())
	c.Epochs = 1
	c.Predictor = func(*graph.Graph) (Predict, error) { return nil, errors.New("not asked for") }
	if _, err := Run(t.Context(), &card{Backend: Drift(), free: 1e6, least: 1e6}, tinyNet(), tinyData(t), c); err != nil {
		t.Error(err)
	}
	c.Dir = t.TempDir()
	if _, err := Run(t.Context(), Drift(), tinyNet(), tinyData(t), c); err == nil {
		t.Error("on the CPU the predictor is not asked")
	}
}
