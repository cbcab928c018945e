package codegen

import (
	"math/rand/v2"
	"testing"
)

// TestQuadsJoined has two convolutions write 6 and 10 channels side by side, in two and three
// quads, and a third one read the 16 channels: what lies in the bytes of no channel has no
// part in its sums. So a concatenation needs no step of its own, whatever its counts.
func TestQuadsJoined(t *testing.T) {
	counts := []int{6, 10}
	eachQuadTarget(t, func(t *testing.T, target Target, r *rand.Rand) {
		width := target.lanes
		x := randomQuads(r, 3*width)
		joined := randomQuads(r, 5*width)
		var plain [16][]uint8 // what each channel should be, pixel by pixel
		channel, quad := 0, 0
		run := func(q *quadConv, x []float32, out []float32) bool {
			var call caller
			pass(&call, 0, x, 0)
			pass(&call, 1, target.PackQuads(q.weights, q.Out, q.In, 1, q.Tile), 0)
			pass(&call, 2, target.PackSums(q.Quant, q.weights, q.Out, q.zeroX, q.m, q.b), 0)
			pass(&call, 3, out, 0)
			return call.runQuads(t, target, func(b *Builder) (Func, error) { return b.Conv(q.Conv) })
		}
		conv := func(in, out int) *quadConv {
			return newQuadConv(r, Conv{In: in, Out: out, Kernel: [2]int{1, 1}, Stride: 1, InChannel: 4 * width, OutChannel: 4 * width,
				Line: Line{Vectors: 1}, Tile: Tile{4, 1}, QuadsIn: true, QuadsOut: true, Quant: Quant{Zero: randomZero(r), Table: randomTable(r)}})
		}
		var slots []int // which channel is in which byte, -1 none
		for _, n := range counts {
			q := conv(3, roundUp(n, 4))
			for o := range q.Out {
				if o >= n { // no channel: no weights
					clear(q.weights[o*12:][:12])
					q.m[o], q.b[o] = 0, 0
					slots = append(slots, -1)
					continue
				}
				for p := range width {
					plain[channel] = append(plain[channel], q.Quant.Sum(q.sum(x, o, p), q.m[o], q.b[o]))
				}
				slots = append(slots, channel)
				channel++
			}
			if !run(q, x, joined[quad*width:]) {
				return
			}
			quad += q.Out / 4
		}
		last := conv(5, 4)
		weights := make([]int8, 4*len(plain)) // by channel
		for o := range 4 {
			for slot, ch := range slots {
				if w := &last.weights[o*len(slots)+slot]; ch < 0 {
					*w = 0
				} else {
					weights[o*len(plain)+ch] = *w
				}
			}
		}
		out := filled(width, untouched)
		run(last, joined, out)
		for p := range width {
			for o, got := range Unquad(out[p]) {
				var acc int32
				for ch, values := range plain {
					acc += (int32(values[p]) - int32(last.zeroX)) * int32(weights[o*len(plain)+ch])
				}
				if want := last.Quant.Sum(acc, last.m[o], last.b[o]); got != want {
					t.Fatalf("%s: pixel %d of channel %d is %d, want %d", target, p, o, got, want)
				}
			}
		}
	})
}
