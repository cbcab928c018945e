package codegen

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// rounded is what Round makes of x.
func (c *Round) rounded(x float32) uint8 {
	v := math.RoundToEven(float64(x/c.Scale)) + float64(c.Zero)
	if !(v > 0) {
		return 0
	}
	return uint8(min(v, 255))
}

func TestRound(t *testing.T) {
	odd := []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), math.MaxFloat32, -math.MaxFloat32, 1e-45, 0.5, 1.5, -2.5}
	eachQuadTarget(t, func(t *testing.T, target Target, r *rand.Rand) {
		for range rounds() {
			c := Round{Scale: []float32{1, 0.5, 1. / 255, float32(r.ExpFloat64()), 1e-37, 1e29}[r.IntN(6)], Zero: randomZero(r),
				Line: randomLine(r, target.lanes, MaskNone, MaskLast, MaskPart)}
			c.Line.Pad = randomZero(r)
			line := newLineMask(r, c.Line, target.lanes)
			var rows [4][]float32
			var call caller
			for i, arg := range []int{0, 1, 2, 4} {
				c.Columns[i] = Columns(r.IntN(4))
				rows[i] = make([]float32, 2*(c.Line.Vectors+1)*target.lanes)
				for j := range rows[i] {
					switch rows[i][j] = float32(r.NormFloat64()) * 100 * c.Scale; r.IntN(10) {
					case 0:
						rows[i][j] = odd[r.IntN(len(odd))]
					case 1, 2, 3: // nearly halfway
						half := (float32(r.IntN(600)-300) + 0.5) * c.Scale
						rows[i][j] = math.Float32frombits(math.Float32bits(half) + uint32(r.IntN(5)-2))
					}
				}
				if c.Columns[i] != NoColumns {
					pass(&call, arg, rows[i], 0)
				}
			}
			out := filled(c.Line.Vectors*target.lanes, untouched)
			pass(&call, 3, out, 0)
			line.pass(&call)
			if !call.runQuads(t, target, func(b *Builder) (Func, error) { return b.Round(c) }) {
				continue
			}
			want := newWantedQuads(len(out))
			line.writeQuads(want, 0, func(p int) (q [4]uint8) {
				for i, x := range rows {
					switch c.Columns[i] {
					case AllColumns:
						q[i] = c.rounded(x[p])
					case EvenColumns:
						q[i] = c.rounded(x[2*p])
					case OddColumns:
						q[i] = c.rounded(x[2*p+1])
					default:
						q[i] = c.Zero
					}
				}
				return q
			})
			want.compare(t, out, fmt.Sprintf("%s: %+v", target, c))
		}
	})
}

func TestImpossibleRounds(t *testing.T) {
	line := Line{Vectors: 1}
	for _, target := range targets {
		for i, c := range []Round{{Scale: 1, Line: line}, {Line: line}, {Scale: 1}, {Scale: 1e-38, Line: line}, {Scale: 2e29, Line: line}, {Scale: float32(math.NaN()), Line: line},
			{Scale: 1, Line: Line{Vectors: 1, Mask: MaskAll}}} {
			if _, err := NewBuilder(target).Round(c); (err == nil) != (i == 0) {
				t.Errorf("%s, %+v: %v", target, c, err)
			}
		}
	}
}

func TestFused(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 1 << 16 {
		x, y := float32(r.NormFloat64()), float32(r.NormFloat64())
		z := -x * y * float32(1+r.IntN(3)*r.IntN(1<<10)) // sums that lose digits, too
		exact := new(big.Float).SetPrec(200).Mul(big.NewFloat(float64(x)), big.NewFloat(float64(y)))
		want, _ := exact.Add(exact, big.NewFloat(float64(z))).Float32()
		if got := fused(x, y, z); got != want {
			t.Fatalf("%v*%v + %v is %v, want %v", x, y, z, got, want)
		}
	}
}

// TestProductDivides wants the scales of networks to need no division, and extreme ones to have
// theirs.
func TestProductDivides(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	divide := 0
	for range 1000 {
		if !productDivides(float32(math.Exp(-6 + 6*r.Float64()))) {
			divide++
		}
	}
	if divide > 10 || !productDivides(1./255) {
		t.Errorf("%d of 1000 scales need a division", divide)
	}
	for _, s := range []float32{0x1p-61, 0x1p61} {
		if productDivides(s) {
			t.Errorf("the scale %v needs no division", s)
		}
	}
}
