package codegen

import (
	"math"
	"math/rand/v2"
	"testing"
)

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
