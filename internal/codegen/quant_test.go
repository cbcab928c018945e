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
		{QuantAdd{ZeroY: 10, ZeroR: 20, ScaleY: 0.5, ScaleR: 2, Zero: 5}, 15, 24, 15}, // 2.5 + 8 = 10.5
		{QuantAdd{ZeroY: 255, ZeroR: 0, ScaleY: 1, ScaleR: 1}, 0, 255, 0},
	} {
		if got := c.a.Sum(c.y, c.r); got != c.want {
			t.Errorf("%+v: %d and %d make %d, want %d", c.a, c.y, c.r, got, c.want)
		}
	}
}
