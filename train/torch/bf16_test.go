package torch

import (
	"math"
	"strings"
	"testing"

	"golang.org/x/sys/cpu"

	"ultrafast/train"
)

func TestBF16NeedsTheCPU(t *testing.T) {
	b := open(t, 1)
	n, err := b.Load(parse(t, small), train.LoadOptions{Precision: train.BF16})
	if cpu.X86.HasAVX512BF16 || cpu.X86.HasAMXBF16 {
		if err != nil {
			t.Fatal(err)
		}
		n.Close()
	} else if err == nil || !strings.Contains(err.Error(), "train in fp32") {
		t.Errorf("error %v, want one that says what to do", err)
	}
}

// The bfloat16 path itself runs on any CPU, slowly: maps and gradients are those of fp32
// to about three digits a layer. Large filters of one channel each take a way of their own.
func TestBF16IsNearFP32(t *testing.T) {
	depthwise := strings.Replace(small, "m1 = conv a2", "dw = conv a2 w=f32[3,1,5,5] pad=2 groups=3\nm1 = conv dw", 1)
	for name, text := range map[string]string{"small": small, "depthwise": depthwise} {
		t.Run(name, func(t *testing.T) {
			b := open(t, 2)
			half, err := newNetwork(b, parse(t, text), train.LoadOptions{Precision: train.BF16})
			if err != nil {
				t.Fatal(err)
			}
			defer half.Close()
			checkNear(t, load(t, b, parse(t, text)), half, 0.03, 0.1)
		})
	}
}

// The half precision of GPUs, with scaled losses, on a CPU whose libtorch has it: 2.6 does,
// 1.13 does not.
func TestFP16IsNearFP32(t *testing.T) {
	skipWithout(t, train.FP16)
	b := open(t, 2)
	half, err := newNetwork(b, parse(t, small), train.LoadOptions{Precision: train.FP16})
	if err != nil {
		t.Fatal(err)
	}
	defer half.Close()
	half.scale.scale = 256 // with the first one gradients overflow
	checkNear(t, load(t, b, parse(t, small)), half, 5e-3, 0.02)
}

// checkNear makes a step with two networks of small, and compares maps and gradients.
func checkNear(t *testing.T, truth, n *network, offMaps, offGradients float64) {
	t.Helper()
	x := random(1, 8, 3, 16, 16)
	want, got := step(t, truth, x), step(t, n, x)
	for i, m := range want {
		off := worst(got[i].Data, wide(m.Data))
		t.Logf("map %d is off by %.2g", i, off)
		if off > offMaps {
			t.Errorf("map %d is off by %.2g", i, off)
		}
	}
	found := gradients(t, n)
	for name, g := range gradients(t, truth) {
		if name == "c1.bias" || name == "t.bias" {
			continue // before batch norms: zero but for rounding
		}
		// As a whole: single numbers are small differences of large ones, behind batch norm.
		var off, norm float64
		for i, v := range g.Data {
			d := float64(found[name].Data[i]) - float64(v)
			off, norm = off+d*d, norm+float64(v)*float64(v)
		}
		off = math.Sqrt(off / norm)
		t.Logf("gradient of %s is off by %.2g of its length", name, off)
		if off > offGradients || off == 0 {
			t.Errorf("gradient of %s is off by %.2g of its length", name, off)
		}
	}
}
