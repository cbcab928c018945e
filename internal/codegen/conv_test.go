package codegen

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// randomTile returns a tile that fits, a small one or a large one.
func randomTile(r *rand.Rand, t Target, out, vectors, stride int) Tile {
	if r.IntN(3) == 0 {
		tiles := t.Tiles(out, vectors, 1+r.IntN(9), stride)
		return tiles[r.IntN(min(5, len(tiles)))]
	}
	for {
		tile := Tile{1 + r.IntN(14), 1 + r.IntN(7)}
		if t.Fits(tile, stride) {
			return tile
		}
	}
}

func randomActivation(r *rand.Rand) Activation {
	kinds := []string{"", "", "silu", "hardswish", "leakyrelu", "relu", "relu6", "sigmoid", "mish"}
	return Activation{Kind: kinds[r.IntN(len(kinds))], Slope: 0.1}
}

func randomConv(r *rand.Rand, t Target) Conv {
	c := Conv{
		In: 1 + r.IntN(6), Out: 1 + r.IntN(20), Kernel: [2]int{1 + r.IntN(4), 1 + r.IntN(4)}, Stride: 1 + r.IntN(2),
		Add: r.IntN(2) == 0, Act: randomActivation(r), PixelsOuter: r.IntN(2) == 0,
		Line: randomLine(r, t.lanes, MaskNone, MaskLast, MaskAll, MaskPart),
	}
	c.Tile = randomTile(r, t, c.Out, c.Line.Vectors, c.Stride)
	c.Line.Far = c.Line.Mask == MaskNone && r.IntN(2) == 0
	line := 4 * c.reads(t)
	if r.IntN(2) == 0 { // rows of all channels
		c.InChannel = line + 4*rarely(r, 20)
		c.InRow = c.In*c.InChannel + 4*rarely(r, 20)
	} else { // channels of all rows
		c.InRow = line + 4*rarely(r, 20)
		c.InChannel = c.Kernel[0]*c.InRow + 4*r.IntN(20)
	}
	c.OutChannel = 4 * (c.Line.Vectors*t.lanes + rarely(r, 20))
	if c.AddChannel = 4 * (c.Line.Vectors*t.lanes + rarely(r, 20)); c.Line.Far {
		c.OutChannel = roundUp(c.OutChannel, 4*t.lanes)
	}
	return c
}

// TestConvApart compares a convolution of stride 2 with one over the same input parted.
func TestConvApart(t *testing.T) {
	eachTarget(t, func(t *testing.T, target Target, r *rand.Rand) {
		for range rounds() / 4 {
			c := randomConv(r, target)
			c.Stride, c.Tile = 2, randomTile(r, target, c.Out, c.Line.Vectors, 2)
			line := newLineMask(r, c.Line, target.lanes)
			row := c.Line.Vectors*target.lanes + c.Kernel[1]/2
			half := (c.Kernel[0] + 1) / 2 * row
			c.InRow, c.InChannel = 8*row, 4*4*half
			whole, parted := random(r, c.In*4*half+4*row), filled(c.In*4*half, nan)
			for i := range c.In {
				for y := range c.Kernel[0] {
					for x := range 2 * row {
						parted[i*4*half+y%2*2*half+x%2*half+y/2*row+x/2] = whole[i*4*half+y*2*row+x]
					}
				}
			}
			weights, bias := random(r, c.Out*c.In*c.Kernel[0]*c.Kernel[1]), random(r, c.Out)
			add := random(r, c.Out*c.AddChannel/4+line.Vectors*target.lanes)
			compute := func(x []float32, c Conv) (out []float32, ran bool) {
				out = floatsOf(aligned(4 * (c.Out*c.OutChannel/4 + line.Vectors*target.lanes)))
				fill(out, untouched)
				var call caller
				pass(&call, 0, x, 0)
				pass(&call, 1, target.Pack(weights, c.Out, c.In, c.Kernel[0]*c.Kernel[1], c.Tile), 0)
				pass(&call, 2, bias, 0)
				pass(&call, 3, out, 0)
				pass(&call, 4, add, 0)
				line.pass(&call)
				return out, call.run(t, target, func(b *Builder) (Func, error) { return b.Conv(c) })
			}
			want, ran := compute(whole, c)
			c.Stride, c.InRow, c.Apart = 1, 4*row, [2]int{4 * 2 * half, 4 * half}
			got, _ := compute(parted, c)
			for i := range want {
				if ran && got[i] != want[i] {
					t.Fatalf("%+v: [%d] = %v, want %v", c, i, got[i], want[i])
				}
			}
		}
	})
}

