//go:build linux

package arm64

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"unsafe"
)

// TestRunVectors runs each instruction on vectors and its definition.
func TestRunVectors(t *testing.T) {
	for _, op := range threeVectors {
		t.Run(op.method, func(t *testing.T) {
			compare(t, op.method, func(a *Assembler, d, n, m V) { op.emit(a, d, n, m) }, definitions[op.method])
		})
	}
	for _, op := range twoVectors {
		if op.method == "Frecpe" {
			continue // TestRunReciprocal
		}
		t.Run(op.method, func(t *testing.T) {
			compare(t, op.method, func(a *Assembler, d, n, m V) { op.emit(a, d, n) }, definitions[op.method])
		})
	}
	for _, op := range indexed {
		t.Run(op.method, func(t *testing.T) {
			for i := range op.limit {
				compare(t, op.method, func(a *Assembler, d, n, m V) { op.emit(a, d, n, m, i) }, indexedDefinitions[op.method](i))
			}
		})
	}
}

// compare runs an instruction on many operands of the kind that it is for.
func compare(t *testing.T, method string, emit func(a *Assembler, d, n, m V), define func(d, n, m quad) quad) {
	const rounds = 64
	words := anyBits
	switch {
	case strings.HasPrefix(method, "Bf"):
		if !has(t, hwcap2, bf16) {
			t.Skip("this processor lacks FEAT_BF16")
		}
		words = smallBfloats
		if strings.HasPrefix(method, "Bfcvt") {
			words = anyFloats
		}
	case strings.Contains(method, "dot"):
		if !has(t, hwcap, asimddp) {
			t.Skip("this processor lacks FEAT_DotProd")
		}
	case strings.HasPrefix(method, "F"):
		words = anyFloats
	case method == "Tbl", method == "Tbx":
		words = smallBytes
	}

	quads := unsafe.Slice((*quad)(unsafe.Pointer(&memory)), 4*rounds)
	rng := rand.New(rand.NewPCG(3, 4))
	var a Assembler
	a.MovI(X0, address(0))
	for i := range rounds {
		for j := range 3 {
			quads[4*i+j] = words(rng, j == 0)
			a.LdrQ(V(7+9*j), X0, 64*i+16*j)
		}
		emit(&a, 7, 16, 25)
		a.StrQ(7, X0, 64*i+48)
	}
	a.Ret()
	run(t, &a)
	for i := range rounds {
		q := quads[4*i:]
		if got, want := q[3], define(q[0], q[1], q[2]); !same(method, got, want) {
			t.Errorf("d %08x, n %08x, m %08x: %08x, want %08x", q[0], q[1], q[2], got, want)
		}
	}
}

// same reports whether two results are equal. All NaN that arithmetic makes are.
func same(method string, x, y quad) bool {
	arithmetic := strings.HasPrefix(method, "F") && !strings.HasPrefix(method, "Fc")
	for i := range x {
		nan := math.IsNaN(float64(math.Float32frombits(x[i]))) && math.IsNaN(float64(math.Float32frombits(y[i])))
		if x[i] != y[i] && !(arithmetic && nan) {
			return false
		}
	}
	return true
}

// The kinds of operands. Sum is set for the destination.

func anyBits(rng *rand.Rand, sum bool) (q quad) {
	for i := range q {
		q[i] = rng.Uint32() >> rng.IntN(32)
		if rng.IntN(2) == 0 {
			q[i] = -q[i]
		}
	}
	return q
}

func anyFloats(rng *rand.Rand, sum bool) (q quad) {
	inf := float32(math.Inf(1))
	special := []float32{
		0, float32(math.Copysign(0, -1)), 0.5, -0.5, 1.5, 2.5, -2.5, 1e-40, 3e9, -3e9,
		math.MaxFloat32, inf, -inf, float32(math.NaN()),
	}
	for i := range q {
		f := float32(rng.NormFloat64() * 10)
		if rng.IntN(3) == 0 {
			f = special[rng.IntN(len(special))]
		}
		q[i] = math.Float32bits(f)
	}
	return q
}

