package train

import (
	"fmt"
	"slices"
)

// A Precision is what convolutions multiply in. Weights, batch statistics, sums of
// gradients and the optimizer are fp32 with each, and so are convolutions of 8-bit weights.
type Precision string

const (
	FP32 Precision = "fp32"
	BF16 Precision = "bf16" // bfloat16: the range of fp32
	FP16 Precision = "fp16" // half: its range is so small that losses are scaled, see LossScale
)

// Precisions are all of them.
var Precisions = []Precision{FP32, BF16, FP16}

// LossScale is a name in Network.Momentum where losses are scaled, as they are with FP16:
// the scale, the updates since it changed, and the updates that were skipped. PyTorch's
// GradScaler is followed at its defaults: an update whose gradients are not finite is
// skipped, so that nothing moves, and halves the scale; 2000 in a row that are double it.
const LossScale = "/loss_scale"

func (p Precision) check() error {
	if p == "" || slices.Contains(Precisions, p) {
		return nil
	}
	return fmt.Errorf("train: precision %q: there are %v", string(p), Precisions)
}