// reads is how many floats of a row a convolution may read: those of its vectors and, of
// every other lane, one more.
func (c *Conv) reads(t Target) int {
	return c.Line.Vectors*t.lanes*c.Stride + (c.Kernel[1]+1)/c.Stride*c.Stride
}

func TestConv(t *testing.T) {
	eachTarget(t, func(t *testing.T, target Target, r *rand.Rand) {
		for range rounds() {
			testConv(t, target, r, randomConv(r, target))
		}
	})
}

// TestConvShapes has those of YOLOv5 and the largest kernels.
func TestConvShapes(t *testing.T) {
	eachTarget(t, func(t *testing.T, target Target, r *rand.Rand) {
		for _, s := range []struct{ in, out, kernel, stride, vectors int }{
			{3, 16, 6, 2, 5}, {12, 16, 3, 1, 5}, {32, 64, 1, 1, 9}, {16, 255, 1, 1, 2},
			{8, 33, 3, 2, 3}, {2, 5, 7, 1, 2}, {2, 5, 7, 2, 2}, {1, 1, 5, 1, 1},
		} {
			for _, outer := range []bool{false, true} {
				c := Conv{In: s.in, Out: s.out, Kernel: [2]int{s.kernel, s.kernel}, Stride: s.stride, Act: Activation{Kind: "silu"},
					PixelsOuter: outer, Line: Line{Vectors: s.vectors, Mask: MaskLast}, Tile: target.Tiles(s.out, s.vectors, s.kernel*s.kernel, s.stride)[0]}
				c.InChannel = 4 * c.reads(target)
				c.InRow = s.in * c.InChannel
				c.OutChannel = 4 * s.vectors * target.lanes
				testConv(t, target, r, c)
			}
		}
	})
}

func testConv(t *testing.T, target Target, r *rand.Rand, c Conv) {
	t.Helper()
	line := newLineMask(r, c.Line, target.lanes)
	read := (line.width()-1)*c.Stride + c.Kernel[1] // of a row, into what counts
	last := ((c.In-1)*c.InChannel + (c.Kernel[0]-1)*c.InRow) / 4
	x := filled(last+c.reads(target), nan)
	for i := range c.In {
		for ky := range c.Kernel[0] {
			copy(x[(i*c.InChannel+ky*c.InRow)/4:], random(r, read))
		}
	}
	taps := c.Kernel[0] * c.Kernel[1]
	weights, bias := random(r, c.Out*c.In*taps), random(r, c.Out)
	add := random(r, c.Out*c.AddChannel/4+line.Vectors*target.lanes)
	out := floatsOf(aligned(4 * (c.Out*c.OutChannel/4 + line.Vectors*target.lanes)))
	fill(out, untouched)
	var call caller
	pass(&call, 0, x, 0)
	pass(&call, 1, target.Pack(weights, c.Out, c.In, taps, c.Tile), 0)
	pass(&call, 2, bias, 0)
	pass(&call, 3, out, 0)
	pass(&call, 4, add, 0)
	line.pass(&call)
	if !call.run(t, target, func(b *Builder) (Func, error) { return b.Conv(c) }) {
		return
	}
	want := newWanted(len(out))
	for o := range c.Out {
		line.write(want, o*c.OutChannel/4, func(p int) (v, slack float64) {
			sum := newSum(bias[o])
			for i := range c.In * taps {
				in, ky, kx := i/taps, i%taps/c.Kernel[1], i%c.Kernel[1]
				sum.add(weights[o*c.In*taps+i], x[(in*c.InChannel+ky*c.InRow)/4+p*c.Stride+kx])
			}
			v, slack = sum.activate(c.Act)
			if c.Add {
				v += float64(add[o*c.AddChannel/4+p])
			}
			return v, slack
		})
	}
	want.compare(t, out, c)
}

