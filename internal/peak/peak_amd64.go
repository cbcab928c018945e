package peak

import "golang.org/x/sys/cpu"

// loops returns those that this processor can run, the widest first.
func loops() []loop {
	var all []loop
	if cpu.X86.HasAVX512F {
		all = append(all, loop{"AVX-512", func(times int) float64 { return sum(avx512, times) }})
	}
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA {
		all = append(all, loop{"AVX2", func(times int) float64 { return sum(avx2, times) }})
	}
	return append(all, loop{"scalar", plain})
}

// sum adds up what a vector loop leaves in its registers.
func sum(vector func(times int, sums *[256]float32), times int) float64 {
	var sums [256]float32
	vector(times, &sums)
	total := 0.0
	for _, s := range sums {
		total += float64(s)
	}
	return total
}

//go:noescape
func avx512(times int, sums *[256]float32)

//go:noescape
func avx2(times int, sums *[256]float32)
