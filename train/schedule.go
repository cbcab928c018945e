package train

import "math"

// maxNorm is what YOLOv5 clips the gradients' norm to.
const maxNorm = 10

// A schedule says how each step moves the weights, as a function of the epoch and step
// alone, so that a resumed run needs no memory of it (YOLOv5 v7.0, train.py).
type schedule struct {
	hyp    Hyp
	epochs int
	batch  int
	steps  int  // batches an epoch
	cosine bool // instead of a straight line
	fixed  bool // momentum has no warm-up: Adam's β₁ has none
}

// warmup is the last step of the warm-up, counted from the run's start.
func (s schedule) warmup() int {
	return max(int(math.RoundToEven(s.hyp.WarmupEpochs*float64(s.steps))), 100)
}

// share is the epoch's learning rate as a share of lr0, from 1 down to lrf.
func (s schedule) share(epoch int) float64 {
	x := float64(epoch) / float64(s.epochs)
	if s.cosine {
		return (1-math.Cos(x*math.Pi))/2*(s.hyp.LRF-1) + 1
	}
	return (1-x)*(1-s.hyp.LRF) + s.hyp.LRF
}

// at returns the update of a step, both counted from 0, and how many batches it adds up.
// In the warm-up that number and momentum grow, the rate of biases falls and the other
// rates rise, all in a straight line to where the epoch has them. Update.Average is left
// to the caller.
func (s schedule) at(epoch, step int) (u Update, accumulate int) {
	full := s.hyp.accumulation(s.batch)
	n, warmup := epoch*s.steps+step, s.warmup()
	// v7.0's scheduler is one epoch behind from the first whole epoch after the warm-up on.
	behind := 0
	if epoch > warmup/s.steps {
		behind = 1
	}
	rate := s.hyp.LR0 * s.share(epoch-behind)
	u = Update{
		Rate:     [3]float64{rate, rate, rate},
		Decay:    s.hyp.WeightDecay * float64(s.batch*full) / s.hyp.NBS,
		Momentum: s.hyp.Momentum,
		MaxNorm:  maxNorm,
	}
	if n > warmup {
		return u, full
	}
	x := float64(n) / float64(warmup)
	between := func(from, to float64) float64 { return from + (to-from)*x }
	u.Rate = [3]float64{Bias: between(s.hyp.WarmupBiasLR, rate), Gamma: between(0, rate), Weight: between(0, rate)}
	if !s.fixed {
		u.Momentum = between(s.hyp.WarmupMomentum, s.hyp.Momentum)
	}
	return u, max(int(math.RoundToEven(between(1, s.hyp.NBS/float64(s.batch)))), 1)
}

// averageDecay is the weight of the past in the moving average at the nth update, from 1:
// young averages forget quickly.
func averageDecay(n int) float64 {
	return 0.9999 * (1 - math.Exp(-float64(n)/2000))
}
