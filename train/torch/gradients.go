package torch

import (
	"fmt"

	"ultrafast/tensor"
	"ultrafast/train"
)

func (n *network) Gradients() (map[string]*tensor.Tensor, error) {
	all := make(map[string]*tensor.Tensor, len(n.trained))
	if len(n.trained) == 0 {
		return all, nil
	}
	s := n.b.lib.scope()
	defer s.close()
	err := n.onWorker(func() error {
		if err := n.sumGradients(); err != nil {
			return err
		}
		leaves, sums := n.leaves(), make([]handle, len(n.trained))
		err := n.b.lib.err(n.b.lib.gradients(&sums[0], &leaves[0], int64(len(sums)), int64(len(n.replicas)), 1/n.scale.by()))
		for _, h := range sums {
			if h != 0 {
				s.keep(h, 0)
			}
		}
		if err != nil {
			return err
		}
		for i, h := range sums {
			p := n.params[n.trained[i]]
			t := tensor.New(p.Tensor().Shape...)
			if err := n.b.lib.readTo(t.Data, h); err != nil {
				return fmt.Errorf("%s: %w", p.Name, err)
			}
			all[p.Name] = t
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("train: gradients: %w", err)
	}
	return all, nil
}

// Penalize copies the factors to the device, in the order of the tensors that learn.
func (n *network) Penalize(p train.Penalty) error {
	if err := p.Check(n.g); err != nil {
		return err
	}
	n.penalties.close()
	put := func(to []handle, factors map[string]*tensor.Tensor) error {
		clear(to)
		for i, k := range n.trained {
			f := factors[n.params[k].Name]
			if f == nil {
				continue
			}
			var err error
			if to[i], err = n.penalties.new(n.place, f.Data, f.Shape); err != nil {
				return fmt.Errorf("train: penalty: %s: %w", n.params[k].Name, err)
			}
		}
		return nil
	}
	return n.onWorker(func() error {
		clear(n.l1) // none points to what is gone, whatever fails
		if err := put(n.l2, p.L2); err != nil {
			return err
		}
		return put(n.l1, p.L1)
	})
}
