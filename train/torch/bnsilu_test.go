package torch

import (
	"fmt"
	"math"
	"testing"

	"ultrafast/graph"
	"ultrafast/train"
)

// The fused batch norm + SiLU against ATen's two operations, forward and backward, in both
// orders of memory.
func TestFusedAgainstATen(t *testing.T) {
	b := open(t, 1)
	for _, c := range []struct {
		shape []int
		mean  float32 // of the input; a large one takes digits from the variance
	}{
		{[]int{2, 1, 3, 3}, 0},
		{[]int{1, 3, 5, 7}, 1},
		{[]int{3, 8, 16, 16}, -2},
		{[]int{2, 23, 9, 11}, 100},
		{[]int{2, 64, 20, 20}, 0.5},
		{[]int{2, 80, 1, 1}, 0},
		{[]int{8, 5, 40, 40}, 0},
	} {
		for _, last := range []bool{false, true} {
			for _, m := range []mode{learn, frozen} {
				t.Run(fmt.Sprint(c.shape, last, m), func(t *testing.T) {
					x := random(1, c.shape...)
					for i := range x.Data {
						x.Data[i] += c.mean
					}
					dy := random(2, c.shape...)
					var fused, plain fusedResult
					err := each(b.workers, 1, func(int) (err error) {
						if fused, err = runBatchNorm(b, x.Data, dy.Data, c.shape, m, last, true); err != nil {
							return err
						}
						plain, err = runBatchNorm(b, x.Data, dy.Data, c.shape, m, last, false)
						return err
					})
					if err != nil {
						t.Fatal(err)
					}
					for name, want := range plain {
						limit := 1e-5
						if c.mean > 10 {
							limit = 1e-4 // of the numbers that float32 leaves there
						}
						if off := worst(fused[name], wide(want)); off > limit {
							t.Errorf("%s is off by %.2g", name, off)
						}
					}
				})
			}
		}
	}
}

// The kernels are compiled as if there were no NaN; one must pass all the same.
func TestFusedPassesNaN(t *testing.T) {
	g := parse(t, "x = input shape=1,6,4,4\nb = batchnorm x c=6 eps=0.001 momentum=0.03\ny = silu b\noutput y\n")
	n := load(t, open(t, 1), g)
	x := random(1, 2, 6, 4, 4)
	x.Data[17] = float32(math.NaN()) // of channel 1
	maps, err := n.Predict(x, train.Live)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range maps[0].Data {
		if math.IsNaN(float64(v)) != (i == 17) {
			t.Errorf("evaluation: element %d is %g", i, v)
		}
	}
	for i, v := range step(t, n, x)[0].Data {
		if math.IsNaN(float64(v)) != (i/16%6 == 1) {
			t.Errorf("training: element %d is %g", i, v)
		}
	}
}

type fusedResult map[string][]float32

// runBatchNorm gives y, the gradients of x, gamma and beta, and the running statistics.
func runBatchNorm(b *backend, x, dy []float32, shape []int, m mode, last, fused bool) (fusedResult, error) {
	s := b.lib.scope()
	defer s.close()
	if err := b.lib.err(b.lib.gradMode(1)); err != nil {
		return nil, err
	}
	where := place{b.device, last}
	channels := shape[1]
	result := fusedResult{}
	names := []string{"x", "gamma", "beta"}
	var leaves []handle
	fail := func(h handle, err error) handle {
		if err != nil {
			panic(err) // a test's own mistake
		}
		return h
	}
	for _, data := range [][]float32{x, random(3, channels).Data, random(4, channels).Data} {
		dims := []int{channels}
		if len(leaves) == 0 {
			dims = shape
		}
		base := fail(s.new(where, data, dims))
		var leaf handle
		msg := b.lib.leaf(&leaf, base)
		leaves = append(leaves, fail(s.keep(leaf, msg)))
	}
	mean := fail(s.new(where, random(5, channels).Data, []int{channels}))
	spread := random(6, channels)
	for i, v := range spread.Data {
		spread.Data[i] = 0.5 + v*v
	}
	variance := fail(s.new(where, spread.Data, []int{channels}))
	op := &graph.BatchNorm{Eps: 1e-3, Momentum: 0.03}
	parameters := []handle{leaves[1], leaves[2], mean, variance}
	var y handle
	msg := batchNorm(b.lib, &y, leaves[0], parameters, op, fused, norms{mode: m})
	y = fail(s.keep(y, msg))
	if !fused {
		var z handle
		msg := b.lib.activation(&z, y, "silu", 0)
		y = fail(s.keep(z, msg))
	}
	given := fail(s.new(where, dy, shape))
	if err := b.lib.err(b.lib.backward(&y, &given, 1, 1)); err != nil {
		return nil, err
	}
	sums := make([]handle, 3)
	if err := b.lib.err(b.lib.gradients(&sums[0], &leaves[0], 3, 1, 1)); err != nil {
		return nil, err
	}
	read := func(name string, h handle, n int) {
		result[name] = make([]float32, n)
		if err := b.lib.readTo(result[name], h); err != nil {
			panic(err)
		}
	}
	read("y", y, len(x))
	for i, name := range names {
		n := channels
		if i == 0 {
			n = len(x)
		}
		read("gradient of "+name, fail(s.keep(sums[i], 0)), n)
	}
	read("running mean", mean, channels)
	read("running variance", variance, channels)
	return result, nil
}
