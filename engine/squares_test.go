package engine

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestSquares computes convolutions by squares where these lie in one strip and in many, in
// rows and flat maps, with an addition and without, and asks for the same bits with any
// number of threads.
func TestSquares(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 61))
	for _, c := range []struct{ batch, in, out, h, w, stride int }{
		{1, 8, 8, 20, 20, 1}, {2, 5, 7, 13, 37, 1}, {1, 33, 16, 40, 96, 1}, {1, 70, 9, 24, 40, 1}, {3, 4, 6, 5, 3, 1},
		{1, 9, 13, 1, 50, 1}, {1, 6, 6, 50, 1, 1}, {1, 8, 8, 40, 40, 2}, {1, 40, 12, 48, 96, 2}, {2, 7, 11, 27, 61, 2}, {1, 66, 8, 30, 64, 2},
	} {
		text := fmt.Sprintf("x = input shape=%d,%d,%d,%d\na = conv x w=f32[%d,%d,3,3] bias stride=%d pad=1\nb = silu a\nc = conv b w=f32[%d,%d,3,3] bias pad=1\nd = silu c\ne = add b d\noutput e b\n",
			c.batch, c.in, c.h, c.w, c.out, c.in, c.stride, c.out, c.out)
		g := parse(t, text, 62)
		x := random(r, c.batch, c.in, c.h, c.w)
		want, err := Reference(g, x)
		if err != nil {
			t.Fatal(err)
		}
		for _, cpu := range cpus() {
			var first []float32
			for threads := 1; threads <= 3; threads++ {
				used := 0
				p, err := compile(g, Options{CPU: cpu, Threads: threads}, func(_ string, all []choice) choice {
					if i := slices.IndexFunc(all, func(ch choice) bool { return ch.Form == winogradSquares }); i >= 0 {
						used++
						return all[i]
					}
					return all[0]
				})
				if err != nil {
					t.Fatal(err)
				}
				if cpu != Generic && used == 0 {
					t.Errorf("%+v on %s: no convolution can be computed by squares", c, cpu)
				}
				outs, err := p.NewSession().Run(x)
				if err != nil {
					t.Fatal(err)
				}
				for i, out := range outs {
					if d := far(out, want[g.Outputs[i]]); !(d <= 1e-4) {
						t.Errorf("%+v on %s with %d threads: output %d is off by %.2g", c, cpu, threads, i, d)
					}
				}
				if first == nil {
					first = slices.Clone(outs[0].Data)
				}
				if !slices.Equal(outs[0].Data, first) {
					t.Errorf("%+v on %s: %d threads give other bits than one", c, cpu, threads)
				}
			}
		}
	}
}
