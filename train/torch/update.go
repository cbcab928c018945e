package torch

import (
	"fmt"

	"ultrafast/train"
)

// Update runs on one worker: it reads and writes each weight once.
func (n *network) Update(u train.Update) error {
	err := each(n.b.workers, 1, func(int) error {
		if err := n.sumGradients(); err != nil {
			return err
		}
		if n.scale != nil {
			if finite, err := n.unscale(); !finite || err != nil {
				return err
			}
			u.Step -= n.scale.skipped
		}
		if err := n.move(u); err != nil {
			return err
		}
		return n.b.lib.mixInto(n.averaged, []float64{u.Average, 1 - u.Average}, n.averaged, n.live)
	})
	if err != nil {
		return fmt.Errorf("train: update: %w", err)
	}
	return nil
}

// move is one step of the optimizer.
func (n *network) move(u train.Update) error {
	count := len(n.trained)
	if count == 0 {
		return nil
	}
	weights, leaves := pick(n.live, n.trained), n.leaves()
	rate, decay := make([]float64, count), make([]float64, count)
	for i, k := range n.trained {
		group := train.GroupOf(n.params[k])
		rate[i] = u.Rate[group]
		if group == train.Weight {
			decay[i] = u.Decay
		}
	}
	if n.o.Optimizer.Adaptive() {
		var decoupled int64
		if n.o.Optimizer == train.AdamW {
			decoupled = 1
		}
		return n.b.lib.err(n.b.lib.adam(&weights[0], &n.velocity[0], &n.squares[0], &leaves[0], &n.l2[0], &n.l1[0], int64(count), int64(len(n.replicas)),
			&rate[0], &decay[0], u.Momentum, train.Beta2, train.Epsilon, u.MaxNorm, int64(u.Step), decoupled))
	}
	return n.b.lib.err(n.b.lib.sgd(&weights[0], &n.velocity[0], &leaves[0], &n.l2[0], &n.l1[0], int64(count), int64(len(n.replicas)),
		&rate[0], &decay[0], u.Momentum, u.MaxNorm))
}
