package arm64

import (
	"encoding/binary"
	"math"
	"math/bits"
	"testing"
)

// A machine is as much of a processor as makes constants and addresses.
type machine struct {
	x     [32]uint64
	flags flags
}

// The flags, which only some instructions set.
type flags struct{ negative, zero, carry, overflow bool }

// add returns n+m+carry and the flags, as AddWithCarry of Arm's manual does.
func add(n, m, carry uint64) (uint64, flags) {
	sum, c := bits.Add64(n, m, carry)
	return sum, flags{int64(sum) < 0, sum == 0, c != 0, int64((n^sum)&(m^sum)) < 0}
}

// run executes code and returns the address that its last instruction accesses, if one
// does.
func (m *machine) run(t *testing.T, code []byte) (address uint64) {
	for ; len(code) > 0; code = code[instruction:] {
		w := binary.LittleEndian.Uint32(code)
		d, n := &m.x[w&31], m.x[w>>5&31]
		imm16, shift16 := uint64(w>>5&0xFFFF), w>>21&3*16
		imm12 := uint64(w >> 10 & 0xFFF)
		switch {
		case w&0xFF800000 == 0x92800000: // movn
			*d = ^(imm16 << shift16)
		case w&0xFF800000 == 0xD2800000: // movz
			*d = imm16 << shift16
		case w&0xFF800000 == 0xF2800000: // movk
			*d = *d&^(0xFFFF<<shift16) | imm16<<shift16
		case w&0x9F800000 == opAddImm:
			m.sum(w, d, n, imm12<<(w>>22&1*12))
		case w&0x9FE0FC00 == opAddReg:
			m.sum(w, d, n, m.x[w>>16&31])
		case w&0xFFC00000 == ldrQ.scaled:
			address = n + imm12*16
		case w&0xFFE00C00 == ldrQ.unscaled:
			address = n + uint64(int64(int32(w<<11)>>23))
		default:
			t.Fatalf("unknown instruction %08x", w)
		}
	}
	return address
}

// sum executes w, an addition or subtraction.
func (m *machine) sum(w uint32, d *uint64, n, v uint64) {
	carry := uint64(0)
	if w&subtract != 0 {
		v, carry = ^v, 1
	}
	result, flags := add(n, v, carry)
	*d = result
	if w&setFlags != 0 {
		m.flags = flags
	}
}

// FuzzImmediate gives every value that an immediate or an offset may have to the methods
// that take any, and computes what their instructions do.
func FuzzImmediate(f *testing.F) {
	for n := range 64 {
		for near := range int64(3) {
			f.Add(1<<n + near - 1)
			f.Add(-1<<n + near - 1)
			f.Add(int64(0x0123456789ABCDEF)>>n - near)
		}
	}
	f.Fuzz(func(t *testing.T, v int64) {
		if v < math.MinInt || v > math.MaxInt {
			t.Skip("not an int here")
		}
		i := int(v)
		for _, base := range []uint64{0, 1 << 63, 0xFEDCBA9876543210} {
			difference, flagsOfDifference := add(base, ^uint64(v), 1)
			for _, method := range []struct {
				name  string
				emit  func(a *Assembler)
				want  uint64 // in X1, or the address accessed
				flags flags
			}{
				{"MovI", func(a *Assembler) { a.MovI(X1, v) }, uint64(v), flags{}},
				{"AddI", func(a *Assembler) { a.AddI(X1, X2, i) }, base + uint64(v), flags{}},
				{"SubI", func(a *Assembler) { a.SubI(X1, X2, i) }, difference, flags{}},
				{"SubsI", func(a *Assembler) { a.SubsI(X1, X2, i) }, difference, flagsOfDifference},
				{"LdrQ", func(a *Assembler) { a.LdrQ(1, X2, i) }, base + uint64(v), flags{}},
			} {
				var a Assembler
				method.emit(&a)
				code, err := a.Finish()
				if err != nil {
					t.Fatalf("%s %#x: %v", method.name, v, err)
				}
				var m machine
				m.x[X2] = base
				got := m.run(t, code)
				if method.name != "LdrQ" {
					got = m.x[X1]
				}
				if got != method.want || m.flags != method.flags {
					t.Errorf("%s %#x: %#x, %v, want %#x, %v", method.name, v, got, m.flags, method.want, method.flags)
				}
			}
		}
	})
}
