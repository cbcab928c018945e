package engine

import (
	"cmp"
	"slices"
)

// A life says how many floats a value takes and for which groups of steps it must be kept:
// written first in group from, touched last in group to.
type life struct {
	size, from, to int
	layout         *layout // nil for a plain tensor
	buffer         int     // where plan has put it
}

// plan gives each value a buffer such that values alive in the same group never share one,
// and returns the buffers' sizes. In the order of from, each takes the
// smallest free buffer that holds it, else the largest free one, which grows. A buffer
// serves one layout only, so that what is zero in it stays zero. Values of size 0 get none.
func plan(values []life) []int {
	type buffer struct {
		size, busy int // busy: the last group that it is taken for
		layout     *layout
	}
	order := make([]*life, len(values))
	for i := range values {
		order[i] = &values[i]
	}
	slices.SortStableFunc(order, func(a, b *life) int { return cmp.Compare(a.from, b.from) })
	var buffers []buffer
	for _, v := range order {
		v.buffer = -1
		if v.size == 0 {
			continue
		}
		best := -1
		for i, b := range buffers {
			if b.busy >= v.from || b.layout != v.layout {
				continue
			}
			fits := b.size >= v.size
			switch {
			case best < 0,
				fits && (buffers[best].size < v.size || b.size < buffers[best].size),
				!fits && buffers[best].size < v.size && b.size > buffers[best].size:
				best = i
			}
		}
		if best < 0 {
			best = len(buffers)
			buffers = append(buffers, buffer{layout: v.layout})
		}
		b := &buffers[best]
		b.size, b.busy = max(b.size, v.size), v.to
		v.buffer = best
	}
	sizes := make([]int, len(buffers))
	for i, b := range buffers {
		sizes[i] = b.size
	}
	return sizes
}
