package codegen

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestSplit(t *testing.T) {
	for w := -maxWide; w <= maxWide; w++ {
		u, l := split(w)
		if off := int(u)*256 + int(l) - w; off < 0 || off > 1 || off == 1 && l != -127 || u == -128 || l == -128 {
			t.Fatalf("%d is %d and %d", w, u, l)
		}
	}
}

// TestWiden compares sums of the weights that Widen makes with those in float64.
func TestWiden(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		out, in := 1+r.IntN(9), 1+r.IntN(3000)
		weights := random(r, out*in)
		for o := range out {
			for i := range in {
				switch {
				case o == 1:
					weights[o*in+i] = 0
				case o == 2:
					weights[o*in+i] = 3e-30 // all alike: their sum is what bounds them
				}
			}
		}
		halves, m := Widen(weights, out)
		for o := range out {
			got, want, size, whole := 0.0, 0.0, 0.0, 0
			for i := range in {
				x := r.IntN(511) - 255 // a byte less a zero point
				w := int(halves[2*o*in+i])*256 + int(halves[(2*o+1)*in+i])
				whole += x * w
				want += float64(x) * float64(weights[o*in+i])
				size = max(size, math.Abs(float64(weights[o*in+i])))
			}
			if whole != int(int32(whole)) {
				t.Fatalf("a sum of %d products is %d", in, whole)
			}
			got = float64(float32(whole)) * float64(m[o])
			// each weight is off by one part at most, and those where one byte is -127 more rarely by two
			if slack := 255 * float64(in) * float64(m[o]); math.Abs(got-want) > slack || m[o] == 0 {
				t.Fatalf("%d products come to %g, want %g", in, got, want)
			}
			if in < 100 && float64(m[o]) > size/maxWide*1.0001 && size > 0 {
				t.Fatalf("the largest of %d weights, %g, is %g parts", in, size, size/float64(m[o]))
			}
		}
	}
}
