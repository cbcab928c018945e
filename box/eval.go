package box

import (
	"cmp"
	"slices"
)

// Thresholds is the number of overlaps at which average precision is taken: an IoU of
// .50, .55 … .95.
const Thresholds = 10

// threshold returns the i-th IoU a detection must reach.
func threshold(i int) float32 { return float32(0.5 + 0.05*float64(i)) }

// An Evaluator collects labels and detections, picture by picture, and gives YOLOv5's
// validation metrics. It is for one goroutine.
type Evaluator struct {
	pictures int
	classes  map[int]*tally
}

// tally is what is known of one class.
type tally struct {
	labels [sizes]int
	hits   []hit
}

// A hit is one detection and how it fared.
type hit struct {
	conf  float32
	size  int8             // of the detection
	match [Thresholds]int8 // size of the label it was matched with at each IoU, or -1
}

// NewEvaluator returns an empty Evaluator. classes is the number of classes to expect;
// a class number beyond it is counted like any other.
func NewEvaluator(classes int) *Evaluator {
	return &Evaluator{classes: make(map[int]*tally, max(classes, 0))}
}

// Add takes in one picture: its labels and what was found in it (after NMS), both in
// pixels of the original picture. Neither is kept or changed.
func (e *Evaluator) Add(truth []Truth, found []Box) {
	e.pictures++
	for _, t := range truth {
		e.tally(t.Class).labels[sizeOf(t.X1, t.Y1, t.X2, t.Y2)]++
	}
	// Matching prefers the earlier detection, so the more confident one must come first.
	found = slices.Clone(found)
	slices.SortStableFunc(found, func(a, b Box) int { return cmp.Compare(b.Conf, a.Conf) })

	hits := make([]hit, len(found))
	for i, f := range found {
		hits[i] = hit{conf: f.Conf, size: int8(sizeOf(f.X1, f.Y1, f.X2, f.Y2))}
	}
	for i, m := range match(truth, found) {
		for j, t := range m {
			hits[i].match[j] = -1
			if t >= 0 {
				hits[i].match[j] = int8(sizeOf(truth[t].X1, truth[t].Y1, truth[t].X2, truth[t].Y2))
			}
		}
	}
	for i, f := range found {
		c := e.tally(f.Class)
		c.hits = append(c.hits, hits[i])
	}
}

func (e *Evaluator) tally(class int) *tally {
	c := e.classes[class]
	if c == nil {
		c = &tally{}
		e.classes[class] = c
	}
	return c
}

// match pairs detections with labels of the same class as YOLOv5's process_batch does.
// For detection i and threshold j it returns the index of the label, or -1. At every
// threshold a detection asks for the one label that it overlaps most; of the detections
// that ask for a label, the first gets it, and the others get nothing.
func match(truth []Truth, found []Box) [][Thresholds]int {
	out := make([][Thresholds]int, len(found))
	var taken [Thresholds][]bool
	for j := range taken {
		taken[j] = make([]bool, len(truth))
	}
	for i, f := range found {
		// The label of the greatest overlap is the same at every threshold it reaches.
		best, most := -1, float32(0)
		for t, l := range truth {
			if l.Class != f.Class {
				continue
			}
			// >=: of equal overlaps the later label, as the reversed sort there has it.
			if v := overlap(l.X1, l.Y1, l.X2, l.Y2, f.X1, f.Y1, f.X2, f.Y2); v >= most {
				best, most = t, v
			}
		}
		for j := range out[i] {
			out[i][j] = -1
			if best >= 0 && most >= threshold(j) && !taken[j][best] {
				out[i][j] = best
				taken[j][best] = true
			}
		}
	}
	return out
}
