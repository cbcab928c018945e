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

// Time has f called with the index and the duration of each step that Run takes. Nil ends
// it.
func (s *Session) Time(f func(step int, d time.Duration)) { s.time = f }
