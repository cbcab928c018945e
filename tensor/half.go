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

// ToHalf returns the half nearest to v, of two as near the even one. Beyond the largest,
// 65504, it is infinite; a NaN becomes the quiet one.
func ToHalf(v float32) uint16 {
	u := math.Float32bits(v)
	sign, u := uint16(u>>16&0x8000), u&0x7fffffff
	switch {
	case u > 0x7f800000:
		return sign | 0x7e00
	case u >= 0x477ff000: // 65520, which is rounded to the 65536 that does not exist
		return sign | 0x7c00
	case u < 0x38800000: // below 2^-14 halves are multiples of 2^-24, as floats are from 2^-1 to 1
		return sign | uint16(math.Float32bits(math.Float32frombits(u)+0.5)-math.Float32bits(0.5))
	}
	return sign | uint16((u-0x38000000+0xfff+u>>13&1)>>13)
}
