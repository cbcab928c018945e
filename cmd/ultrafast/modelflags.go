package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"

	"github.com/spf13/pflag"

	"ultrafast"
	"ultrafast/graph"
	"ultrafast/yolo"
)

// modelFlags name the model that is measured: one as it is, or one made from a description.
type modelFlags struct {
	weights, cfg string
	width        float64
}

func (f *modelFlags) addModel(fl *pflag.FlagSet) {
	fl.StringVar(&f.weights, "weights", "", "model: .pt, .safetensors or .onnx")
	fl.StringVar(&f.cfg, "cfg", "", "instead of --weights: yolov5n, s, m, l, x, thin, ghost, shuffle, mobile, a YAML file, or a model whose shape is taken")
	fl.Float64Var(&f.width, "width", 0, "with --cfg, the multiple of channels; 0 means the description's")
}

func (f *modelFlags) check() error {
	switch {
	case f.weights != "" && f.cfg != "":
		return errors.New("--weights and --cfg are both given: a model is measured as it is, or made from a description")
	case f.weights == "" && f.cfg == "":
		return errors.New("neither --weights nor --cfg is given: name a model, or a description such as yolov5n")
	case f.width != 0 && !(f.width > 0 && f.width <= 10):
		return fmt.Errorf("--width %v: want above 0 and at most 10", f.width)
	}
	return nil
}

// title says what was measured.
func (f *modelFlags) title() string {
	switch {
	case f.weights != "":
		return f.weights
	case f.width != 0:
		return fmt.Sprintf("%s of width %v, random weights", f.cfg, f.width)
	}
	return f.cfg + ", random weights"
}

func (f *modelFlags) model() (*graph.Graph, error) {
	if f.weights != "" {
		if f.width != 0 {
			return nil, errors.New("--width is for --cfg: a model's own is settled")
		}
		return ultrafast.Load(f.weights)
	}
	g, err := f.shape()
	if err != nil {
		return nil, err
	}
	enliven(g)
	return g, nil
}

// modelAt returns the model and the input size that img, a side or WIDTHxHEIGHT, comes to
// with it. Where that is another, it says so.
func (f *modelFlags) modelAt(img string, out io.Writer) (g *graph.Graph, w, h int, err error) {
	if w, h, err = parseSize(img); err != nil {
		return nil, 0, 0, err
	}
	if g, err = f.model(); err != nil {
		return nil, 0, 0, err
	}
	w, h, note := fitSize(g, w, h)
	if note != "" {
		fmt.Fprintln(out, note)
	}
	return g, w, h, nil
}

// shape returns a model with the weights that training starts from.
func (f *modelFlags) shape() (*graph.Graph, error) {
	if strings.HasSuffix(f.cfg, ".safetensors") || strings.HasSuffix(f.cfg, ".pt") || strings.HasSuffix(f.cfg, ".onnx") {
		if f.width != 0 {
			return nil, errors.New("--width is for descriptions: a model's own is settled")
		}
		g, err := ultrafast.Load(f.cfg)
		if err != nil {
			return nil, err
		}
		if err := yolo.Initialize(g, 0); err != nil {
			return nil, fmt.Errorf("%s: %w", f.cfg, err)
		}
		return g, nil
	}
	cfg, err := description(f.cfg)
	if err != nil {
		return nil, err
	}
	cfg.Width = cmp.Or(f.width, cfg.Width)
	return yolo.New(cfg, nil, 0)
}

// enliven keeps numbers of a random network at one size through its depth, so that every
// layer shows in the maps when they are compared: as yolo.Initialize leaves it, a layer
// makes them smaller, and of the first nothing is left at the end. A variance of 1/6 turns
// weights of variance 1/(3 fan-in) into 2/fan-in (He et al., arXiv 1502.01852).
func enliven(g *graph.Graph) {
	rng := rand.New(rand.NewPCG(0, 0))
	for _, n := range g.Nodes {
		if b, ok := n.Op.(*graph.BatchNorm); ok {
			for i := range b.Var.Data {
				b.Var.Data[i] = 1.0 / 6
				b.Beta.Data[i] = 2*rng.Float32() - 1
			}
		}
	}
}
