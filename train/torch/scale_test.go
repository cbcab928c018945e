package torch

import (
	"math"
	"slices"
	"testing"

	"ultrafast/tensor"
	"ultrafast/train"
)

func TestLossScaleRule(t *testing.T) {
	s := newLossScale()
	note := func(finite bool) {
		t.Helper()
		if err := s.note(finite); err != nil {
			t.Fatal(err)
		}
	}
	note(false)
	note(false)
	for range scaleInterval - 1 {
		note(true)
	}
	if s.scale != 16384 || s.skipped != 2 {
		t.Errorf("after two bad updates and 1999 good ones: %+v", *s)
	}
	note(true)
	if s.scale != 32768 || s.good != 0 {
		t.Errorf("after one more: %+v", *s)
	}
	note(true)
	note(false)
	if s.scale != 16384 || s.good != 0 {
		t.Errorf("a bad update does not begin the count anew: %+v", *s)
	}
	if back, err := lossScaleOf(s.state()); err != nil || back != *s {
		t.Errorf("state gives %+v, %v, want %+v", back, err, *s)
	}
	for _, bad := range []*tensor.Tensor{nil, tensor.New(2), tensor.New(3), {Shape: []int{3}, Data: []float32{1, scaleInterval, 0}}} {
		if _, err := lossScaleOf(bad); err == nil {
			t.Errorf("%v is no error", bad)
		}
	}
}

// Gradients that no scale makes finite end the run.
func TestLossScaleEnds(t *testing.T) {
	s := newLossScale()
	for range 40 { // from 2^16 to 2^-24
		if err := s.note(false); err != nil {
			t.Fatalf("after %d: %v", s.skipped, err)
		}
	}
	if back, err := lossScaleOf(s.state()); err != nil || back != *s {
		t.Errorf("state gives %+v, %v, want %+v", back, err, *s)
	}
	if err := s.note(false); err == nil {
		t.Errorf("no error at %+v", *s)
	}
}

// scaled is a network whose losses are scaled though it computes in fp32, where a power of
// two changes no digit.
func scaled(t *testing.T, b *backend, o train.LoadOptions) *network {
	n := loadWith(t, b, parse(t, small), o)
	n.scale = newLossScale()
	return n
}

func TestScalingChangesNothing(t *testing.T) {
	b := open(t, 2)
	for _, o := range []train.Optimizer{train.SGD, train.Adam, train.AdamW} {
		n, want := scaled(t, b, train.LoadOptions{Optimizer: o}), loadWith(t, b, parse(t, small), train.LoadOptions{Optimizer: o})
		for i := range 3 {
			u := train.Update{Rate: [3]float64{0.01, 0.01, 0.01}, Momentum: 0.9, Decay: 1e-3, Average: 0.9, MaxNorm: 10, Step: i + 1}
			for k := range 2 {
				x := random(uint64(10*i+k), 8, 3, 16, 16)
				step(t, n, x)
				step(t, want, x)
			}
			update(t, n, u)
			update(t, want, u)
		}
		checkSame(t, n, want)
	}
}

// checkSame compares weights, averages and optimizer's states.
func checkSame(t *testing.T, got, want *network) {
	t.Helper()
	for _, set := range []train.Weights{train.Live, train.Averaged} {
		all := weights(t, got, set)
		for name, w := range weights(t, want, set) {
			if !slices.Equal(all[name].Data, w.Data) {
				t.Errorf("%s of set %d differs by %.2g", name, set, worst(all[name].Data, wide(w.Data)))
			}
		}
	}
	momentum, err := got.Momentum()
	if err != nil {
		t.Fatal(err)
	}
	expect, err := want.Momentum()
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range expect {
		if name != train.LossScale && !slices.Equal(momentum[name].Data, v.Data) {
			t.Errorf("momentum of %s differs", name)
		}
	}
}

// An update whose gradients overflow moves nothing but the scale, and none of it is left in
// the next one, not even in Adam's count.
func TestOverflowIsSkipped(t *testing.T) {
	b := open(t, 2)
	for _, o := range []train.Optimizer{train.SGD, train.Adam} {
		n, want := scaled(t, b, train.LoadOptions{Optimizer: o}), loadWith(t, b, parse(t, small), train.LoadOptions{Optimizer: o})
		u := train.Update{Rate: [3]float64{0.01, 0.01, 0.01}, Momentum: 0.9, Average: 0.9, MaxNorm: 10, Step: 1}
		x := random(1, 8, 3, 16, 16)
		step(t, n, x)
		err := n.Step(x, func(maps []*tensor.Tensor) ([]*tensor.Tensor, error) {
			g, err := new(linear).loss(maps)
			g[1].Data[2] = math.MaxFloat32 // more than that, scaled
			return g, err
		})
		if err != nil {
			t.Fatal(err)
		}
		step(t, want, x)
		step(t, want, x)
		if err := want.clearGradients(); err != nil {
			t.Fatal(err)
		}
		update(t, n, u)
		checkSame(t, n, want)
		if n.scale.scale != 32768 || n.scale.skipped != 1 {
			t.Errorf("the scale is %+v, want half", *n.scale)
		}
		step(t, n, x)
		step(t, want, x)
		update(t, want, u)
		u.Step = 2
		update(t, n, u)
		checkSame(t, n, want)
	}
}

func TestScaleIsResumed(t *testing.T) {
	b := open(t, 2)
	n := scaled(t, b, train.LoadOptions{})
	n.scale.note(false)
	n.scale.note(true)
	g, err := n.Graph(train.Live)
	if err != nil {
		t.Fatal(err)
	}
	momentum, err := n.Momentum()
	if err != nil {
		t.Fatal(err)
	}
	other := scaled(t, b, train.LoadOptions{})
	if err := other.SetState(g, g, momentum); err != nil {
		t.Fatal(err)
	}
	if *other.scale != *n.scale {
		t.Errorf("resumed with %+v, want %+v", *other.scale, *n.scale)
	}
	delete(momentum, train.LossScale)
	if err := other.SetState(g, g, momentum); err == nil {
		t.Error("a state without a scale is no error")
	}
}

// Weights on a GPU are moved many at a time. So are those on the CPU whose velocity lies in
// another order of memory.
func TestMoveMany(t *testing.T) {
	b := open(t, 1)
	g := parse(t, small)
	n, want := load(t, b, g), load(t, b, g)
	for i, k := range n.trained {
		shape := n.params[k].Tensor().Shape
		h, err := n.owned.new(place{device: -1}, tensor.New(shape...).Data, shape)
		if err != nil {
			t.Fatal(err)
		}
		n.velocity[i] = h
	}
	for i := range 3 {
		x := random(uint64(i), 8, 3, 16, 16)
		u := train.Update{Rate: [3]float64{0.1, 0.02, 0.01}, Momentum: 0.9, Decay: 0.1, Average: 0.5, MaxNorm: 5}
		for _, n := range []*network{n, want} {
			step(t, n, x)
			update(t, n, u)
		}
	}
	w := weights(t, n, train.Live)
	for name, v := range weights(t, want, train.Live) {
		if off := worst(w[name].Data, wide(v.Data)); off > 1e-5 {
			t.Errorf("%s is off by %.2g", name, off)
		}
	}
}
