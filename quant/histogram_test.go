package quant

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// Values in any order and in any portions give the same histogram, which has each in its bin.
func TestHistogram(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, spread := range []float64{1e-38, 1e-6, 1, 300, 1e36} {
		values := make([]float32, 3000)
		for i := range values {
			values[i] = float32(spread * math.Exp(3*r.Float64()) * (r.Float64() - 0.1))
		}
		var whole, parts histogram
		if err := whole.add(values); err != nil {
			t.Fatal(err)
		}
		mixed := slices.Clone(values)
		r.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		for part := range slices.Chunk(mixed, 7) {
			if err := parts.add(part); err != nil {
				t.Fatal(err)
			}
		}
		if whole != parts {
			t.Fatalf("spread %g: portions give another histogram", spread)
		}
		used := 0
		for i, n := range whole.counts {
			inside := uint64(0)
			for _, v := range values {
				if float64(v) >= whole.edge(i) && float64(v) < whole.edge(i+1) {
					inside++
				}
			}
			if inside != n {
				t.Fatalf("spread %g: bin %d counts %d, %d lie in it", spread, i, n, inside)
			}
			if n > 0 {
				used = i + 1
			}
		}
		if used < bins/2 {
			t.Errorf("spread %g: %d bins are in use", spread, used)
		}
	}
}

func TestHistogramGrowsFromNothing(t *testing.T) {
	var h histogram
	for _, v := range []float32{0, 0, 1e-40, -3, 1e30, math.MaxFloat32, -math.MaxFloat32} {
		if err := h.add([]float32{v}); err != nil {
			t.Fatal(err)
		}
	}
	sum := uint64(0)
	for _, n := range h.counts {
		sum += n
	}
	if sum != 7 || h.total != 7 || h.min != -math.MaxFloat32 || h.max != math.MaxFloat32 {
		t.Errorf("counts %d of %d, from %g to %g", sum, h.total, h.min, h.max)
	}
	for _, v := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
		if err := h.add([]float32{1, v}); err == nil {
			t.Errorf("%v is counted", v)
		}
	}
}

func TestMethods(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	values := make([]float32, 200_000)
	for i := range values {
		values[i] = float32(r.NormFloat64())
	}
	values[0], values[1] = 60, -20 // far out
	var h histogram
	if err := h.add(values); err != nil {
		t.Fatal(err)
	}
	if low, high := MinMax.of(&h); low != -20 || high != 60 {
		t.Errorf("minmax gives %g to %g", low, high)
	}
	low, high := Percentile.of(&h) // of a normal distribution
	if math.Abs(low+3.72) > 0.3 || math.Abs(high-3.72) > 0.3 {
		t.Errorf("percentile gives %g to %g, want about -3.72 to 3.72", low, high)
	}
	low, high = MSE.of(&h)
	found, best := h.squares(low, high), h.squares(-20, 60)
	if found > 0.8*best {
		t.Errorf("mse gives %g to %g with an error of %g, no clipping %g", low, high, found, best)
	}
	for i := range 60 { // all pairs, of which mse tries some
		for j := range 60 {
			best = min(best, h.squares(-20*(1-float64(i)/70), 60*(1-float64(j)/70)))
		}
	}
	if found > 1.03*best {
		t.Errorf("mse gives %g to %g with an error of %g, the best is %g", low, high, found, best)
	}
	// Clipping is no gain where values are spread evenly.
	for i := range values {
		values[i] = r.Float32()*3 - 1
	}
	h = histogram{}
	if err := h.add(values); err != nil {
		t.Fatal(err)
	}
	if low, high := MSE.of(&h); low > -0.97 || high < 1.97 {
		t.Errorf("of even values mse keeps %g to %g", low, high)
	}
	for _, bad := range []Method{"", "best"} {
		if bad.Check() == nil {
			t.Errorf("method %q is accepted", bad)
		}
	}
}

// The ranges of values that are all of one sign begin or end at 0, which is then a level.
func TestGridHasZero(t *testing.T) {
	for _, c := range []struct {
		values []float32
		zero   int
	}{{[]float32{3, 5, 7}, 0}, {[]float32{-3, -5, -7}, 255}, {[]float32{0, 1}, 0}} {
		for _, m := range []Method{MinMax, Percentile, MSE} {
			var h histogram
			if err := h.add(c.values); err != nil {
				t.Fatal(err)
			}
			low, high := m.of(&h)
			q, err := gridOf(low, high)
			if err != nil {
				t.Fatal(err)
			}
			if q.Zero != c.zero || q.Value(uint8(q.Zero)) != 0 {
				t.Errorf("%v: %s gives %g to %g and %+v", c.values, m, low, high, *q)
			}
		}
	}
	if q, err := gridOf(0, 1); err != nil || q.Scale != float32(1./255) {
		t.Errorf("pictures have the grid %+v, %v", q, err)
	}
	if _, err := gridOf(0, 1e-35); err == nil {
		t.Error("a range of nothing has a scale")
	}
}
