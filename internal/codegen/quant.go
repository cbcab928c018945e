package codegen

import (
	"fmt"
	"math"
)

// A number in 8 bits without sign, q, stands for scale*(q - zero): scale and zero point are
// the tensor's own. Weights have 8 bits with sign and a scale for each output channel. So a
// convolution sums up, in 32 bits and exactly,
//
//	acc = sum of (x - zeroX) * w
//
// and its result, in units of its own scale, is acc*m + b with m = scaleX*scaleW/scaleOut
// and b = bias/scaleOut. Sum says how that is rounded. After B. Jacob et al., Quantization
// and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference, 2018,
// but for m, which is a float32 here: the conversions cost vectors one instruction each. The
// product is rounded before b is added. Rounding once would be an instruction less, and one
// result in a million another one.
//
// Kernels give these results to the last bit, on every target.

// A Quant says what becomes of the sums of a convolution of quads.
type Quant struct {
	Zero  uint8       // zero point of the sums, rounded
	Table *[256]uint8 // what they become, by an activation for one; nil: they stay. Not to be changed
	Add   QuantAdd    // with an addition
}

// A QuantAdd says how two numbers are added that differ in scale: y, which a kernel has just
// computed, and r, which it reads.
type QuantAdd struct {
	ZeroY, ZeroR   uint8
	ScaleY, ScaleR float32 // by which y - ZeroY and r - ZeroR are multiplied: their scales over that of the result
	Zero           uint8   // zero point of the result
}

// Sum returns what becomes of acc: acc*m + b, each step rounded to float32, and that rounded
// to a whole number, halves to even; plus the zero point, held to 0 to 255, and from the
// table. M and b are finite.
func (q *Quant) Sum(acc int32, m, b float32) uint8 {
	y := quantized(float32(float32(acc)*m)+b, q.Zero)
	if q.Table != nil {
		y = q.Table[y]
	}
	return y
}

// Sum returns y + r.
func (a *QuantAdd) Sum(y, r uint8) uint8 {
	fy, fr := float32(int(y)-int(a.ZeroY)), float32(int(r)-int(a.ZeroR))
	return quantized(float32(fy*a.ScaleY)+float32(fr*a.ScaleR), a.Zero)
}

// quantized rounds v, halves to even, adds zero and holds the result to what fits.
func quantized(v float32, zero uint8) uint8 {
	return uint8(max(0, min(255, math.RoundToEven(float64(v))+float64(zero))))
}

// MaxAddScale is the largest scale of an addition.
const MaxAddScale = 1 << 20

// check refuses scales whose products are not numbers.
func (a *QuantAdd) check() error {
	for _, s := range []float32{a.ScaleY, a.ScaleR} {
		if !(math.Abs(float64(s)) <= MaxAddScale) {
			return fmt.Errorf("codegen: an addition with a scale of %v: want a finite one up to %d", s, MaxAddScale)
		}
	}
	return nil
}

// quantSums are the numbers of each output channel in argument 2 of a convolution of quads:
// what its sum begins with, an int32, then m and b.
const quantSums = 3

// PackSums makes argument 2 of a convolution of quads: weights are [out, …] as PackQuads
// takes them, zeroX is the zero point of the input, and m and b are those of Quant. What the
// zero point takes from each sum is put into what it begins with.
func (t Target) PackSums(weights []int8, out int, zeroX uint8, m, b []float32) []float32 {
	packed := make([]float32, quantSums*out)
	zero := int32(zeroX) - t.isa().(quadISA).inputOffset()
	for o := range out {
		sum := int32(0)
		for _, w := range weights[o*len(weights)/out:][:len(weights)/out] {
			sum += int32(w)
		}
		packed[quantSums*o] = math.Float32frombits(uint32(-zero * sum))
		packed[quantSums*o+1], packed[quantSums*o+2] = m[o], b[o]
	}
	return packed
}
