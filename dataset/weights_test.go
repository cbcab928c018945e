package dataset

import (
	"fmt"
	"math"
	"slices"
	"testing"
)

// The frequencies of pictures are their weights, within four standard deviations.
func TestWeighted(t *testing.T) {
	items := []Item{{Labels: []Label{{Class: 0}, {Class: 0}}}, {Labels: []Label{{Class: 1}}}, {}, {Labels: []Label{{Class: 0}, {Class: 1}}}}
	// Class 0 has three boxes, 1 has two and 2 none: 1/3, 1/2 and 1 in sum 11/6.
	classes := ClassWeights(items, 3)
	for c, want := range []float64{2.0 / 11, 3.0 / 11, 6.0 / 11} {
		if math.Abs(classes[c]-want) > 1e-12 {
			t.Errorf("class %d weighs %v, want %v", c, classes[c], want)
		}
	}
	weights := PictureWeights(items, classes)
	for i, want := range []float64{4.0 / 11, 3.0 / 11, 0, 5.0 / 11} {
		if math.Abs(weights[i]-want) > 1e-12 {
			t.Errorf("picture %d weighs %v, want %v", i, weights[i], want)
		}
	}
	l := newTestLoader(t, items, LoaderOptions{Size: 32, Batch: 1, Train: true}).Weighted(weights)
	counts := make([]float64, 4)
	const epochs = 5000
	for e := range epochs {
		for _, i := range l.drawn(e) {
			counts[i]++
		}
	}
	for i, w := range weights {
		p := w / (12.0 / 11)
		n := 4.0 * epochs
		if math.Abs(counts[i]-n*p) > 4*math.Sqrt(n*p*(1-p)) {
			t.Errorf("picture %d came %v times of %v, want %v", i, counts[i], n, n*p)
		}
	}
	plans, pool := l.plan(3)
	for i, p := range plans {
		if p.items[0] != pool[i] || p.keys[0] != i {
			t.Errorf("batch %d is %+v of %v", i, p, pool)
		}
	}
	if got := newTestLoader(t, items, LoaderOptions{Size: 32}).Weighted(make([]float64, 4)).cumulated; !slices.Equal(got, []float64{1, 2, 3, 4}) {
		t.Errorf("without weights: %v", got)
	}
}

func TestSingle(t *testing.T) {
	d := &Data{Names: []string{"a", "b"}, Train: []Item{{Labels: []Label{{1, 0.1, 0.2, 0.3, 0.4}}}}}
	one := d.Single()
	if want := (Label{0, 0.1, 0.2, 0.3, 0.4}); fmt.Sprint(one.Names) != "[item]" || one.Train[0].Labels[0] != want || one.Val != nil {
		t.Errorf("got %+v", one)
	}
	if d.Train[0].Labels[0].Class != 1 {
		t.Error("the data itself was changed")
	}
	if cats := (&Data{Names: []string{"cat"}}); cats.Single() != cats {
		t.Error("data of one class are made anew")
	}
}
