package yolo

import (
	"math"
	"slices"
	"testing"
)

func TestUsedLevels(t *testing.T) {
	anchors := [][][2]float32{
		{{10, 10}, {14, 14}, {20, 20}},
		{{100, 100}},
		{{500, 500}},
	}
	boxes := func(n int, side float32) [][2]float32 { return slices.Repeat([][2]float32{{side, side}}, n) }
	for name, c := range map[string]struct {
		sizes [][][2]float32
		want  []int
		lost  float64 // without the others than those
	}{
		"all are used":                 {[][][2]float32{slices.Concat(boxes(50, 12), boxes(40, 100), boxes(40, 500))}, []int{0, 1, 2}, 0},
		"one has next to nothing":      {[][][2]float32{slices.Concat(boxes(200, 12), boxes(3, 110))}, []int{0}, 3. / 203},
		"few matches of many labels":   {[][][2]float32{slices.Concat(boxes(100, 12), boxes(5, 110))}, []int{0, 1}, 0},
		"few matches, but all of one":  {[][][2]float32{boxes(200, 12), boxes(3, 110)}, []int{0, 1}, 0},
		"a class is elsewhere, too":    {[][][2]float32{boxes(200, 12), slices.Concat(boxes(1, 12), boxes(3, 110))}, []int{0}, 3. / 204},
		"no label of a class":          {[][][2]float32{boxes(200, 12), nil}, []int{0}, 0},
		"a label of its own each":      {[][][2]float32{slices.Concat(boxes(98, 12), boxes(2, 110), boxes(1, 600))}, []int{0, 1}, 1. / 101},
		"only the smaller one's class": {[][][2]float32{slices.Concat(boxes(300, 12), slices.Repeat([][2]float32{{32, 60}}, 9)), boxes(2, 1000)}, []int{0, 2}, 0},
		"no label has an anchor at it": {[][][2]float32{boxes(9, 5000)}, nil, 0},
	} {
		used := UsedLevels(c.sizes, anchors, AnchorThreshold)
		if !slices.Equal(used, c.want) {
			t.Errorf("%s: %v, want %v", name, used, c.want)
		}
		lost, _ := LostLabels(c.sizes, anchors, c.want, AnchorThreshold)
		if math.Abs(lost-c.lost) > 1e-9 {
			t.Errorf("%s: %v of the labels are lost, want %v", name, lost, c.lost)
		}
	}
	if lost, classes := LostLabels([][][2]float32{boxes(1, 12), nil, boxes(3, 110)}, anchors, []int{0}, AnchorThreshold); lost != 0.75 || !slices.Equal(classes, []int{2}) {
		t.Errorf("%v of the labels are lost, all of the classes %v", lost, classes)
	}
}
