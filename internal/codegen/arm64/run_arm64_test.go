//go:build linux

package arm64

import (
	"math/rand/v2"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// memory is where the code of these tests reads and writes: its address, which is part of
// the code, never changes.
var memory [8192]uint32

// address returns where memory[i] is.
func address(i int) int64 { return int64(uintptr(unsafe.Pointer(&memory[i]))) }

// run executes code that returns, takes nothing, uses no stack and of the general registers
// only X0 to X17, all of which Go gives a function for its own.
func run(t *testing.T, a *Assembler) {
	t.Helper()
	code, err := a.Finish()
	if err != nil {
		t.Fatal(err)
	}
	text, err := syscall.Mmap(-1, 0, len(code), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Munmap(text)
	copy(text, code)
	// Linux makes the caches of data and of instructions agree on pages that it lets be
	// executed for the first time.
	if err := syscall.Mprotect(text, syscall.PROT_READ|syscall.PROT_EXEC); err != nil {
		t.Fatal(err)
	}
	// A func value points to a struct that begins with the address of the code.
	closure := &struct{ code *byte }{&text[0]}
	(*(*func())(unsafe.Pointer(&closure)))()
}

// has reports whether the processor has the features of these bits of AT_HWCAP or AT_HWCAP2.
func has(t *testing.T, entry uintptr, bits uintptr) bool {
	vector, err := unix.Auxv()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range vector {
		if e[0] == entry {
			return e[1]&bits == bits
		}
	}
	return false
}

const (
	hwcap   = 16
	asimddp = 1 << 20
	hwcap2  = 26
	bf16    = 1 << 14
)

func TestRunSum(t *testing.T) {
	const n = 1000
	want := uint32(0)
	for i := range n {
		memory[i] = uint32(i * i)
		want += memory[i]
	}
	var a Assembler
	a.MovI(X0, address(0))
	a.MovI(X1, n/4)
	a.Movi0(0)
	top := a.Here()
	a.LdrQ(1, X0, 0)
	a.Add4S(0, 0, 1)
	a.AddI(X0, X0, 16)
	a.SubsI(X1, X1, 1)
	a.Bne(top)
	a.StrQ(0, X0, 0)
	a.Ret()
	run(t, &a)
	if got := memory[n] + memory[n+1] + memory[n+2] + memory[n+3]; got != want {
		t.Errorf("%d, want %d", got, want)
	}
}

// TestRunControl counts with every branch, and goes through the stack, far offsets and a
// register with the address of code.
func TestRunControl(t *testing.T) {
	clear(memory[:])
	var a Assembler
	done, skip := a.Label(), a.Label()
	a.StpPre(X2, X30, SP, -32)
	a.MovI(X0, address(0))
	a.MovI(X1, -5)
	a.MovI(X2, 0)
	top := a.Here()
	a.AddI(X2, X2, 1)
	a.AddI(X1, X1, 1)
	a.CmpI(X1, 5)
	a.Blt(top) // 10 rounds
	a.Beq(skip)
	a.MovI(X2, 1000)
	a.Bind(skip)
	a.Cbz(XZR, done)
	a.MovI(X2, 2000)
	a.Bind(done)
	a.MovI(X3, 100)
	a.MovI(X4, 7)
	a.Madd(X3, X2, X4, X3) // 170
	a.Lsl(X3, X3, 3)       // 1360
	a.Stp(X2, X3, X0, 16)
	a.Ldp(X5, X6, X0, 16)
	a.Sub(X5, X6, X5) // 1350
	a.SubI(X7, X0, 1<<25)
	a.Str(X5, X7, 1<<25+8)
	a.LdpPost(X2, X30, SP, 32)
	a.Ret()
	run(t, &a)
	if memory[2] != 1350 || memory[4] != 10 || memory[6] != 1360 {
		t.Errorf("%d", memory[:8])
	}
}

// TestRunTile is the innermost loop of a convolution: for k weights of 8 channels and k
// rows of 12 pixels, 8 x 12 sums in 24 registers.
func TestRunTile(t *testing.T) {
	const (
		k, channels, pixels = 37, 8, 12
		x, w, out           = 0, k * pixels, k * (pixels + channels)
	)
	floats := unsafe.Slice((*float32)(unsafe.Pointer(&memory)), len(memory))
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range out {
		floats[i] = float32(rng.IntN(201) - 100) // sums are exact
	}
	var a Assembler
	a.MovI(X0, address(x))
	a.MovI(X1, address(w))
	a.MovI(X2, address(out))
	a.MovI(X3, k)
	for v := range V(24) {
		a.Movi0(v)
	}
	a.Align(16)
	top := a.Here()
	a.LdpQ(24, 25, X0, 0)
	a.LdrQ(26, X0, 32)
	a.LdpQ(27, 28, X1, 0)
	a.PrfmL1Keep(X0, 64)
	for o := range channels {
		for v := range V(3) {
			a.FmlaElem(V(3*o)+v, 24+v, V(27+o/4), o%4)
		}
	}
	a.AddI(X0, X0, 4*pixels)
	a.AddI(X1, X1, 4*channels)
	a.SubsI(X3, X3, 1)
	a.Bne(top)
	for v := range V(24) {
		a.StrQ(v, X2, 16*int(v))
	}
	a.Ret()
	run(t, &a)
	for o := range channels {
		for p := range pixels {
			want := float32(0)
			for i := range k {
				want += floats[x+i*pixels+p] * floats[w+i*channels+o]
			}
			if got := floats[out+o*pixels+p]; got != want {
				t.Errorf("channel %d, pixel %d: %g, want %g", o, p, got, want)
			}
		}
	}
}
