package engine

import (
	"fmt"
	"math"

	"ultrafast/graph"
)

// activation returns the function that applies a in place.
func activation(a *graph.Activation) (func([]float32), error) {
	switch a.Kind {
	case graph.SiLU:
		return silu, nil
	case graph.Hardswish:
		return hardswish, nil
	case graph.LeakyReLU:
		slope := float32(a.Slope)
		return func(v []float32) { leakyReLU(v, slope) }, nil
	case graph.ReLU:
		return func(v []float32) { leakyReLU(v, 0) }, nil
	case graph.ReLU6:
		return relu6, nil
	case graph.Sigmoid:
		return sigmoids, nil
	case graph.Mish:
		return mish, nil
	}
	return nil, fmt.Errorf("the engine does not know the activation %q", a.Kind)
}

// activationKernel applies f to one plane. in and out are [N, C, H, W].
func activationKernel(f func([]float32), in, out int, s graph.Shape) kernel {
	size := s[2] * s[3]
	return func(v [][]float32, plane int, _ []float32) {
		dst := v[out][plane*size:][:size]
		copy(dst, v[in][plane*size:])
		f(dst)
	}
}

func silu(v []float32) {
	for i, x := range v {
		v[i] = x / (1 + exp(-x))
	}
}

func hardswish(v []float32) {
	for i, x := range v {
		v[i] = x * min(max(x+3, 0), 6) / 6
	}
}

func leakyReLU(v []float32, slope float32) {
	for i, x := range v {
		if x < 0 {
			v[i] = slope * x
		}
	}
}

func relu6(v []float32) {
	for i, x := range v {
		v[i] = min(max(x, 0), 6)
	}
}

func sigmoids(v []float32) {
	for i, x := range v {
		v[i] = sigmoid(x)
	}
}

func sigmoid(x float32) float32 { return 1 / (1 + exp(-x)) }

// mish uses tanh(ln(1+e)) = (e²+2e) / (e²+2e+2), with e = exp(x). From 20 on that is 1 in
// float32, and e² may overflow.
func mish(v []float32) {
	for i, x := range v {
		if x < 20 {
			e := exp(x)
			e *= e + 2
			v[i] = x * e / (e + 2)
		}
	}
}

// exp is e^x within one unit in the last place (measured over the line), for x clamped to [-87, 88], the normal
// numbers of float32. x = n ln 2 + r with |r| <= ln 2 / 2, the ln 2 in two parts so that
// r is exact; then 2^n times the polynomial of Cephes' expf.c in r.
func exp(x float32) float32 {
	const (
		log2e = math.Log2E
		ln2hi = 0.693359375
		ln2lo = -2.12194440e-4
		round = 3 << 22 // adding it leaves the nearest whole number in the low bits
	)
	if x > 88 {
		x = 88
	}
	if x < -87 {
		x = -87
	}
	t := x*log2e + round
	n := t - round
	r := x - n*ln2hi - n*ln2lo
	p := (((((1.9875691500e-4*r+1.3981999507e-3)*r+8.3334519073e-3)*r+4.1665795894e-2)*r+1.6666665459e-1)*r+5.0000001201e-1)*r*r + r + 1
	return p * math.Float32frombits((math.Float32bits(t)+127)<<23)
}
