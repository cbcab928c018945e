package box

import (
	"cmp"
	"slices"
)

// What counts in a Confusion, as in YOLOv5: detections above this confidence, and overlaps
// with labels above this IoU.
const (
	ConfusionConf = 0.25
	ConfusionIoU  = 0.45
)

// A Confusion counts which class was taken for which. Row and column Classes stand for the
// background: what was found where nothing is, what is there and was not found.
type Confusion struct {
	Classes int
	Counts  []int // [predicted*(Classes+1) + true]
}

// NewConfusion returns one without counts.
func NewConfusion(classes int) *Confusion {
	return &Confusion{Classes: classes, Counts: make([]int, (classes+1)*(classes+1))}
}

// At is how often predicted was found where truth is labelled.
func (c *Confusion) At(predicted, truth int) int { return c.Counts[predicted*(c.Classes+1)+truth] }

// Add takes in one picture: its labels and what was found in it (after NMS), of classes
// below Classes. A detection is paired with the label that it overlaps most, whatever the
// classes, and of several for one label the one that overlaps most counts; the rest found
// background. YOLOv5 leaves out pictures where nothing can be paired; here they count.
func (c *Confusion) Add(truth []Truth, found []Box) {
	type pair struct {
		truth, found int
		iou          float32
	}
	var pairs []pair
	for t, l := range truth {
		for f, b := range found {
			if b.Conf <= ConfusionConf {
				continue
			}
			if v := overlap(l.X1, l.Y1, l.X2, l.Y2, b.X1, b.Y1, b.X2, b.Y2); v > ConfusionIoU {
				pairs = append(pairs, pair{t, f, v})
			}
		}
	}
	slices.SortStableFunc(pairs, func(a, b pair) int { return cmp.Compare(b.iou, a.iou) })
	const none, asked = -1, -2
	partner, of := slices.Repeat([]int{none}, len(truth)), slices.Repeat([]int{none}, len(found))
	for _, p := range pairs {
		if of[p.found] != none {
			continue // it overlaps another label more
		}
		of[p.found] = asked
		if partner[p.truth] == none {
			partner[p.truth], of[p.found] = p.found, p.truth
		}
	}
	background := c.Classes
	for t, l := range truth {
		predicted := background
		if partner[t] != none {
			predicted = found[partner[t]].Class
		}
		c.Counts[predicted*(c.Classes+1)+l.Class]++
	}
	for f, b := range found {
		if b.Conf > ConfusionConf && of[f] < 0 {
			c.Counts[b.Class*(c.Classes+1)+background]++
		}
	}
}
