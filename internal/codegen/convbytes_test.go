package codegen

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestConvBytes compares a convolution that takes bytes with the same over these as float32,
// bit for bit.
func TestConvBytes(t *testing.T) {
	eachQuadTarget(t, func(t *testing.T, target Target, r *rand.Rand) {
		for range rounds() {
			c := randomConv(r, target)
			c.In, c.Kernel, c.Stride = 4*c.In, [2]int{1, 1}, 1
			c.Tile = randomTile(r, target, c.Out, c.Line.Vectors, 1)
			line := newLineMask(r, c.Line, target.lanes)
			width := c.Line.Vectors * target.lanes
			c.InChannel, c.InRow = 4*(width+rarely(r, 20)), 0
			quads := randomQuads(r, c.In/4*c.InChannel/4)
			x := make([]float32, c.In*c.InChannel/4)
			for i := range c.In {
				for p := range width {
					x[i*c.InChannel/4+p] = float32(Unquad(quads[i/4*c.InChannel/4+p])[i%4])
				}
			}
			weights, bias := random(r, c.Out*c.In), random(r, c.Out)
			add := random(r, c.Out*c.AddChannel/4+width)
			compute := func(x []float32, c Conv) (out []float32, ran bool) {
				out = floatsOf(aligned(4 * (c.Out*c.OutChannel/4 + width)))
				fill(out, untouched)
				var call caller
				pass(&call, 0, x, 0)
				pass(&call, 1, target.Pack(weights, c.Out, c.In, 1, c.Tile), 0)
				pass(&call, 2, bias, 0)
				pass(&call, 3, out, 0)
				pass(&call, 4, add, 0)
				line.pass(&call)
				return out, call.run(t, target, func(b *Builder) (Func, error) { return b.Conv(c) })
			}
			want, ran := compute(x, c)
			c.BytesIn = true
			got, _ := compute(quads, c)
			for i := range want {
				if ran && math.Float32bits(got[i]) != math.Float32bits(want[i]) {
					t.Fatalf("%s: %+v: [%d] = %v, want %v", target, c, i, got[i], want[i])
				}
			}
		}
	})
}

func TestImpossibleBytes(t *testing.T) {
	for _, target := range quadTargets() {
		for name, change := range map[string]func(c *Conv){
			"kernel":   func(c *Conv) { c.Kernel = [2]int{1, 2} },
			"stride":   func(c *Conv) { c.Stride = 2 },
			"channels": func(c *Conv) { c.In = 6 },
			"quads":    func(c *Conv) { c.QuadsIn = true },
		} {
			c := Conv{In: 8, Out: 1, Kernel: [2]int{1, 1}, Stride: 1, InChannel: 4, OutChannel: 4, Line: Line{Vectors: 1}, Tile: Tile{1, 1}, BytesIn: true}
			change(&c)
			if _, err := NewBuilder(target).Conv(c); err == nil {
				t.Errorf("%s: a convolution of bytes with another %s is written", target, name)
			}
		}
	}
}
