package yolo

import (
	"fmt"
	"maps"
	"slices"

	"ultrafast/graph"
	"ultrafast/pt"
)

func (b *builder) concat(name string, m *pt.Module, in []*graph.Node) (*graph.Node, error) {
	if d := m.Int("d", 1); d != 1 {
		return nil, fmt.Errorf("%s joins along dimension %d, want 1 (channels)", name, d)
	}
	return b.g.Add(name, &graph.Concat{}, in...), nil
}

func (b *builder) upsample(name string, m *pt.Module, in []*graph.Node) (*graph.Node, error) {
	scale := m.Int("scale_factor", 0)
	if mode := m.Text("mode", ""); mode != "nearest" || scale < 1 {
		return nil, fmt.Errorf("%s enlarges %s times by mode %q, want a whole number and nearest", name, brief(m.Attr["scale_factor"]), mode)
	}
	return b.g.Add(name, &graph.Upsample{Scale: scale}, in[0]), nil
}

func (b *builder) maxpool(name string, m *pt.Module, in []*graph.Node) (*graph.Node, error) {
	if m.Bool("ceil_mode", false) || m.Int("dilation", 1) != 1 {
		return nil, fmt.Errorf("%s is a max-pool with ceil_mode or dilation, which this program does not know", name)
	}
	k := m.Int("kernel_size", 0)
	return b.g.Add(name, &graph.MaxPool{Kernel: k, Stride: m.Int("stride", k), Pad: m.Int("padding", 0)}, in[0]), nil
}

func (b *builder) conv2d(name string, m *pt.Module, in []*graph.Node) (*graph.Node, error) {
	if err := checkConv(name, m); err != nil {
		return nil, err
	}
	c := &graph.Conv{Weight: b.own(m.Params["weight"]), Bias: b.own(m.Params["bias"]), Groups: m.Int("groups", 1)}
	if err := pairs(name, m, map[string]*[2]int{"stride": &c.Stride, "padding": &c.Pad, "dilation": &c.Dilation}); err != nil {
		return nil, err
	}
	return b.g.Add(name, c, in[0]), nil
}

func (b *builder) convTranspose2d(name string, m *pt.Module, in []*graph.Node) (*graph.Node, error) {
	if err := checkConv(name, m); err != nil {
		return nil, err
	}
	c := &graph.ConvTranspose{Weight: b.own(m.Params["weight"]), Bias: b.own(m.Params["bias"]), Groups: m.Int("groups", 1)}
	if err := pairs(name, m, map[string]*[2]int{"stride": &c.Stride, "padding": &c.Pad, "output_padding": &c.OutPad, "dilation": &c.Dilation}); err != nil {
		return nil, err
	}
	return b.g.Add(name, c, in[0]), nil
}

// checkConv checks what no op of the graph says.
func checkConv(name string, m *pt.Module) error {
	if mode := m.Text("padding_mode", "zeros"); mode != "zeros" {
		return fmt.Errorf("%s pads with %q, want zeros", name, mode)
	}
	if m.Params["weight"] == nil {
		return fmt.Errorf("%s (%s) has no weight", name, m.Path)
	}
	return nil
}

// pairs reads attributes of one or two whole numbers each: vertical, horizontal.
func pairs(name string, m *pt.Module, to map[string]*[2]int) error {
	for _, key := range slices.Sorted(maps.Keys(to)) {
		switch v := m.Ints(key); len(v) {
		case 1:
			*to[key] = [2]int{v[0], v[0]}
		case 2:
			*to[key] = [2]int{v[0], v[1]}
		default:
			return fmt.Errorf("%s has %s %s, want one or two whole numbers", name, key, brief(m.Attr[key]))
		}
	}
	return nil
}

func (b *builder) batchnorm(name string, m *pt.Module, in []*graph.Node) (*graph.Node, error) {
	p := m.Params
	return b.g.Add(name, &graph.BatchNorm{
		Gamma: b.own(p["weight"]), Beta: b.own(p["bias"]), Mean: b.own(p["running_mean"]), Var: b.own(p["running_var"]),
		Eps: m.Float("eps", 1e-5), Momentum: m.Float("momentum", 0.1),
	}, in[0]), nil
}

// activations maps class names, PyTorch's and YOLOv5's own, to functions.
var activations = map[string]graph.ActKind{
	"SiLU": graph.SiLU, "Swish": graph.SiLU, "MemoryEfficientSwish": graph.SiLU,
	"Hardswish": graph.Hardswish, "LeakyReLU": graph.LeakyReLU,
	"ReLU": graph.ReLU, "ReLU6": graph.ReLU6, "Sigmoid": graph.Sigmoid,
	"Mish": graph.Mish, "MemoryEfficientMish": graph.Mish,
}

func (b *builder) activation(name string, m *pt.Module, in []*graph.Node) (*graph.Node, error) {
	a := &graph.Activation{Kind: activations[m.Class]}
	if a.Kind == graph.LeakyReLU {
		a.Slope = m.Float("negative_slope", 0.01)
	}
	return b.g.Add(name, a, in[0]), nil
}
