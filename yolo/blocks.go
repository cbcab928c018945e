package yolo

import (
	"fmt"
	"slices"

	"ultrafast/graph"
	"ultrafast/pt"
)

// blocks maps a kind to the function that adds its nodes. It is filled by init because
// blocks contain blocks.
var blocks map[string]func(b *builder, name string, m *pt.Module, in []*graph.Node) (*graph.Node, error)

func init() {
	blocks = map[string]func(*builder, string, *pt.Module, []*graph.Node) (*graph.Node, error){
		"Conv": (*builder).conv, "Focus": (*builder).focus,
		"Bottleneck": (*builder).bottleneck, "BottleneckCSP": (*builder).csp, "C3": (*builder).c3,
		"SPP": (*builder).spp, "SPPF": (*builder).sppf,
		"GhostConv": (*builder).ghost, "GhostBottleneck": (*builder).ghostBottleneck,
		"Concat": (*builder).concat, "Upsample": (*builder).upsample, "MaxPool2d": (*builder).maxpool,
		"Sequential": (*builder).sequential, "Identity": (*builder).identity,
		"Conv2d": (*builder).conv2d, "BatchNorm2d": (*builder).batchnorm, "Activation": (*builder).activation,
		"Detect": (*builder).detect,
	}
}

// conv is Conv2d, batch norm (absent once fused), activation.
func (b *builder) conv(name string, m *pt.Module, in []*graph.Node) (x *graph.Node, err error) {
	return b.chain(name, m, []string{"conv", "bn", "act"}, in)
}

// chain runs through the named children one after the other, skipping absent ones.
func (b *builder) chain(name string, m *pt.Module, children []string, in []*graph.Node) (*graph.Node, error) {
	x := in[0]
	for _, c := range children {
		if m.Child(c) == nil {
			continue
		}
		var err error
		if x, err = b.child(name, m, c, x); err != nil {
			return nil, err
		}
	}
	return x, nil
}

func (b *builder) sequential(name string, m *pt.Module, in []*graph.Node) (*graph.Node, error) {
	var children []string
	for _, c := range m.Children {
		children = append(children, c.Name)
	}
	return b.chain(name, m, children, in)
}

func (b *builder) identity(_ string, _ *pt.Module, in []*graph.Node) (*graph.Node, error) {
	return in[0], nil
}

// focus moves 2×2 pixels into channels, in the order top left, bottom left, top right,
// bottom right, before a Conv.
func (b *builder) focus(name string, m *pt.Module, in []*graph.Node) (*graph.Node, error) {
	var rows, quarters [4]*graph.Node
	for y := range 2 {
		rows[y] = b.g.Add(fmt.Sprintf("%s.row%d", name, y), &graph.Slice{Axis: 2, Start: y, Step: 2}, in[0])
	}
	for i := range 4 {
		quarters[i] = b.g.Add(fmt.Sprintf("%s.quarter%d", name, i), &graph.Slice{Axis: 3, Start: i / 2, Step: 2}, rows[i%2])
	}
	x := b.g.Add(name+".cat", &graph.Concat{}, quarters[:]...)
	return b.child(name, m, "conv", x)
}

// bottleneck is cv2(cv1(x)), plus x where the module says add.
func (b *builder) bottleneck(name string, m *pt.Module, in []*graph.Node) (*graph.Node, error) {
	y, err := b.chain(name, m, []string{"cv1", "cv2"}, in)
	if err != nil || !m.Bool("add", false) {
		return y, err
	}
	return b.g.Add(name+".add", &graph.Add{}, in[0], y), nil
}

// c3 is cv3([m(cv1(x)), cv2(x)]).
func (b *builder) c3(name string, m *pt.Module, in []*graph.Node) (*graph.Node, error) {
	y, err := b.chain(name, m, []string{"cv1", "m"}, in)
	if err != nil {
		return nil, err
	}
	z, err := b.child(name, m, "cv2", in[0])
	if err != nil {
		return nil, err
	}
	return b.child(name, m, "cv3", b.g.Add(name+".cat", &graph.Concat{}, y, z))
}

