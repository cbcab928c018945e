package codegen

import (
	"fmt"
	"runtime"
	"slices"

	"golang.org/x/sys/cpu"
)

// A Target is a kind of processor that there are kernels for.
type Target struct {
	name  string
	lanes int
	isa   func() isa
	has   func() bool // whether this machine can run it
	bf16  func() bool // whether it can run its code for pairs of bfloat16; nil where there is none
	int8  func() bool // whether it can run its code for quads of bytes
}

var targets = []Target{ // the best first
	{AMX, 16, func() isa { return wide() }, hasAMX, hasAMX, hasAMX}, // AVX-512 with tiles for bfloat16
	{"avx512", 16, func() isa { return wide() }, hasAVX512, hasAVX512BF16, hasAVX512},
	{"avx2", 8, func() isa { return newAVX2(cpu.X86.HasAVXVNNI) }, hasAVX2, nil, hasAVX2},
	{"neon", neonLanes, func() isa { return newNEON(cpu.ARM64.HasASIMDDP) }, hasNEON, nil, hasNEON},
}

// wide writes AVX-512 for this machine.
func wide() isa { return newAVX512(cpu.X86.HasAVX512VNNI, cpu.X86.HasAVX512VBMI) }

// hasNEON reports whether this is an AArch64: Go asks Advanced SIMD of all of them.
func hasNEON() bool { return runtime.GOARCH == "arm64" }

// Targets returns the targets that this machine can run, the best first. Without any,
// everything has to run in plain Go.
func Targets() []Target {
	return slices.DeleteFunc(slices.Clone(targets), func(t Target) bool { return !t.has() })
}

// ByName returns the target of that name. The error says what this machine can run.
func ByName(name string) (Target, error) {
	usable := Targets()
	for _, t := range usable {
		if t.name == name {
			return t, nil
		}
	}
	for _, t := range targets {
		if t.name != name {
			continue
		}
		if t.AMX() {
			return Target{}, fmt.Errorf("codegen: no %s here, only %v: %w", name, usable, amxMissing())
		}
		return Target{}, fmt.Errorf("codegen: this processor cannot run code for %s, only for %v", name, usable)
	}
	return Target{}, fmt.Errorf("codegen: unknown processor %q, want one of %v", name, targets)
}

func (t Target) String() string { return t.name }

// Lanes is how many float32 a vector register holds.
func (t Target) Lanes() int { return t.lanes }

// BF16 reports whether this machine can run t's kernels for pairs of bfloat16.
func (t Target) BF16() bool { return t.pairs() && t.bf16() }

// pairs reports whether there is code for pairs of bfloat16.
func (t Target) pairs() bool { return t.bf16 != nil }

// Int8 reports whether this machine can run t's kernels for quads of bytes. Without it on
// a machine with AVX-512, the target for AVX2 may have it.
func (t Target) Int8() bool { return t.int8() }

// Twice reports whether this machine starts two multiply-adds of a whole AVX-512 vector a
// cycle, so that they are half as dear beside everything else.
func (t Target) Twice() bool { return t.lanes == 16 && twice() }

// vectors is how many vector registers a convolution may use.
func (t Target) vectors(stride int) int {
	a := t.isa()
	if stride == 2 {
		a.pickLanes()
	}
	return a.vectors()
}

// activationRegisters are needed beside the sums while they are stored.
const activationRegisters = 3

// Fits reports whether a convolution of that stride can keep the tile in registers.
func (t Target) Fits(tile Tile, stride int) bool { return tile.fits(t.vectors(stride)) }

func (tile Tile) fits(registers int) bool {
	return tile.Out*tile.Vectors+max(tile.Vectors+1, activationRegisters) <= registers
}

// FitsQuads is Fits for a convolution of quads.
func (t Target) FitsQuads(tile Tile, stride int) bool {
	return tile.Out*tile.Vectors+t.isa().(quadISA).quadRegisters(tile.Vectors) <= t.vectors(stride)
}
