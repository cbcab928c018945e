package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// What cannot be stopped is left behind at Ctrl-C, and told about meanwhile.
func TestInterruptible(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := 0
		work := func(d time.Duration) error {
			ctx, stop := context.WithTimeout(t.Context(), 3500*time.Millisecond)
			defer stop()
			return interruptible(ctx, func() { told++ }, func() error { time.Sleep(d); return errors.New("done") })
		}
		start := time.Now()
		if err := work(time.Minute); !errors.Is(err, context.DeadlineExceeded) || told != 3 || time.Since(start) > 4*time.Second {
			t.Errorf("%v after %v, told %d times; want the end of the context after 3 s", err, time.Since(start), told)
		}
		if err := work(time.Second / 2); err == nil || err.Error() != "done" || told != 3 {
			t.Errorf("%v, told %d times; want the work's own end", err, told)
		}
		time.Sleep(time.Minute) // until what was left behind has ended too
	})
}