// csp is cv4(act(bn([cv3(m(cv1(x))), cv2(x)]))), where cv2 and cv3 are bare convolutions.
func (b *builder) csp(name string, m *pt.Module, in []*graph.Node) (*graph.Node, error) {
	y, err := b.chain(name, m, []string{"cv1", "m", "cv3"}, in)
	if err != nil {
		return nil, err
	}
	z, err := b.child(name, m, "cv2", in[0])
	if err != nil {
		return nil, err
	}
	x := b.g.Add(name+".cat", &graph.Concat{}, y, z)
	return b.chain(name, m, []string{"bn", "act", "cv4"}, []*graph.Node{x})
}

// spp joins x with max-pools of several sizes between cv1 and cv2.
func (b *builder) spp(name string, m *pt.Module, in []*graph.Node) (*graph.Node, error) {
	x, err := b.child(name, m, "cv1", in[0])
	if err != nil {
		return nil, err
	}
	pools := m.Child("m")
	if pools == nil {
		return nil, fmt.Errorf("%s (%s) has no m", name, m.Path)
	}
	parts := []*graph.Node{x}
	for _, c := range pools.Children {
		p, err := b.child(name+".m", pools, c.Name, x)
		if err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
	return b.child(name, m, "cv2", b.g.Add(name+".cat", &graph.Concat{}, parts...))
}

// sppf does the same with one pool applied three times.
func (b *builder) sppf(name string, m *pt.Module, in []*graph.Node) (*graph.Node, error) {
	x, err := b.child(name, m, "cv1", in[0])
	if err != nil {
		return nil, err
	}
	pool := m.Child("m")
	if pool == nil {
		return nil, fmt.Errorf("%s (%s) has no m", name, m.Path)
	}
	parts := []*graph.Node{x}
	for i := range 3 {
		p, err := b.maxpool(fmt.Sprintf("%s.m%d", name, i), pool, parts[i:])
		if err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
	return b.child(name, m, "cv2", b.g.Add(name+".cat", &graph.Concat{}, parts...))
}

// ghost is [y, cv2(y)] with y = cv1(x).
func (b *builder) ghost(name string, m *pt.Module, in []*graph.Node) (*graph.Node, error) {
	y, err := b.child(name, m, "cv1", in[0])
	if err != nil {
		return nil, err
	}
	z, err := b.child(name, m, "cv2", y)
	if err != nil {
		return nil, err
	}
	return b.g.Add(name+".cat", &graph.Concat{}, y, z), nil
}

func (b *builder) ghostBottleneck(name string, m *pt.Module, in []*graph.Node) (*graph.Node, error) {
	y, err := b.child(name, m, "conv", in[0])
	if err != nil {
		return nil, err
	}
	z, err := b.child(name, m, "shortcut", in[0])
	if err != nil {
		return nil, err
	}
	return b.g.Add(name+".add", &graph.Add{}, y, z), nil
}

func (b *builder) concat(name string, m *pt.Module, in []*graph.Node) (*graph.Node, error) {
	if d := m.Int("d", 1); d != 1 {
		return nil, fmt.Errorf("%s joins along dimension %d, want 1 (channels)", name, d)
	}
	return b.g.Add(name, &graph.Concat{}, in...), nil
}

func (b *builder) upsample(name string, m *pt.Module, in []*graph.Node) (*graph.Node, error) {
	scale := m.Float("scale_factor", 0)
	if mode := m.Text("mode", ""); mode != "nearest" || scale != float64(int(scale)) {
		return nil, fmt.Errorf("%s enlarges %v times by mode %q, want a whole number and nearest", name, m.Attr["scale_factor"], mode)
	}
	return b.g.Add(name, &graph.Upsample{Scale: int(scale)}, in[0]), nil
}

func (b *builder) maxpool(name string, m *pt.Module, in []*graph.Node) (*graph.Node, error) {
	if m.Bool("ceil_mode", false) || m.Int("dilation", 1) != 1 {
		return nil, fmt.Errorf("%s is a max-pool with ceil_mode or dilation, which this program does not know", name)
	}
	k := m.Int("kernel_size", 0)
	return b.g.Add(name, &graph.MaxPool{Kernel: k, Stride: m.Int("stride", k), Pad: m.Int("padding", 0)}, in[0]), nil
}

func (b *builder) conv2d(name string, m *pt.Module, in []*graph.Node) (*graph.Node, error) {
	if mode := m.Text("padding_mode", "zeros"); mode != "zeros" {
		return nil, fmt.Errorf("%s pads with %s, want zeros", name, mode)
	}
	w := m.Params["weight"]
	if w == nil {
		return nil, fmt.Errorf("%s (%s) has no weight", name, m.Path)
	}
	c := &graph.Conv{Weight: w, Bias: m.Params["bias"], Groups: m.Int("groups", 1)}
	for key, at := range map[string]*[2]int{"stride": &c.Stride, "padding": &c.Pad, "dilation": &c.Dilation} {
		switch v := m.Ints(key); len(v) {
		case 1:
			*at = [2]int{v[0], v[0]}
		case 2:
			*at = [2]int{v[0], v[1]}
		default:
			return nil, fmt.Errorf("%s has %s %v, want one or two whole numbers", name, key, m.Attr[key])
		}
	}
	return b.g.Add(name, c, in[0]), nil
}

func (b *builder) batchnorm(name string, m *pt.Module, in []*graph.Node) (*graph.Node, error) {
	p := m.Params
	return b.g.Add(name, &graph.BatchNorm{
		Gamma: p["weight"], Beta: p["bias"], Mean: p["running_mean"], Var: p["running_var"],
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

// detect adds the head's convolutions (layers of their own up to v1.0) and the decoding.
// Anchors are stored in stride units beside the strides; where strides are missing, as in
// a new model, they follow from the sizes of the maps, and anchor_grid holds pixels.
func (b *builder) detect(name string, m *pt.Module, in []*graph.Node) (*graph.Node, error) {
	maps := slices.Clone(in)
	if convs := m.Child("m"); convs != nil {
		if len(convs.Children) != len(in) {
			return nil, fmt.Errorf("%s has %d convolutions for %d levels", name, len(convs.Children), len(in))
		}
		for i, c := range convs.Children {
			var err error
			if maps[i], err = b.child(name+".m", convs, c.Name, in[i]); err != nil {
				return nil, err
			}
		}
	}
	d := &graph.Detect{Classes: m.Int("nc", 0)}
	anchors, perCell := m.Params["anchors"], true
	strides := m.Floats("stride")
	if anchors == nil || len(strides) == 0 {
		anchors, perCell = m.Params["anchor_grid"], false
		b.g.Outputs = maps
		if err := b.g.Verify(); err != nil {
			return nil, err
		}
		sizes, err := b.g.Shapes(1, 256, 256) // a multiple of every stride in use
		if err != nil {
			return nil, err
		}
		strides = nil
		for _, x := range maps {
			strides = append(strides, 256/float64(sizes[x][2]))
		}
	}
	if anchors == nil || len(strides) != len(in) || len(anchors.Data)%(2*len(in)) != 0 {
		return nil, fmt.Errorf("%s has anchors %v and strides %v for %d levels", name, anchors, strides, len(in))
	}
	per := len(anchors.Data) / (2 * len(in))
	for i, s := range strides {
		unit := float32(1)
		if perCell {
			unit = float32(s)
		}
		var level [][2]float32
		for a := range per {
			at := anchors.Data[2*(i*per+a):]
			level = append(level, [2]float32{at[0] * unit, at[1] * unit})
			if w, h := level[a][0], level[a][1]; !(w > 0 && w < 1e6 && h > 0 && h < 1e6) {
				return nil, fmt.Errorf("%s has an anchor of %v x %v pixels", name, w, h)
			}
		}
		if s < 1 || s > 4096 || s != float64(int(s)) {
			return nil, fmt.Errorf("%s has stride %v", name, s)
		}
		d.Anchors, d.Strides = append(d.Anchors, level), append(d.Strides, int(s))
	}
	return b.g.Add(name, d, maps...), nil
}
