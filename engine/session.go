package engine

import (
	"fmt"
	"runtime"
	"slices"
	"time"
	"unsafe"

	"ultrafast/graph"
	"ultrafast/internal/codegen"
	"ultrafast/tensor"
)

// A Session is the memory and the threads to run a program with. It belongs to one
// goroutine at a time. Its threads end when it is no longer reachable.
type Session struct {
	prog  *Program
	state *state
	team  *team
	outs  []*tensor.Tensor
	watch func(*graph.Node, *tensor.Tensor)
	time  func(step int, d time.Duration)
}

// A state is what the threads of a session share. It knows nothing of the session, which
// can so be collected while threads sleep.
type state struct {
	steps   []step
	v       [][]float32 // the values; several may lie in one buffer
	scratch [][]float32 // one a thread
	text    *codegen.Text
}

// NewSession allocates all the memory that Run will need.
func (p *Program) NewSession() *Session {
	st := &state{steps: p.steps, v: make([][]float32, len(p.lives)), text: p.text}
	s := &Session{prog: p, state: st}
	buffers := make([][]float32, len(p.buffers))
	for i, size := range p.buffers {
		buffers[i] = alignedFloats(size)
	}
	for i, l := range p.lives {
		if l.buffer >= 0 {
			st.v[i] = buffers[l.buffer][:l.size:l.size]
		}
	}
	for _, n := range p.graph.Outputs {
		s.outs = append(s.outs, &tensor.Tensor{Shape: slices.Clone(p.shapes[n]), Data: st.v[p.value[n]]})
	}
	for range p.threads {
		st.scratch = append(st.scratch, alignedFloats(p.scratch))
	}
	s.team = newTeam(p.threads, func(step, job, worker int) { st.steps[step].run(st, job, worker) })
	runtime.AddCleanup(s, (*team).stop, s.team)
	return s
}

// alignedFloats returns n floats that begin at a line of the cache.
func alignedFloats(n int) []float32 {
	b := make([]float32, n+lead)
	skip := -int(uintptr(unsafe.Pointer(&b[0]))/4) & (lead - 1)
	return b[skip:][:n:n]
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
	v := s.prog.value[input]
	s.state.v[v] = x.Data
	for i, n := range s.prog.graph.Outputs {
		if n == input {
			s.outs[i].Data = x.Data
		}
	}
	s.show(input)
	for i := range s.prog.steps {
		if s.time == nil {
			s.team.run(i, s.prog.steps[i].jobs)
		} else {
			start := time.Now()
			s.team.run(i, s.prog.steps[i].jobs)
			s.time(i, time.Since(start))
		}
		for _, n := range s.prog.steps[i].Nodes {
			s.show(n)
		}
	}
	s.state.v[v] = nil
	runtime.KeepAlive(s)
	return s.outs, nil
}

func (s *Session) show(n *graph.Node) {
	if s.watch == nil {
		return
	}
	t := &tensor.Tensor{Shape: slices.Clone(s.prog.shapes[n])}
	if s.prog.written[n] {
		p := s.prog.places[n]
		t = tensor.New(t.Shape...)
		p.unpack(t.Data, s.state.v[p.value])
	} else {
		t.Data = s.state.v[s.prog.value[n]]
	}
	s.watch(n, t)
}
