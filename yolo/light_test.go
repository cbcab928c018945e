package yolo_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"ultrafast/engine"
	"ultrafast/graph"
	"ultrafast/tensor"
	"ultrafast/yolo"
)

// TestLight builds the small models and runs them in the engine and by the plainest loops.
func TestLight(t *testing.T) {
	for _, name := range yolo.Light {
		t.Run(name, func(t *testing.T) {
			cfg, err := yolo.Standard(name)
			if err != nil {
				t.Fatal(err)
			}
			g, err := yolo.New(cfg, []string{"face", "mask"}, 1)
			if err != nil {
				t.Fatal(err)
			}
			d := g.Detect().Op.(*graph.Detect)
			if len(d.Strides) != 3 || d.Strides[0] != 8 || d.Strides[2] != 32 {
				t.Errorf("strides %v", d.Strides)
			}
			if n := g.ParamCount(); n < 150_000 || n > 600_000 {
				t.Errorf("%d parameters", n)
			}
			rng := rand.New(rand.NewPCG(1, 2))
			for _, n := range g.Nodes { // so that numbers keep their size from layer to layer
				if b, ok := n.Op.(*graph.BatchNorm); ok {
					for i := range b.Var.Data {
						b.Var.Data[i], b.Beta.Data[i] = 1.0/6, rng.Float32()-0.5
					}
				}
			}
			x := tensor.New(1, 3, 64, 96)
			for i := range x.Data {
				x.Data[i] = rng.Float32()
			}
			want, err := engine.Reference(g, x)
			if err != nil {
				t.Fatal(err)
			}
			p, err := engine.Compile(g, engine.Options{Height: 64, Width: 96})
			if err != nil {
				t.Fatal(err)
			}
			outs, err := p.NewSession().Run(x)
			if err != nil {
				t.Fatal(err)
			}
			large, far := 0.0, 0.0
			for i, v := range want[g.Outputs[0]].Data {
				large = max(large, math.Abs(float64(v)))
				far = max(far, math.Abs(float64(v-outs[0].Data[i])))
			}
			if !(far <= 1e-4*large) {
				t.Errorf("off by %.2g of %.2g", far, large)
			}
		})
	}
}

// TestShuffleWidths checks that every channel either passes or is worked on, whatever the
// remainders of the quarters.
func TestShuffleWidths(t *testing.T) {
	for _, width := range []float64{0.5, 1, 1.25} {
		cfg, err := yolo.Standard("shuffle")
		if err != nil {
			t.Fatal(err)
		}
		cfg.Width = width
		g, err := yolo.New(cfg, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := g.Shapes(1, 64, 64); err != nil {
			t.Error(err)
		}
	}
}
