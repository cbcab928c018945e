package codegen

import (
	"math/rand/v2"
	"testing"
)

func TestInterleave(t *testing.T) {
	eachTarget(t, func(t *testing.T, target Target, r *rand.Rand) {
		for range rounds() {
			c := Interleave{Channels: 1 + r.IntN(4), Line: randomLine(r, target.lanes, MaskNone, MaskLast, MaskPart)}
			line := newLineMask(r, c.Line, target.lanes)
			width := c.Line.Vectors * target.lanes
			half := (c.Line.Vectors + 1) / 2 * target.lanes
			// The phases are the rows of the input here, and one call makes two rows of the output.
			in, to := randomStrides(r, half, 4, c.Channels), randomStrides(r, width, 2, c.Channels)
			c.InPhase, c.InChannel = 4*in.row, 4*in.channel
			c.OutRow, c.OutChannel = 4*to.row, 4*to.channel
			x := in.input(r, half, (line.width()+1)/2, 4, c.Channels)
			out := filled(to.size(width, 2, c.Channels), untouched)
			var call caller
			pass(&call, 0, x, 0)
			pass(&call, 3, out, 0)
			line.pass(&call)
			if !call.run(t, target, func(b *Builder) (Func, error) { return b.Interleave(c) }) {
				continue
			}
			want := newWanted(len(out))
			for ch := range c.Channels {
				for a := range 2 {
					line.write(want, ch*to.channel+a*to.row, func(p int) (v, slack float64) {
						return float64(x[ch*in.channel+(2*a+p%2)*in.row+p/2]), 0
					})
				}
			}
			want.compare(t, out, c)
		}
	})
}
