package train

import (
	"math"
	"testing"
)

// The numbers are worked out by hand from v7.0's rules: 50 batches an epoch, so the
// warm-up ends at step 150 of the run; at a batch of 16 four batches add up.
func TestSchedule(t *testing.T) {
	hyp := DefaultHyp()
	line := schedule{hyp: hyp, epochs: 10, batch: 16, steps: 50}
	cosine := line
	cosine.cosine = true
	short := schedule{hyp: hyp, epochs: 100, batch: 16, steps: 10} // 30 steps, so 100
	big := schedule{hyp: hyp, epochs: 10, batch: 128, steps: 50}
	for _, test := range []struct {
		name         string
		s            schedule
		epoch, step  int
		bias, weight float64
		momentum     float64
		accumulate   int
		decay        float64
	}{
		{name: "first", s: line, bias: 0.1, weight: 0, momentum: 0.8, accumulate: 1, decay: 0.0005},
		// n = 75 of 150; the epoch's rate is 0.01*(0.9*0.99+0.01) = 0.00901
		{name: "half warm", s: line, epoch: 1, step: 25, bias: 0.054505, weight: 0.004505, momentum: 0.8685, accumulate: 2, decay: 0.0005},
		// n = 150: 0.01*(0.7*0.99+0.01)
		{name: "warm", s: line, epoch: 3, step: 0, bias: 0.00703, weight: 0.00703, momentum: 0.937, accumulate: 4, decay: 0.0005},
		{name: "after", s: line, epoch: 3, step: 1, bias: 0.00703, weight: 0.00703, momentum: 0.937, accumulate: 4, decay: 0.0005},
		// the rate of epoch 8: 0.01*(0.2*0.99+0.01)
		{name: "last", s: line, epoch: 9, step: 49, bias: 0.00208, weight: 0.00208, momentum: 0.937, accumulate: 4, decay: 0.0005},
		// half way down the cosine, the rate of epoch 5: 0.01*(1+0.01)/2
		{name: "cosine", s: cosine, epoch: 6, step: 7, bias: 0.00505, weight: 0.00505, momentum: 0.937, accumulate: 4, decay: 0.0005},
		// n = 50 of 100; 0.01*(0.95*0.99+0.01) = 0.009505
		{name: "short", s: short, epoch: 5, step: 0, bias: 0.0547525, weight: 0.0047525, momentum: 0.8685, accumulate: 2, decay: 0.0005},
		{name: "short after", s: short, epoch: 10, step: 1, bias: 0.00901, weight: 0.00901, momentum: 0.937, accumulate: 4, decay: 0.0005},
		{name: "big batch", s: big, epoch: 1, step: 25, bias: 0.054505, weight: 0.004505, momentum: 0.8685, accumulate: 1, decay: 0.001},
	} {
		u, accumulate := test.s.at(test.epoch, test.step)
		near(t, test.name+": rate of biases", u.Rate[Bias], test.bias, 1e-9)
		near(t, test.name+": rate of weights", u.Rate[Weight], test.weight, 1e-9)
		near(t, test.name+": rate of gammas", u.Rate[Gamma], test.weight, 1e-9)
		near(t, test.name+": momentum", u.Momentum, test.momentum, 1e-9)
		near(t, test.name+": decay", u.Decay, test.decay, 1e-9)
		if accumulate != test.accumulate {
			t.Errorf("%s: %d batches add up, want %d", test.name, accumulate, test.accumulate)
		}
		if u.MaxNorm != 10 {
			t.Errorf("%s: norm %v", test.name, u.MaxNorm)
		}
	}
}

// Adam's β₁ is not warmed up: v7.0 warms up what an optimizer calls momentum.
func TestScheduleOfAdam(t *testing.T) {
	s := schedule{hyp: DefaultHyp(), epochs: 10, batch: 16, steps: 50, fixed: true}
	u, _ := s.at(0, 0)
	near(t, "β₁ at the start", u.Momentum, 0.937, 1e-9)
	near(t, "rate of biases", u.Rate[Bias], 0.1, 1e-9)
}

func TestAccumulation(t *testing.T) {
	for batch, want := range map[int]int{1: 64, 2: 32, 16: 4, 24: 3, 40: 2, 48: 1, 64: 1, 128: 1, 300: 1} {
		if got := DefaultHyp().accumulation(batch); got != want {
			t.Errorf("batch %d: %d, want %d", batch, got, want)
		}
	}
}

func TestAverageDecay(t *testing.T) {
	near(t, "first", averageDecay(1), 0.9999*(1-math.Exp(-1.0/2000)), 1e-12)
	near(t, "2000th", averageDecay(2000), 0.632057347, 1e-8)
	near(t, "late", averageDecay(100000), 0.9999, 1e-9)
}
