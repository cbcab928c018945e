package yolo

import (
	"math"
	"testing"

	"ultrafast/graph"
	"ultrafast/tensor"
)

// cell makes the maps of a head with one cell, one anchor and the given raw numbers.
func cell(t *testing.T, raw ...float32) (*graph.Detect, []*tensor.Tensor) {
	t.Helper()
	m, err := tensor.From(raw, 1, len(raw), 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	return &graph.Detect{Anchors: [][][2]float32{{{10, 20}}}, Strides: []int{8}, Classes: len(raw) - 5}, []*tensor.Tensor{m}
}

func TestBoxes(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, c := range []struct {
		name  string
		raw   []float32
		multi bool
		conf  float32
		want  int
	}{
		{"best class", []float32{0, 0, 0, 0, 9, 9, 8}, false, 0.25, 1},
		{"every class", []float32{0, 0, 0, 0, 9, 9, 8}, true, 0.25, 2},
		{"no class", []float32{0, 0, 0, 0, 9, -9, -8}, false, 0.25, 0},
		{"no object", []float32{0, 0, 0, 0, -9, 9, 9}, false, 0.25, 0},
		{"object times class", []float32{0, 0, 0, 0, 0, 0, 0}, false, 0.25, 0}, // 0.5*0.5 does not exceed it
		{"no threshold", []float32{0, 0, 0, 0, -50, 0, 0}, true, 0, 2},
		{"all infinite", []float32{inf, inf, inf, inf, inf, inf, inf}, false, 0.25, 1},
		{"all minus infinite", []float32{-inf, -inf, -inf, -inf, -inf, -inf, -inf}, false, 0, 0},
		{"place is NaN", []float32{nan, 0, 0, 0, 9, 9, 9}, false, 0.25, 0},
		{"size is NaN", []float32{0, 0, 0, nan, 9, 9, 9}, true, 0.25, 0},
		{"object is NaN", []float32{0, 0, 0, 0, nan, 9, 9}, false, 0, 0},
		{"a class is NaN", []float32{0, 0, 0, 0, 9, nan, 9}, false, 0.25, 1},
	} {
		d, maps := cell(t, c.raw...)
		found := Boxes(d, maps, BoxOptions{Conf: c.conf, MultiLabel: c.multi})[0]
		if len(found) != c.want {
			t.Errorf("%s: %v, want %d boxes", c.name, found, c.want)
		}
		for _, b := range found {
			for _, v := range []float32{b.X1, b.Y1, b.X2, b.Y2, b.Conf} {
				if v != v || math.IsInf(float64(v), 0) {
					t.Errorf("%s: box %+v", c.name, b)
				}
			}
		}
	}
	d, maps := cell(t, 0, 0, 0, 0, 9, 9)
	if b := Boxes(d, maps, BoxOptions{Conf: 0.5})[0][0]; b.X1 != -1 || b.Y1 != -6 || b.X2 != 9 || b.Y2 != 14 {
		t.Errorf("box %+v, want 10x20 around 4, 4", b)
	}
}
