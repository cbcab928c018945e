package dataset

// Spread picks n items, or all, spread evenly over the list: a small set that is like the
// large one, and the same each time.
func Spread(items []Item, n int) []Item {
	n = min(n, len(items))
	some := make([]Item, n)
	for i := range some {
		some[i] = items[i*len(items)/n]
	}
	return some
}
