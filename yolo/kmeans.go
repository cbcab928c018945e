package yolo

import "math"

// kmeans returns n centres of points by Lloyd's algorithm, the best of several starts from
// points drawn at random. A start ends when the mean distance falls by 1e-5 or less, as
// SciPy's does. A centre that no point is nearest to stays where it is: with fewer
// different points than centres, some centres are equal.
func (s *search) kmeans(points [][2]float64, n int) ([][2]float64, error) {
	var best [][2]float64
	least := math.Inf(1)
	for range anchorStarts {
		centres := make([][2]float64, n)
		for i, p := range s.rng.Perm(len(points))[:min(n, len(points))] {
			centres[i] = points[p]
		}
		for i := len(points); i < n; i++ {
			centres[i] = points[s.rng.IntN(len(points))]
		}
		last := math.Inf(1)
		for {
			mean := lloyd(points, centres)
			if !(last-mean > 1e-5) {
				break
			}
			last = mean
			if s.ctx.Err() != nil { // which step returns
				break
			}
		}
		if last < least {
			least, best = last, centres
		}
		if err := s.step(s.startSteps(points)); err != nil {
			return nil, err
		}
	}
	return best, nil
}

// lloyd moves each centre to the mean of the points nearest to it, and returns the mean
// distance before that.
func lloyd(points, centres [][2]float64) float64 {
	sums, counts := make([][2]float64, len(centres)), make([]float64, len(centres))
	total := 0.0
	for _, p := range points {
		at, d := 0, math.Inf(1)
		for i, c := range centres {
			if x, y := p[0]-c[0], p[1]-c[1]; x*x+y*y < d {
				at, d = i, x*x+y*y
			}
		}
		sums[at][0], sums[at][1] = sums[at][0]+p[0], sums[at][1]+p[1]
		counts[at]++
		total += math.Sqrt(d)
	}
	for i, n := range counts {
		if n > 0 {
			centres[i] = [2]float64{sums[i][0] / n, sums[i][1] / n}
		}
	}
	return total / float64(len(points))
}

// deviation is the standard deviation of points along an axis.
func deviation(points [][2]float64, axis int) float64 {
	mean, square := 0.0, 0.0
	for _, p := range points {
		mean += p[axis] / float64(len(points))
	}
	for _, p := range points {
		square += (p[axis] - mean) * (p[axis] - mean) / float64(len(points))
	}
	return math.Sqrt(square)
}
