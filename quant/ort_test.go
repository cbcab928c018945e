package quant_test

import (
	"math"
	"slices"
	"testing"

	"ultrafast/engine"
	"ultrafast/graph"
	"ultrafast/models/mask"
	"ultrafast/ort"
	"ultrafast/quant"
)

// ONNX Runtime computes the same network. Without biases it gives the reference's levels. With
// them a few sums in 10,000 go to another level in some layers, presumably as it rounds biases
// from a quotient of its own; each changes what follows, so that behind many layers the two
// differ by a noise below that of 8 bits themselves.
func TestONNXRuntime(t *testing.T) {
	path, err := ort.Find()
	if err != nil {
		t.Skip(err)
	}
	rt, err := ort.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer rt.Close()
	g, err := mask.Graph()
	if err != nil {
		t.Fatal(err)
	}
	q := quantised(t, g, calibrated(t, g, ""))
	q.Outputs = slices.Clone(q.Detect().In)
	for _, name := range []string{"model.0.conv", "model.1.act", "model.4.m.0.add", "model.9.cv2.conv"} {
		q.Outputs = append(q.Outputs, q.Node(name+".q"))
	}
	compareORT(t, rt, q, 20, map[string]float64{"model.0.conv.q": 0, "model.1.act.q": 0})
	for _, n := range q.Nodes {
		if c, ok := n.Op.(*graph.Conv); ok {
			clear(c.Bias.Data)
		}
	}
	compareORT(t, rt, q, 100, map[string]float64{"model.0.conv.q": 0, "model.1.act.q": 0, "model.4.m.0.add.q": 0, "model.9.cv2.conv.q": 0})

	// So it does where layers are in float, next to one another and alone.
	r := calibrated(t, g, "")
	q = quantised(t, g, r, "model.0", "model.4", "model.8.cv1", "model.17.m")
	q.Outputs = slices.Clone(q.Detect().In)
	compareORT(t, rt, q, 20, nil)

	// Symmetric grids are int8 there.
	if q, err = quant.Quantize(g, r, quant.Options{Symmetric: true}); err != nil {
		t.Fatal(err)
	}
	q.Outputs = slices.Clone(q.Detect().In)
	for _, n := range q.Nodes {
		if c, ok := n.Op.(*graph.Conv); ok {
			clear(c.Bias.Data)
		}
	}
	compareORT(t, rt, q, 100, nil)
}

// compareORT runs q in ONNX Runtime and by the reference. Outputs must have a signal of so many
// dB above the difference, and at most a share of levels that are others; those of the first
// layers' sums are then neighbours.
func compareORT(t *testing.T, rt *ort.Runtime, q *graph.Graph, least float64, shares map[string]float64) {
	t.Helper()
	s, err := rt.Compile(q, 1, side, side, ort.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for x := range drawn(1) {
		want, err := engine.Reference(q, x)
		if err != nil {
			t.Fatal(err)
		}
		outs, err := s.Run(x)
		if err != nil {
			t.Fatal(err)
		}
		for i, n := range q.Outputs {
			signal, noise, other, worst := 0.0, 0.0, 0, 0.0
			for k, w := range want[n].Data {
				d := float64(outs[i].Data[k]) - float64(w)
				signal += float64(w) * float64(w)
				noise += d * d
				if op, ok := n.Op.(*graph.Quantize); ok && math.Abs(d) > float64(op.Scale)/2 {
					other++
					worst = max(worst, math.Abs(d)/float64(op.Scale))
				}
			}
			share, dB := float64(other)/float64(len(want[n].Data)), 10*math.Log10(signal/noise)
			t.Logf("%s: %.1f dB, %.3f %% of the levels are others, %.0f away at most", n.Name, dB, 100*share, worst)
			if noise > 0 && dB < least {
				t.Errorf("%s differs from ONNX Runtime's by %.1f dB", n.Name, dB)
			}
			if most, ok := shares[n.Name]; ok && share > most || n.Name == "model.0.conv.q" && worst > 1.01 {
				t.Errorf("%s has %.3f %% of other levels, %.0f away at most", n.Name, 100*share, worst)
			}
		}
	}
}
