package codegen

import "fmt"

// An Activation is what a kernel applies to its sums.
type Activation struct {
	Kind  string  // of graph.ActKind, or empty for none
	Slope float32 // of leakyrelu
}

// log2e times x is the exponent of 2 that makes e^x.
const log2e = 1.4426950408889634

// exp2Poly approximates 2^f for 0 <= f < 1 with a relative error of 7.5e-8 (a minimax
// polynomial found by Remez's exchange), from the highest power down.
var exp2Poly = []float32{0.00187757669, 0.00898933969, 0.0558263175, 0.240153611, 0.693153083, 0.99999994}

// known reports whether kernels can apply the activation.
func (a Activation) known() bool {
	switch a.Kind {
	case "", "silu", "hardswish", "leakyrelu", "relu", "relu6", "sigmoid", "mish":
		return true
	}
	return false
}

// roughExp2Poly approximates it with a relative error of 7.5e-5, found in the same way.
var roughExp2Poly = []float32{0.0780245227, 0.226067155, 0.695833541, 0.999925219}

// activate applies the activation to y in place, with three more registers. For pairs it
// is right within 2e-4, a tenth of what rounding them takes.
func (b *Builder) activate(a Activation, pairs bool, y, t, p, q vec) {
	m := b.isa
	c := func(v float32) int { return b.consts.offset(v) }
	poly, div := exp2Poly, m.divV
	if pairs {
		poly, div = roughExp2Poly, m.(pairISA).roughDiv
	}
	// exp2 computes d = 2^(factor*s); t and q are used up, and q may be s.
	exp2 := func(d, s vec, factor float32, t, q vec) {
		m.mulM(t, s, rConst, c(factor))
		whole, rest := m.split(t, q)
		m.load(d, rConst, c(poly[0]))
		for _, k := range poly[1:] {
			m.horner(d, rest, rConst, c(k))
		}
		m.scale(d, d, whole)
	}
	switch a.Kind {
	case "":
	case "silu":
		exp2(p, y, -log2e, t, q)
		m.addM(p, p, rConst, c(1))
		div(y, y, p, t)
	case "sigmoid":
		exp2(p, y, -log2e, t, q)
		m.addM(p, p, rConst, c(1))
		m.load(q, rConst, c(1))
		div(y, q, p, t)
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
		exp2(p, q, log2e, t, q)
		m.addM(t, p, rConst, c(2))
		m.mulV(p, p, t)
		m.addM(t, p, rConst, c(2))
		div(p, p, t, q)
		m.mulV(y, y, p)
	default:
		panic(fmt.Sprintf("codegen: activation %q", a.Kind)) // Conv and Map have asked known
	}
}
