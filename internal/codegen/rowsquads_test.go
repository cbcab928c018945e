package codegen

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// mapQuads returns memory of quads that has the map at strides s, whatever lies around it.
func (s strides) mapQuads(r *rand.Rand, width, rows, channels int) []float32 {
	return randomQuads(r, s.size(width, rows, channels))
}

func TestMapQuads(t *testing.T) {
	eachQuadTarget(t, func(t *testing.T, target Target, r *rand.Rand) {
		for range rounds() {
			c := Map{Channels: 1 + r.IntN(4), Rows: 1 + r.IntN(4), Add: r.IntN(2) == 0, Quads: true, Quant: randomQuant(r),
				Line: randomLine(r, target.lanes, MaskNone, MaskLast, MaskAll, MaskPart)}
			c.Line.Pad = randomZero(r)
			line := newLineMask(r, c.Line, target.lanes)
			width := c.Line.Vectors * target.lanes
			in, to, from := randomStrides(r, width, c.Rows, c.Channels), randomStrides(r, width, c.Rows, c.Channels), randomStrides(r, width, c.Rows, c.Channels)
			c.InRow, c.InChannel = 4*in.row, 4*in.channel
			c.OutRow, c.OutChannel = 4*to.row, 4*to.channel
			c.AddRow, c.AddChannel = 4*from.row, 4*from.channel
			x, add := in.mapQuads(r, width, c.Rows, c.Channels), from.mapQuads(r, width, c.Rows, c.Channels)
			out := filled(to.size(width, c.Rows, c.Channels), untouched)
			var call caller
			pass(&call, 0, x, 0)
			pass(&call, 3, out, 0)
			pass(&call, 4, add, 0)
			line.pass(&call)
			if !call.runQuads(t, target, func(b *Builder) (Func, error) { return b.Map(c) }) {
				continue
			}
			want := newWantedQuads(len(out))
			for ch := range c.Channels {
				for row := range c.Rows {
					line.writeQuads(want, ch*to.channel+row*to.row, func(p int) [4]uint8 {
						y, r := Unquad(x[ch*in.channel+row*in.row+p]), Unquad(add[ch*from.channel+row*from.row+p])
						for i := range y {
							if c.Quant.Table != nil {
								y[i] = c.Quant.Table[y[i]]
							}
							if c.Add {
								y[i] = c.Quant.Add.Sum(y[i], r[i])
							}
						}
						return y
					})
				}
			}
			want.compare(t, out, fmt.Sprintf("%s: %+v", target, c))
		}
	})
}

// TestTable has all bytes.
func TestTable(t *testing.T) {
	eachQuadTarget(t, func(t *testing.T, target Target, r *rand.Rand) {
		table := randomTable(r)
		x, out := filled(64, 0), filled(64, untouched)
		for i := range x {
			x[i] = Quad([4]uint8{uint8(4 * i), uint8(4*i + 1), uint8(4*i + 2), uint8(4*i + 3)})
		}
		var call caller
		pass(&call, 0, x, 0)
		pass(&call, 3, out, 0)
		if !call.runQuads(t, target, func(b *Builder) (Func, error) {
			return b.Map(Map{Channels: 1, Rows: 1, Line: Line{Vectors: 64 / target.lanes}, Quads: true, Quant: Quant{Table: table}})
		}) {
			return
		}
		for i := range table {
			if got := Unquad(out[i/4])[i%4]; got != table[i] {
				t.Errorf("%d becomes %d, want %d", i, got, table[i])
			}
		}
	})
}

