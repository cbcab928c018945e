package train

import (
	"math"
	"strings"
	"testing"

	"ultrafast/graph"
	"ultrafast/yolo"
)

func TestMean(t *testing.T) {
	cfg, err := yolo.Standard("thin")
	if err != nil {
		t.Fatal(err)
	}
	network := func(names []string, seed int64) *graph.Graph {
		g, err := yolo.New(cfg, names, uint64(seed))
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	names := []string{"face", "mask"}
	a, b := network(names, 1), network(names, 2)
	was := a.Fingerprint()
	mean, err := Mean([]*graph.Graph{a, b}, []float64{3, 1})
	if err != nil {
		t.Fatal(err)
	}
	if a.Fingerprint() != was || mean.Verify() != nil {
		t.Error("the first network is changed, or the mean is no network")
	}
	from, other := a.Params(), b.Params()
	for i, p := range mean.Params() {
		for j, v := range p.Tensor().Data {
			if want := 0.75*float64(from[i].Tensor().Data[j]) + 0.25*float64(other[i].Tensor().Data[j]); math.Abs(float64(v)-want) > 1e-6 {
				t.Fatalf("%s: [%d] = %v, want %v", p.Name, j, v, want)
			}
		}
	}
	if same, err := Mean([]*graph.Graph{a, a, a}, []float64{0.1, 7, 1}); err != nil || same.Fingerprint() != was {
		t.Errorf("the mean of one network with itself is another: %v", err)
	}
	for want, c := range map[string]struct {
		networks []*graph.Graph
		shares   []float64
	}{
		"want one share for each": {[]*graph.Graph{a, b}, []float64{1}},
		"a share of NaN":          {[]*graph.Graph{a, b}, []float64{1, math.NaN()}},
		"a share of -1":           {[]*graph.Graph{a, b}, []float64{1, -1}},
		"another structure":       {[]*graph.Graph{a, network(names[:1], 1)}, []float64{1, 1}},
		"or other classes":        {[]*graph.Graph{a, network([]string{"mask", "face"}, 1)}, []float64{1, 1}},
	} {
		if _, err := Mean(c.networks, c.shares); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
