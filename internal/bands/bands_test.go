package bands

import (
	"sync/atomic"
	"testing"
)

func TestDo(t *testing.T) {
	for _, size := range [][2]int{{0, 10}, {1, 1 << 20}, {7, 3}, {1000, 1000}} {
		seen := make([]atomic.Int32, size[0])
		Do(size[0], size[1], func(lo, hi int) {
			for y := lo; y < hi; y++ {
				seen[y].Add(1)
			}
		})
		for y := range seen {
			if n := seen[y].Load(); n != 1 {
				t.Errorf("%v: row %d was worked on %d times", size, y, n)
			}
		}
	}
}

// TestPanic asks that a panic of a goroutine reaches the caller, who may survive it.
func TestPanic(t *testing.T) {
	defer func() {
		if v := recover(); v != "row 3" {
			t.Errorf("recovered %v", v)
		}
	}()
	Do(1000, 1000, func(lo, hi int) {
		if lo <= 3 && 3 < hi {
			panic("row 3")
		}
	})
	t.Error("no panic")
}
