package torch

import (
	"fmt"
	"math"

	"ultrafast/tensor"
	"ultrafast/train"
)

// A lossScale keeps gradients within the range of half precision: what is given to
// backward is multiplied by it, and what an update takes is divided. See train.LossScale
// for the rule; its numbers are those of PyTorch's GradScaler.
type lossScale struct {
	scale   float64
	good    int // updates since the scale changed
	skipped int // updates in all that were not made
}

// scaleInterval is after how many good updates the scale doubles.
const scaleInterval = 2000

func newLossScale() *lossScale { return &lossScale{scale: 65536} }

// by is what gradients are multiplied by; a nil lossScale leaves them.
func (s *lossScale) by() float64 {
	if s == nil {
		return 1
	}
	return s.scale
}

// leastScale is the smallest number of half precision. Where gradients are not finite even
// so, no scale helps, and a run would skip every update from then on without a word.
const leastScale = 1.0 / (1 << 24)

// note takes in whether an update's gradients were finite.
func (s *lossScale) note(finite bool) error {
	if !finite {
		s.scale /= 2
		s.good = 0
		s.skipped++
		if s.scale < leastScale {
			return fmt.Errorf("%w: gradients are not finite at any scale of the loss: lower the learning rate, check the labels, or train in bf16 or fp32", train.ErrDiverged)
		}
		return nil
	}
	if s.good++; s.good == scaleInterval {
		s.scale *= 2
		s.good = 0
	}
	return nil
}

// state is what a run keeps; lossScaleOf is its inverse.
func (s *lossScale) state() *tensor.Tensor {
	return &tensor.Tensor{Shape: []int{3}, Data: []float32{float32(s.scale), float32(s.good), float32(s.skipped)}}
}

func lossScaleOf(t *tensor.Tensor) (lossScale, error) {
	if t == nil || len(t.Data) != 3 {
		return lossScale{}, fmt.Errorf("train: state has no %s of three numbers", train.LossScale)
	}
	s := lossScale{float64(t.Data[0]), int(t.Data[1]), int(t.Data[2])}
	if !(s.scale > 0) || math.IsInf(s.scale, 0) || s.good < 0 || s.good >= scaleInterval || s.skipped < 0 {
		return lossScale{}, fmt.Errorf("train: state's %s is %v", train.LossScale, t.Data)
	}
	return s, nil
}

// unscale divides the gradients by the scale that they were made with and moves it. Where
// they are not finite it forgets them.
func (n *network) unscale() (finite bool, err error) {
	leaves := n.leaves()
	if len(leaves) == 0 {
		return true, nil
	}
	var all int64
	if err := n.b.lib.err(n.b.lib.unscale(&leaves[0], int64(len(leaves)), n.scale.scale, &all)); err != nil {
		return false, err
	}
	if err := n.scale.note(all != 0); err != nil {
		return false, err
	}
	if all == 0 {
		return false, n.b.lib.err(n.b.lib.clear(&leaves[0], int64(len(leaves))))
	}
	return true, nil
}
