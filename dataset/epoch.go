package dataset

import (
	"context"
	"iter"
	"sync"
	"sync/atomic"

	"ultrafast/picture"
	"ultrafast/tensor"
)

// ahead is how many batches are made before they are asked for.
const ahead = 2

// A job is a batch in the making. Each of its samples is written by one worker.
type job struct {
	plan
	data    []float32 // of Batch.X; given back when the caller is done
	targets [][]Target
	fits    []picture.Fit // nil in training
	lost    []bool        // nil in training
	errs    []error
	left    atomic.Int64  // samples not yet made
	done    chan struct{} // closed when none is left
}

// A slot is one sample of a job.
type slot struct {
	*job
	i int
}

// Epoch yields the batches of an epoch, in an order that follows from seed and epoch. It
// ends after the first error, which names the file, or is the context's. Whatever it
// started has ended when the loop ends.
func (l *Loader) Epoch(ctx context.Context, epoch int) iter.Seq2[*Batch, error] {
	return func(yield func(*Batch, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()

		jobs := make(chan *job, ahead+1) // as many as there is memory for, so that sending never waits
		slots := make(chan slot)
		free := make(chan []float32, ahead+1)
		for range ahead + 1 {
			free <- nil
		}
		plans, pool := l.plan(epoch)
		wg.Go(func() { l.dispatch(ctx, plans, jobs, slots, free) })
		for range min(l.o.Workers, (ahead+1)*l.o.Batch) {
			wg.Go(func() { l.work(ctx, epoch, pool, slots) })
		}
		for range plans {
			b, data, err := next(ctx, jobs)
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(b, nil) {
				return
			}
			free <- data
		}
	}
}

// dispatch hands out the samples of all batches in order, as far ahead as there is memory.
func (l *Loader) dispatch(ctx context.Context, plans []plan, jobs chan<- *job, slots chan<- slot, free <-chan []float32) {
	defer close(slots)
	for _, p := range plans {
		n := len(p.items)
		j := &job{plan: p, targets: make([][]Target, n), errs: make([]error, n), done: make(chan struct{})}
		if !l.o.Train {
			j.fits, j.lost = make([]picture.Fit, n), make([]bool, n)
		}
		j.left.Store(int64(n))
		select {
		case j.data = <-free:
		case <-ctx.Done():
			return
		}
		need := n * 3 * p.size.X * p.size.Y
		if cap(j.data) < need {
			j.data = make([]float32, need)
		}
		j.data = j.data[:need]
		jobs <- j
		for i := range n {
			select {
			case slots <- slot{j, i}:
			case <-ctx.Done():
				return
			}
		}
	}
}

func (l *Loader) work(ctx context.Context, epoch int, pool []int, slots <-chan slot) {
	s := newSampler(l, pool)
	for t := range slots {
		if ctx.Err() != nil {
			return
		}
		t.make(s, epoch)
	}
}

func (t slot) make(s *sampler, epoch int) {
	n := 3 * t.size.X * t.size.Y
	dst, index := t.data[n*t.i:n*(t.i+1)], t.items[t.i]
	if s.l.o.Train {
		t.targets[t.i], t.errs[t.i] = s.train(dst, random(s.l.o.Seed, epoch, t.keys[t.i]), index, t.size)
	} else {
		t.targets[t.i], t.fits[t.i], t.errs[t.i] = s.val(dst, index, t.size.X, t.size.Y)
		t.lost[t.i] = s.l.lost.standIn(index) != nil
	}
	for k := range t.targets[t.i] {
		t.targets[t.i][k].Image = t.i
	}
	if t.left.Add(-1) == 0 {
		close(t.done)
	}
}

// next waits for a batch. Its memory is returned beside it.
func next(ctx context.Context, jobs <-chan *job) (*Batch, []float32, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err // at once, even where a batch is ready
	}
	var j *job
	select {
	case j = <-jobs:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	select {
	case <-j.done:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	for _, err := range j.errs {
		if err != nil {
			return nil, nil, err
		}
	}
	x, err := tensor.From(j.data, len(j.items), 3, j.size.Y, j.size.X)
	if err != nil {
		return nil, nil, err
	}
	b := &Batch{X: x, Items: j.items, Fits: j.fits, Lost: j.lost}
	for _, t := range j.targets {
		b.Targets = append(b.Targets, t...)
	}
	return b, j.data, nil
}
