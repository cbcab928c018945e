package torch

import (
	"errors"
	"runtime"
)

// A worker is one OS thread that runs jobs. Libtorch keeps grad mode and thread counts per
// thread, and its OpenMP teams wait for each other by spinning, so each core gets one
// worker that computes alone on a share of the batch. A GPU has one worker, for which
// several threads copy.
type worker struct {
	jobs chan func()
}

func startWorker(l *library, threads int) (*worker, error) {
	w := &worker{jobs: make(chan func())}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		started <- l.err(l.startThread(int64(threads)))
		for job := range w.jobs {
			job()
		}
	}()
	if err := <-started; err != nil {
		w.stop()
		return nil, err
	}
	return w, nil
}

func (w *worker) stop() { close(w.jobs) }

// each runs f(0) … f(n-1), one on each of the first n workers, and waits for all of them.
func each(workers []*worker, n int, f func(i int) error) error {
	errs := make([]error, n)
	done := make(chan struct{})
	for i := range n {
		workers[i].jobs <- func() {
			errs[i] = f(i)
			done <- struct{}{}
		}
	}
	for range n {
		<-done
	}
	return errors.Join(errs...)
}
