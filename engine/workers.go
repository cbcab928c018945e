package engine

import (
	"sync/atomic"

	"ultrafast/internal/codegen"
)

// A team is the threads of a session: the caller of run and helpers that wait for work.
// A step's jobs are claimed one at a time from a counter, so that a thread which another
// process holds up leaves its share to the others. The caller goes on when all jobs are
// done, whether or not every helper has noticed that there were any.
//
// Threads that have nothing to do spin for a while, then sleep.
type team struct {
	do      func(step, job, worker int)
	claims  atomic.Uint64 // step, its jobs, the next of them: a claim packed
	done    atomic.Int64  // how many of the step's jobs are finished
	quit    atomic.Bool
	spins   atomic.Int64 // how often a thread looks whether it may go on before it sleeps
	held    int          // grows when the caller has to sleep in a step, and falls with every step
	caller  sleeper
	helpers []sleeper
}

// A claim says which job of which step is next. All of it is one word, so that a thread
// that comes late can only ever claim a job of the step that is being worked on.
const (
	maxSteps = 1 << 16
	maxJobs  = 1<<24 - 1
)

func claim(step, jobs int) uint64 { return uint64(step)<<48 | uint64(jobs)<<24 }

func unpack(c uint64) (step, jobs, next int) {
	return int(c >> 48), int(c >> 24 & maxJobs), int(c & maxJobs)
}

// newTeam starts threads-1 helpers, which live until stop.
func newTeam(threads int, do func(step, job, worker int)) *team {
	t := &team{do: do, helpers: make([]sleeper, threads-1)}
	t.spins.Store(longSpin)
	t.caller.wake = make(chan struct{}, 1)
	for i := range t.helpers {
		t.helpers[i].wake = make(chan struct{}, 1)
		go t.help(i)
	}
	return t
}

func (t *team) stop() {
	t.quit.Store(true)
	for i := range t.helpers {
		t.helpers[i].rouse()
	}
}

// run has do called once for each job of a step, on any thread, and returns when all are
// done. The caller is worker 0.
func (t *team) run(step, jobs int) {
	if jobs == 1 || len(t.helpers) == 0 {
		for job := range jobs {
			t.do(step, job, 0)
		}
		return
	}
	// All jobs of the last step are done, so no helper holds one or can claim one.
	t.done.Store(0)
	t.claims.Store(claim(step, jobs))
	for i := range min(len(t.helpers), jobs-1) {
		t.helpers[i].rouse()
	}
	t.work(0)
	slept := t.caller.wait(t.spins.Load(), func() bool { return t.done.Load() == int64(jobs) })
	t.adapt(slept)
}

// work does jobs until none of the present step is left.
func (t *team) work(worker int) {
	for {
		c := t.claims.Load()
		step, jobs, next := unpack(c)
		if next == jobs {
			return
		}
		if !t.claims.CompareAndSwap(c, c+1) {
			continue
		}
		t.do(step, next, worker)
		if t.done.Add(1) == int64(jobs) {
			t.caller.rouse()
		}
	}
}

func (t *team) help(i int) {
	for !t.quit.Load() {
		t.work(i + 1)
		t.helpers[i].wait(t.spins.Load(), func() bool {
			_, jobs, next := unpack(t.claims.Load())
			return next < jobs || t.quit.Load()
		})
	}
}

// A sleeper is where one thread waits.
type sleeper struct {
	asleep atomic.Bool
	wake   chan struct{}
	_      [48]byte // keeps the flags of two threads out of one line of the cache
}

// How often a thread looks whether it may go on before it sleeps. Long is some hundred
// microseconds, for waking costs as much as a small layer. But where another process takes
// a processor from us, so that again and again a job takes longer than that, spinning keeps
// the processor from the thread of our own that has to finish the job on it.
const (
	longSpin  = 20000
	shortSpin = 1000
)

// adapt chooses between the two after a step: short from two waits within heldSteps steps
// on, long when there have been none for a while.
func (t *team) adapt(slept bool) {
	const heldSteps = 32
	if slept {
		t.held = min(t.held+2*heldSteps, 8*heldSteps)
	} else {
		t.held = max(0, t.held-1)
	}
	if t.held > 3*heldSteps {
		t.spins.Store(shortSpin)
	} else {
		t.spins.Store(longSpin)
	}
}

// wait returns when ready is true, and reports whether the thread has slept. Whoever makes
// it true calls rouse afterwards.
func (s *sleeper) wait(spins int64, ready func() bool) (slept bool) {
	for ; ; slept = true {
		for range spins {
			if ready() {
				return slept
			}
			codegen.Pause()
		}
		s.asleep.Store(true)
		if ready() && s.asleep.CompareAndSwap(true, false) {
			return slept
		}
		<-s.wake
	}
}

// rouse wakes the thread if it is asleep.
func (s *sleeper) rouse() {
	if s.asleep.Load() && s.asleep.CompareAndSwap(true, false) {
		s.wake <- struct{}{}
	}
}
