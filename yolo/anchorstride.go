package yolo

import (
	"context"
	"math"
	"slices"
)

// What a level is good for: objects far smaller than a cell are not seen there, and of
// much larger ones a cell sees a part.
const (
	leastStrides = 2  // of the root of an anchor's area
	mostStrides  = 16 // of the same
	mostAnchors  = 3  // of a level, as YOLOv5 has
)

// enoughBPR is the best possible recall that ByStride is content with.
const enoughBPR = 0.99

// ByStride fits anchors whose root of the area is 2 to 16 strides of their level. It
// begins with one a level and adds one at a time, up to three a level, where it brings the
// most BPR, until that is 0.99 or no more can be had.
//
// Labels are split among the levels by k-means on the logarithm of their size, one centre
// a level that stays in the level's range; k-means on the logarithms of width and height
// gives the anchors of each level, and the genetic search moves them all, each within its
// range. Errors are those of KMeans.
func (o AnchorSearch) ByStride(ctx context.Context, sizes [][2]float32, strides []int) ([][][2]float32, error) {
	s, err := newSearch(ctx, o, sizes)
	if err != nil {
		return nil, err
	}
	r := &rangedSearch{search: s, strides: strides, sizes: sizes}
	r.split()
	best, err := r.best([][]int{slices.Repeat([]int{1}, len(strides))})
	for err == nil && best.score.BPR < enoughBPR {
		var trials [][]int
		for l, n := range best.counts {
			if n < mostAnchors {
				more := slices.Clone(best.counts)
				more[l]++
				trials = append(trials, more)
			}
		}
		if len(trials) == 0 {
			break
		}
		var next *ranged
		if next, err = r.best(trials); err != nil || next.score.BPR <= best.score.BPR {
			break
		}
		best = next
	}
	if err != nil {
		return nil, err
	}
	return best.levels, nil
}

// A ranged is the outcome of a trial with so many anchors a level.
type ranged struct {
	counts []int
	levels [][][2]float32
	score  AnchorScore
}

func (a *ranged) better(b *ranged) bool {
	if a.score.BPR != b.score.BPR {
		return a.score.BPR > b.score.BPR
	}
	return a.score.Fitness > b.score.Fitness
}

type rangedSearch struct {
	*search
	strides []int
	sizes   [][2]float32
	centres []float64      // by level: logarithm of the root of the area
	labels  [][][2]float64 // by level: logarithms of its labels
}

// split gives every label to a level.
func (r *rangedSearch) split() {
	r.centres = make([]float64, len(r.strides))
	for l := range r.centres {
		r.centres[l] = r.within(l, (r.within(l, math.Inf(-1))+r.within(l, math.Inf(1)))/2)
	}
	for range 100 {
		r.labels = make([][][2]float64, len(r.strides))
		sums := make([]float64, len(r.strides))
		for _, p := range r.logs {
			size := (p[0] + p[1]) / 2
			at := 0
			for l, c := range r.centres {
				if math.Abs(size-c) < math.Abs(size-r.centres[at]) {
					at = l
				}
			}
			r.labels[at] = append(r.labels[at], p)
			sums[at] += size
		}
		before := slices.Clone(r.centres)
		for l, labels := range r.labels {
			if len(labels) > 0 {
				r.centres[l] = r.within(l, sums[l]/float64(len(labels)))
			}
		}
		if slices.Equal(before, r.centres) {
			return
		}
	}
}

// within puts the logarithm of a root of an area into a level's range.
func (r *rangedSearch) within(level int, size float64) float64 {
	stride := float64(r.strides[level])
	return min(max(size, math.Log(leastStrides*stride)), math.Log(mostStrides*stride))
}

// best tries several counts of anchors a level.
func (r *rangedSearch) best(trials [][]int) (best *ranged, err error) {
	for _, labels := range r.labels {
		r.steps += len(trials) * anchorStarts * r.startSteps(labels)
	}
	r.steps += len(trials) * anchorGenerations
	for _, counts := range trials {
		t, err := r.fit(counts)
		if err != nil {
			return nil, err
		}
		if best == nil || t.better(best) {
			best = t
		}
	}
	return best, nil
}

// fit looks for so many anchors a level.
func (r *rangedSearch) fit(counts []int) (*ranged, error) {
	var start [][2]float64
	var levelOf []int
	for l, n := range counts {
		centres := slices.Repeat([][2]float64{{r.centres[l], r.centres[l]}}, n)
		if len(r.labels[l]) > 0 {
			var err error
			if centres, err = r.kmeans(r.labels[l], n); err != nil {
				return nil, err
			}
		}
		start = append(start, centres...)
		levelOf = append(levelOf, slices.Repeat([]int{l}, n)...)
	}
	found, err := r.evolve(start, func(i int, a [2]float64) [2]float64 {
		a = floor(a)
		size := (a[0] + a[1]) / 2
		by := r.within(levelOf[i], size) - size
		return [2]float64{a[0] + by, a[1] + by}
	})
	if err != nil {
		return nil, err
	}
	t := &ranged{counts: counts}
	for _, n := range counts {
		sortByArea(found[:n])
		t.levels = append(t.levels, pixels(found[:n]))
		found = found[n:]
	}
	t.score = ScoreAnchors(r.sizes, t.levels, r.Threshold)
	return t, nil
}
