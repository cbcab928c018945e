package engine

import (
	"sync/atomic"

	"ultrafast/internal/codegen"
)

// A team is the threads of a session: the caller of run and helpers that wait for work.
// Of a step's jobs each thread has a share, the same in each step as far as it goes: a map's
// rows are then read by the thread that has written them, from its own cache. A thread
// that is through takes from the ends of the others' shares, so that one which another
// process holds up leaves its work to them. The caller goes on when all jobs are done, whether
// or not every helper has noticed that there were any.
//
// Threads that have nothing to do spin for a while, then sleep.
type team struct {
	do      func(step, job, worker int)
	shares  []share       // by worker
	jobs    atomic.Int64  // of the present step
	done    atomic.Int64  // how many of them are finished
	turn    atomic.Uint64 // how many steps have been shared out
	quit    atomic.Bool
	spins   atomic.Int64 // how often a thread looks whether it may go on before it sleeps
	held    int          // grows when the caller has to sleep in a step, and falls with every step
	caller  sleeper
	helpers []sleeper
}

// A share is the jobs that are left of a worker's part: which step's, the first of them, and
// the one behind the last. All of it is one word, so that a thread that comes late can only
// ever take a job of the step that is being worked on.
type share struct {
	left atomic.Uint64
	_    [120]byte // keeps two threads' out of a line of the cache, and of the next one
}

const (
	maxSteps = 1 << 16
	maxJobs  = 1<<24 - 1
)

func pack(step, first, end int) uint64 { return uint64(step)<<48 | uint64(end)<<24 | uint64(first) }

func unpack(s uint64) (step, first, end int) {
	return int(s >> 48), int(s & maxJobs), int(s >> 24 & maxJobs)
}

// take returns a job of the share: its owner takes the first, others the last.
func (s *share) take(owner bool) (step, job int, ok bool) {
	for {
		left := s.left.Load()
		step, first, end := unpack(left)
		if first == end {
			return 0, 0, false
		}
		rest := pack(step, first, end-1)
		if job = end - 1; owner {
			rest, job = pack(step, first+1, end), first
		}
		if s.left.CompareAndSwap(left, rest) {
			return step, job, true
		}
	}
}

// newTeam starts threads-1 helpers, which live until stop.
func newTeam(threads int, do func(step, job, worker int)) *team {
	t := &team{do: do, shares: make([]share, threads), helpers: make([]sleeper, threads-1)}
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
	// All jobs of the last step are done, so no helper holds one or can take one.
	t.done.Store(0)
	t.jobs.Store(int64(jobs))
	workers := min(len(t.shares), jobs)
	for w := range workers {
		t.shares[w].left.Store(pack(step, jobs*w/workers, jobs*(w+1)/workers))
	}
	t.turn.Add(1)
	for i := range workers - 1 {
		t.helpers[i].rouse()
	}
	t.work(0)
	slept := t.caller.wait(t.spins.Load(), func() bool { return t.done.Load() == int64(jobs) })
	t.adapt(slept)
}

// work does the jobs of the worker's share, then of the others', until none is left.
func (t *team) work(worker int) {
	for i := range t.shares {
		s := &t.shares[(worker+i)%len(t.shares)]
		for {
			step, job, ok := s.take(i == 0)
			if !ok {
				break
			}
			t.do(step, job, worker)
			if t.done.Add(1) == t.jobs.Load() {
				t.caller.rouse()
			}
		}
	}
}

func (t *team) help(i int) {
	for !t.quit.Load() {
		turn := t.turn.Load()
		t.work(i + 1)
		t.helpers[i].wait(t.spins.Load(), func() bool { return t.turn.Load() != turn || t.quit.Load() })
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
