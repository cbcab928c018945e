package codegen

import (
	"fmt"
	"slices"
)

// A Target is a kind of processor that there are kernels for.
type Target struct {
	name  string
	lanes int
	isa   func() isa
	has   func() bool // whether this machine can run it
}

var targets = []Target{ // the best first
	{"avx512", 16, func() isa { return newAVX(true) }, hasAVX512},
	{"avx2", 8, func() isa { return newAVX(false) }, hasAVX2},
}

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
		if t.name == name {
			return Target{}, fmt.Errorf("codegen: this processor cannot run code for %s, only for %v", name, usable)
		}
	}
	return Target{}, fmt.Errorf("codegen: unknown processor %q, want one of %v", name, targets)
}

func (t Target) String() string { return t.name }

// Lanes is how many float32 a vector register holds.
func (t Target) Lanes() int { return t.lanes }

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
func (t Target) Fits(tile Tile, stride int) bool {
	return tile.Out*tile.Vectors+max(tile.Vectors+1, activationRegisters) <= t.vectors(stride)
}