// TestAddAllBytes has every pair of bytes, where halves and ends of the range meet.
func TestAddAllBytes(t *testing.T) {
	eachQuadTarget(t, func(t *testing.T, target Target, r *rand.Rand) {
		x, add := filled(1<<14, 0), filled(1<<14, 0)
		for i := range x {
			at := uint8(4 * i)
			x[i] = Quad([4]uint8{at, at + 1, at + 2, at + 3})
			row := uint8(i >> 6)
			add[i] = Quad([4]uint8{row, row, row, row})
		}
		for _, a := range []QuantAdd{
			{ScaleY: 1, ScaleR: 1}, {128, 128, 0.5, 0.5, 128}, {255, 0, 0.25, 1.75, 3}, {17, 99, 0.3, 0.7, 255}, {0, 255, MaxAddScale, MaxAddScale, 9}, {5, 6, 1e-30, 1e-3, 7}, {1, 2, 0.99999, -0.3, 3}, {3, 4, -1, 0, 200},
		} {
			out := filled(1<<14, untouched)
			var call caller
			pass(&call, 0, x, 0)
			pass(&call, 3, out, 0)
			pass(&call, 4, add, 0)
			if !call.runQuads(t, target, func(b *Builder) (Func, error) {
				row := 4 * target.lanes
				return b.Map(Map{Channels: 1, Rows: len(x) / target.lanes, InRow: row, OutRow: row, AddRow: row, Add: true, Line: Line{Vectors: 1}, Quads: true, Quant: Quant{Add: a}})
			}) {
				return
			}
			for i := range out {
				y, r, got := Unquad(x[i]), Unquad(add[i]), Unquad(out[i])
				for ch := range y {
					if want := a.Sum(y[ch], r[ch]); got[ch] != want {
						t.Fatalf("%+v: %d and %d make %d, want %d", a, y[ch], r[ch], got[ch], want)
					}
				}
			}
		}
	})
}

func TestMaxPoolQuads(t *testing.T) {
	eachQuadTarget(t, func(t *testing.T, target Target, r *rand.Rand) {
		for range rounds() / 2 {
			c := MaxPool{Channels: 1 + r.IntN(3), Rows: 1 + r.IntN(9), Kernel: 1 + 2*r.IntN(8), Quads: true,
				Line: randomLine(r, target.lanes, MaskNone, MaskLast, MaskPart)}
			c.Line.Pad = randomZero(r)
			line := newLineMask(r, c.Line, target.lanes)
			width := c.Line.Vectors * target.lanes
			in, to := randomStrides(r, width, c.Rows, c.Channels), randomStrides(r, width, c.Rows, c.Channels)
			c.InRow, c.InChannel = 4*in.row, 4*in.channel
			c.OutRow, c.OutChannel = 4*to.row, 4*to.channel
			x := in.mapQuads(r, width, c.Rows, c.Channels)
			out := filled(to.size(width, c.Rows, c.Channels), untouched)
			limits := masks(1, func(_, lane int) bool { return lane < line.last })
			var call caller
			pass(&call, 0, x, 0)
			pass(&call, 3, out, 0)
			pass(&call, 4, limits, 0)
			pass(&call, 5, limits, 0) // with MaskPart, never used
			pass(&call, 6, filled(c.Scratch(target)/4, nan), 0)
			line.pass(&call)
			if !call.runQuads(t, target, func(b *Builder) (Func, error) { return b.MaxPool(c) }) {
				continue
			}
			pad := c.Kernel / 2
			want := newWantedQuads(len(out))
			for ch := range c.Channels {
				for y := range c.Rows {
					line.writeQuads(want, ch*to.channel+y*to.row, func(p int) (most [4]uint8) {
						for ky := max(0, y-pad); ky <= min(c.Rows-1, y+pad); ky++ {
							for kx := max(0, p-pad); kx <= min(line.width()-1, p+pad); kx++ {
								for i, v := range Unquad(x[ch*in.channel+ky*in.row+kx]) {
									most[i] = max(most[i], v)
								}
							}
						}
						return most
					})
				}
			}
			want.compare(t, out, fmt.Sprintf("%s: %+v", target, c))
		}
	})
}

// The next tests are for the padding, as lanes move as they are.

