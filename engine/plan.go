package engine

// A life says how many floats a value takes and for which steps it must be kept: written
// in step from, read last in step to.
type life struct {
	size, from, to int
	buffer         int // where plan has put it
}

// plan gives each value a buffer such that values alive in the same step never share one,
// and returns the buffers' sizes. Values come in the order of from. Each takes the
// smallest free buffer that holds it, else the largest free one, which grows. Values of
// size 0 get no buffer.
func plan(values []life) []int {
	var sizes, busy []int // busy: the last step that a buffer is taken for
	for i := range values {
		v := &values[i]
		v.buffer = -1
		if v.size == 0 {
			continue
		}
		best := -1
		for b, size := range sizes {
			if busy[b] >= v.from {
				continue
			}
			fits := size >= v.size
			switch {
			case best < 0,
				fits && (sizes[best] < v.size || size < sizes[best]),
				!fits && sizes[best] < v.size && size > sizes[best]:
				best = b
			}
		}
		if best < 0 {
			best = len(sizes)
			sizes, busy = append(sizes, 0), append(busy, 0)
		}
		sizes[best] = max(sizes[best], v.size)
		busy[best] = v.to
		v.buffer = best
	}
	return sizes
}
