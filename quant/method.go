package quant

import (
	"fmt"
	"math"

	"ultrafast/graph"
)

// A Method says how the range that 8 bits cover follows from the values that were seen. What
// lies beyond the range is clipped to its ends.
type Method string

const (
	MSE        Method = "mse"        // the range whose rounding and clipping together make the least squared error
	Percentile Method = "percentile" // leaves out one value in 10,000 at either end
	MinMax     Method = "minmax"     // all of them
)

// Check refuses what is no method.
func (m Method) Check() error {
	switch m {
	case MSE, Percentile, MinMax:
		return nil
	}
	return fmt.Errorf("quant: method %.20q: want %s, %s or %s", string(m), MSE, Percentile, MinMax)
}

// of returns the range, which includes 0.
func (m Method) of(h *histogram) (low, high float64) {
	low, high = h.min, h.max
	switch m {
	case Percentile:
		low, high = percentile(h)
	case MSE:
		low, high = leastSquares(h)
	}
	return min(low, 0), max(high, 0)
}

// percentile returns the edges of the first bins, from either end, behind which there are more
// values than may be left out.
func percentile(h *histogram) (low, high float64) {
	left := h.total / 10_000
	sum, i := h.counts[0], 0
	for sum <= left {
		i++
		sum += h.counts[i]
	}
	j := bins - 1
	for sum = h.counts[j]; sum <= left; sum += h.counts[j] {
		j--
	}
	return max(h.min, h.edge(i)), min(h.max, h.edge(j+1))
}

// The search for the least squared error tries ranges down to an eighth of what was seen, in
// which a step is a bin or more: a finer one could not be told from a histogram.
const (
	candidates = 64
	smallest   = 1. / 8
)

// leastSquares shrinks the two ends of the range in turn, each to where the error is least.
func leastSquares(h *histogram) (low, high float64) {
	least, most := min(h.min, 0), max(h.max, 0)
	low, high = least, most
	best := h.squares(low, high)
	for range 2 {
		for i := range candidates {
			share := 1 - (1-smallest)*float64(i)/(candidates-1)
			if e := h.squares(low, most*share); e < best {
				best, high = e, most*share
			}
		}
		for i := range candidates {
			share := 1 - (1-smallest)*float64(i)/(candidates-1)
			if e := h.squares(least*share, high); e < best {
				best, low = e, least*share
			}
		}
	}
	return low, high
}

// squares is the squared error of all values, each taken for the middle of its bin, on the grid
// of a range.
func (h *histogram) squares(low, high float64) float64 {
	step := (high - low) / 255
	zero := math.Round(-low / step)
	sum := 0.0
	for i, n := range h.counts {
		if n == 0 {
			continue
		}
		v := h.centre(i)
		q := max(0, min(math.RoundToEven(v/step)+zero, 255))
		d := v - (q-zero)*step
		sum += float64(n) * d * d
	}
	return sum
}

// gridOf returns the 256 levels of a range that includes 0, 0 being one of them.
func gridOf(low, high float64) (*graph.Quantize, error) {
	q := &graph.Quantize{Scale: float32((high - low) / 255)}
	if !(q.Scale > 1e-30 && q.Scale < 1e30) {
		return nil, fmt.Errorf("range %g to %g has no scale", low, high)
	}
	q.Zero = int(max(0, min(math.Round(-low/float64(q.Scale)), 255)))
	return q, nil
}
