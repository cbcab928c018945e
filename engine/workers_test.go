package engine

import (
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// TestTeam has many small steps done by teams of all sizes, with threads that are late now
// and then: each job must be done once, on a worker of its own, before run returns.
func TestTeam(t *testing.T) {
	for _, threads := range []int{1, 2, 3, 4, 5, 70} { // the last are mostly more than there are jobs
		var counts [64]atomic.Int32
		busy := make([]atomic.Bool, threads)
		var now int
		team := newTeam(threads, func(step, job, worker int) {
			if step != now {
				t.Errorf("a job of step %d is done in step %d", step, now)
			}
			if busy[worker].Swap(true) {
				t.Errorf("worker %d does two jobs at a time", worker)
			}
			if rand.IntN(200) == 0 {
				time.Sleep(50 * time.Microsecond)
			}
			counts[job].Add(1)
			busy[worker].Store(false)
		})
		r := rand.New(rand.NewPCG(uint64(threads), 1))
		for step := range 2000 / max(1, threads/5) {
			now = step
			jobs := 1 + r.IntN(len(counts))
			if r.IntN(100) == 0 {
				time.Sleep(200 * time.Microsecond) // helpers fall asleep
			}
			team.run(step, jobs)
			for job := range counts {
				want := int32(0)
				if job < jobs {
					want = 1
				}
				if n := counts[job].Swap(0); n != want {
					t.Fatalf("%d threads, step %d of %d jobs: job %d was done %d times", threads, step, jobs, job, n)
				}
			}
		}
		team.stop()
	}
}

// TestShare checks that the largest numbers of steps and jobs fit the word that is a share, and
// that its owner takes the first of its jobs and others the last.
func TestShare(t *testing.T) {
	for _, c := range []struct{ step, first, end int }{
		{0, 0, 1}, {0, 0, 0}, {1, 2, 3}, {maxSteps - 1, maxJobs - 2, maxJobs}, {maxSteps - 1, 0, maxJobs}, {0, maxJobs, maxJobs},
	} {
		var s share
		s.left.Store(pack(c.step, c.first, c.end))
		for first, end := c.first, c.end; ; {
			owner := (first+end)%2 == 0
			step, job, ok := s.take(owner)
			if !ok {
				if first != end {
					t.Errorf("%v: nothing is left where jobs %d to %d are", c, first, end)
				}
				break
			}
			want := end - 1
			if owner {
				want = first
			}
			if step != c.step || job != want || first == end {
				t.Errorf("%v: job %d of step %d is taken by its owner %v, want %d", c, job, step, owner, want)
				break
			}
			if owner {
				first++
			} else {
				end--
			}
			if end-first > 5 {
				break // enough of them
			}
		}
	}
}

// TestHelpersSleep checks that idle helpers do not go on spinning.
func TestHelpersSleep(t *testing.T) {
	team := newTeam(4, func(int, int, int) {})
	defer team.stop()
	for step := range 100 {
		team.run(step, 20)
	}
	eventually(t, "all helpers sleep", func() bool {
		for i := range team.helpers {
			if !team.helpers[i].asleep.Load() {
				return false
			}
		}
		return true
	})
	team.run(100, 20) // and wake again
}

// TestSessionsAreCollected checks that the helpers of a session that nobody holds any
// more end.
func TestSessionsAreCollected(t *testing.T) {
	p, err := Compile(parse(t, small, 31), Options{Threads: 4})
	if err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	for range 10 {
		p.NewSession()
	}
	eventually(t, "helpers of lost sessions end", func() bool {
		runtime.GC()
		return runtime.NumGoroutine() <= before
	})
}

// eventually waits for something that happens on its own.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not after 20 s: %s", what)
		}
	}
}
