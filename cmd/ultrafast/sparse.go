package main

import (
	"fmt"
	"math"

	"ultrafast/graph"
	"ultrafast/prune"
	"ultrafast/train"
)

// Ways to make a network sparse while it trains.
const (
	sparseGroup = "group" // prune.GroupDecay
	sparseGamma = "gamma" // prune.GammaDecay, falling along a cosine
)

const defaultSparseRate = 2e-4

// applySparse puts the flags into a recipe.
func (f *recipeFlags) applySparse(cfg *train.Config) error {
	if f.sparse == "" {
		if f.sparseRate != defaultSparseRate {
			return fmt.Errorf("--sparse-rate says how strongly --sparse pushes: give --sparse %s or %s too", sparseGroup, sparseGamma)
		}
		return nil
	}
	if !(f.sparseRate > 0 && f.sparseRate <= 1) {
		return fmt.Errorf("--sparse-rate %v: want above 0 and at most 1", f.sparseRate)
	}
	cfg.Sparse, cfg.SparseRate = f.sparse, f.sparseRate
	return sparsify(cfg)
}

// sparsify gives a recipe the penalty that it names, if it does.
func sparsify(cfg *train.Config) error {
	rate, epochs := cfg.SparseRate, cfg.Epochs
	switch cfg.Sparse {
	case "":
	case sparseGroup:
		cfg.Penalty = func(_ int, live *graph.Graph) (train.Penalty, error) {
			f, err := prune.GroupDecay(live, rate)
			return train.Penalty{L2: f}, err
		}
	case sparseGamma:
		cfg.Penalty = func(epoch int, live *graph.Graph) (train.Penalty, error) {
			f, err := prune.GammaDecay(live, rate*cosineShare(epoch, epochs))
			return train.Penalty{L1: f}, err
		}
	default:
		return fmt.Errorf("--sparse %q: want %s or %s", cfg.Sparse, sparseGroup, sparseGamma)
	}
	return nil
}

// cosineShare falls from 1 in the first epoch to a fifth in the last: scales that are to
// stay are let go in time (Pruned-YOLO, Zhang et al., 2021).
func cosineShare(epoch, epochs int) float64 {
	x := float64(epoch) / float64(max(1, epochs-1))
	return 0.2 + 0.8*(1+math.Cos(math.Pi*x))/2
}

// sparseScore is what a cut should go by after such a training.
func sparseScore(sparse string) prune.Score {
	if sparse == sparseGamma {
		return prune.Gamma
	}
	return prune.L2
}
