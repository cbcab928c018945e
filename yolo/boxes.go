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
	limit := logit(o.Conf)
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

// logit returns a number a little below all whose sigmoid exceeds c: only they need the
// exponential. The sigmoid, a float32, may be rounded up by 6e-8 of it.
func logit(c float32) float32 {
	if c < tiny {
		return float32(math.Inf(-1))
	}
	p := float64(c) * (1 - 1e-6)
	return float32(math.Log(p/(1-p))) - 1e-4
}

// tiny is a threshold near which float32 is no longer precise.
const tiny = 1e-30

// decode appends the candidates of cell i, as graph.Detect defines them.
func decode(to []box.Box, d *graph.Detect, cells []float32, level, anchor, i, area, w int, o BoxOptions) []box.Box {
	at := func(k int) float32 { return sigmoid(cells[k*area+i]) }
	obj := at(4)
	if !(obj > o.Conf) {
		return to
	}
	limit := logit(o.Conf / obj) // below it no class exceeds the threshold, or is the best
	if !o.MultiLabel && o.Conf >= tiny {
		limit = nearTop(cells[5*area+i:], area)
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
		raw := cells[(5+c)*area+i]
		if !(raw >= limit) {
			continue
		}
		b.Class = c
		score := obj * sigmoid(raw)
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

// nearTop returns a number below which no class scores as much as the best one, given the
// raw numbers of a cell's classes, area apart. Above 7 float32 hardly tells sigmoids apart.
func nearTop(raw []float32, area int) float32 {
	top := float32(math.Inf(-1))
	for k := 0; k < len(raw); k += area {
		if raw[k] > top {
			top = raw[k]
		}
	}
	return min(top, 7) - 1e-3
}

func sigmoid(x float32) float32 { return float32(1 / (1 + math.Exp(-float64(x)))) }
