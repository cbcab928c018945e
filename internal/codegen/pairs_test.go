package codegen

import (
	"math"
	"math/rand/v2"
	"testing"
)

// Memory of pairs is tested as two memories of float32, one of the lower halves and one of
// the upper ones.

func zip(halves [2][]float32) []float32 {
	pairs := filled(len(halves[0]), 0)
	for i := range pairs {
		pairs[i] = Pair(halves[0][i], halves[1][i])
	}
	return pairs
}

func unzip(pairs []float32) (halves [2][]float32) {
	for h := range halves {
		halves[h] = filled(len(pairs), 0)
	}
	for i, p := range pairs {
		halves[0][i], halves[1][i] = Unpair(p)
	}
	return halves
}

// rounded returns what bfloat16 keeps of v.
func rounded(v float32) float32 {
	_, upper := Unpair(Pair(0, v))
	return upper
}

// randomPairs returns what make does twice, as pairs and as what these hold.
func randomPairs(make func() []float32) (pairs []float32, halves [2][]float32) {
	pairs = zip([2][]float32{make(), make()})
	return pairs, unzip(pairs)
}

// rough is the relative error of activations that are rounded to pairs.
const rough = 2e-4

// untouchedPairs are pairs that a kernel has no business to write.
func untouchedPairs(n int) []float32 { return filled(n, Pair(untouched, untouched)) }

// comparePairs reports the first number that is wrong in one half of out. Besides its
// slack, each may be off by its rounding.
func (w wanted) comparePairs(t *testing.T, half int, out []float32, spec any) {
	t.Helper()
	for i, v := range w.values {
		if v == untouched && w.slack[i] == 0 {
			w.values[i] = rounded(untouched)
		} else if w.slack[i] > 0 {
			w.slack[i] += (float32(math.Abs(float64(v))) + w.slack[i]) / 256
		}
	}
	w.compare(t, unzip(out)[half], spec)
}

// eachPairTarget is eachTarget for those that have code for pairs.
func eachPairTarget(t *testing.T, test func(t *testing.T, target Target, r *rand.Rand)) {
	eachTarget(t, func(t *testing.T, target Target, r *rand.Rand) {
		if !target.pairs() {
			t.Skip("no code for pairs")
		}
		test(t, target, r)
	})
}

// runPairs is run for a kernel of pairs.
func (c *caller) runPairs(t *testing.T, target Target, write func(b *Builder) (Func, error)) bool {
	t.Helper()
	if target.BF16() {
		return c.run(t, target, write)
	}
	if _, err := write(NewBuilder(target)); err != nil {
		t.Fatal(err)
	}
	return false
}

// TestPair compares with the definition: the nearer of the two neighbours, and the even
// one in the middle.
func TestPair(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 1 << 20 {
		bits := r.Uint32()
		if i%2 == 0 { // in the middle
			bits = bits&^0xFFFF | 0x8000
		}
		v := math.Float32frombits(bits)
		lo, hi := Unpair(Pair(v, -v))
		if v != v {
			if lo == lo || hi == hi {
				t.Fatalf("Pair(%#x) holds %v and %v", bits, lo, hi)
			}
			continue
		}
		if math.IsInf(float64(v), 0) {
			continue
		}
		down := math.Float32frombits(bits &^ 0xFFFF) // towards zero
		want := down
		if up := math.Float32frombits(bits&^0xFFFF + 0x10000); bits&0xFFFF > 0x8000 || bits&0xFFFF == 0x8000 && bits&0x10000 != 0 {
			want = up
		}
		if lo != want || hi != -want {
			t.Fatalf("Pair(%v) holds %v and %v, want %v", v, lo, hi, want)
		}
	}
	for _, v := range []float32{0, 1, -2.5, 255, float32(math.Inf(1)), float32(math.Inf(-1)), 1 << 127} {
		if lo, hi := Unpair(Pair(v, -v)); lo != v || hi != -v {
			t.Errorf("Pair(%v) holds %v and %v", v, lo, hi)
		}
	}
}

