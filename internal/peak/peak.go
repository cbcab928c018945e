// Package peak measures how fast this processor can multiply and add at all: the roof
// under which kernels work.
package peak

import (
	"sync"
	"time"
)

// A loop adds 1*1, times times, to each of many float32 sums that do not wait for each
// other, and returns the total of the sums. It is as many multiply-adds as it returns.
type loop struct {
	name string // of the instructions
	run  func(times int) float64
}

// slice is short, so that some pass undisturbed on a machine with other work.
const slice = time.Millisecond

// FLOPS returns the most operations a second, two a multiply-add of float32, that the
// threads reach together for about a millisecond within d.
func FLOPS(threads int, d time.Duration) float64 {
	l := loops()[0]
	times := 1 << 10
	for took := time.Duration(0); took < slice && times < 1<<22; times *= 2 { // sums are exact up to 2^24
		start := time.Now()
		l.run(times)
		took = time.Since(start)
	}
	flops := 0.0
	for end := time.Now().Add(d); time.Now().Before(end); {
		start := time.Now()
		flops = max(flops, 2*together(threads, l, times)/time.Since(start).Seconds())
	}
	return flops
}

// together runs the loop on each of the threads and returns the multiply-adds.
func together(threads int, l loop, times int) float64 {
	var group sync.WaitGroup
	done := make([]float64, threads)
	for i := range done {
		group.Go(func() { done[i] = l.run(times) })
	}
	group.Wait()
	sum := 0.0
	for _, d := range done {
		sum += d
	}
	return sum
}

// plain is the loop in Go, which has neither vectors nor, on most processors, a
// multiply-add in one instruction.
func plain(times int) float64 {
	var a, b, c, d, e, f, g, h float32
	one := one
	for range times {
		a += one * one
		b += one * one
		c += one * one
		d += one * one
		e += one * one
		f += one * one
		g += one * one
		h += one * one
	}
	return float64(a) + float64(b) + float64(c) + float64(d) + float64(e) + float64(f) + float64(g) + float64(h)
}

// one is a variable, so that the compiler does not multiply.
var one float32 = 1