func TestHalvesQuads(t *testing.T) {
	eachQuadTarget(t, func(t *testing.T, target Target, r *rand.Rand) {
		for range rounds() / 4 {
			c := Halves{Rows: 1 + r.IntN(4), Line: randomLine(r, target.lanes, MaskNone, MaskLast)}
			c.Line.Pad = randomZero(r)
			line := newLineMask(r, c.Line, target.lanes)
			width := c.Line.Vectors * target.lanes
			in, to := randomStrides(r, 2*width, c.Rows, 1), randomStrides(r, width, c.Rows, 2)
			c.InRow, c.OutRow, c.OutOdd = 4*in.row, 4*to.row, 4*to.channel
			x := in.mapQuads(r, 2*width, c.Rows, 1)
			out := filled(to.size(width, c.Rows, 2), untouched)
			var call caller
			pass(&call, 0, x, 0)
			pass(&call, 3, out, 0)
			line.pass(&call)
			if !call.run(t, target, func(b *Builder) (Func, error) { return b.Halves(c) }) {
				continue
			}
			want := newWantedQuads(len(out))
			for i := range 2 * c.Rows {
				odd, y := i%2, i/2
				line.writeQuads(want, odd*to.channel+y*to.row, func(p int) [4]uint8 { return Unquad(x[y*in.row+2*p+odd]) })
			}
			want.compare(t, out, fmt.Sprintf("%s: %+v", target, c))
		}
	})
}

func TestUpsampleQuads(t *testing.T) {
	eachQuadTarget(t, func(t *testing.T, target Target, r *rand.Rand) {
		for range rounds() / 4 {
			c := Upsample{Channels: 1 + r.IntN(4), Rows: 1 + r.IntN(4), Line: randomLine(r, target.lanes, MaskNone, MaskLast, MaskPart)}
			c.Line.Pad = randomZero(r)
			line := newLineMask(r, c.Line, target.lanes)
			width, half := c.Line.Vectors*target.lanes, (c.Line.Vectors+1)/2*target.lanes
			in, to := randomStrides(r, half, c.Rows, c.Channels), randomStrides(r, width, 2*c.Rows, c.Channels)
			c.InRow, c.InChannel = 4*in.row, 4*in.channel
			c.OutRow, c.OutChannel = 4*to.row, 4*to.channel
			x := in.mapQuads(r, half, c.Rows, c.Channels)
			out := filled(to.size(width, 2*c.Rows, c.Channels), untouched)
			var call caller
			pass(&call, 0, x, 0)
			pass(&call, 3, out, 0)
			line.pass(&call)
			if !call.run(t, target, func(b *Builder) (Func, error) { return b.Upsample(c) }) {
				continue
			}
			want := newWantedQuads(len(out))
			for ch := range c.Channels {
				for y := range 2 * c.Rows {
					line.writeQuads(want, ch*to.channel+y*to.row, func(p int) [4]uint8 { return Unquad(x[ch*in.channel+y/2*in.row+p/2]) })
				}
			}
			want.compare(t, out, fmt.Sprintf("%s: %+v", target, c))
		}
	})
}

func TestInterleaveQuads(t *testing.T) {
	eachQuadTarget(t, func(t *testing.T, target Target, r *rand.Rand) {
		for range rounds() / 4 {
			c := Interleave{Channels: 1 + r.IntN(4), Line: randomLine(r, target.lanes, MaskNone, MaskLast, MaskPart)}
			c.Line.Pad = randomZero(r)
			line := newLineMask(r, c.Line, target.lanes)
			width, half := c.Line.Vectors*target.lanes, (c.Line.Vectors+1)/2*target.lanes
			in, to := randomStrides(r, half, 4, c.Channels), randomStrides(r, width, 2, c.Channels)
			c.InPhase, c.InChannel = 4*in.row, 4*in.channel
			c.OutRow, c.OutChannel = 4*to.row, 4*to.channel
			x := in.mapQuads(r, half, 4, c.Channels)
			out := filled(to.size(width, 2, c.Channels), untouched)
			var call caller
			pass(&call, 0, x, 0)
			pass(&call, 3, out, 0)
			line.pass(&call)
			if !call.run(t, target, func(b *Builder) (Func, error) { return b.Interleave(c) }) {
				continue
			}
			want := newWantedQuads(len(out))
			for ch := range c.Channels {
				for a := range 2 {
					line.writeQuads(want, ch*to.channel+a*to.row, func(p int) [4]uint8 {
						return Unquad(x[ch*in.channel+(2*a+p%2)*in.row+p/2])
					})
				}
			}
			want.compare(t, out, fmt.Sprintf("%s: %+v", target, c))
		}
	})
}

