package tensor

import "math"

// FromHalf widens an IEEE 754 half-precision number, exactly.
func FromHalf(h uint16) float32 {
	sign, exp, frac := uint32(h>>15)<<31, uint32(h>>10)&0x1f, uint32(h)&0x3ff
	switch exp {
	case 0: // zero and subnormal: frac * 2^-24
		return math.Float32frombits(sign | math.Float32bits(float32(frac)/(1<<24)))
	case 0x1f: // infinity and NaN
		return math.Float32frombits(sign | 0xff<<23 | frac<<13)
	}
	return math.Float32frombits(sign | (exp+127-15)<<23 | frac<<13)
}

// FromBFloat16 widens a bfloat16, exactly.
func FromBFloat16(b uint16) float32 { return math.Float32frombits(uint32(b) << 16) }
