package yolo

import (
	"cmp"
	"slices"

	"ultrafast/graph"
)

// Sizes of labels and anchors are widths and heights in pixels of the network's input.
// The likeness of two is the smallest of r and 1/r over both sides, r being the ratio of
// their sides: 1 where they are equal. A label and an anchor match where the likeness is
// above 1/threshold; in training such an anchor answers for the label (YOLOv5's anchor_t,
// as in train's assign).

// AnchorThreshold is YOLOv5's anchor_t.
const AnchorThreshold = 4

// An AnchorScore says how well anchors fit labels, in YOLOv5's terms (AutoAnchor of v7.0).
type AnchorScore struct {
	BPR     float64      `json:"bpr"`     // best possible recall: share of labels that an anchor matches
	Above   float64      `json:"above"`   // anchors that match a label, on average
	Mean    float64      `json:"mean"`    // likeness, over all pairs of a label and an anchor
	Best    float64      `json:"best"`    // likeness of a label and its best anchor, on average
	Fitness float64      `json:"fitness"` // the same, where a label without a match counts 0
	Levels  []LevelScore `json:"levels"`
}

// A LevelScore says what one level answers for.
type LevelScore struct {
	Labels  float64 `json:"labels"`  // share of the labels; several levels may match one
	Matches float64 `json:"matches"` // share of all matches
}

// ScoreAnchors measures anchors, by level, on labels; without either all is 0.
func ScoreAnchors(sizes [][2]float32, levels [][][2]float32, threshold float64) AnchorScore {
	s := AnchorScore{Levels: make([]LevelScore, len(levels))}
	limit := float32(1 / threshold)
	pairs, matches := 0, 0
	for _, size := range sizes {
		best := float32(0)
		for l, level := range levels {
			n := 0
			for _, a := range level {
				x := likeness(size, a)
				best = max(best, x)
				s.Mean += float64(x)
				if x > limit {
					n++
				}
			}
			pairs, matches = pairs+len(level), matches+n
			s.Levels[l].Matches += float64(n)
			s.Levels[l].Labels += float64(min(n, 1))
		}
		s.Best += float64(best)
		if best > limit {
			s.BPR++
			s.Fitness += float64(best)
		}
	}
	n := float64(max(len(sizes), 1))
	s.BPR, s.Above, s.Best, s.Fitness = s.BPR/n, float64(matches)/n, s.Best/n, s.Fitness/n
	s.Mean /= float64(max(pairs, 1))
	for l := range s.Levels {
		s.Levels[l].Labels /= n
		s.Levels[l].Matches /= float64(max(matches, 1))
	}
	return s
}

func likeness(a, b [2]float32) float32 {
	w, h := a[0]/b[0], a[1]/b[1]
	return min(w, 1/w, h, 1/h)
}

// UsableSizes returns the labels that anchors are fitted to, those with a side of 2 pixels
// or more, and the number of all with a side under 3, which are hard to learn (YOLOv5's
// limits).
func UsableSizes(sizes [][2]float32) (usable [][2]float32, small int) {
	for _, s := range sizes {
		if max(s[0], s[1]) >= 2 {
			usable = append(usable, s)
		}
		if min(s[0], s[1]) < 3 {
			small++
		}
	}
	return usable, small
}

// OrderAnchors turns the levels' anchors round where they run against the strides: the
// largest, by mean area, on the smallest stride. It reports whether they did. Levels with
// different numbers of anchors stay, as the convolutions before the head do.
func OrderAnchors(d *graph.Detect) bool {
	last := len(d.Anchors) - 1
	areas := cmp.Compare(meanArea(d.Anchors[last]), meanArea(d.Anchors[0]))
	if areas*cmp.Compare(d.Strides[last], d.Strides[0]) >= 0 {
		return false
	}
	for _, level := range d.Anchors {
		if len(level) != len(d.Anchors[0]) {
			return false
		}
	}
	slices.Reverse(d.Anchors)
	return true
}

func meanArea(level [][2]float32) float32 {
	sum := float32(0)
	for _, a := range level {
		sum += a[0] * a[1]
	}
	return sum / float32(len(level))
}
