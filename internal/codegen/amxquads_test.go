package codegen

import (
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
