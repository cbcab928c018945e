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
	n, err := b.Load(parse(t, small), train.LoadOptions{BF16: true})
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
// to about three digits a layer.
func TestBF16IsNearFP32(t *testing.T) {
	b := open(t, 2)
	full := load(t, b, parse(t, small))
	half, err := newNetwork(b, parse(t, small), train.LoadOptions{BF16: true})
	if err != nil {
		t.Fatal(err)
	}
	defer half.Close()
	x := random(1, 8, 3, 16, 16)
	want, got := step(t, full, x), step(t, half, x)
	for i, m := range want {
		if off := worst(got[i].Data, wide(m.Data)); off > 0.03 {
			t.Errorf("map %d is off by %.2g", i, off)
		}
	}
	truth := gradients(t, full)
	for name, g := range gradients(t, half) {
		if name == "c1.bias" || name == "t.bias" {
			continue // before batch norms: zero but for rounding
		}
		// As a whole: single numbers are small differences of large ones, behind batch norm.
		var off, norm float64
		for i, v := range truth[name].Data {
			d := float64(g.Data[i]) - float64(v)
			off, norm = off+d*d, norm+float64(v)*float64(v)
		}
		off = math.Sqrt(off / norm)
		t.Logf("gradient of %s is off by %.2g of its length", name, off)
		if off > 0.1 || off == 0 {
			t.Errorf("gradient of %s is off by %.2g of its length", name, off)
		}
	}
}
