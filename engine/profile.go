package engine

import (
	"time"

	"ultrafast/graph"
)

// A StepInfo describes a step of a program.
type StepInfo struct {
	Name   string        // the node it computes, and what it does for it if that is not all
	Kernel string        // how, such as "Winograd rows 8x3", or PlainGo
	Nodes  []*graph.Node // whose values are complete after it, of the rewritten graph
	MACs   int64         // multiply-adds of the convolution that it computes, as graph counts them
}

// PlainGo is the Kernel of a step without machine code.
const PlainGo = "plain Go"

// Steps describes the steps in the order in which Run takes them.
func (p *Program) Steps() []StepInfo {
	infos := make([]StepInfo, len(p.steps))
	for i, s := range p.steps {
		infos[i] = s.StepInfo
	}
	return infos
}

// CPU is the kind of processor that the program is compiled for, Generic included.
func (p *Program) CPU() string { return p.cpu }

// Memory is how many bytes a session takes: its buffers and its threads' scratch memory.
func (p *Program) Memory() int64 {
	total := int64(p.threads) * int64(p.scratch)
	for _, b := range p.buffers {
		total += int64(b)
	}
	return 4 * total
}

// Time has f called with the index and the duration of each step that Run takes. Steps that are
// taken together share their time as the threads did. Nil ends it.
func (s *Session) Time(f func(step int, d time.Duration)) {
	s.time, s.state.spent = f, nil
	if f != nil {
		for range s.prog.threads {
			s.state.spent = append(s.state.spent, make([]time.Duration, len(s.prog.steps)))
		}
	}
}

// report tells what the steps of a group took, all of which took d.
func (s *Session) report(g group, d time.Duration) {
	if g.end == g.first+1 {
		s.time(g.first, d)
		return
	}
	each := make([]time.Duration, g.end-g.first)
	var all time.Duration
	for _, spent := range s.state.spent {
		for i := range each {
			each[i] += spent[g.first+i]
			all += spent[g.first+i]
		}
		clear(spent[g.first:g.end])
	}
	for i, e := range each {
		s.time(g.first+i, time.Duration(float64(d)*float64(e)/float64(max(all, 1))))
	}
}
