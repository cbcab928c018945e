package peak

// loops returns those that this processor can run, the widest first.
func loops() []loop {
	return []loop{{"NEON", func(times int) float64 {
		var sums [96]float32
		neon(times, &sums)
		total := 0.0
		for _, s := range sums {
			total += float64(s)
		}
		return total
	}}, {"scalar", plain}}
}

//go:noescape
func neon(times int, sums *[96]float32)
