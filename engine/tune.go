package engine

import (
	"context"
	"math"
	"slices"
	"time"

	"ultrafast/graph"
	"ultrafast/tensor"
)

// A Tuning says how convolutions are best computed on one kind of processor with one
// number of threads, by what measurements have shown. The key names a convolution by its
// sizes, so that one network's tuning serves another's equal layers.
type Tuning map[string]Way

// A Way is how one convolution is computed, and the milliseconds that it took when it was
// measured.
type Way struct {
	Kernel string  `json:"kernel"` // as StepInfo.Kernel names it
	Millis float64 `json:"ms"`
}

// Tune measures ways to compute g's convolutions where they stand, whole runs of the
// network at a time, until the budget is used up or every way has been tried, and returns
// the best of each. Convolutions that o.Tuning knows are left out. progress, if not nil,
// is called with the share that is done, from 0 to 1. The tuning so far is returned with
// ctx's error where ctx ends first.
func Tune(ctx context.Context, g *graph.Graph, o Options, budget time.Duration, progress func(done float64)) (Tuning, error) {
	start := time.Now()
	best := Tuning{}
	for column, more := 0, true; more; column++ {
		if err := ctx.Err(); err != nil {
			return best, err
		}
		var p *Program
		var err error
		if p, more, err = compileColumn(g, o, column); err != nil {
			return nil, err
		}
		if !more {
			break
		}
		for key, w := range measure(p) {
			if b, ok := best[key]; !ok || w.Millis < b.Millis {
				best[key] = w
			}
		}
		used := float64(time.Since(start)) / float64(budget)
		if progress != nil {
			progress(min(1, max(used, float64(column+1)/(3*choicesPerForm))))
		}
		if used > 1 {
			break
		}
	}
	return best, nil
}

// compileColumn compiles g with the column'th way of each convolution, or the first where
// it has fewer. more reports whether any has that many.
func compileColumn(g *graph.Graph, o Options, column int) (p *Program, more bool, err error) {
	known := o.Tuning
	p, err = compile(g, o, func(key string, all []choice) choice {
		if _, ok := known[key]; ok || column >= len(all) {
			return pickTuned(known)(key, all)
		}
		more = true
		return all[column]
	})
	return p, more, err
}

// tuneRuns is how often each way is measured; the least time counts.
const tuneRuns = 4

// measure returns the ways of p's convolutions and the times that they take.
func measure(p *Program) Tuning {
	s := p.NewSession()
	times := make([]time.Duration, len(p.steps))
	for i := range times {
		times[i] = math.MaxInt64
	}
	x := tensor.New(p.shapes[p.graph.Input()]...)
	for i := range x.Data {
		x.Data[i] = float32(i%256) / 255
	}
	s.Time(func(step int, d time.Duration) { times[step] = min(times[step], d) })
	for range 1 + tuneRuns {
		s.run(x.Data)
	}
	// A convolution may take several steps, and several convolutions may be equal.
	total, count := map[string]float64{}, map[string]int{}
	ways := Tuning{}
	for i, st := range p.steps {
		if st.key == "" {
			continue
		}
		total[st.key] += times[i].Seconds() * 1e3
		if st.MACs > 0 {
			count[st.key]++
			ways[st.key] = Way{Kernel: st.Kernel}
		}
	}
	for key, w := range ways {
		w.Millis = total[key] / float64(count[key])
		ways[key] = w
	}
	return ways
}

// pickTuned picks what a tuning says, or the first way where it says nothing that fits.
func pickTuned(t Tuning) picker {
	return func(key string, all []choice) choice {
		if w, ok := t[key]; ok {
			if i := slices.IndexFunc(all, func(ch choice) bool { return ch.String() == w.Kernel }); i >= 0 {
				return all[i]
			}
		}
		return all[0]
	}
}
