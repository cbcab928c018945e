package quant

import (
	"fmt"
	"math"
)

// bins is how finely a histogram counts.
const bins = 2048

// A histogram counts the values of one node. Bin i holds those from (first+i)*2^exp up to the
// next bin; the width of bins is the smallest power of two for which they hold all, so it does
// not depend on the order in which values come.
type histogram struct {
	counts   [bins]uint64
	first    int64
	exp      int
	perUnit  float64 // bins, 2^-exp
	min, max float64
	total    uint64
}

// add counts values.
func (h *histogram) add(values []float32) error {
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		w := float64(v)
		if w-w != 0 {
			return fmt.Errorf("is %v", v)
		}
		lo, hi = min(lo, w), max(hi, w)
	}
	if len(values) == 0 {
		return nil
	}
	h.grow(lo, hi)
	for _, v := range values {
		h.counts[h.bin(float64(v))-h.first]++
	}
	h.total += uint64(len(values))
	return nil
}

// bin returns the number of the bin of v, counted from 0 at 0.
func (h *histogram) bin(v float64) int64 { return int64(math.Floor(v * h.perUnit)) }

// grow makes room for values from lo to hi.
func (h *histogram) grow(lo, hi float64) {
	if h.total > 0 {
		lo, hi = min(lo, h.min), max(hi, h.max)
	}
	// Not finer than 2^-40 of the largest value, so that numbers of bins are small.
	_, exp := math.Frexp(max(math.Abs(lo), math.Abs(hi), math.SmallestNonzeroFloat32))
	exp -= 40
	for math.Floor(math.Ldexp(hi, -exp))-math.Floor(math.Ldexp(lo, -exp)) >= bins {
		exp++
	}
	old := *h
	*h = histogram{exp: exp, perUnit: math.Ldexp(1, -exp), min: lo, max: hi, total: old.total}
	h.first = h.bin(lo)
	for i, n := range old.counts {
		if n > 0 {
			h.counts[(old.first+int64(i))>>(exp-old.exp)-h.first] += n
		}
	}
}

// edge returns where bin i begins.
func (h *histogram) edge(i int) float64 { return math.Ldexp(float64(h.first+int64(i)), h.exp) }

// centre returns the middle of bin i.
func (h *histogram) centre(i int) float64 { return (h.edge(i) + h.edge(i+1)) / 2 }
