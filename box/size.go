package box

import (
	"maps"
	"math"
	"slices"
)

// Sizes of boxes as COCO has them, by the square root of the area in pixels.
const (
	Small  = iota // below 32
	Medium        // below 96
	Large
	sizes
)

func sizeOf(x1, y1, x2, y2 float32) int {
	side := math.Sqrt(float64(x2-x1) * float64(y2-y1))
	switch {
	case side < 32:
		return Small
	case side < 96:
		return Medium
	}
	return Large
}

// A SizeReport is average precision over the boxes of one size. Labels of other sizes are
// ignored, and so are detections matched with one of them, and detections of another size
// matched with nothing. The matching is the same as for the whole Report.
type SizeReport struct {
	Labels         int
	MAP50, MAP5095 float64 // over the classes that have labels of this size; 0 without labels
}

// sizeReport computes one size. The hits of every class are in order of confidence.
func (e *Evaluator) sizeReport(size int) SizeReport {
	var r SizeReport
	classes := 0
	for _, class := range slices.Sorted(maps.Keys(e.classes)) {
		c := e.classes[class]
		if c.labels[size] == 0 {
			continue
		}
		classes++
		r.Labels += c.labels[size]
		for j := range Thresholds {
			ap := c.sizeAP(size, j)
			r.MAP5095 += ap / Thresholds
			if j == 0 {
				r.MAP50 += ap
			}
		}
	}
	if classes > 0 {
		r.MAP50 /= float64(classes)
		r.MAP5095 /= float64(classes)
	}
	return r
}

// sizeAP is the average precision at the j-th threshold over the boxes of one size.
func (c *tally) sizeAP(size, j int) float64 {
	var correct []bool
	for _, h := range c.hits {
		switch {
		case int(h.match[j]) == size:
			correct = append(correct, true)
		case h.match[j] < 0 && int(h.size) == size:
			correct = append(correct, false)
		}
	}
	if len(correct) == 0 {
		return 0
	}
	ap, _, _ := averagePrecision(precisionRecall(correct, c.labels[size]))
	return ap
}
