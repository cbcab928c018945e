package torch

import (
	"errors"
	"fmt"

	"golang.org/x/sys/cpu"

	"ultrafast/train"
)

// preferred is what an empty Precision means, where the device computes in it; elsewhere it
// is fp32. Trained beside it, bf16 was 0.012 of mAP50 worse on average of two seeds, which
// differ as much themselves: not shown to be as good (docs/results/parents.md).
const preferred = train.FP32

// shimPrecision is the shim's enum.
var shimPrecision = map[train.Precision]int64{train.FP32: 0, train.BF16: 1, train.FP16: 2}

// Precision is that of train.Backend.
func (b *backend) Precision(p train.Precision) (train.Precision, error) {
	if p == "" {
		if b.canCompute(preferred) != nil {
			return train.FP32, nil
		}
		return preferred, nil
	}
	return p, b.canCompute(p)
}

// ampere is the first compute capability that multiplies in bfloat16.
const ampere = 80

// canCompute says why the device does not compute in p.
func (b *backend) canCompute(p train.Precision) error {
	if _, known := shimPrecision[p]; !known {
		return fmt.Errorf("train: precision %q: there are %v", string(p), train.Precisions)
	}
	switch onGPU := b.device >= 0; {
	case p == train.FP16 && !onGPU:
		return errors.New("train: fp16 needs a GPU: train on one, or in bf16 or fp32")
	case p == train.BF16 && !onGPU && !cpu.X86.HasAVX512BF16 && !cpu.X86.HasAMXBF16:
		return errors.New("train: bf16 needs a CPU with AVX512-BF16 or AMX, and this one has neither: train in fp32")
	case p == train.BF16 && onGPU && b.capability > 0 && b.capability < ampere:
		return fmt.Errorf("train: bf16 needs a GPU of compute capability 8.0, and cuda:%d has %d.%d: train in fp16", b.device, b.capability/10, b.capability%10)
	}
	return nil
}
