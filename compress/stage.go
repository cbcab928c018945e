package compress

import (
	"context"
	"fmt"
	"time"
)

// A stage is one step of a run. It is done when its output is whole.
type stage struct {
	name   string
	needs  []string // outputs of stages before it
	output string   // a file of the run
	run    func(context.Context) error
}

// stages carries out those that are not done, in order.
func (r *run) stages(ctx context.Context, all []stage) error {
	for _, s := range all {
		if r.whole(s.output) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, need := range s.needs {
			if !r.done(need) {
				return fmt.Errorf("%s: %s is not there, which it needs", s.name, r.path(need))
			}
		}
		start := time.Now()
		r.begin(s.name)
		r.log("begins", "stage", s.name)
		err := s.run(ctx)
		took := time.Since(start)
		r.end(s.name, took, err == nil)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if !r.whole(s.output) {
			return fmt.Errorf("%s: is done, and %s or what it names is not there", s.name, r.path(s.output))
		}
		r.log("done", "stage", s.name, "took", took.Round(time.Second))
	}
	return nil
}
