// Package bands shares the rows of a picture among goroutines.
package bands

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// Do calls fn for bands of rows that together are 0..rows, at once where the work is worth
// it. width is the number of pixels in a row. A panic in fn is one in the caller, whichever
// goroutine met it.
func Do(rows, width int, fn func(lo, hi int)) {
	const least = 1 << 16 // pixels that are worth a goroutine
	n := min(runtime.GOMAXPROCS(0), rows*width/least, rows)
	if n <= 1 {
		fn(0, rows)
		return
	}
	var all sync.WaitGroup
	var met atomic.Value // what a panic was about
	for i := range n {
		all.Go(func() {
			defer func() {
				if v := recover(); v != nil {
					met.CompareAndSwap(nil, panicked{v})
				}
			}()
			fn(rows*i/n, rows*(i+1)/n)
		})
	}
	all.Wait()
	if p, ok := met.Load().(panicked); ok {
		panic(p.value)
	}
}

// panicked gives all values one type, as atomic.Value wants.
type panicked struct{ value any }
