package codegen

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// randomAMXQuads is randomAMX for quads.
func randomAMXQuads(r *rand.Rand, in, out int) Conv {
	c := randomAMX(r, in, out)
	c.PairsIn, c.PairsOut, c.QuadsIn, c.Out = false, false, true, out
	if c.QuadsOut = r.IntN(4) > 0; c.QuadsOut {
		c.Out = roundUp(out, 4)
		c.Act, c.Quant = Activation{}, randomQuant(r)
		c.Line.Pad = randomZero(r)
	}
	if c.Wide = !c.QuadsOut && r.IntN(2) == 0; c.Wide {
		c.Out += c.Out % 2
	}
	tiles := TilesAMX(c.Out, c.Line.Vectors, c.Kernel[0]*c.Kernel[1])
	c.Tile = tiles[r.IntN(len(tiles))]
	return c
}

func TestConvAMXQuads(t *testing.T) {
	target := amxTarget(t)
	r := rand.New(rand.NewPCG(3, 4))
	for range rounds() {
		testConvQuads(t, target, r, randomAMXQuads(r, 1+r.IntN(20), 1+r.IntN(40)), true)
	}
}

// TestConvAMXQuadsRemainders has channels around the sizes of tiles, and blocks of tiles of
// all sizes.
func TestConvAMXQuadsRemainders(t *testing.T) {
	target := amxTarget(t)
	r := rand.New(rand.NewPCG(5, 6))
	for _, in := range []int{1, 15, 16, 17, 32, 33} {
		for _, out := range []int{1, 4, 15, 16, 17, 20, 36, 64, 100, 128} {
			c := randomAMXQuads(r, in, out)
			for _, c.Tile = range TilesAMX(c.Out, 9, 1) {
				if r.IntN(1200) < rounds() {
					testConvQuads(t, target, r, c, true)
				}
			}
		}
	}
}

func FuzzConvAMXQuads(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 0))
		testConvQuads(t, amxTarget(t), r, randomAMXQuads(r, 1+r.IntN(70), 1+r.IntN(150)), true)
	})
}

// TestConvAMXLines has one call compute lines one after the other, and one call for each.
func TestConvAMXLines(t *testing.T) {
	target := amxTarget(t)
	r := rand.New(rand.NewPCG(7, 8))
	for range rounds() / 4 {
		c := randomAMXQuads(r, 1+r.IntN(20), 1+r.IntN(40))
		if c.QuadsOut = true; c.Out%4 != 0 {
			c.Out = roundUp(c.Out, 4)
		}
		c.Act, c.Line.Far, c.Wide = Activation{}, false, false
		const lines = 5
		c.NextX, c.NextOut, c.NextAdd = 4*r.IntN(100), c.Out/4*c.OutChannel+4*r.IntN(100), 4*r.IntN(100)
		last := 0
		for tap := range c.Kernel[0] * c.Kernel[1] {
			last = max(last, ((c.In-1)*c.InChannel+c.tapAt(tap/c.Kernel[1], tap%c.Kernel[1]))/4)
		}
		size := c.Line.Vectors * target.lanes
		line, q := newLineMask(r, c.Line, target.lanes), newQuadConv(r, c)
		c = q.Conv
		x := randomQuads(r, last+c.reads(target)+lines*c.NextX/4)
		add := randomQuads(r, c.Out/4*c.AddChannel/4+size+lines*c.NextAdd/4)
		got := filled(lines*c.NextOut/4+c.Out/4*c.OutChannel/4+size, untouched)
		want := filled(len(got), untouched)
		var call caller
		pass(&call, 1, c.PackAMXQuads(q.weights), 0)
		pass(&call, 2, target.PackSums(c.Quant, q.weights, c.Out, q.zeroX, q.m, q.b), 0)
		pass(&call, 6, filled(AMXScratch/4, nan), 0)
		line.pass(&call)
		run := func(out []float32, i, n int) {
			pass(&call, 0, x, i*c.NextX/4)
			pass(&call, 3, out, i*c.NextOut/4)
			pass(&call, 4, add, i*c.NextAdd/4)
			call.args[argRows] = uintptr(n)
			call.runQuads(t, target, func(b *Builder) (Func, error) { return b.ConvAMX(c) })
		}
		run(got, 0, lines)
		for i := range lines {
			run(want, i, 1)
		}
		wantedQuads(want).compare(t, got, fmt.Sprintf("%+v", c))
	}
}
