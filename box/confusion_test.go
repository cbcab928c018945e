package box

import (
	"slices"
	"testing"
)

func TestConfusion(t *testing.T) {
	a, b := square(0, 0, 100, 0), square(200, 0, 100, 1)
	as := func(class int, f Box) Box { f.Class = class; return f }
	for _, test := range []struct {
		name  string
		truth []Truth
		found []Box
		want  []int // rows: predicted 0, 1, background; columns: true ones
	}{
		{"nothing", nil, nil, []int{0, 0, 0, 0, 0, 0, 0, 0, 0}},
		{"right", []Truth{a, b}, []Box{find(a, 0, .9), find(b, 10, .5)}, []int{1, 0, 0, 0, 1, 0, 0, 0, 0}},
		{"taken for another class", []Truth{a}, []Box{as(1, find(a, 0, .9))}, []int{0, 0, 0, 1, 0, 0, 0, 0, 0}},
		{"missed", []Truth{a, b}, nil, []int{0, 0, 0, 0, 0, 0, 1, 1, 0}},
		{"background", nil, []Box{find(a, 0, .9), find(b, 0, .9)}, []int{0, 0, 1, 0, 0, 1, 0, 0, 0}},
		{"not above the threshold", []Truth{a}, []Box{find(a, 0, .25)}, []int{0, 0, 0, 0, 0, 0, 1, 0, 0}},
		{"IoU 70/130", []Truth{a}, []Box{find(a, 30, .9)}, []int{1, 0, 0, 0, 0, 0, 0, 0, 0}},
		{"IoU 60/140", []Truth{a}, []Box{find(a, 40, .9)}, []int{0, 0, 1, 0, 0, 0, 1, 0, 0}},
		// The better fit counts, not the more confident one, and the other is background.
		{"twice", []Truth{a}, []Box{as(1, find(a, 20, .9)), find(a, 5, .3)}, []int{1, 0, 0, 0, 0, 1, 0, 0, 0}},
		// The second detection asks for the first label too, and so leaves the second alone.
		{"second choice", []Truth{a, square(30, 0, 100, 1)}, []Box{find(a, 0, .9), find(a, 10, .8)},
			[]int{1, 0, 1, 0, 0, 0, 0, 1, 0}},
	} {
		c := NewConfusion(2)
		c.Add(test.truth, test.found)
		if !slices.Equal(c.Counts, test.want) {
			t.Errorf("%s: %v, want %v", test.name, c.Counts, test.want)
		}
	}
}

// Over any pictures every label is counted once in its column, and every detection above
// the threshold once in its row.
func TestConfusionSums(t *testing.T) {
	c, labels, found := NewConfusion(3), [3]int{}, [3]int{}
	for i := range 50 {
		var truth []Truth
		var boxes []Box
		for k := range i % 5 {
			l := square(float32(17*i%90+40*k), float32(31*k), 60, (i+k)%3)
			truth = append(truth, l)
			boxes = append(boxes, find(l, float32(i%40), float32(k)/5), Box{1, 2, 50, 60, .9, k % 3})
			labels[l.Class]++
		}
		for _, b := range boxes {
			if b.Conf > ConfusionConf {
				found[b.Class]++
			}
		}
		c.Add(truth, boxes)
	}
	for class := range 3 {
		column, row := 0, 0
		for k := range 4 {
			column, row = column+c.At(k, class), row+c.At(class, k)
		}
		if column != labels[class] || row != found[class] {
			t.Errorf("class %d: %d labels and %d detections, want %d and %d", class, column, row, labels[class], found[class])
		}
	}
}
