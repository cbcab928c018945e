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

func TestMapPairs(t *testing.T) {
	eachPairTarget(t, func(t *testing.T, target Target, r *rand.Rand) {
		for range rounds() {
			c := Map{Channels: 1 + r.IntN(4), Rows: 1 + r.IntN(4), Add: r.IntN(2) == 0, Act: randomActivation(r), Pairs: true,
				Line: randomLine(r, target.lanes, MaskNone, MaskLast, MaskAll, MaskPart)}
			line := newLineMask(r, c.Line, target.lanes)
			width := c.Line.Vectors * target.lanes
			in, to, from := randomStrides(r, width, c.Rows, c.Channels), randomStrides(r, width, c.Rows, c.Channels), randomStrides(r, width, c.Rows, c.Channels)
			c.InRow, c.InChannel = 4*in.row, 4*in.channel
			c.OutRow, c.OutChannel = 4*to.row, 4*to.channel
			c.AddRow, c.AddChannel = 4*from.row, 4*from.channel
			x, xs := randomPairs(func() []float32 { return in.input(r, width, line.width(), c.Rows, c.Channels) })
			add, adds := randomPairs(func() []float32 { return from.input(r, width, line.width(), c.Rows, c.Channels) })
			out := untouchedPairs(to.size(width, c.Rows, c.Channels))
			var call caller
			pass(&call, 0, x, 0)
			pass(&call, 3, out, 0)
			pass(&call, 4, add, 0)
			line.pass(&call)
			if !call.runPairs(t, target, func(b *Builder) (Func, error) { return b.Map(c) }) {
				continue
			}
			for half := range 2 {
				want := newWanted(len(out))
				for ch := range c.Channels {
					for y := range c.Rows {
						line.write(want, ch*to.channel+y*to.row, func(p int) (v, slack float64) {
							s := newSum(xs[half][ch*in.channel+y*in.row+p])
							v, slack = s.activate(c.Act)
							slack += rough * math.Abs(v)
							if c.Add {
								v += float64(adds[half][ch*from.channel+y*from.row+p])
							}
							return v, slack
						})
					}
				}
				want.comparePairs(t, half, out, c)
			}
		}
	})
}

// TestActivationsPairs walks the line, up to numbers that only have to come back finite.
func TestActivationsPairs(t *testing.T) {
	var xs []float32
	for x := -150.0; x < 150; x += 0.137 {
		xs = append(xs, float32(x))
	}
	for _, x := range []float64{0, 1e-30, 1e-10, 1e-3, 20, 127, 128, 1e4, 1e10, 1e15} {
		xs = append(xs, float32(x), -float32(x))
	}
	for len(xs)%16 != 0 {
		xs = append(xs, 1)
	}
	eachPairTarget(t, func(t *testing.T, target Target, _ *rand.Rand) {
		for _, kind := range []string{"", "silu", "hardswish", "leakyrelu", "relu", "relu6", "sigmoid", "mish"} {
			a := Activation{kind, 0.1}
			in := zip([2][]float32{xs, xs})
			out := untouchedPairs(len(xs))
			var call caller
			pass(&call, 0, in, 0)
			pass(&call, 3, out, 0)
			spec := Map{Channels: 1, Rows: len(xs) / target.lanes, InRow: 4 * target.lanes, OutRow: 4 * target.lanes, Act: a, Line: Line{Vectors: 1}, Pairs: true}
			if !call.runPairs(t, target, func(b *Builder) (Func, error) { return b.Map(spec) }) {
				continue
			}
			ins, outs := unzip(in), unzip(out)
			for i, x := range ins[0] {
				want := plainActivation(a, float64(x))
				for half := range outs {
					if got := outs[half][i]; !(math.Abs(float64(got)-want) <= (rough+1./256)*math.Abs(want)+1e-35) {
						t.Errorf("%s(%v) = %v, want %v", kind, x, got, want)
					}
				}
			}
		}
	})
}

func TestMaxPoolPairs(t *testing.T) {
	eachPairTarget(t, func(t *testing.T, target Target, r *rand.Rand) {
		for range rounds() / 2 {
			c := MaxPool{Channels: 1 + r.IntN(3), Rows: 1 + r.IntN(9), Kernel: 1 + 2*r.IntN(8), Pairs: true,
				Line: randomLine(r, target.lanes, MaskNone, MaskLast, MaskPart)}
			line := newLineMask(r, c.Line, target.lanes)
			width := c.Line.Vectors * target.lanes
			in, to := randomStrides(r, width, c.Rows, c.Channels), randomStrides(r, width, c.Rows, c.Channels)
			c.InRow, c.InChannel = 4*in.row, 4*in.channel
			c.OutRow, c.OutChannel = 4*to.row, 4*to.channel
			x, xs := randomPairs(func() []float32 { return in.input(r, width, line.width(), c.Rows, c.Channels) })
			out := untouchedPairs(to.size(width, c.Rows, c.Channels))
			limits := filled(16, float32(math.Inf(-1)))
			for lane := range line.last {
				limits[lane] = float32(math.Inf(1))
			}
			var call caller
			pass(&call, 0, x, 0)
			pass(&call, 3, out, 0)
			pass(&call, 4, limits, 0)
			pass(&call, 5, limits, 0) // with MaskPart, never used
			pass(&call, 6, filled(c.Scratch(target)/4, nan), 0)
			line.pass(&call)
			if !call.runPairs(t, target, func(b *Builder) (Func, error) { return b.MaxPool(c) }) {
				continue
			}
			pad := c.Kernel / 2
			for half := range 2 {
				want := newWanted(len(out))
				for ch := range c.Channels {
					for y := range c.Rows {
						line.write(want, ch*to.channel+y*to.row, func(p int) (v, slack float64) {
							most := float32(math.Inf(-1))
							for ky := max(0, y-pad); ky <= min(c.Rows-1, y+pad); ky++ {
								for kx := max(0, p-pad); kx <= min(line.width()-1, p+pad); kx++ {
									most = max(most, xs[half][ch*in.channel+ky*in.row+kx])
								}
							}
							return float64(most), 0
						})
					}
				}
				want.comparePairs(t, half, out, c)
			}
		}
	})
}

