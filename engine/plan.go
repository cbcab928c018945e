package engine

// A life says how many floats a value takes and for which steps it must be kept: written
// in step from, touched last in step to.
type life struct {
	size, from, to int
	layout         *layout // nil for a plain tensor
	buffer         int     // where plan has put it
}

// plan gives each value a buffer such that values alive in the same step never share one,
// and returns the buffers' sizes. Values come in the order of from. Each takes the
// smallest free buffer that holds it, else the largest free one, which grows. A buffer
// serves one layout only, so that what is zero in it stays zero. Values of size 0 get none.
func plan(values []life) []int {
	type buffer struct {
		size, busy int // busy: the last step that it is taken for
		layout     *layout
	}
	var buffers []buffer
	for i := range values {
		v := &values[i]
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
