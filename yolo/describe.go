package yolo

import (
	"cmp"
	"fmt"
	"math"

	"ultrafast/graph"
	"ultrafast/pt"
)

// New builds a model from its description with random weights, as Initialize makes them.
// names set the number of classes; without them it is the description's.
func New(c *Config, names []string, seed uint64) (*graph.Graph, error) {
	classes := c.Classes
	if len(names) > 0 {
		classes = len(names)
	}
	act, err := activation(c.Activation)
	if err != nil {
		return nil, fmt.Errorf("model description: %w", err)
	}
	d := &describer{c: c, classes: classes, act: act}
	root, err := d.model()
	if err != nil {
		return nil, fmt.Errorf("model description: %w", err)
	}
	g, err := FromModule(root)
	if err != nil {
		return nil, err
	}
	if len(names) > 0 {
		g.Names = append([]string(nil), names...)
	}
	if g.Detect() == nil { // a backbone alone
		return g, nil
	}
	return g, Initialize(g, seed)
}

// A describer makes the tree of modules that a checkpoint of the same model would hold.
type describer struct {
	c       *Config
	classes int
	act     *pt.Module // after every Conv
	out     []int      // channels of each layer so far
	weights int        // made so far
	err     error      // the first convolution that cannot be made
}

// maxWeights bounds a described model; YOLOv5x has 87 million.
const maxWeights = 1 << 28

func (d *describer) model() (*pt.Module, error) {
	list := &pt.Module{Class: "Sequential", Path: "description"}
	for i, l := range d.c.Layers {
		in := make([]int, len(l.From))
		for j, f := range l.From {
			if f < 0 {
				f += i
			}
			switch {
			case f == -1 && i == 0:
				in[j] = 3
			case f >= 0 && f < i:
				in[j] = d.out[f]
			default:
				return nil, fmt.Errorf("layer %d takes layer %d, which does not come before it", i, l.From[j])
			}
		}
		m, channels, err := d.layer(l, in)
		if err = cmp.Or(err, d.err); err != nil {
			return nil, fmt.Errorf("layer %d (%s): %w", i, l.Block, err)
		}
		from := make([]any, len(l.From))
		for j, f := range l.From {
			from[j] = int64(f)
		}
		m.Attr["f"] = from
		d.out = append(d.out, channels)
		list.Children = append(list.Children, pt.Child{Name: fmt.Sprint(i), Module: m})
	}
	return &pt.Module{Class: "DetectionModel", Path: "description", Children: []pt.Child{{Name: "model", Module: list}}}, nil
}

// layer makes one layer and says how many channels it gives.
func (d *describer) layer(l Layer, in []int) (*pt.Module, int, error) {
	a := arguments{list: l.Args}
	repeat := l.Repeat
	if repeat > 1 {
		repeat = max(int(math.RoundToEven(float64(repeat)*d.c.Depth)), 1)
	}
	var m *pt.Module
	out := in[0]
	switch l.Block {
	case "Concat":
		out = 0
		for _, c := range in {
			out += c
		}
		m = module("Concat", nil, "d", a.int(1))
	case "Upsample":
		if len(l.Args) > 1 { // PyTorch's size, scale_factor, mode
			a.optional()
		}
		m = module("Upsample", nil, "scale_factor", a.int(2), "mode", a.text("nearest"))
	case "MaxPool2d":
		k := a.int(2)
		m = module("MaxPool2d", nil, "kernel_size", k, "stride", a.int(k), "padding", a.int(0))
	case "Detect":
		return d.detect(in)
	case "Conv", "DWConv", "ConvTranspose2d", "DWConvTranspose2d", "Focus", "Bottleneck", "BottleneckCSP", "C3", "C3Ghost", "SPP", "SPPF",
		"GhostConv", "ShuffleUnit", "InvertedResidual":
		if out = a.int(0); l.Block == "ConvTranspose2d" && out == in[0] && a.again(out) {
			// Before v6.2 layers of PyTorch got their arguments as they stand: channels in and
			// out, unscaled and, as the model counts on, the same.
			a.int(0)
		} else {
			out = d.width(out)
		}
		if a.err != nil {
			return nil, 0, a.err
		}
		if out < 1 || out > 1<<14 {
			return nil, 0, fmt.Errorf("has %d output channels, want 1 to %d", out, 1<<14)
		}
		if l.Block == "C3" || l.Block == "C3Ghost" || l.Block == "BottleneckCSP" {
			m = d.csp(l.Block, in[0], out, repeat, &a)
			break
		}
		first := a
		m = d.simple(l.Block, in[0], out, &a)
		if repeat > 1 {
			seq := module("Sequential", []pt.Child{{Name: "0", Module: m}})
			for i := 1; i < repeat; i++ {
				again := first
				seq.Children = append(seq.Children, pt.Child{Name: fmt.Sprint(i), Module: d.simple(l.Block, out, out, &again)})
			}
			m = seq
		}
	default:
		return nil, 0, fmt.Errorf("this program makes Conv, DWConv, ConvTranspose2d, DWConvTranspose2d, Focus, Bottleneck, BottleneckCSP, C3, C3Ghost, SPP, SPPF, GhostConv, ShuffleUnit, InvertedResidual, MaxPool2d, Upsample, Concat, Detect")
	}
	return m, out, a.done()
}

// width applies the width multiple and rounds up to a multiple of 8.
func (d *describer) width(c int) int { return int(math.Ceil(float64(c)*d.c.Width/8)) * 8 }
