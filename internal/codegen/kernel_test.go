package codegen

import (
	"math"
	"math/rand/v2"
	"runtime"
	"testing"
	"unsafe"
)

// Every kernel is written for every target, run where this machine can, and compared with
// a plain loop. Memory that a kernel has no business to read holds NaN, and memory that it
// has no business to write holds untouched.

const untouched float32 = 12345

var nan = float32(math.NaN())

// eachTarget calls test for every target with a source of random numbers.
func eachTarget(t *testing.T, test func(t *testing.T, target Target, r *rand.Rand)) {
	for _, target := range targets {
		t.Run(target.name, func(t *testing.T) { test(t, target, rand.New(rand.NewPCG(1, 2))) })
	}
}

// rounds is how many random kernels of one kind are tried.
func rounds() int {
	if testing.Short() {
		return 40
	}
	return 400
}

// A caller collects the arguments of a kernel and keeps alive what they point to.
type caller struct {
	args Args
	held [len(Args{})]any
}

// pass makes v[first] argument number i.
func pass[T any](c *caller, i int, v []T, first int) {
	c.args[i] = uintptr(unsafe.Pointer(&v[first]))
	c.held[i] = v
}

// run writes a kernel, calls it where this machine can, and reports whether it could.
func (c *caller) run(t *testing.T, target Target, write func(b *Builder) (Func, error)) bool {
	t.Helper()
	b := NewBuilder(target)
	f, err := write(b)
	if err != nil {
		t.Fatal(err)
	}
	if !target.has() || !Allowed() {
		return false
	}
	text, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	text.Call(f, &c.args)
	runtime.KeepAlive(c)
	return true
}

// filled returns n numbers of that value, in memory that stays where it is.
//
//go:noinline
func filled(n int, v float32) []float32 {
	s := make([]float32, n)
	fill(s, v)
	return s
}

func fill(s []float32, v float32) {
	for i := range s {
		s[i] = v
	}
}

// random returns n numbers of about 1.
func random(r *rand.Rand, n int) []float32 {
	s := filled(n, 0)
	for i := range s {
		s[i] = float32(r.NormFloat64())
	}
	return s
}

// masks returns vectors of 16 lanes, all bits set where in says so.
func masks(vectors int, in func(vector, lane int) bool) []float32 {
	m := filled(16*vectors, 0)
	for i := range m {
		if in(i/16, i%16) {
			m[i] = math.Float32frombits(math.MaxUint32)
		}
	}
	return m
}

// A wanted is what memory should hold after a call, and how far from that each number may
// be; at infinity anything goes, NaN included.
type wanted struct{ values, slack []float32 }

func newWanted(n int) wanted { return wanted{filled(n, untouched), filled(n, 0)} }

func (w wanted) set(i int, v, slack float64) {
	w.values[i], w.slack[i] = float32(v), float32(slack)
}

func (w wanted) anything(i int) { w.slack[i] = float32(math.Inf(1)) }

// compare reports the first number that is wrong.
func (w wanted) compare(t *testing.T, got []float32, spec any) {
	t.Helper()
	for i, g := range got {
		d := math.Abs(float64(g) - float64(w.values[i]))
		if !(d <= float64(w.slack[i])) && !math.IsInf(float64(w.slack[i]), 1) {
			t.Fatalf("%+v: [%d] = %v, want %v within %v", spec, i, g, w.values[i], w.slack[i])
		}
	}
}

// randomLine returns a line with one of the masks.
func randomLine(r *rand.Rand, lanes int, masks ...Mask) Line {
	l := Line{Vectors: 1 + r.IntN(7), Mask: masks[r.IntN(len(masks))]}
	if l.Mask == MaskPart {
		l.Last = 1 + r.IntN(lanes)
	}
	return l
}

// A lineMask is what the lanes of a line are for.
type lineMask struct {
	Line
	lanes int
	last  int // how many of the last vector count, but for MaskAll
	masks []float32
}

func newLineMask(r *rand.Rand, l Line, lanes int) lineMask {
	m := lineMask{Line: l, lanes: lanes, last: lanes}
	switch l.Mask {
	case MaskPart:
		m.last = l.Last
	case MaskLast:
		m.last = 1 + r.IntN(lanes)
		m.masks = masks(1, func(_, lane int) bool { return lane < m.last })
	case MaskAll:
		m.masks = masks(l.Vectors, func(_, lane int) bool { return lane < lanes && r.IntN(3) > 0 })
	}
	return m
}

// pass hands the masks to a kernel.
func (m *lineMask) pass(c *caller) {
	if m.masks != nil {
		pass(c, 5, m.masks, 0)
	}
}

// width is how many pixels the line has.
func (m *lineMask) width() int { return (m.Vectors-1)*m.lanes + m.last }

// write notes at w[first:] what a kernel writes for a line, the pixels of which are given
// by value with their slack.
func (m *lineMask) write(w wanted, first int, value func(pixel int) (v, slack float64)) {
	for i := range m.Vectors * m.lanes {
		switch {
		case m.Mask == MaskAll && m.masks[i/m.lanes*16+i%m.lanes] == 0, m.Mask == MaskLast && i >= m.width():
			w.set(first+i, 0, 0)
		case i < m.width():
			v, slack := value(i)
			w.set(first+i, v, slack)
		}
	}
}

// rarely returns a number below n that is large once in a while: what lies so far apart
// is beyond the offsets that instructions encode.
func rarely(r *rand.Rand, n int) int {
	if r.IntN(6) == 0 {
		return n + r.IntN(20000)
	}
	return r.IntN(n)
}