// smallBfloats are whole numbers, so that sums are exact.
func smallBfloats(rng *rand.Rand, sum bool) (q quad) {
	number := func() uint32 { return math.Float32bits(float32(rng.IntN(65) - 32)) }
	for i := range q {
		q[i] = number()
		if !sum {
			q[i] |= number() >> 16
		}
	}
	return q
}

func smallBytes(rng *rand.Rand, sum bool) (q quad) {
	for i := range q {
		q[i] = rng.Uint32() & 0x1F1F1F1F
	}
	return q
}

// TestRunReciprocal checks the estimate, and two steps of Newton's method from it.
func TestRunReciprocal(t *testing.T) {
	floats := unsafe.Slice((*float32)(unsafe.Pointer(&memory)), len(memory))
	const n = 1000
	rng := rand.New(rand.NewPCG(5, 6))
	for i := range n {
		floats[i] = float32(rng.NormFloat64()) * 1000
	}
	var a Assembler
	a.MovI(X0, address(0))
	a.MovI(X1, n/4)
	top := a.Here()
	a.LdrQ(0, X0, 0)
	a.Frecpe(1, 0)
	a.StrQ(1, X0, 4*n)
	for range 2 {
		a.Frecps(2, 1, 0)
		a.Fmul(1, 1, 2)
	}
	a.StrQ(1, X0, 8*n)
	a.AddI(X0, X0, 16)
	a.SubsI(X1, X1, 1)
	a.Bne(top)
	a.Ret()
	run(t, &a)
	worst, worstEstimate := 0.0, 0.0
	for i := range n {
		x := float64(floats[i])
		worstEstimate = max(worstEstimate, math.Abs(float64(floats[n+i])*x-1))
		worst = max(worst, math.Abs(float64(floats[2*n+i])*x-1))
	}
	t.Logf("relative error %.3g, after two steps %.3g", worstEstimate, worst)
	if worstEstimate > 1.0/256 || worst > 2.0/(1<<23) {
		t.Errorf("relative error %g, after two steps %g", worstEstimate, worst)
	}
}

// TestRunMemory checks which lanes loads and stores of other widths touch.
func TestRunMemory(t *testing.T) {
	const out = 4096
	clear(memory[out:])
	for i := range 8 {
		memory[i] = uint32(i + 1)
	}
	var a Assembler
	a.MovI(X0, address(0))
	a.MovI(X1, address(out))
	a.LdpQ(0, 1, X0, 0)
	a.StpQ(0, 1, X1, 0)
	a.Ld1R(2, X0)
	a.StrQ(2, X1, 32)
	a.Ld2(31, X0) // and 0
	a.StpQ(31, 0, X1, 48)
	a.LdrS(1, X0, 4)
	a.StrQ(1, X1, 80)
	a.LdrD(1, X0, 8)
	a.StrQ(1, X1, 96)
	a.LdrQ(1, X0, 0)
	a.StrS(1, X1, 112)
	a.StrD(1, X1, 128)
	a.MovI(X2, 1<<32|9)
	a.DupX(3, X2)
	a.StrQ(3, X0, 4*out+144) // through X16
	a.LdrQ(4, X1, -7)        // unaligned, between
	a.LdrQ(4, X1, 1)
	a.StrQ(4, X1, 161)
	a.Ret()
	run(t, &a)
	want := [][4]uint32{
		{1, 2, 3, 4}, {5, 6, 7, 8}, {1, 1, 1, 1}, {1, 3, 5, 7}, {2, 4, 6, 8}, {2, 0, 0, 0}, {3, 4, 0, 0},
		{1, 0, 0, 0}, {1, 2, 0, 0}, {9, 9, 9, 9}, {0, 2, 3, 4}, {5, 0, 0, 0},
	}
	for i, w := range want {
		if got := [4]uint32(memory[out+4*i:]); got != w {
			t.Errorf("quad %d: %d, want %d", i, got, w)
		}
	}
}