// TestPairInstructions compares the instructions with Pair and Unpair, but for numbers
// below the normal ones, which they take for zero.
func TestPairInstructions(t *testing.T) {
	eachPairTarget(t, func(t *testing.T, target Target, r *rand.Rand) {
		const n = 1 << 14
		lower, upper := filled(n, 0), filled(n, 0)
		for i := range lower {
			lower[i], upper[i] = math.Float32frombits(r.Uint32()), math.Float32frombits(r.Uint32())
			if i%4 == 0 {
				lower[i] = math.Float32frombits(math.Float32bits(lower[i])&^0xFFFF | 0x8000)
			}
		}
		packed, back := filled(n, untouched), [2][]float32{filled(n, untouched), filled(n, untouched)}
		var call caller
		pass(&call, 0, lower, 0)
		pass(&call, 1, upper, 0)
		pass(&call, 2, packed, 0)
		pass(&call, 3, back[0], 0)
		pass(&call, 4, back[1], 0)
		if !call.runPairs(t, target, func(b *Builder) (Func, error) {
			return b.kernel("pairs", true, func(m isa) {
				regs := []reg{rX, rW, rBias, rOut, rRes}
				for i, r := range regs {
					m.arg(r, i)
				}
				m.loop(rCount, n/target.lanes, func() {
					m.load(0, rX, 0)
					m.load(1, rW, 0)
					m.(pairISA).packPairs(2, 0, 1, 3)
					m.store(rBias, 0, 2)
					m.(pairISA).lower(3, 2)
					m.store(rOut, 0, 3)
					m.(pairISA).upper(2, 2)
					m.store(rRes, 0, 2)
					for _, r := range regs {
						m.add(r, 4*target.lanes)
					}
				})
			})
		}) {
			return
		}
		same := func(a, b float32) bool { return a == b || a != a && b != b }
		flushed := func(v float32) float32 {
			if math.Abs(float64(v)) < math.Ldexp(1, -126) {
				return 0
			}
			return rounded(v)
		}
		for i := range packed {
			lo, hi := Unpair(packed[i])
			if !same(lo, flushed(lower[i])) || !same(hi, flushed(upper[i])) {
				t.Fatalf("packed %v and %v to %v and %v", lower[i], upper[i], lo, hi)
			}
			if !same(back[0][i], lo) || !same(back[1][i], hi) {
				t.Fatalf("unpacked %v and %v to %v and %v", lo, hi, back[0][i], back[1][i])
			}
		}
	})
}

func TestConvPairs(t *testing.T) {
	eachPairTarget(t, func(t *testing.T, target Target, r *rand.Rand) {
		for i := range rounds() {
			c := randomConv(r, target)
			c.PairsIn, c.PairsOut = i%3 > 0, i%3 < 2
			if c.PairsOut {
				c.Out += c.Out % 2
				if c.Tile.Out += c.Tile.Out % 2; !target.Fits(c.Tile, c.Stride) {
					c.Tile.Out -= 2
				}
			}
			if c.Tile.Out > 0 {
				testConvPairs(t, target, r, c, false)
			}
		}
	})
}

// testConvPairs is testConv where the input, the output or both are pairs, by tiles of AMX
// or by vectors.
func testConvPairs(t *testing.T, target Target, r *rand.Rand, c Conv, tiles bool) {
	t.Helper()
	line := newLineMask(r, c.Line, target.lanes)
	taps, in, perIn := c.Kernel[0]*c.Kernel[1], c.In, 1
	at := func(i, tap int) int { return (i*c.InChannel + c.tapAt(tap/c.Kernel[1], tap%c.Kernel[1])) / 4 }
	last := 0
	for tap := range taps {
		last = max(last, at(c.In-1, tap))
	}
	input := func() []float32 {
		x := filled(last+c.reads(target), nan)
		for i := range c.In * taps {
			copy(x[at(i/taps, i%taps):], random(r, (line.width()-1)*c.Stride+1))
		}
		return x
	}
	x, xs := randomPairs(input)
	weights, bias := random(r, c.Out*2*c.In*taps), random(r, c.Out)
	var packed []float32
	if c.PairsIn {
		if packed = target.PackPairs(weights, c.Out, c.In, taps, c.Tile); tiles {
			packed = c.PackAMX(weights)
		}
		in, perIn = 2*c.In, 2
		for i := range weights {
			weights[i] = rounded(weights[i])
		}
	} else {
		x = xs[0]
		weights = weights[:c.Out*c.In*taps]
		packed = target.Pack(weights, c.Out, c.In, taps, c.Tile)
	}
	perOut := 1
	if c.PairsOut {
		perOut = 2
	}
	size := line.Vectors * target.lanes
	add, adds := randomPairs(func() []float32 { return random(r, c.Out*c.AddChannel/4+size) })
	out := untouchedPairs(c.Out/perOut*c.OutChannel/4 + size)
	if !c.PairsOut {
		add, out = adds[0], filled(len(out), untouched)
	}
	var call caller
	pass(&call, 0, x, 0)
	pass(&call, 1, packed, 0)
	pass(&call, 2, bias, 0)
	pass(&call, 3, out, 0)
	pass(&call, 4, add, 0)
	pass(&call, 6, filled(AMXScratch/4, nan), 0)
	call.args[argRows] = 1
	line.pass(&call)
	if !call.runPairs(t, target, func(b *Builder) (Func, error) {
		if tiles {
			return b.ConvAMX(c)
		}
		return b.Conv(c)
	}) {
		return
	}
	for half := range perOut {
		want := newWanted(len(out))
		for o := half; o < c.Out; o += perOut {
			line.write(want, o/perOut*c.OutChannel/4, func(p int) (v, slack float64) {
				sum := newSum(bias[o])
				for i := range in * taps {
					ch := i / taps
					sum.add(weights[o*in*taps+i], xs[ch%perIn][at(ch/perIn, i%taps)+p*c.Stride])
				}
				v, slack = sum.activate(c.Act)
				if c.PairsOut {
					slack += rough * math.Abs(v)
				}
				if c.Add {
					v += float64(adds[half][o/perOut*c.AddChannel/4+p])
				}
				return v, slack
			})
		}
		if c.PairsOut {
			want.comparePairs(t, half, out, c)
		} else {
			want.compare(t, out, c)
		}
	}
}
