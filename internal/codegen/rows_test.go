package codegen

import (
	"math"
	"math/rand/v2"
	"testing"
)

// A plane of rows and channels with something between them, strides in floats.
type strides struct{ row, channel int }

func randomStrides(r *rand.Rand, width, rows, channels int) strides {
	if r.IntN(2) == 0 {
		s := strides{channel: width + rarely(r, 9)}
		s.row = channels*s.channel + r.IntN(9)
		return s
	}
	s := strides{row: width + rarely(r, 9)}
	s.channel = rows*s.row + r.IntN(9)
	return s
}

// size is enough for that many rows and channels.
func (s strides) size(width, rows, channels int) int {
	return (rows-1)*s.row + (channels-1)*s.channel + width
}

// input returns memory with random numbers where the map is and NaN elsewhere. Width is
// what may be read of a row, and columns what counts.
func (s strides) input(r *rand.Rand, width, columns, rows, channels int) []float32 {
	x := filled(s.size(width, rows, channels), nan)
	for c := range channels {
		for y := range rows {
			copy(x[c*s.channel+y*s.row:], random(r, columns))
		}
	}
	return x
}

func TestMap(t *testing.T) {
	eachTarget(t, func(t *testing.T, target Target, r *rand.Rand) {
		for range rounds() {
			c := Map{Channels: 1 + r.IntN(4), Rows: 1 + r.IntN(4), Add: r.IntN(2) == 0, Act: randomActivation(r),
				Line: randomLine(r, target.lanes, MaskNone, MaskLast, MaskAll, MaskPart)}
			line := newLineMask(r, c.Line, target.lanes)
			width := c.Line.Vectors * target.lanes
			in, to, from := randomStrides(r, width, c.Rows, c.Channels), randomStrides(r, width, c.Rows, c.Channels), randomStrides(r, width, c.Rows, c.Channels)
			c.InRow, c.InChannel = 4*in.row, 4*in.channel
			c.OutRow, c.OutChannel = 4*to.row, 4*to.channel
			c.AddRow, c.AddChannel = 4*from.row, 4*from.channel
			x := in.input(r, width, line.width(), c.Rows, c.Channels)
			add := from.input(r, width, line.width(), c.Rows, c.Channels)
			out := filled(to.size(width, c.Rows, c.Channels), untouched)
			var call caller
			pass(&call, 0, x, 0)
			pass(&call, 3, out, 0)
			pass(&call, 4, add, 0)
			line.pass(&call)
			if !call.run(t, target, func(b *Builder) (Func, error) { return b.Map(c) }) {
				continue
			}
			want := newWanted(len(out))
			for ch := range c.Channels {
				for y := range c.Rows {
					line.write(want, ch*to.channel+y*to.row, func(p int) (v, slack float64) {
						s := newSum(x[ch*in.channel+y*in.row+p])
						v, slack = s.activate(c.Act)
						if c.Add {
							v += float64(add[ch*from.channel+y*from.row+p])
						}
						return v, slack
					})
				}
			}
			want.compare(t, out, c)
		}
	})
}

func TestUpsample(t *testing.T) {
	eachTarget(t, func(t *testing.T, target Target, r *rand.Rand) {
		for range rounds() {
			c := Upsample{Channels: 1 + r.IntN(4), Rows: 1 + r.IntN(4), Line: randomLine(r, target.lanes, MaskNone, MaskLast, MaskPart)}
			line := newLineMask(r, c.Line, target.lanes)
			width := c.Line.Vectors * target.lanes
			half := (c.Line.Vectors + 1) / 2 * target.lanes
			in, to := randomStrides(r, half, c.Rows, c.Channels), randomStrides(r, width, 2*c.Rows, c.Channels)
			c.InRow, c.InChannel = 4*in.row, 4*in.channel
			c.OutRow, c.OutChannel = 4*to.row, 4*to.channel
			x := in.input(r, half, (line.width()+1)/2, c.Rows, c.Channels)
			out := filled(to.size(width, 2*c.Rows, c.Channels), untouched)
			var call caller
			pass(&call, 0, x, 0)
			pass(&call, 3, out, 0)
			line.pass(&call)
			if !call.run(t, target, func(b *Builder) (Func, error) { return b.Upsample(c) }) {
				continue
			}
			want := newWanted(len(out))
			for ch := range c.Channels {
				for y := range 2 * c.Rows {
					line.write(want, ch*to.channel+y*to.row, func(p int) (v, slack float64) {
						return float64(x[ch*in.channel+y/2*in.row+p/2]), 0
					})
				}
			}
			want.compare(t, out, c)
		}
	})
}

