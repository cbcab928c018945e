package main

import (
	"math"
	"slices"
	"time"
)

// A spread is what many measurements of one time say: half of them lie between q1 and q3.
type spread struct {
	least, q1, median, q3 time.Duration
	count                 int
}

func newSpread(times []time.Duration) spread {
	t := slices.Sorted(slices.Values(times))
	return spread{t[0], quantile(t, 0.25), quantile(t, 0.5), quantile(t, 0.75), len(t)}
}

// quantile interpolates between the two values of a sorted list that q lies between.
func quantile[T ~int64 | ~float64](sorted []T, q float64) T {
	at := q * float64(len(sorted)-1)
	low := int(math.Floor(at))
	high := min(low+1, len(sorted)-1)
	return sorted[low] + T((at-float64(low))*float64(sorted[high]-sorted[low]))
}
