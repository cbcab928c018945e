package train

import "testing"

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
