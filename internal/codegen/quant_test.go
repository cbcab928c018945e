package codegen

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestQuantSum has what rounding and saturation are about.
func TestQuantSum(t *testing.T) {
	var negated [256]uint8
	for i := range negated {
		negated[i] = uint8(255 - i)
	}
	inf := float32(math.Inf(1))
	for _, c := range []struct {
		q    Quant
		acc  int32
		m, b float32
		want uint8
	}{
		{Quant{}, 0, 1, 0, 0},
		{Quant{}, 5, 0.5, 0, 2}, // 2.5, to even
		{Quant{}, 7, 0.5, 0, 4}, // 3.5
		{Quant{Zero: 1}, 5, 0.5, 0, 3},
		{Quant{Zero: 3}, -5, 0.5, 0, 1}, // -2.5 to -2, then the zero point
		{Quant{Zero: 128}, -128, 1, 0, 0},
		{Quant{Zero: 128}, -129, 1, 0, 0},
		{Quant{Zero: 128}, 127, 1, 0, 255},
		{Quant{Zero: 128}, 128, 1, 0, 255},
		{Quant{}, 254, 1, 0.5, 254},
		{Quant{}, 254, 1, 0.75, 255},
		{Quant{Zero: 255}, math.MinInt32, 1, 0, 0},
		{Quant{Zero: 255}, math.MaxInt32, 1, 0, 255},
		{Quant{Zero: 7}, math.MaxInt32, 3e38, 0, 255}, // infinite
		{Quant{Zero: 7}, math.MinInt32, 3e38, 0, 0},
		{Quant{Zero: 7}, 1, 1e-45, 0, 7},
		{Quant{}, 16777217, 1, -16777216, 0}, // float32 has not the last bit of the sum
		{Quant{Zero: 10, Table: &negated}, 5, 1, 0, 240},
		{Quant{Whole: true}, 5, 0.5, 0, 2},
		{Quant{Whole: true, Zero: 1}, 5, 0.5, 0, 3},
		{Quant{Whole: true}, 4, 0.5, 0.3, 2}, // 0.6 is 1, and 2.5 becomes 2
		{Quant{Whole: true}, 4, 0.5, 0.2, 2},
		{Quant{Whole: true, Zero: 9}, -3200, 0.25, 0, 0},
		{Quant{Whole: true, Zero: 9}, 3 << 12, 0.25, 0, 255},
		{Quant{Whole: true, Zero: 9}, 77, 0, 0, 9}, // the bytes of no channel
	} {
		if got := c.q.Sum(c.acc, c.m, c.b); got != c.want {
			t.Errorf("%+v: %d * %v + %v becomes %d, want %d", c.q, c.acc, c.m, c.b, got, c.want)
		}
	}
	for _, s := range []float32{inf, -inf, nan, 1 << 21} {
		for _, a := range []QuantAdd{{ScaleY: s}, {ScaleR: s}} {
			if a.check() == nil {
				t.Errorf("%+v is possible", a)
			}
		}
	}
}

// TestQuantSumRandom compares with the formula in float64, where float32 is exact.
func TestQuantSumRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 1 << 16 {
		acc, shift, b := int32(r.IntN(1<<16)-1<<15), r.IntN(9), float32(r.IntN(400)-200)/4
		q := Quant{Zero: uint8(r.Uint32())}
		m := float32(math.Ldexp(1, -shift))
		v := math.RoundToEven(float64(acc)*float64(m)+float64(b)) + float64(q.Zero)
		if got, want := q.Sum(acc, m, b), uint8(min(255, max(0, v))); got != want {
			t.Fatalf("%+v: %d * %v + %v becomes %d, want %d", q, acc, m, b, got, want)
		}
	}
}

func TestQuantAddSum(t *testing.T) {
	for _, c := range []struct {
		a    QuantAdd
		y, r uint8
		want uint8
	}{
		{QuantAdd{ScaleY: 1, ScaleR: 1}, 3, 4, 7},
		{QuantAdd{ScaleY: 1, ScaleR: 1}, 200, 100, 255},
		{QuantAdd{ZeroY: 10, ZeroR: 20, ScaleY: 1, ScaleR: 1, Zero: 5}, 3, 4, 0},
		{QuantAdd{ZeroY: 10, ZeroR: 20, ScaleY: 0.5, ScaleR: 2, Zero: 5}, 15, 24, 16}, // 2.5 + 8 = 10.5, up
		{QuantAdd{ZeroY: 255, ZeroR: 0, ScaleY: 1, ScaleR: 1}, 0, 255, 0},
	} {
		if got := c.a.Sum(c.y, c.r); got != c.want {
			t.Errorf("%+v: %d and %d make %d, want %d", c.a, c.y, c.r, got, c.want)
		}
	}
}

// TestWhole has layers whose sums can, and cannot, begin with their biases.
func TestWhole(t *testing.T) {
	for i, c := range []struct {
		m, b     float32
		products int
		want     bool
	}{
		{0.5, 100, 9, true},
		{0.6, 100, 9, false},
		{-0.5, 100, 9, true},
		{0, 0, 9, true},
		{0, 1, 9, false},
		{1e-7, 200, 9, false}, // beyond 32 bits
		{1e-6, 200, MaxQuadProducts / 2, true},
		{1e-6, 200, MaxQuadProducts/2 + 1, false},
		{1e-30, 1, 9, false},
	} {
		if got := Whole([]float32{0.01, c.m}, []float32{3, c.b}, c.products); got != c.want {
			t.Errorf("%d: %+v: %v", i, c, got)
		}
	}
}

// TestWholeSum wants sums that begin with their bias to become what others become, but for
// those that are nearly halfway.
func TestWholeSum(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	other := 0
	for range 1 << 16 {
		q := Quant{Zero: uint8(r.Uint32())}
		m, b := float32(math.Exp(-3-8*r.Float64())), float32(100*r.NormFloat64())
		acc := int32((255*r.Float64() - float64(q.Zero) - float64(b)) / float64(m))
		want := q.Sum(acc, m, b)
		if q.Whole = Whole([]float32{m}, []float32{b}, 9); !q.Whole {
			t.Fatalf("%+v: %v, %v", q, m, b)
		}
		switch got, v := q.Sum(acc, m, b), math.Abs(float64(acc)*float64(m)+float64(b)); {
		case got == want:
		case math.Abs(v-math.Floor(v)-0.5) > float64(m)/2+1e-4:
			t.Fatalf("%+v: %d * %v + %v becomes %d, want %d", q, acc, m, b, got, want)
		default:
			other++
		}
	}
	if other > 1<<16/100 {
		t.Errorf("%d of %d are others", other, 1<<16)
	}
}

// TestQuantAddSumRandom compares with the formula in float64.
func TestQuantAddSumRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 1 << 16 {
		a := QuantAdd{uint8(r.Uint32()), uint8(r.Uint32()), float32(2 * r.NormFloat64()), float32(r.NormFloat64()), uint8(r.Uint32())}
		y, q := uint8(r.Uint32()), uint8(r.Uint32())
		v := (float64(y)-float64(a.ZeroY))*float64(a.ScaleY) + (float64(q)-float64(a.ZeroR))*float64(a.ScaleR) + float64(a.Zero)
		slack := 255 * max(math.Abs(float64(a.ScaleY)), math.Abs(float64(a.ScaleR))) / (1 << 14)
		if got := float64(a.Sum(y, q)); math.Abs(got-max(0, min(255, v))) > 0.5+slack {
			t.Fatalf("%+v: %d and %d make %v, want %v", a, y, q, got, v)
		}
	}
}
