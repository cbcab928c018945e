package compress

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"

	"ultrafast/dataset"
	"ultrafast/graph"
	"ultrafast/train"
)

// train trains g in a folder of the run, or goes on with the training there, and returns
// the best weights. Of c only the recipe is given: epochs, hyperparameters, teacher; and the
// precision where it is not the run's.
func (r *run) train(ctx context.Context, name, folder string, g *graph.Graph, c train.Config) (*graph.Graph, error) {
	c.Dir = r.path(folder)
	c.Batch, c.Size, c.Seed, c.Precision = r.job.Batch, r.job.Size, r.job.Seed, cmp.Or(c.Precision, train.Precision(r.job.Precision))
	c.Cache, c.CacheBytes = r.o.Pictures, dataset.DefaultCache()
	c.Patience = -1 // the controls are to have as many epochs, so nobody ends early
	c.Weights, c.Cfg, c.Data = r.job.Weights, r.job.Cfg, r.job.Data
	c.Log, c.Predictor = r.o.Log, r.o.Predictor
	c.Progress = func(p train.Progress) { r.tellTraining(name, p) }
	switch _, err := train.ReadConfig(c.Dir); {
	case err == nil:
		c.Resume = true
	case errors.Is(err, train.ErrFinished): // killed before its numbers were noted
		return r.open(filepath.Join(folder, "weights", "best.safetensors"))
	default: // not one epoch is there
		if _, gone := os.Stat(filepath.Join(c.Dir, "weights", "last.safetensors")); !missing(gone) {
			return nil, err
		}
		if err := os.RemoveAll(c.Dir); err != nil {
			return nil, err
		}
	}
	if _, err := train.Run(ctx, r.o.Backend, g, r.data, c); err != nil {
		return nil, err
	}
	return r.open(filepath.Join(folder, "weights", "best.safetensors"))
}

// gentle is a recipe for weights that are nearly right: a share of the learning rate, and
// no higher one for biases while it warms up.
func gentle(h train.Hyp, share float64) train.Hyp {
	h.LR0 *= share
	h.WarmupBiasLR = min(h.WarmupBiasLR, h.LR0)
	return h
}

// brief is a recipe for few epochs: the weights change after every batch, and it warms up for a
// twelfth of them at most. By YOLOv5's own, two epochs on 1,898 pictures are 120 updates, all of them
// while it warms up; docs/results/compress.md has what each leaves.
func brief(h train.Hyp, epochs, batch int) train.Hyp {
	h.NBS = min(h.NBS, float64(batch))
	h.WarmupEpochs = min(h.WarmupEpochs, float64(epochs)/12)
	return h
}

// lighter is a recipe with less augmentation for a network that has but a share of its
// parent's parameters: it cannot learn all that (YOLOX trains its smallest without mixup
// and with weaker mosaics, arXiv 2107.08430). Two pictures in one go with the share, and of
// the mosaics half stays.
func lighter(h train.Hyp, share float64) train.Hyp {
	share = min(share, 1)
	h.Mixup *= share
	h.CopyPaste *= share
	h.Mosaic *= 0.5 + 0.5*share
	return h
}
