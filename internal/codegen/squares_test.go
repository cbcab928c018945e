package codegen

import (
	"math/rand/v2"
	"testing"
)

// TestSquares computes random convolutions strip by strip.
func TestSquares(t *testing.T) {
	eachTarget(t, func(t *testing.T, target Target, r *rand.Rand) {
		for range rounds() / 2 {
			c := randomWinograd(r, target)
			c.w = 1 + r.IntN(8*target.lanes)
			strip := Strip{Stride: c.stride, Rows: 1 + r.IntN(4), Columns: (c.w + squareSide - 1) / squareSide}
			c.tile = randomTile(r, target, c.out, strip.Vectors(target.lanes), 1)
			strip.Block = c.tile.Vectors
			c.testSquares(t, target, r, strip)
		}
	})
}

func (c *winogradCase) testSquares(t *testing.T, target Target, r *rand.Rand, whole Strip) {
	t.Helper()
	lanes := target.lanes
	m := c.input(r, target)
	m.x = append(m.x, filled(2*squareSide*lanes, nan)...) // whole vectors are read, whatever the width
	weights, bias := random(r, c.out*c.in*9), random(r, c.out)
	packed := target.PackSquares(weights, c.out, c.in, c.stride, c.tile.Out)
	width := c.w*c.stride + 2
	var mask []float32
	for i, in := range whole.Masks(width, lanes) {
		if i%lanes == 0 {
			mask = append(mask, masks(1, func(_, lane int) bool { return false })...)
		}
		if in {
			mask[i/lanes*16+i%lanes] = masks(1, func(int, int) bool { return true })[0]
		}
	}
	want := newWanted(c.out * c.h * c.w)
	got := filled(len(want.values), untouched)
	for y := 0; y < c.h; y += squareSide * whole.Rows {
		strip := whole
		strip.Rows = min(whole.Rows, (c.h-y+squareSide-1)/squareSide)
		vectors := strip.Vectors(lanes)
		plane := c.in*vectors*lanes + rarely(r, 9)
		transformed := filled(strip.Planes()*plane+lanes, nan)
		var call caller
		pass(&call, 0, m.x, y*c.stride*m.row)
		first, second := strip.Starts(0, c.in, lanes)
		pass(&call, 1, transformed, first)
		pass(&call, 2, transformed, second)
		pass(&call, 5, mask, 0)
		pass(&call, 6, filled(target.InputScratch(strip)/4, nan), 0)
		call.run(t, target, func(b *Builder) (Func, error) {
			return b.SquaresInput(SquaresInput{Strip: strip, Channels: c.in, All: c.in, InRow: 4 * m.row, InChannel: 4 * m.channel,
				Rows: min(strip.Reads(), (c.h-y)*c.stride+2-(c.stride-1)), Plane: 4 * plane, Masked: c.w%squareSide != 0 || r.IntN(2) == 0})
		})
		outChannel := squareSide * vectors * lanes
		outRow := c.out * outChannel
		out := filled(squareSide*outRow, untouched)
		pass(&call, 0, transformed, 0)
		pass(&call, 1, packed, 0)
		pass(&call, 2, bias, 0)
		pass(&call, 3, out, 0)
		pass(&call, 6, filled(target.SquaresScratch(strip, c.tile.Out)/4, nan), 0)
		if !call.run(t, target, func(b *Builder) (Func, error) {
			return b.Squares(Squares{Strip: strip, In: c.in, Out: c.out, Plane: 4 * plane, OutRow: 4 * outRow, OutChannel: 4 * outChannel, Act: c.act, TileOut: c.tile.Out})
		}) {
			return
		}
		for o := range c.out {
			for row := range min(squareSide*strip.Rows, c.h-y) {
				for x := range c.w {
					i := (o*c.h+y+row)*c.w + x
					got[i] = out[row%squareSide*outRow+o*outChannel+row/squareSide*strip.OutPitch()+x]
					v, slack := c.value(m, weights, bias[o], o, y+row, x)
					want.set(i, v, 10*slack) // on both sides
				}
			}
		}
	}
	want.compare(t, got, *c)
}
