package yolo

import (
	"fmt"
	"math"

	"ultrafast/box"
	"ultrafast/graph"
	"ultrafast/tensor"
)

// BoxOptions says which candidates Boxes gives.
type BoxOptions struct {
	Conf       float32 // objectness, and objectness times class score, must exceed it
	MultiLabel bool    // a box for every class above Conf instead of the best one
}

// Raw returns the graph with the raw maps, the Detect node's inputs, as its outputs. It
// shares nodes and tensors with g. Boxes decodes the maps. A model without a head, or for
// anything but RGB, is an error.
func Raw(g *graph.Graph) (*graph.Graph, *graph.Detect, error) {
	n := g.Detect()
	if n == nil {
		return nil, nil, fmt.Errorf("yolo: the model has no detection head")
	}
	if c := g.Input().Op.(*graph.Input).Shape[1]; c != 3 {
		return nil, nil, fmt.Errorf("yolo: the model takes pictures of %d channels, want 3 (RGB)", c)
	}
	raw := *g
	raw.Outputs = n.In
	raw.Nodes = nil
	for _, m := range g.Nodes {
		if m != n {
			raw.Nodes = append(raw.Nodes, m)
		}
	}
	return &raw, n.Op.(*graph.Detect), nil
}

// Boxes decodes raw maps, one per level of d, each [N, anchors*(5+classes), h, w], into
// candidates for each picture of the batch, in network pixels and before NMS. Only cells
// above the threshold are computed, which is why decoding is not left to the network.
// Cells with a number that is none (NaN) hold no box.
func Boxes(d *graph.Detect, maps []*tensor.Tensor, o BoxOptions) [][]box.Box {
	found := make([][]box.Box, maps[0].Shape[0])
	// sigmoid(x) > c is x > logit(c); only cells above it need the exponential.
	limit := float32(math.Inf(-1))
	if o.Conf > 0 {
		limit = float32(math.Log(float64(o.Conf)/(1-float64(o.Conf)))) - 1e-4
	}
	for level, m := range maps {
		c, h, w := m.Shape[1], m.Shape[2], m.Shape[3]
		for n := range found {
			for a := range d.Anchors[level] {
				at := (n*c + a*(5+d.Classes)) * h * w
				cells := m.Data[at : at+(5+d.Classes)*h*w]
				for i, raw := range cells[4*h*w : 5*h*w] {
					if raw > limit {
						found[n] = decode(found[n], d, cells, level, a, i, h*w, w, o)
					}
				}
			}
		}
	}
	return found
}

// decode appends the candidates of cell i, as graph.Detect defines them.
func decode(to []box.Box, d *graph.Detect, cells []float32, level, anchor, i, area, w int, o BoxOptions) []box.Box {
	at := func(k int) float32 { return sigmoid(cells[k*area+i]) }
	obj := at(4)
	if !(obj > o.Conf) {
		return to
	}
	stride, size := float32(d.Strides[level]), d.Anchors[level][anchor]
	x := (2*at(0) - 0.5 + float32(i%w)) * stride
	y := (2*at(1) - 0.5 + float32(i/w)) * stride
	sw, sh := 2*at(2), 2*at(3)
	bw, bh := sw*sw*size[0], sh*sh*size[1]
	if sum := x + y + bw + bh; sum != sum {
		return to
	}
	b := box.Box{X1: x - bw/2, Y1: y - bh/2, X2: x + bw/2, Y2: y + bh/2}
	best := -1
	for c := range d.Classes {
		b.Class = c
		score := obj * at(5+c)
		switch {
		case !(score > o.Conf):
		case o.MultiLabel:
			b.Conf = score
			to = append(to, b)
		case best < 0 || score > b.Conf:
			best, b.Conf = c, score
		}
	}
	if best >= 0 {
		b.Class = best
		to = append(to, b)
	}
	return to
}

func sigmoid(x float32) float32 { return float32(1 / (1 + math.Exp(-float64(x)))) }
