package yolo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// An AnchorSearch says how anchors are fitted to labels. The zero value is YOLOv5's; the
// same seed gives the same anchors on any number of cores.
type AnchorSearch struct {
	Threshold float64 // of a match; 0 means AnchorThreshold
	Seed      uint64

	Progress func(done, steps int) // is told, if not nil; steps may grow
}

// YOLOv5's numbers (kmean_anchors of v7.0).
const (
	anchorStarts      = 30   // of k-means, of which the best counts
	anchorGenerations = 1000 // of the genetic search
	mutation          = 0.9  // probability that a side changes in a generation
	sigma             = 0.1  // of the change
	minAnchor         = 2    // pixels
)

// KMeans fits as many anchors a level as counts says, by YOLOv5's method: k-means on the
// sizes, each axis divided by its standard deviation, then the genetic search. The anchors
// are sorted by area and dealt out by stride, whatever the stride is: see ByStride. A
// context that ends, and labels of which none is usable, are errors.
func (o AnchorSearch) KMeans(ctx context.Context, sizes [][2]float32, strides, counts []int) ([][][2]float32, error) {
	s, err := newSearch(ctx, o, sizes)
	if err != nil {
		return nil, err
	}
	n := 0
	for _, c := range counts {
		n += c
	}
	s.steps = anchorStarts*s.startSteps(s.logs) + anchorGenerations
	white := make([][2]float64, len(s.logs))
	var dev [2]float64
	for axis := range 2 {
		for i, l := range s.logs {
			white[i][axis] = math.Exp(l[axis])
		}
		if dev[axis] = deviation(white, axis); dev[axis] == 0 {
			dev[axis] = 1
		}
		for i := range white {
			white[i][axis] /= dev[axis]
		}
	}
	start, err := s.kmeans(white, n)
	if err != nil {
		return nil, err
	}
	for i := range start {
		for axis := range 2 {
			start[i][axis] = math.Log(start[i][axis] * dev[axis])
		}
	}
	found, err := s.evolve(start, func(_ int, a [2]float64) [2]float64 { return floor(a) })
	if err != nil {
		return nil, err
	}
	sortByArea(found)
	levels := make([][][2]float32, len(strides))
	for _, l := range byStride(strides) {
		levels[l] = pixels(found[:counts[l]])
		found = found[counts[l]:]
	}
	return levels, nil
}

// byStride lists the levels from the smallest stride to the largest.
func byStride(strides []int) []int {
	order := make([]int, len(strides))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(strides[a], strides[b]) })
	return order
}

// A search works on logarithms of widths and heights. There the likeness of two sizes is
// exp(-d), d the larger of their distances along the axes, and no division is needed.
type search struct {
	AnchorSearch
	ctx         context.Context
	rng         *rand.Rand
	logs        [][2]float64 // of labels
	done, steps int
}

func newSearch(ctx context.Context, o AnchorSearch, sizes [][2]float32) (*search, error) {
	o.Threshold = cmp.Or(o.Threshold, AnchorThreshold)
	s := &search{AnchorSearch: o, ctx: ctx, rng: rand.New(rand.NewPCG(o.Seed, 0xa2c402))}
	usable, _ := UsableSizes(sizes)
	if len(usable) == 0 {
		return nil, errors.New("no label has a side of 2 pixels in an input of this size, so there is nothing to fit anchors to: take a larger input")
	}
	for _, size := range usable { // a side of nothing counts as one of a hundredth of a pixel
		s.logs = append(s.logs, [2]float64{math.Log(max(float64(size[0]), 0.01)), math.Log(max(float64(size[1]), 0.01))})
	}
	return s, nil
}

// startSteps is how many generations take about as long as one start of k-means on points.
func (s *search) startSteps(points [][2]float64) int { return 10 * len(points) / len(s.logs) }

// step counts work that is done, and tells whether to stop.
func (s *search) step(n int) error {
	s.done += n
	if s.Progress != nil {
		s.Progress(s.done, s.steps)
	}
	if err := s.ctx.Err(); err != nil {
		return fmt.Errorf("fitting anchors: %w", err)
	}
	return nil
}

// evolve improves anchors, given and returned as logarithms. In each generation
// every side changes with a probability, by a factor around 1 of 0.3 to 3; what fits better
// is kept. bound puts anchor i where it may be.
func (s *search) evolve(anchors [][2]float64, bound func(i int, a [2]float64) [2]float64) ([][2]float64, error) {
	best := slices.Clone(anchors)
	for i := range best {
		best[i] = bound(i, best[i])
	}
	fit := s.fitness(best)
	child := make([][2]float64, len(best))
	for range anchorGenerations {
		for changed := false; !changed; {
			u := s.rng.Float64()
			for i, a := range best {
				for axis := range 2 {
					if s.rng.Float64() < mutation {
						changed = true
						a[axis] += math.Log(min(max(1+u*sigma*s.rng.NormFloat64(), 0.3), 3))
					}
				}
				child[i] = bound(i, a)
			}
		}
		if f := s.fitness(child); f > fit {
			fit, best, child = f, child, best
		}
		if err := s.step(1); err != nil {
			return nil, err
		}
	}
	return best, nil
}

// floor makes both sides minAnchor at least.
func floor(a [2]float64) [2]float64 {
	least := math.Log(minAnchor)
	return [2]float64{max(a[0], least), max(a[1], least)}
}

// fitness is AnchorScore's, of logarithms. Labels are summed in chunks, which the cores
// share and whose sums are added in order, so that no number depends on who was first.
func (s *search) fitness(anchors [][2]float64) float64 {
	const chunk = 1 << 13
	limit := math.Log(s.Threshold)
	sums := make([]float64, (len(s.logs)+chunk-1)/chunk)
	var next atomic.Int64
	work := func() {
		for c := int(next.Add(1)) - 1; c < len(sums); c = int(next.Add(1)) - 1 {
			for _, l := range s.logs[c*chunk : min((c+1)*chunk, len(s.logs))] {
				if d := nearest(l, anchors); d < limit {
					sums[c] += math.Exp(-d)
				}
			}
		}
	}
	var wg sync.WaitGroup
	for range min(len(sums), runtime.GOMAXPROCS(0)) - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
	sum := 0.0
	for _, v := range sums {
		sum += v
	}
	return sum / float64(len(s.logs))
}

func nearest(l [2]float64, anchors [][2]float64) float64 {
	d := math.Inf(1)
	for _, a := range anchors {
		d = min(d, max(math.Abs(l[0]-a[0]), math.Abs(l[1]-a[1])))
	}
	return d
}

func sortByArea(logs [][2]float64) {
	slices.SortFunc(logs, func(a, b [2]float64) int { return cmp.Compare(a[0]+a[1], b[0]+b[1]) })
}

func pixels(logs [][2]float64) [][2]float32 {
	out := make([][2]float32, len(logs))
	for i, l := range logs {
		out[i] = [2]float32{float32(math.Exp(l[0])), float32(math.Exp(l[1]))}
	}
	return out
}
