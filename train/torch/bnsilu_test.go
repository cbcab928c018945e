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
			t.Run(fmt.Sprint(c.shape, last), func(t *testing.T) {
				x := random(1, c.shape...)
				for i := range x.Data {
					x.Data[i] += c.mean
				}
				dy := random(2, c.shape...)
				var fused, plain fusedResult
				err := each(b.workers, 1, func(int) (err error) {
					if fused, err = runBatchNorm(b, x.Data, dy.Data, c.shape, last, true); err != nil {
						return err
					}
					plain, err = runBatchNorm(b, x.Data, dy.Data, c.shape, last, false)
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
func runBatchNorm(b *backend, x, dy []float32, shape []int, last, fused bool) (fusedResult, error) {
	s := b.lib.scope()
	defer s.close()
	if err := b.lib.err(b.lib.gradMode(1)); err != nil {
		return nil, err
	}
	where := place{b.device, last}
	channels := shape[1]
	result := fusedResult{}
	names := []string{"x", "gamma", "beta"}
	var leaves, bases, velocity []handle
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
		m := b.lib.leaf(&leaf, base)
		leaf = fail(s.keep(leaf, m))
		leaves, bases = append(leaves, leaf), append(bases, base)
		velocity = append(velocity, fail(s.new(where, make([]float32, len(data)), dims)))
	}
	mean := fail(s.new(where, random(5, channels).Data, []int{channels}))
	variance := fail(s.new(where, random(6, channels).Data, []int{channels}))
	op := &graph.BatchNorm{Eps: 1e-3, Momentum: 0.03}
	parameters := []handle{leaves[1], leaves[2], mean, variance}
	var y handle
	m := batchNorm(b.lib, &y, leaves[0], parameters, op, fused, norms{mode: learn})
	y = fail(s.keep(y, m))
	if !fused {
		var z handle
		m := b.lib.activation(&z, y, "silu", 0)
		y = fail(s.keep(z, m))
	}
	given := fail(s.new(where, dy, shape))
	if err := b.lib.err(b.lib.backward(&y, &given, 1, 1)); err != nil {
		return nil, err
	}
	rate, decay := make([]float64, 3), make([]float64, 3)
	if err := b.lib.err(b.lib.sgd(&bases[0], &velocity[0], &leaves[0], 3, 1, &rate[0], &decay[0], 0, 0)); err != nil {
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
		read("gradient of "+name, velocity[i], n)
	}
	read("running mean", mean, channels)
	read("running variance", variance, channels)
	return result, nil
}
