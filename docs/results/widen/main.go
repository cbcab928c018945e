// Widen makes a network of twice the width that computes the same:
//
//	go run ./docs/results/widen docs/results/parents/yolov5n-76.safetensors yolov5s.safetensors
//
// makes a YOLOv5s of a YOLOv5n, so that the larger one starts its training where the smaller
// one ended its own. Each channel but those of picture and boxes becomes two neighbours that
// carry the same (Net2WiderNet, https://arxiv.org/abs/1511.05641, section 3.2). A weight is split between
// the two that it reads in halves, to which noise of half its layer's strength is added and
// taken away, so that the twins do not learn the same.
package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"

	"ultrafast/graph"
	"ultrafast/safetensors"
	"ultrafast/tensor"
)

const noise = 0.5 // of the root mean square of a layer's weights

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: widen IN.safetensors OUT.safetensors")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintf(os.Stderr, "widen: %v\n", err)
		os.Exit(1)
	}
}

func run(in, out string) error {
	f, err := safetensors.Open(in)
	if err != nil {
		return err
	}
	g := f.Graph
	if err := widen(g, rand.New(rand.NewPCG(0, 0))); err != nil {
		return fmt.Errorf("%s: %w", in, err)
	}
	return safetensors.Save(out, &safetensors.File{Graph: g})
}

func widen(g *graph.Graph, rng *rand.Rand) error {
	ends := map[*graph.Node]bool{}
	if d := g.Detect(); d != nil {
		for _, n := range d.In {
			ends[n] = true
		}
	}
	for _, n := range g.Nodes {
		switch op := n.Op.(type) {
		case *graph.Conv:
			if op.Groups != 1 || op.WeightScale != nil {
				return fmt.Errorf("%s: a convolution in groups, or in 8 bits", n.Name)
			}
			op.Weight = split(op.Weight, n.In[0] != g.Input(), !ends[n], rng)
			if op.Bias != nil && !ends[n] {
				op.Bias = twice(op.Bias)
			}
		case *graph.BatchNorm:
			op.Gamma, op.Beta, op.Mean, op.Var = twice(op.Gamma), twice(op.Beta), twice(op.Mean), twice(op.Var)
		case *graph.Input, *graph.Activation, *graph.Add, *graph.Concat, *graph.MaxPool, *graph.Upsample, *graph.Detect:
		default:
			return fmt.Errorf("%s: %s is not known here", n.Name, op.Word())
		}
	}
	return g.Verify()
}

// split returns [K, C, R, S] with twice the inputs, if ins, and twice the outputs, if outs.
func split(w *tensor.Tensor, ins, outs bool, rng *rand.Rand) *tensor.Tensor {
	var square float64
	for _, v := range w.Data {
		square += float64(v) * float64(v)
	}
	strength := noise * math.Sqrt(square/float64(len(w.Data)))
	k, c, area := w.Shape[0], w.Shape[1], w.Shape[2]*w.Shape[3]
	wide, times := 1, 1
	if ins {
		wide = 2
	}
	if outs {
		times = 2
	}
	out := tensor.New(k*times, c*wide, w.Shape[2], w.Shape[3])
	for o := range k * times {
		for i := range c {
			from := w.Data[(o/times*c+i)*area:][:area]
			to := out.Data[(o*c+i)*wide*area:][:wide*area]
			if !ins {
				copy(to, from)
				continue
			}
			for p, v := range from {
				d := float32(strength * rng.NormFloat64() / 2)
				to[p], to[area+p] = v/2+d, v/2-d
			}
		}
	}
	return out
}

// twice repeats each number.
func twice(t *tensor.Tensor) *tensor.Tensor {
	out := tensor.New(2 * len(t.Data))
	for i := range out.Data {
		out.Data[i] = t.Data[i/2]
	}
	return out
}
