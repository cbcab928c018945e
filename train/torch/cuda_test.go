package torch

import (
	"strings"
	"testing"

	"ultrafast/train"
	"ultrafast/train/backendtest"
)

// openCUDA opens the first GPU, or skips the test and says why there is none.
func openCUDA(t *testing.T) gpu {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Skip(err)
	}
	b, err := Open(OpenOptions{Device: "cuda", Library: path})
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { b.Close() })
	return b.(gpu)
}

func TestBackendOnCUDA(t *testing.T) {
	for _, p := range train.Precisions {
		t.Run(string(p), func(t *testing.T) {
			if _, err := openCUDA(t).Precision(p); err != nil {
				t.Skip(err)
			}
			backendtest.Suite(t, func() train.Backend { return openCUDA(t) }, p)
		})
	}
}

// A step on the GPU is that of the CPU. In fp32 it has the ten bits of TF32, as in PyTorch.
func TestCUDAIsNearTheCPU(t *testing.T) {
	for p, off := range map[train.Precision][2]float64{train.FP32: {5e-3, 0.02}, train.BF16: {0.03, 0.1}, train.FP16: {5e-3, 0.02}} {
		t.Run(string(p), func(t *testing.T) {
			b := openCUDA(t)
			if _, err := b.Precision(p); err != nil {
				t.Skip(err)
			}
			n := loadWith(t, b.backend, parse(t, small), train.LoadOptions{Precision: p})
			if n.scale != nil {
				n.scale.scale = 256 // the first one overflows
			}
			checkNear(t, load(t, open(t, 1), parse(t, small)), n, off[0], off[1])
		})
	}
}

func TestMemoryOfCUDA(t *testing.T) {
	b := openCUDA(t)
	before, err := b.FreeMemory()
	if err != nil {
		t.Fatal(err)
	}
	step(t, load(t, b.backend, parse(t, small)), random(1, 64, 3, 256, 256))
	after, err := b.FreeMemory()
	if err != nil || after >= before || before < 100<<20 {
		t.Errorf("%d bytes are free before a step and %d after it, %v", before, after, err)
	}
}

// Where there is no GPU the error says what is missing.
func TestDeviceThatIsNotThere(t *testing.T) {
	path, err := built()
	if err != nil {
		t.Skip(err)
	}
	b, err := Open(OpenOptions{Device: "cuda:99", Library: path})
	if err == nil {
		b.Close()
		t.Fatal("there are a hundred GPUs")
	}
	t.Log(err)
	if text := err.Error(); !strings.HasPrefix(text, "device cuda:99: ") || !strings.Contains(text, "engine build --torch DIR") &&
		!strings.Contains(text, "nvidia-smi") && !strings.Contains(text, "counted from cuda:0") {
		t.Errorf("error %q, want one that says what to do", text)
	}
}

func TestPrecisionOfDevices(t *testing.T) {
	for _, test := range []struct {
		b    backend
		p    train.Precision
		says string
	}{
		{backend{device: -1}, train.FP32, ""},
		{backend{device: -1}, train.FP16, "bf16 or fp32"},
		{backend{device: -1}, "fp8", "fp32 bf16 fp16"},
		{backend{device: 0, capability: 75}, train.BF16, "cuda:0 has 7.5: train in fp16"},
		{backend{device: 0, capability: 75}, train.FP16, ""},
		{backend{device: 0, capability: 80}, train.BF16, ""},
		{backend{device: 0}, train.BF16, ""},
	} {
		p, err := test.b.Precision(test.p)
		if test.says == "" && (err != nil || p != test.p) || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) {
			t.Errorf("%s on device %d: %q, %v", test.p, test.b.device, p, err)
		}
	}
	if p, err := (&backend{device: 0, capability: 75}).Precision(""); err != nil || p == "" {
		t.Errorf("the default is %q, %v", p, err)
	}
}