func TestRGBPairs(t *testing.T) {
	eachPairTarget(t, func(t *testing.T, target Target, r *rand.Rand) {
		for range rounds() {
			c := RGB{Line: randomLine(r, target.lanes, MaskNone, MaskLast), Pairs: true}
			line := newLineMask(r, c.Line, target.lanes)
			width := c.Line.Vectors*target.lanes + rarely(r, 9)
			c.OutChannel = 4 * width
			pixels := make([]byte, 6*c.Line.Vectors*target.lanes+RGBReads)
			for i := range pixels {
				pixels[i] = byte(r.Uint32())
			}
			out := untouchedPairs(3 * width)
			var call caller
			pass(&call, 0, pixels, 0)
			pass(&call, 3, out, 0)
			line.pass(&call)
			if !call.runPairs(t, target, func(b *Builder) (Func, error) { return b.RGB(c) }) {
				continue
			}
			for half := range 2 {
				want := newWanted(len(out))
				for channel := range 3 {
					line.write(want, channel*width, func(p int) (v, slack float64) {
						return float64(pixels[6*p+3*half+channel]), 0
					})
				}
				want.comparePairs(t, half, out, c)
			}
		}
	})
}

func TestHalvesPairs(t *testing.T) {
	eachPairTarget(t, func(t *testing.T, target Target, r *rand.Rand) {
		for range rounds() {
			c := Halves{Rows: 1, Line: randomLine(r, target.lanes, MaskNone, MaskLast), Pairs: true}
			line := newLineMask(r, c.Line, target.lanes)
			x := filled(2*c.Line.Vectors*target.lanes, nan)
			for i := range 2 * line.width() {
				x[i] = float32(r.IntN(256)) / 255
			}
			out := untouchedPairs(c.Line.Vectors*target.lanes + rarely(r, 9))
			var call caller
			pass(&call, 0, x, 0)
			pass(&call, 3, out, 0)
			line.pass(&call)
			if !call.runPairs(t, target, func(b *Builder) (Func, error) { return b.Halves(c) }) {
				continue
			}
			for half := range 2 {
				want := newWanted(len(out))
				line.write(want, 0, func(p int) (v, slack float64) { return math.Round(255 * float64(x[2*p+half])), 0 })
				want.comparePairs(t, half, out, c)
			}
		}
	})
}

func TestImpossiblePairs(t *testing.T) {
	for _, target := range targets {
		for _, c := range []Conv{
			{In: 1, Out: 3, Kernel: [2]int{1, 1}, Stride: 1, Line: Line{Vectors: 1}, Tile: Tile{2, 1}, PairsOut: true},
			{In: 1, Out: 2, Kernel: [2]int{1, 1}, Stride: 1, Line: Line{Vectors: 1}, Tile: Tile{1, 1}, PairsOut: true},
		} {
			if _, err := NewBuilder(target).Conv(c); err == nil {
				t.Errorf("%s: %+v can be written", target, c)
			}
		}
		if target.pairs() {
			continue
		}
		line := Line{Vectors: 1}
		for i, write := range []func(b *Builder) (Func, error){
			func(b *Builder) (Func, error) {
				return b.Conv(Conv{In: 1, Out: 1, Kernel: [2]int{1, 1}, Stride: 1, Line: line, Tile: Tile{1, 1}, PairsIn: true})
			},
			func(b *Builder) (Func, error) { return b.RGB(RGB{Line: line, Pairs: true}) },
			func(b *Builder) (Func, error) { return b.Halves(Halves{Rows: 1, Line: line, Pairs: true}) },
			func(b *Builder) (Func, error) { return b.Map(Map{Channels: 1, Rows: 1, Line: line, Pairs: true}) },
			func(b *Builder) (Func, error) {
				return b.MaxPool(MaxPool{Channels: 1, Rows: 1, Kernel: 1, Line: line, Pairs: true})
			},
		} {
			if _, err := write(NewBuilder(target)); err == nil {
				t.Errorf("%s: kernel %d of pairs can be written", target, i)
			}
		}
	}
}
