package amd64

import "math"

func fitsInt8[T int | int32](v T) bool { return v >= math.MinInt8 && v <= math.MaxInt8 }

// modrmReg appends the ModRM byte for two registers.
func (a *Assembler) modrmReg(reg, rm uint8) { a.bytes(0b11<<6 | reg&7<<3 | rm&7) }

// modrmMem appends ModRM, SIB and displacement for reg and the operand m, a valid one. An
// 8-bit displacement counts in units of n bytes: 1, or disp8*N under EVEX.
func (a *Assembler) modrmMem(reg uint8, m Mem, n int32) {
	const (
		sibFollows = 0b100 // in ModRM.rm, so RSP and R12 as base need a SIB byte
		noIndex    = 0b100 // in SIB.index
		noBase     = 0b101 // with mod 0, so RBP and R13 as base need a displacement
	)
	base, mod := uint8(m.Base)&7, byte(0b10)
	switch {
	case m.Disp == 0 && base != noBase:
		mod = 0b00
	case m.Disp%n == 0 && fitsInt8(m.Disp/n):
		mod = 0b01
	}
	if m.Scale == 0 && base != sibFollows {
		a.bytes(mod<<6 | reg&7<<3 | base)
	} else {
		scale, index := byte(0), byte(noIndex)
		if m.Scale != 0 {
			index = uint8(m.Index) & 7
			for 1<<scale < m.Scale {
				scale++
			}
		}
		a.bytes(mod<<6|reg&7<<3|sibFollows, scale<<6|index<<3|base)
	}
	switch mod {
	case 0b01:
		a.bytes(byte(m.Disp / n))
	case 0b10:
		a.int32(m.Disp)
	}
}

// checkMem reports whether m can be encoded without broadcast; if not, that is an error of
// the instruction named.
func (a *Assembler) checkMem(name string, m Mem) bool {
	switch {
	case m.far:
		a.fail(name, "the displacement needs more than 32 bits")
	case m.Base > R15 || m.Index > R15:
		a.fail(name, "no such base %d or index %d", m.Base, m.Index)
	case m.Scale != 0 && m.Index == RSP:
		a.fail(name, "RSP cannot be an index")
	case m.Scale != 0 && m.Scale != 1 && m.Scale != 2 && m.Scale != 4 && m.Scale != 8:
		a.fail(name, "an index is scaled by 1, 2, 4 or 8")
	case m.Broadcast:
		a.fail(name, "no broadcast from memory here")
	default:
		return true
	}
	return false
}

// index returns the number of m's index register, 0 where there is none.
func (m Mem) index() uint8 {
	if m.Scale == 0 {
		return 0
	}
	return uint8(m.Index)
}
