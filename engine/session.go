package engine

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"ultrafast/graph"
	"ultrafast/tensor"
)

// A Session is the memory to run a program in. It belongs to one goroutine at a time.
type Session struct {
	prog  *Program
	v     [][]float32 // the values; several may lie in one buffer
	outs  []*tensor.Tensor
	watch func(*graph.Node, *tensor.Tensor)

	scratch [][]float32 // one a thread
	helpers []func()    // what the threads beside the caller's do in a step
	current *step
	next    atomic.Int64 // the next job of the current step
	busy    sync.WaitGroup
}

// NewSession allocates all the memory that Run will need.
func (p *Program) NewSession() *Session {
	s := &Session{prog: p, v: make([][]float32, len(p.lives))}
	buffers := make([][]float32, len(p.buffers))
	for i, size := range p.buffers {
		buffers[i] = make([]float32, size)
	}
	for i, l := range p.lives {
		if l.buffer >= 0 {
			s.v[i] = buffers[l.buffer][:l.size:l.size]
		}
	}
	for _, n := range p.graph.Outputs {
		s.outs = append(s.outs, &tensor.Tensor{Shape: slices.Clone(p.shapes[n]), Data: s.v[p.value[n]]})
	}
	for i := range p.threads {
		scratch := make([]float32, p.scratch)
		s.scratch = append(s.scratch, scratch)
		if i > 0 {
			s.helpers = append(s.helpers, func() {
				s.claim(scratch)
				s.busy.Done()
			})
		}
	}
	return s
}

// Watch has f called with the value of each node as soon as it is computed, in order of
// execution and on Run's goroutine. The tensor is valid during the call. Nodes that were
// folded or fused into others do not appear unless Options.KeepAll is set. Nil ends it.
func (s *Session) Watch(f func(node *graph.Node, v *tensor.Tensor)) { s.watch = f }

// Run computes the outputs for x, which has the program's input shape, in the order of
// the graph's outputs. They are valid until the next Run. x is only read; where the input
// is itself an output, that output is x's own data. The same x gives the same bits,
// whatever the number of threads.
func (s *Session) Run(x *tensor.Tensor) ([]*tensor.Tensor, error) {
	input := s.prog.graph.Input()
	want := s.prog.shapes[input]
	if !slices.Equal(x.Shape, want) || len(x.Data) != tensorLen(want) {
		return nil, fmt.Errorf("engine: input %s is %v of %d numbers, the program is compiled for %v", input.Name, x, len(x.Data), []int(want))
	}
	s.v[s.prog.value[input]] = x.Data
	for i, n := range s.prog.graph.Outputs {
		if n == input {
			s.outs[i].Data = x.Data
		}
	}
	s.show(input)
	for i := range s.prog.steps {
		s.run(&s.prog.steps[i])
		s.show(s.prog.steps[i].node)
	}
	s.v[s.prog.value[input]] = nil
	return s.outs, nil
}

func (s *Session) show(n *graph.Node) {
	if s.watch == nil || n == nil {
		return
	}
	s.watch(n, &tensor.Tensor{Shape: slices.Clone(s.prog.shapes[n]), Data: s.v[s.prog.value[n]]})
}

// run works through one step's jobs with as many threads as there are jobs for.
func (s *Session) run(st *step) {
	s.current = st
	s.next.Store(0)
	helpers := s.helpers[:min(len(s.helpers), st.jobs-1)]
	s.busy.Add(len(helpers))
	for _, h := range helpers {
		go h()
	}
	s.claim(s.scratch[0])
	s.busy.Wait()
}

// claim takes jobs of the current step until none is left.
func (s *Session) claim(scratch []float32) {
	st := s.current
	for {
		job := int(s.next.Add(1)) - 1
		if job >= st.jobs {
			return
		}
		st.run(s.v, job, scratch)
	}
}