// A sum is of products, with the size of what was added.
type sum struct{ value, size float64 }

func newSum(bias float32) sum { return sum{float64(bias), math.Abs(float64(bias))} }

func (s *sum) add(w, x float32) {
	p := float64(w) * float64(x)
	s.value += p
	s.size += math.Abs(p)
}

// activate returns the activation's value, and how far from it float32 may be: it makes
// differences larger by a tenth at most.
func (s *sum) activate(a Activation) (v, slack float64) {
	return plainActivation(a, s.value), 2e-6 * (1 + s.size)
}

func TestImpossible(t *testing.T) {
	eachTarget(t, func(t *testing.T, target Target, _ *rand.Rand) {
		conv := Conv{In: 1, Out: 1, Kernel: [2]int{1, 1}, Stride: 1, Line: Line{Vectors: 1}, Tile: Tile{1, 1}}
		winograd := Winograd{In: 1, Out: 1, Stride: 1, Rows: 1, Line: Line{Vectors: 1}, Tile: Tile{1, 1}}
		for i, write := range []func(b *Builder) (Func, error){
			func(b *Builder) (Func, error) { c := conv; c.In = 0; return b.Conv(c) },
			func(b *Builder) (Func, error) { c := conv; c.Line.Vectors = 0; return b.Conv(c) },
			func(b *Builder) (Func, error) { c := conv; c.Kernel = [2]int{8, 8}; return b.Conv(c) },
			func(b *Builder) (Func, error) { c := conv; c.Stride = 3; return b.Conv(c) },
			func(b *Builder) (Func, error) { c := conv; c.Tile = Tile{8, 8}; return b.Conv(c) },
			func(b *Builder) (Func, error) { c := conv; c.Act.Kind = "swoosh"; return b.Conv(c) },
			func(b *Builder) (Func, error) { w := winograd; w.Rows = 5; return b.Winograd(w) },
			func(b *Builder) (Func, error) { w := winograd; w.Line.Mask = MaskAll; return b.Winograd(w) },
			func(b *Builder) (Func, error) { w := winograd; w.Tile = Tile{8, 8}; return b.Winograd(w) },
			func(b *Builder) (Func, error) { return b.WinogradInput(WinogradInput{Channels: 1}) },
			func(b *Builder) (Func, error) { return b.Map(Map{}) },
			func(b *Builder) (Func, error) { return b.Upsample(Upsample{}) },
			func(b *Builder) (Func, error) { return b.RGB(RGB{}) },
			func(b *Builder) (Func, error) { return b.Halves(Halves{}) },
			func(b *Builder) (Func, error) { return b.Interleave(Interleave{}) },
			func(b *Builder) (Func, error) {
				return b.MaxPool(MaxPool{Channels: 1, Rows: 1, Kernel: 2, Line: Line{Vectors: 1}})
			},
		} {
			b := NewBuilder(target)
			if _, err := write(b); err == nil || !strings.HasPrefix(err.Error(), "codegen: ") || b.Size() != 0 {
				t.Errorf("%d: %v, and %d bytes of code", i, err, b.Size())
			}
		}
	})
}

// TestOnce writes the same kernel twice, which makes one.
func TestOnce(t *testing.T) {
	eachTarget(t, func(t *testing.T, target Target, r *rand.Rand) {
		b := NewBuilder(target)
		c := randomConv(r, target)
		f, err := b.Conv(c)
		size := b.Size()
		again, err2 := b.Conv(c)
		if err != nil || err2 != nil || f != again || b.Size() != size {
			t.Errorf("kernels %d and %d of %d and %d bytes, errors %v and %v", f, again, size, b.Size()-size, err, err2)
		}
	})
}
