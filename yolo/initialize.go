package yolo

import (
	"fmt"
	"math"
	"math/rand/v2"

	"ultrafast/graph"
	"ultrafast/tensor"
)

// Initialize gives a model random weights, as YOLOv5 starts one: convolutions uniform
// within 1/sqrt(fan in) (PyTorch's default, which takes the outputs of a group for the fan
// in of a transposed one), batch norms neutral, and the head's biases
// such that few objects are expected at first (the prior of focal loss, arXiv 1708.02002).
// The same seed gives the same weights. A model whose batch norms were folded away cannot
// be started anew, nor one without a head; g is then unchanged.
func Initialize(g *graph.Graph, seed uint64) error {
	head := g.Detect()
	if head == nil {
		return fmt.Errorf("yolo: the model has no detection head")
	}
	d := head.Op.(*graph.Detect)
	for _, m := range head.In {
		if c, ok := m.Op.(*graph.Conv); !ok || c.Bias == nil {
			return fmt.Errorf("yolo: %s, which the head takes, is no convolution with a bias", m.Name)
		}
	}
	norms := 0
	for _, n := range g.Nodes {
		if _, ok := n.Op.(*graph.BatchNorm); ok {
			norms++
		}
	}
	if norms == 0 {
		return fmt.Errorf("yolo: the model has no batch norms (they were folded into its convolutions), so it cannot be trained from scratch")
	}
	rng := rand.New(rand.NewPCG(seed, 0x5eed))
	for _, n := range g.Nodes {
		switch op := n.Op.(type) {
		case *graph.Conv:
			fillUniform(op.Weight, op.Bias, rng)
		case *graph.ConvTranspose:
			fillUniform(op.Weight, op.Bias, rng)
		case *graph.BatchNorm:
			for t, v := range map[*tensor.Tensor]float32{op.Gamma: 1, op.Beta: 0, op.Mean: 0, op.Var: 1} {
				fill(t, func() float32 { return v })
			}
		}
	}
	for i, m := range head.In {
		expectFew(m.Op.(*graph.Conv).Bias.Data, d.Classes, 640/float64(d.Strides[i]))
	}
	return nil
}

func fillUniform(weight, bias *tensor.Tensor, rng *rand.Rand) {
	w := weight.Shape
	bound := 1 / math.Sqrt(float64(w[1]*w[2]*w[3]))
	for _, t := range []*tensor.Tensor{weight, bias} {
		fill(t, func() float32 { return float32((2*rng.Float64() - 1) * bound) })
	}
}

func fill(t *tensor.Tensor, next func() float32) {
	if t == nil {
		return
	}
	for i := range t.Data {
		t.Data[i] = next()
	}
}

// expectFew shifts the biases of a level of cells×cells: 8 objects in a picture of 640
// pixels, shared by the cells, and 0.6 of them of any given class.
func expectFew(bias []float32, classes int, cells float64) {
	for j := range bias {
		switch k := j % (5 + classes); {
		case k == 4:
			bias[j] += float32(math.Log(8 / (cells * cells)))
		case k > 4:
			bias[j] += float32(math.Log(0.6 / (float64(classes) - 0.99999)))
		}
	}
}
