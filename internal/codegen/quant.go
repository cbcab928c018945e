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
// but for m, which is a float32 here: the conversions cost vectors one instruction each. As
// there and in ONNX, a bias is a whole number that sums begin with (see Whole), which saves a
// kernel two of its instructions for a vector.
//
// Kernels give these results to the last bit, on every target.

// A Quant says what becomes of the sums of a convolution of quads.
type Quant struct {
	Zero  uint8       // zero point of the sums, rounded
	Whole bool        // as the function of that name says
	Table *[256]uint8 // what they become, by an activation for one; nil: they stay. Not to be changed
	Add   QuantAdd    // with an addition
}

// Whole reports whether the sums of a layer, each of so many products, can begin with b/m,
// rounded, that is the bias in units of scaleX*scaleW: all of that fits 32 bits, and so does
// what becomes of it.
func Whole(m, b []float32, products int) bool {
	if products > MaxQuadProducts/2 {
		return false
	}
	for i := range m {
		if !(math.Abs(float64(m[i])) <= 0.5 && math.Abs(begin(m[i], b[i])) < 1<<30) {
			return false
		}
	}
	return true
}

// begin returns what a sum begins with, as Whole says.
func begin(m, b float32) float64 {
	if b == 0 { // and m in the bytes of no channel
		return 0
	}
	return math.RoundToEven(float64(b) / float64(m))
}

// Sum returns what becomes of acc: acc*m + b or, with Whole, (acc+begin)*m, each step rounded
// to float32, and that rounded to a whole number, halves to even; plus the zero point, held to
// 0 to 255, and from the table. M and b are finite.
func (q *Quant) Sum(acc int32, m, b float32) uint8 {
	if q.Whole {
		acc, b = acc+int32(begin(m, b)), 0
	}
	y := quantized(float32(float32(acc)*m)+b, q.Zero)
	if q.Table != nil {
		y = q.Table[y]
	}
	return y
}

// quantized rounds v, halves to even, adds zero and holds the result to what fits.
func quantized(v float32, zero uint8) uint8 {
	return uint8(max(0, min(255, math.RoundToEven(float64(v))+float64(zero))))
}

// A QuantAdd says how two numbers are added that differ in scale: y, which a kernel has just
// computed, and r, which it reads.
type QuantAdd struct {
	ZeroY, ZeroR   uint8
	ScaleY, ScaleR float32 // by which y - ZeroY and r - ZeroR are multiplied: their scales over that of the result
	Zero           uint8   // zero point of the result
}

// Sum returns y + r, computed in whole numbers: the scales have 15 bits, which is 1/64 of a
// step of the result at most, and halves are rounded up.
func (a *QuantAdd) Sum(y, r uint8) uint8 {
	w := a.whole()
	return uint8(max(0, min(255, (int32(y)*int32(w.y)+int32(r)*int32(w.r)+w.begin)>>w.shift)))
}

// A wholeAdd is the addition (y*w.y + r*w.r + w.begin) >> w.shift.
type wholeAdd struct {
	y, r  int16
	begin int32
	shift int
}

func (a *QuantAdd) whole() wholeAdd {
	const bits, most = 15, 20 // of the larger scale; to be shifted, for 255 of them to fit
	larger := max(math.Abs(float64(a.ScaleY)), math.Abs(float64(a.ScaleR)))
	_, exponent := math.Frexp(larger)
	shift := min(bits-exponent, most)
	if math.RoundToEven(math.Ldexp(larger, shift)) > math.MaxInt16 {
		shift--
	}
	scaled := func(s float32) int16 { return int16(math.RoundToEven(math.Ldexp(float64(s), shift))) }
	w := wholeAdd{y: scaled(a.ScaleY), r: scaled(a.ScaleR), shift: shift}
	w.begin = int32(a.Zero)<<shift + 1<<shift>>1 - int32(a.ZeroY)*int32(w.y) - int32(a.ZeroR)*int32(w.r)
	return w
}

// MaxAddScale is the largest scale of an addition.
const MaxAddScale = math.MaxInt16

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
// takes them, zeroX is the zero point of the input, and m and b are those of q.Sum. What the
// zero point takes from each sum is put into what it begins with.
func (t Target) PackSums(q Quant, weights []int8, out int, zeroX uint8, m, b []float32) []float32 {
	packed := make([]float32, quantSums*out)
	zero := int32(zeroX) - t.isa().(quadISA).inputOffset()
	for o := range out {
		sum := int32(0)
		for _, w := range weights[o*len(weights)/out:][:len(weights)/out] {
			sum += int32(w)
		}
		first := -zero * sum
		if q.Whole {
			first += int32(begin(m[o], b[o]))
		}
		packed[quantSums*o] = math.Float32frombits(uint32(first))
		packed[quantSums*o+1], packed[quantSums*o+2] = m[o], b[o]
	}
	return packed
}