func TestMaxPool(t *testing.T) {
	eachTarget(t, func(t *testing.T, target Target, r *rand.Rand) {
		for range rounds() {
			c := MaxPool{Channels: 1 + r.IntN(3), Rows: 1 + r.IntN(9), Kernel: 1 + 2*r.IntN(8), Line: randomLine(r, target.lanes, MaskNone, MaskLast, MaskPart)}
			line := newLineMask(r, c.Line, target.lanes)
			width := c.Line.Vectors * target.lanes
			in, to := randomStrides(r, width, c.Rows, c.Channels), randomStrides(r, width, c.Rows, c.Channels)
			c.InRow, c.InChannel = 4*in.row, 4*in.channel
			c.OutRow, c.OutChannel = 4*to.row, 4*to.channel
			x := in.input(r, width, line.width(), c.Rows, c.Channels)
			out := filled(to.size(width, c.Rows, c.Channels), untouched)
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
			if !call.run(t, target, func(b *Builder) (Func, error) { return b.MaxPool(c) }) {
				continue
			}
			want := newWanted(len(out))
			pad := c.Kernel / 2
			for ch := range c.Channels {
				for y := range c.Rows {
					line.write(want, ch*to.channel+y*to.row, func(p int) (v, slack float64) {
						most := float32(math.Inf(-1))
						for ky := max(0, y-pad); ky <= min(c.Rows-1, y+pad); ky++ {
							for kx := max(0, p-pad); kx <= min(line.width()-1, p+pad); kx++ {
								most = max(most, x[ch*in.channel+ky*in.row+kx])
							}
						}
						return float64(most), 0
					})
				}
			}
			want.compare(t, out, c)
		}
	})
}

func TestRGB(t *testing.T) {
	eachTarget(t, func(t *testing.T, target Target, r *rand.Rand) {
		for range rounds() {
			c := RGB{Line: randomLine(r, target.lanes, MaskNone, MaskLast)}
			line := newLineMask(r, c.Line, target.lanes)
			width := c.Line.Vectors*target.lanes + rarely(r, 9)
			c.OutChannel = 4 * width
			pixels := make([]byte, 6*c.Line.Vectors*target.lanes+RGBReads)
			for i := range pixels {
				pixels[i] = byte(r.Uint32())
			}
			out := filled(6*width, untouched)
			var call caller
			pass(&call, 0, pixels, 0)
			pass(&call, 3, out, 0)
			line.pass(&call)
			if !call.run(t, target, func(b *Builder) (Func, error) { return b.RGB(c) }) {
				continue
			}
			want := newWanted(len(out))
			for plane := range 6 {
				line.write(want, plane*width, func(p int) (v, slack float64) {
					return float64(pixels[6*p+plane]) / 255, 1e-7
				})
			}
			want.compare(t, out, c)
		}
	})
}

func TestHalves(t *testing.T) {
	eachTarget(t, func(t *testing.T, target Target, r *rand.Rand) {
		for range rounds() {
			c := Halves{Rows: 1 + r.IntN(4), Line: randomLine(r, target.lanes, MaskNone, MaskLast)}
			line := newLineMask(r, c.Line, target.lanes)
			width := c.Line.Vectors * target.lanes
			in, to := randomStrides(r, 2*width, c.Rows, 1), randomStrides(r, width, c.Rows, 2)
			c.InRow, c.OutRow, c.OutOdd = 4*in.row, 4*to.row, 4*to.channel
			x := in.input(r, 2*width, 2*line.width(), c.Rows, 1)
			out := filled(to.size(width, c.Rows, 2), untouched)
			var call caller
			pass(&call, 0, x, 0)
			pass(&call, 3, out, 0)
			line.pass(&call)
			if !call.run(t, target, func(b *Builder) (Func, error) { return b.Halves(c) }) {
				continue
			}
			want := newWanted(len(out))
			for i := range 2 * c.Rows {
				odd, y := i%2, i/2
				line.write(want, odd*to.channel+y*to.row, func(p int) (v, slack float64) { return float64(x[y*in.row+2*p+odd]), 0 })
			}
			want.compare(t, out, c)
		}
	})
}
