package quant_test

import (
	"strings"
	"testing"

	"ultrafast/graph"
	"ultrafast/quant"
)

// Weights that are all rounded up move every channel's mean; corrected biases take that back.
func TestCorrectBias(t *testing.T) {
	const text = "a = conv x w=f32[8,3,3,3] bias stride=2 pad=1\nr = relu a\nb = conv r w=f32[8,8,1,1] bias\ns = relu b\nc = conv s w=f32[8,8,1,1]\nd = add r c\nh = conv d w=f32[4,8,1,1] bias\noutput h\n"
	g := parsed(t, text, false)
	for _, name := range []string{"a", "b", "c"} {
		c := g.Node(name).Op.(*graph.Conv)
		row := c.Weight.Len() / c.Weight.Shape[0]
		for i := range c.Weight.Data {
			c.Weight.Data[i] = (float32(i%7) - 2 + 0.55) / 127
			if i%row == 0 {
				c.Weight.Data[i] = 1 // which makes the scale 1/127
			}
		}
		if c.Bias != nil {
			clear(c.Bias.Data)
		}
	}
	r := calibrated(t, g, quant.MinMax)
	q := quantised(t, g, r)
	before := q.Fingerprint()
	told := 0
	progress := func(done, all int) {
		if told++; done != told || all != 5 {
			t.Errorf("told %d of %d", done, all)
		}
	}
	fixed, err := quant.CorrectBias(g, q, drawn(4), run, progress)
	if err != nil {
		t.Fatal(err)
	}
	if q.Fingerprint() != before {
		t.Error("the quantised network was changed")
	}
	if told != 5 {
		t.Errorf("told %d times, want once for the float network and for each convolution", told)
	}
	if c := fixed.Node("c").Op.(*graph.Conv); c.Bias == nil || c.WeightScale == nil {
		t.Error("a convolution without a bias was not corrected")
	}
	var errs [2]float64
	for i, q := range []*graph.Graph{q, fixed} {
		if errs[i], err = quant.Error(g, q, drawn(6), run); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("the error of 8 bits goes from %.3g to %.3g", errs[0], errs[1])
	if errs[1] > errs[0]/5 {
		t.Errorf("the error of 8 bits goes from %.3g to %.3g, want a fifth", errs[0], errs[1])
	}
	if _, err := quant.CorrectBias(g, g, drawn(1), run, progress); err == nil || !strings.Contains(err.Error(), "is not quantised") {
		t.Errorf("a float network: %v", err)
	}
	if _, err := quant.CorrectBias(network(t), q, drawn(1), run, progress); err == nil || !strings.Contains(err.Error(), "was quantised in another network") {
		t.Errorf("another network: %v", err)
	}
}
