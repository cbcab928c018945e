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
	prog   *Program
	state  *state
	team   *team
	outs   []*tensor.Tensor
	watch  func(*graph.Node, *tensor.Tensor)
	time   func(step int, d time.Duration)
	planes []float32 // the input that RunRGB has unpacked
}

// A state is what the threads of a session share. It knows nothing of the session, which
// can so be collected while threads sleep.
type state struct {
	groups  []group
	v       [][]float32 // the values; several may lie in one buffer
	scratch [][]float32 // one a thread
	bytes   [][]byte    // also
	pixels  []uint8     // the input, where it is no tensor
	text    *codegen.Text
	spent   [][]time.Duration // by thread and step, where somebody wants to know; only of groups
}

// NewSession allocates all the memory that Run will need.
func (p *Program) NewSession() *Session {
	st := &state{groups: p.groups, v: make([][]float32, len(p.lives)), text: p.text}
	s := &Session{prog: p, state: st}
	buffers := make([][]float32, len(p.buffers))
	for i, size := range p.buffers {
		buffers[i] = alignedFloats(size)
	}
	padded := make([]bool, len(buffers))
	for i, l := range p.lives {
		if l.buffer < 0 {
			continue
		}
		b := buffers[l.buffer]
		if l.layout != nil && l.layout.zero != 0 && !padded[l.buffer] {
			fill(b, l.layout.padding())
			padded[l.buffer] = true
		}
		st.v[i] = b[:l.size:l.size]
	}
	for _, n := range p.graph.Outputs {
		s.outs = append(s.outs, &tensor.Tensor{Shape: slices.Clone(p.shapes[n]), Data: st.v[p.value[n]]})
	}
	for range p.threads {
		st.scratch = append(st.scratch, alignedFloats(p.scratch))
		st.bytes = append(st.bytes, make([]byte, p.bytes))
	}
	s.team = newTeam(p.threads, func(step, job, worker int) { st.groups[step].run(st, job, worker) })
	runtime.AddCleanup(s, (*team).stop, s.team)
	return s
}

// alignedFloats returns n floats that begin at a line of the cache.
func alignedFloats(n int) []float32 {
	b := make([]float32, n+lead)
	preferHugePages(b)
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
	s.run(x.Data)
	return s.outs, nil
}

// RunRGB is Run for pictures of interleaved 8-bit pixels, [N, H, W, 3] with 255 for 1. It
// saves the way over a tensor where the network begins as a YOLOv5 does.
func (s *Session) RunRGB(pixels []uint8) ([]*tensor.Tensor, error) {
	input := s.prog.graph.Input()
	want := s.prog.shapes[input]
	if want[1] != 3 || len(pixels) != tensorLen(want) {
		return nil, fmt.Errorf("engine: input %s is %d pixel values, the program is compiled for %v", input.Name, len(pixels), []int(want))
	}
	if s.prog.pixels && s.watch == nil {
		s.state.pixels = pixels
		s.run(nil)
		s.state.pixels = nil
		return s.outs, nil
	}
	if s.planes == nil {
		s.planes = make([]float32, len(pixels))
	}
	for row := range want[0] * want[2] {
		unpackRGB(s.planes, pixels, want, row)
	}
	s.run(s.planes)
	return s.outs, nil
}

// unpackRGB turns one row of all pictures' rows into planes from 0 to 1.
func unpackRGB(planes []float32, pixels []uint8, s graph.Shape, row int) {
	n, y := row/s[2], row%s[2]
	src := pixels[row*s[3]*3:][:s[3]*3]
	for c := range 3 {
		dst := planes[((n*3+c)*s[2]+y)*s[3]:][:s[3]]
		for x := range dst {
			dst[x] = float32(src[3*x+c]) * (1. / 255)
		}
	}
}

func (s *Session) run(x []float32) {
	input := s.prog.graph.Input()
	v := s.prog.value[input]
	s.state.v[v] = x
	for i, n := range s.prog.graph.Outputs {
		if n == input {
			s.outs[i].Data = x
		}
	}
	s.show(input)
	for i, g := range s.prog.groups {
		if s.time == nil {
			s.team.run(i, g.jobs)
		} else {
			start := time.Now()
			s.team.run(i, g.jobs)
			s.report(g, time.Since(start))
		}
		if s.watch != nil {
			for _, st := range s.prog.steps[g.first:g.end] {
				for _, n := range st.Nodes {
					s.show(n)
				}
			}
		}
	}
	s.state.v[v] = nil
	runtime.KeepAlive(s)
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
