package codegen

import (
	"math"
	"math/rand/v2"
	"testing"
)

// plainActivation is the activation of x as its definition has it.
func plainActivation(a Activation, x float64) float64 {
	sigmoid := 1 / (1 + math.Exp(-x))
	switch a.Kind {
	case "silu":
		return x * sigmoid
	case "hardswish":
		return x * min(6, max(0, x+3)) / 6
	case "leakyrelu":
		return max(0, x) + float64(a.Slope)*min(0, x)
	case "relu":
		return max(0, x)
	case "relu6":
		return min(6, max(0, x))
	case "sigmoid":
		return sigmoid
	case "mish":
		if x > 20 {
			return x
		}
		n := math.Exp(x) * (math.Exp(x) + 2) // tanh(log(1+e^x)) is n/(n+2)
		return x * n / (n + 2)
	}
	return x
}

// TestActivations walks the float32 line, and beyond what is finite only asks to come back.
// The exponent of e^x is a product in float32, the error of which grows with x, and is held
// to -126.
func TestActivations(t *testing.T) {
	step := 0.0137
	if testing.Short() {
		step = 0.137
	}
	var xs []float32
	for x := -150.0; x < 150; x += step {
		xs = append(xs, float32(x))
	}
	for _, x := range []float64{0, 1e-45, 1e-40, math.Ldexp(1, -126), 1e-10, 1e-3, 20, 126, 127, 128, 1e4, 1e10, 1e20, math.MaxFloat32, math.Inf(1), math.NaN()} {
		xs = append(xs, float32(x), -float32(x))
	}
	for len(xs)%16 != 0 {
		xs = append(xs, 1)
	}
	eachTarget(t, func(t *testing.T, target Target, _ *rand.Rand) {
		for _, kind := range []string{"", "silu", "hardswish", "leakyrelu", "relu", "relu6", "sigmoid", "mish"} {
			a := Activation{kind, 0.1}
			out := filled(len(xs), untouched)
			var call caller
			pass(&call, 0, xs, 0)
			pass(&call, 3, out, 0)
			spec := Map{Channels: 1, Rows: len(xs) / target.lanes, InRow: 4 * target.lanes, OutRow: 4 * target.lanes, Act: a, Line: Line{Vectors: 1}}
			if !call.run(t, target, func(b *Builder) (Func, error) { return b.Map(spec) }) {
				continue
			}
			for i, x := range xs {
				x := float64(x)
				want := plainActivation(a, x)
				slack := (1e-6+1e-7*min(100, math.Abs(x)))*math.Abs(want) + 1e-35 + math.Ldexp(math.Abs(x), -125)
				if math.Abs(x) <= math.MaxFloat32 && !(math.Abs(float64(out[i])-want) <= slack) {
					t.Errorf("%s(%v) = %v, want %v", kind, x, out[i], want)
				}
			}
		}
	})
}
