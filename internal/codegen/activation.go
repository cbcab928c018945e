package codegen

import "fmt"

// An Activation is what a kernel applies to its sums.
type Activation struct {
	Kind  string  // of graph.ActKind, or empty for none
	Slope float32 // of leakyrelu
}

// log2e times x is the exponent of 2 that makes e^x.
const log2e = 1.4426950408889634

// exp2Poly approximates 2^f for |f| <= 1/2 with a relative error of 7.5e-8 (a minimax
// polynomial found by Remez's exchange), from the highest power down.
var exp2Poly = [6]float32{0.0013276472, 0.00967554133, 0.0555071327, 0.240221197, 0.693146967, 1.00000007}

// known reports whether kernels can apply the activation.
func (a Activation) known() bool {
	switch a.Kind {
	case "", "silu", "hardswish", "leakyrelu", "relu", "relu6", "sigmoid", "mish":
		return true
	}
	return false
}

// roughExp2Poly approximates 2^f for 0 <= f < 1 with a relative error of 7.5e-5, found in
// the same way.
var roughExp2Poly = [4]float32{0.0780245227, 0.226067155, 0.695833541, 0.999925219}

// activate applies the activation to y in place, with three more registers. For pairs it
// is right within 2e-4, a tenth of what rounding them takes.
func (b *Builder) activate(a Activation, pairs bool, y, t, p, q vec) {
	m := b.isa
	c := func(v float32) int { return b.consts.offset(v) }
	exp, recip := b.exp, m.recip
	if pairs {
		exp = b.roughExp
		recip = func(d, s, _ vec) { m.(pairISA).roughRecip(d, s) }
	}
	switch a.Kind {
	case "":
	case "silu":
		exp(p, y, -log2e, t, q)
		m.addM(p, p, rConst, c(1))
		recip(q, p, t)
		m.mulV(y, y, q)
	case "sigmoid":
		exp(p, y, -log2e, t, q)
		m.addM(p, p, rConst, c(1))
		recip(y, p, t)
	case "hardswish":
		m.addM(t, y, rConst, c(3))
		m.maxM(t, t, rConst, c(0))
		m.minM(t, t, rConst, c(6))
		m.mulM(t, t, rConst, c(1./6)) // before y, for which 6 may be too much
		m.mulV(y, y, t)
	case "relu":
		m.maxM(y, y, rConst, c(0))
	case "relu6":
		m.maxM(y, y, rConst, c(0))
		m.minM(y, y, rConst, c(6))
	case "leakyrelu":
		m.maxM(t, y, rConst, c(0))
		m.minM(p, y, rConst, c(0))
		m.mulM(p, p, rConst, c(a.Slope))
		m.addV(y, t, p)
	case "mish": // x * n/(n+2) with n = e²+2e, e = exp(x); from 20 on that is x in float32
		m.minM(q, y, rConst, c(20))
		exp(p, q, log2e, t, q)
		m.addM(t, p, rConst, c(2))
		m.mulV(p, p, t)
		m.addM(t, p, rConst, c(2))
		m.mulV(y, y, p)
		recip(p, t, q)
		m.mulV(y, y, p)
	default:
		panic(fmt.Sprintf("codegen: activation %q", a.Kind)) // Conv and Map have asked known
	}
}

// exp computes d = 2^(factor*s) for exponents held to [-126, 126]; t and q are used up,
// and q may be s. Exponents are split into a whole number and a rest of at most 1/2.
func (b *Builder) exp(d, s vec, factor float32, t, q vec) {
	m := b.isa
	c := func(v float32) int { return b.consts.offset(v) }
	m.mulM(t, s, rConst, c(factor))
	m.minM(t, t, rConst, c(126))
	m.maxM(t, t, rConst, c(-126))
	m.round(q, t)
	m.subV(t, t, q)
	m.load(d, rConst, c(exp2Poly[0]))
	for _, k := range exp2Poly[1:] {
		m.horner(d, t, rConst, c(k))
	}
	m.scale(d, d, q)
}

// roughExp is exp for pairs, without bounds: 0 and infinity are right for what follows.
func (b *Builder) roughExp(d, s vec, factor float32, t, q vec) {
	m := b.isa.(pairISA)
	c := func(v float32) int { return b.consts.offset(v) }
	m.mulM(t, s, rConst, c(factor))
	m.fraction(q, t)
	m.load(d, rConst, c(roughExp2Poly[0]))
	for _, k := range roughExp2Poly[1:] {
		m.horner(d, q, rConst, c(k))
	}
	m.scaleFloor(d, d, t)
}