func TestImpossibleRowsOfQuads(t *testing.T) {
	line := Line{Vectors: 1}
	for _, target := range targets {
		for i, write := range []func(b *Builder) (Func, error){
			func(b *Builder) (Func, error) { return b.Map(Map{Channels: 1, Rows: 1, Line: line, Quads: true}) },
			func(b *Builder) (Func, error) {
				return b.MaxPool(MaxPool{Channels: 1, Rows: 1, Kernel: 1, Line: line, Quads: true})
			},
			func(b *Builder) (Func, error) {
				return b.Map(Map{Channels: 1, Rows: 1, Line: line, Quads: true, Pairs: true})
			},
			func(b *Builder) (Func, error) {
				return b.Map(Map{Channels: 1, Rows: 1, Line: line, Quads: true, Act: Activation{Kind: "silu"}})
			},
			func(b *Builder) (Func, error) {
				return b.Map(Map{Channels: 1, Rows: 1, Line: line, Quant: Quant{Table: new([256]uint8)}})
			},
			func(b *Builder) (Func, error) {
				return b.Map(Map{Channels: 1, Rows: 1, Line: line, Quads: true, Quant: Quant{Add: QuantAdd{ScaleY: float32(math.Inf(1))}}})
			},
			func(b *Builder) (Func, error) {
				return b.MaxPool(MaxPool{Channels: 1, Rows: 1, Kernel: 1, Line: line, Quads: true, Pairs: true})
			},
			func(b *Builder) (Func, error) { return b.RGB(RGB{Line: line, Quads: true, Pairs: true}) },
		} {
			if _, err := write(NewBuilder(target)); (err == nil) != (i < 2) {
				t.Errorf("%s, %d: %v", target, i, err)
			}
		}
	}
}

func TestRGBQuads(t *testing.T) {
	eachQuadTarget(t, func(t *testing.T, target Target, r *rand.Rand) {
		for range rounds() {
			c := RGB{Line: randomLine(r, target.lanes, MaskNone, MaskLast), Quads: true}
			c.Line.Pad = randomZero(r)
			line := newLineMask(r, c.Line, target.lanes)
			width := c.Line.Vectors*target.lanes + rarely(r, 9)
			c.OutChannel = 4 * width
			var rows [2][]byte
			for i := range rows {
				rows[i] = make([]byte, 6*c.Line.Vectors*target.lanes+RGBReads)
				for j := range rows[i] {
					rows[i][j] = byte(r.Uint32())
				}
			}
			out := filled(3*width, untouched)
			var call caller
			pass(&call, 0, rows[0], 0)
			pass(&call, 1, rows[1], 0)
			pass(&call, 3, out, 0)
			line.pass(&call)
			if !call.runQuads(t, target, func(b *Builder) (Func, error) { return b.RGB(c) }) {
				continue
			}
			want := newWantedQuads(len(out))
			for quad := range 3 {
				line.writeQuads(want, quad*width, func(p int) (q [4]uint8) {
					for i := range q {
						ch := 4*quad + i
						q[i] = rows[ch/6][6*p+ch%6]
					}
					return q
				})
			}
			want.compare(t, out, fmt.Sprintf("%s: %+v", target, c))
		}
	})
}
