// Package codegen writes machine code at run time: loop nests for the layers of a network,
// in the instructions of the processor at hand.
//
// A Builder takes descriptions of kernels (Conv, Winograd, Map, …) and turns each into
// code; Finish maps all of it as executable memory, never writable at the same time. The
// loops are written once, over an isa, which knows the instructions of one kind of
// processor; the encoders are in amd64 and arm64. Kernels know strides in bytes and
// nothing of networks.
package codegen

import "fmt"

// A Builder collects kernels for one kind of processor.
type Builder struct {
	target Target
	isa    isa // of the kernel at work
	consts *constants
	code   []byte
	index  map[any]Func
}

// A Func names a kernel in the Text that its Builder makes.
type Func int

// NewBuilder returns a builder of code for t.
func NewBuilder(t Target) *Builder {
	return &Builder{target: t, consts: newConstants(), index: map[any]Func{}}
}

// kernel writes one kernel by body, unless the same spec has been written before. pairs
// says whether it works on pairs of bfloat16.
func (b *Builder) kernel(spec any, pairs bool, body func(m isa)) (Func, error) {
	if pairs && !b.target.pairs() {
		return 0, fmt.Errorf("codegen: no code for pairs of bfloat16 on %s", b.target)
	}
	if f, ok := b.index[spec]; ok {
		return f, nil
	}
	b.isa = b.target.isa()
	b.isa.arg(rConst, argConst)
	body(b.isa)
	b.isa.leave()
	code, err := b.isa.finish()
	if err != nil {
		return 0, fmt.Errorf("codegen: %T: %w", spec, err)
	}
	const align = 64
	for len(b.code)%align != 0 {
		b.code = append(b.code, 0)
	}
	f := Func(len(b.code))
	b.code = append(b.code, code...)
	b.index[spec] = f
	return f, nil
}

// lineArgs loads the arguments of most kernels: input, output, what is added, and masks.
func lineArgs(m isa, l Line, add bool) {
	m.arg(rX, 0)
	m.arg(rOut, 3)
	if add {
		m.arg(rRes, 4)
	}
	if l.Mask == MaskLast || l.Mask == MaskAll {
		m.arg(rMask, 5)
	}
}

// Size returns how many bytes of code there are so far.
func (b *Builder) Size() int { return len(b.code) }
