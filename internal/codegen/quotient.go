package codegen

import "math"

// A division takes a processor 16 cycles a vector. A product with the inverse, and a step of
// Newton's method that fused instructions make nearly exact, take three instructions: after
// P. Markstein, Computation of Elementary Functions on the IBM RISC System/6000 Processor, 1990.
// It matters only where a quotient is nearly halfway between two whole numbers, which is tried.

// byProduct returns x/s that way.
func byProduct(x, s float32) float32 {
	inverse := 1 / s
	q := x * inverse
	return fused(fused(q, -s, x), inverse, q)
}

// productDivides reports whether the levels of all x with the scale s are the same that way.
func productDivides(s float32) bool {
	if s < 0x1p-60 || s > 0x1p60 { // so that all numbers are normal
		return false
	}
	for level := range 256 {
		x := math.Float32bits((float32(level) + 0.5) * s)
		for near := x - 4; near <= x+4; near++ {
			x := math.Float32frombits(near)
			if math.RoundToEven(float64(byProduct(x, s))) != math.RoundToEven(float64(x/s)) {
				return false
			}
		}
	}
	return true
}

// fused returns x*y + z, rounded once: the sum in float64 is rounded to odd, so that rounding
// it again does no harm.
func fused(x, y, z float32) float32 {
	product := float64(x) * float64(y) // exactly
	sum := product + float64(z)
	part := sum - product
	lost := (product - (sum - part)) + (float64(z) - part)
	if bits := math.Float64bits(sum); lost != 0 && bits&1 == 0 {
		if (lost > 0) == (sum > 0) {
			bits++
		} else {
			bits--
		}
		sum = math.Float64frombits(bits)
	}
	return float32(sum)
}

// quotient writes d = x/s, by the product or by a division. The scale s is in a register, too;
// x is used up.
func (b *Builder) quotient(d, x, scale vec, s float32, product bool) {
	m := b.isa
	if !product {
		m.(quadISA).quotient(d, x, scale)
		return
	}
	inverse := b.consts.offset(1 / s)
	m.mulM(d, x, rConst, inverse)
	m.fmaM(x, d, rConst, b.consts.offset(-s))
	m.fmaM(d, x, rConst, inverse)
}
