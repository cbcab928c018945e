package box

import (
	"encoding/json"
	"math"
	"testing"
)

func square(x, y, side float32, class int) Truth {
	return Truth{x, y, x + side, y + side, class}
}

func find(t Truth, shift, conf float32) Box {
	return Box{t.X1 + shift, t.Y1, t.X2 + shift, t.Y2, conf, t.Class}
}

func TestMatch(t *testing.T) {
	a, b := square(0, 0, 100, 0), square(200, 0, 100, 0)
	for _, c := range []struct {
		name  string
		truth []Truth
		found []Box
		want  []int // label of each detection at IoU .5, -1 for none
	}{
		{"none", nil, []Box{find(a, 0, .9)}, []int{-1}},
		{"exact", []Truth{a, b}, []Box{find(b, 0, .9), find(a, 0, .8)}, []int{1, 0}},
		{"another class", []Truth{a}, []Box{{0, 0, 100, 100, .9, 1}}, []int{-1}},
		{"too little", []Truth{a}, []Box{find(a, 40, .9)}, []int{-1}}, // 60/140
		// The first detection that asks gets the label, not the one that fits best.
		{"twice", []Truth{a}, []Box{find(a, 20, .9), find(a, 0, .8)}, []int{0, -1}},
		// A detection asks for one label only: its second choice stays free.
		{"second choice", []Truth{a, square(30, 0, 100, 0)},
			[]Box{find(a, 0, .9), find(a, 10, .8)}, []int{0, -1}},
	} {
		for i, m := range match(c.truth, c.found) {
			if m[0] != c.want[i] {
				t.Errorf("%s: detection %d is matched with %d, want %d", c.name, i, m[0], c.want[i])
			}
		}
	}
	// 80/120 = .667: matched up to IoU .65 and no further.
	m := match([]Truth{a}, []Box{find(a, 20, .9)})[0]
	for j, l := range m {
		if (l == 0) != (j <= 3) {
			t.Errorf("threshold %v: %d", threshold(j), l)
		}
	}
}

// Two labels, found at .9 and .5, with a wrong one between them.
func TestReportByHand(t *testing.T) {
	a, b := square(0, 0, 50, 3), square(200, 0, 50, 3)
	e := NewEvaluator(4)
	e.Add([]Truth{a}, []Box{find(a, 0, .9)})
	e.Add([]Truth{b}, []Box{find(b, 0, .5), find(b, 300, .7)}) // out of order
	e.Add(nil, nil)
	r := e.Report()
	if r.Pictures != 3 || r.Labels != 2 || len(r.Classes) != 1 || r.Classes[0].Class != 3 {
		t.Fatalf("%d pictures, %d labels, classes %+v", r.Pictures, r.Labels, r.Classes)
	}
	// Precision is 1 below recall .5 and 2/3 from there on; at recall 1 the added end has 0.
	want := 0.0
	at := func(i int) float64 {
		switch {
		case i < 50:
			return 1
		case i < 100:
			return 2. / 3
		}
		return 0
	}
	for i := range 100 {
		want += (at(i) + at(i+1)) / 2 / 100
	}
	if math.Abs(r.MAP50-want) > 1e-9 || math.Abs(r.MAP5095-want) > 1e-9 {
		t.Errorf("mAP50 %v, mAP50-95 %v, want %v", r.MAP50, r.MAP5095, want)
	}
	c := r.Classes[0].Curves
	for _, p := range []struct {
		conf, precision, recall float64
	}{{.95, 1, 0}, {.9, 1, .5}, {.7, .5, .5}, {.5, 2. / 3, 1}, {.1, 2. / 3, 1}} {
		i := int(math.Round(p.conf * 999))
		if math.Abs(c.Precision[i]-p.precision) > .01 || math.Abs(c.Recall[i]-p.recall) > .01 {
			t.Errorf("at confidence %v: precision %v, recall %v", p.conf, c.Precision[i], c.Recall[i])
		}
	}
	if r.Confidence > .5 || r.Recall != 1 || math.Abs(r.Precision-2./3) > 1e-9 || math.Abs(r.F1-.8) > 1e-9 {
		t.Errorf("at confidence %v: precision %v, recall %v, F1 %v", r.Confidence, r.Precision, r.Recall, r.F1)
	}
}

func TestReportEdges(t *testing.T) {
	a := square(0, 0, 50, 0)
	for _, c := range []struct {
		name  string
		truth []Truth
		found []Box
		map50 float64
	}{
		{"nothing at all", nil, nil, 0},
		{"labels alone", []Truth{a}, nil, 0},
		{"detections alone", nil, []Box{find(a, 0, .9)}, 0},
		{"all wrong", []Truth{a}, []Box{find(a, 300, .9)}, 0},
		{"all right", []Truth{a}, []Box{find(a, 0, .9)}, .995},
		{"a class that was never found", []Truth{a, square(100, 0, 50, 1)}, []Box{find(a, 0, .9)}, .995 / 2},
		{"a class without labels", []Truth{a}, []Box{find(a, 0, .9), {0, 0, 9, 9, .9, 77}}, .995},
	} {
		e := NewEvaluator(2)
		e.Add(c.truth, c.found)
		r := e.Report()
		if math.Abs(r.MAP50-c.map50) > 1e-9 {
			t.Errorf("%s: mAP50 %v, want %v", c.name, r.MAP50, c.map50)
		}
		if _, err := json.Marshal(r); err != nil { // fails on NaN
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// One label of each size. A detection counts for the size of the label it is matched with,
// whatever its own, and a wrong one for its own size.
func TestSizes(t *testing.T) {
	small, medium, large := square(0, 0, 31, 0), square(100, 0, 40, 0), square(300, 0, 96, 0)
	e := NewEvaluator(1)
	e.Add([]Truth{small, medium, large}, []Box{
		{600, 0, 610, 10, .9, 0},                                 // wrong, small, and first
		{0, 0, 33, 33, .8, 0},                                    // right, for the small label
		{X1: 100, X2: 140, Y2: 40, Conf: .7}, find(large, 0, .6), // right
	})
	r := e.Report()
	for size, want := range [sizes]float64{Small: .5 * .995, Medium: .995, Large: .995} {
		got := r.Sizes[size]
		if got.Labels != 1 || math.Abs(got.MAP50-want) > .01 {
			t.Errorf("size %d: %d labels, mAP50 %.4f, want %.4f", size, got.Labels, got.MAP50, want)
		}
	}
	for side, want := range map[float32]int{31.9: Small, 32: Medium, 95.9: Medium, 96: Large} {
		if got := sizeOf(0, 0, side, side); got != want {
			t.Errorf("side %v: size %d, want %d", side, got, want)
		}
	}
	if r := NewEvaluator(1).Report(); r.Sizes[Large] != (SizeReport{}) {
		t.Errorf("without labels: %+v", r.Sizes[Large])
	}
}

func TestInterpolate(t *testing.T) {
	xs, ys := []float64{0, 1, 1, 3}, []float64{10, 20, 30, 50}
	for x, want := range map[float64]float64{-1: -7, 0: 10, .5: 15, 1: 30, 2: 40, 3: 50, 9: 50} {
		if got := interpolate(x, xs, ys, -7); got != want {
			t.Errorf("at %v: %v, want %v", x, got, want)
		}
	}
}
