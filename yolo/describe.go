package yolo

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"ultrafast/graph"
	"ultrafast/pt"
	"ultrafast/tensor"
)

// New builds a model from its description with random weights, as YOLOv5 starts one:
// convolutions uniform within 1/sqrt(fan in) (PyTorch's default), batch norms neutral,
// and the head's biases such that few objects are expected at first (the prior of focal
// loss, arXiv 1708.02002). names set the number of classes; without them it is the
// description's. The same seed gives the same weights.
func New(c *Config, names []string, seed uint64) (*graph.Graph, error) {
	classes := c.Classes
	if len(names) > 0 {
		classes = len(names)
	}
	d := &describer{c: c, classes: classes, rng: rand.New(rand.NewPCG(seed, 0x5eed))}
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
	initHead(g)
	return g, nil
}

// initHead sets the biases of the head: 8 objects per picture of 640 pixels shared by
// the cells of a level, and 0.6 of them of any given class.
func initHead(g *graph.Graph) {
	n := g.Detect()
	if n == nil {
		return
	}
	d := n.Op.(*graph.Detect)
	for i, m := range n.In {
		bias := m.Op.(*graph.Conv).Bias.Data
		cells := 640 / float64(d.Strides[i])
		for j := range bias {
			switch k := j % (5 + d.Classes); {
			case k == 4:
				bias[j] += float32(math.Log(8 / (cells * cells)))
			case k > 4:
				bias[j] += float32(math.Log(0.6 / (float64(d.Classes) - 0.99999)))
			}
		}
	}
}

// A describer makes the tree of modules that a checkpoint of the same model would hold.
type describer struct {
	c       *Config
	classes int
	rng     *rand.Rand
	out     []int // channels of each layer so far
}

// maxWeights bounds a described model; YOLOv5x has 87 million.
const maxWeights = 1 << 28

func (d *describer) model() (*pt.Module, error) {
	list := &pt.Module{Class: "Sequential", Path: "description"}
	weights := 0
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
		if err != nil {
			return nil, fmt.Errorf("layer %d (%s): %w", i, l.Block, err)
		}
		if weights += countWeights(m); weights > maxWeights {
			return nil, fmt.Errorf("layer %d (%s): the model has more than %d weights", i, l.Block, maxWeights)
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

func countWeights(m *pt.Module) int {
	n := 0
	for _, t := range m.Params {
		n += t.Len()
	}
	for _, c := range m.Children {
		n += countWeights(c.Module)
	}
	return n
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
		m = module("Concat", nil, "d", 1)
	case "Upsample":
		if len(l.Args) > 1 { // PyTorch's size, scale_factor, mode
			a.at = 1
		}
		m = module("Upsample", nil, "scale_factor", a.int(2), "mode", "nearest")
	case "MaxPool2d":
		k := a.int(2)
		m = module("MaxPool2d", nil, "kernel_size", k, "stride", a.int(k), "padding", a.int(0))
	case "Detect":
		return d.detect(in)
	case "Conv", "DWConv", "Focus", "Bottleneck", "BottleneckCSP", "C3", "SPP", "SPPF":
		out = d.width(a.int(0))
		if a.err != nil {
			return nil, 0, a.err
		}
		if out < 1 || out > 1<<14 {
			return nil, 0, fmt.Errorf("has %d output channels, want 1 to %d", out, 1<<14)
		}
		if l.Block == "C3" || l.Block == "BottleneckCSP" {
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
		return nil, 0, fmt.Errorf("this program makes Conv, DWConv, Focus, Bottleneck, BottleneckCSP, C3, SPP, SPPF, MaxPool2d, Upsample, Concat, Detect")
	}
	return m, out, a.err
}

// width applies the width multiple and rounds up to a multiple of 8.
func (d *describer) width(c int) int { return int(math.Ceil(float64(c)*d.c.Width/8)) * 8 }

func (d *describer) simple(block string, in, out int, a *arguments) *pt.Module {
	switch block {
	case "Focus":
		return module("Focus", []pt.Child{{Name: "conv", Module: d.conv(4*in, out, a.int(1), a.int(1), a.optional(), 1)}})
	case "Bottleneck":
		shortcut, groups := a.bool(true), a.int(1)
		return d.bottleneck(in, out, shortcut, groups, a.float(0.5))
	case "SPP", "SPPF":
		return d.spp(block, in, out, a)
	case "DWConv":
		return d.conv(in, out, a.int(1), a.int(1), -1, gcd(in, out))
	}
	return d.conv(in, out, a.int(1), a.int(1), a.optional(), a.int(1))
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

func (d *describer) bottleneck(in, out int, shortcut bool, groups int, expand float64) *pt.Module {
	h := max(int(float64(out)*expand), 1)
	return module("Bottleneck", []pt.Child{
		{Name: "cv1", Module: d.conv(in, h, 1, 1, -1, 1)},
		{Name: "cv2", Module: d.conv(h, out, 3, 1, -1, groups)},
	}, "add", shortcut && in == out)
}

// csp makes C3 and its ancestor BottleneckCSP, which leaves two convolutions bare and
// normalises after the join.
func (d *describer) csp(block string, in, out, repeat int, a *arguments) *pt.Module {
	shortcut, groups, expand := a.bool(true), a.int(1), a.float(0.5)
	h := max(int(float64(out)*expand), 1)
	chain := module("Sequential", nil)
	for i := range repeat {
		chain.Children = append(chain.Children, pt.Child{Name: fmt.Sprint(i), Module: d.bottleneck(h, h, shortcut, groups, 1)})
	}
	cv1 := pt.Child{Name: "cv1", Module: d.conv(in, h, 1, 1, -1, 1)}
	m := pt.Child{Name: "m", Module: chain}
	if block == "C3" {
		return module("C3", []pt.Child{cv1,
			{Name: "cv2", Module: d.conv(in, h, 1, 1, -1, 1)},
			{Name: "cv3", Module: d.conv(2*h, out, 1, 1, -1, 1)}, m})
	}
	act := module("LeakyReLU", nil, "negative_slope", 0.1)
	return module("BottleneckCSP", []pt.Child{cv1,
		{Name: "cv2", Module: d.conv2d(in, h, 1, 1, 0, 1, false)},
		{Name: "cv3", Module: d.conv2d(h, h, 1, 1, 0, 1, false)},
		{Name: "cv4", Module: d.conv(2*h, out, 1, 1, -1, 1)},
		{Name: "bn", Module: batchnorm(2 * h)}, {Name: "act", Module: act}, m})
}

func (d *describer) spp(block string, in, out int, a *arguments) *pt.Module {
	pool := func(k int) *pt.Module {
		return module("MaxPool2d", nil, "kernel_size", k, "stride", 1, "padding", k/2)
	}
	h := max(in/2, 1)
	cv1 := pt.Child{Name: "cv1", Module: d.conv(in, h, 1, 1, -1, 1)}
	if block == "SPPF" {
		m := pool(a.int(5))
		return module(block, []pt.Child{cv1, {Name: "cv2", Module: d.conv(4*h, out, 1, 1, -1, 1)}, {Name: "m", Module: m}})
	}
	pools := module("ModuleList", nil)
	for i, k := range a.ints(5, 9, 13) {
		pools.Children = append(pools.Children, pt.Child{Name: fmt.Sprint(i), Module: pool(k)})
	}
	n := 1 + len(pools.Children)
	return module(block, []pt.Child{cv1, {Name: "cv2", Module: d.conv(n*h, out, 1, 1, -1, 1)}, {Name: "m", Module: pools}})
}

func (d *describer) detect(in []int) (*pt.Module, int, error) {
	if len(in) != len(d.c.Anchors) {
		return nil, 0, fmt.Errorf("takes %d layers, there are anchors for %d levels", len(in), len(d.c.Anchors))
	}
	per := len(d.c.Anchors[0]) / 2
	grid := tensor.New(len(in), per, 2)
	convs := module("ModuleList", nil)
	for i, c := range in {
		for j, v := range d.c.Anchors[i] {
			grid.Data[i*per*2+j] = float32(v)
		}
		convs.Children = append(convs.Children, pt.Child{Name: fmt.Sprint(i), Module: d.conv2d(c, per*(5+d.classes), 1, 1, 0, 1, true)})
	}
	m := module("Detect", []pt.Child{{Name: "m", Module: convs}}, "nc", d.classes)
	m.Params = map[string]*tensor.Tensor{"anchor_grid": grid}
	return m, per * (5 + d.classes), nil
}

// conv is Conv2d, batch norm and the model's activation; pad -1 keeps the size.
func (d *describer) conv(in, out, kernel, stride, pad, groups int) *pt.Module {
	if pad < 0 {
		pad = kernel / 2
	}
	act := d.c.Activation
	if act == "" {
		act = "SiLU"
	}
	act, slope, _ := strings.Cut(act, "(")
	a := module(act, nil)
	if act == "LeakyReLU" {
		a.Attr["negative_slope"] = 0.1
		if s := strings.TrimRight(slope, ")"); s != "" {
			var v float64
			if _, err := fmt.Sscanf(s, "%g", &v); err == nil {
				a.Attr["negative_slope"] = v
			}
		}
	}
	return module("Conv", []pt.Child{
		{Name: "conv", Module: d.conv2d(in, out, kernel, stride, pad, groups, false)},
		{Name: "bn", Module: batchnorm(out)},
		{Name: "act", Module: a},
	})
}

func (d *describer) conv2d(in, out, kernel, stride, pad, groups int, bias bool) *pt.Module {
	m := module("Conv2d", nil, "stride", stride, "padding", pad, "dilation", 1, "groups", groups)
	if kernel < 1 || kernel > 64 || groups < 1 || in%groups != 0 || in < 1 || in > 1<<16 {
		return m // without a weight FromModule names it
	}
	bound := 1 / math.Sqrt(float64(in/groups*kernel*kernel))
	fill := func(t *tensor.Tensor) *tensor.Tensor {
		for i := range t.Data {
			t.Data[i] = float32((2*d.rng.Float64() - 1) * bound)
		}
		return t
	}
	m.Params = map[string]*tensor.Tensor{"weight": fill(tensor.New(out, in/groups, kernel, kernel))}
	if bias {
		m.Params["bias"] = fill(tensor.New(out))
	}
	return m
}

// batchnorm is neutral, with the eps and momentum that YOLOv5 trains with.
func batchnorm(c int) *pt.Module {
	ones := func() *tensor.Tensor {
		t := tensor.New(c)
		for i := range t.Data {
			t.Data[i] = 1
		}
		return t
	}
	m := module("BatchNorm2d", nil, "eps", 1e-3, "momentum", 0.03)
	m.Params = map[string]*tensor.Tensor{"weight": ones(), "bias": tensor.New(c), "running_mean": tensor.New(c), "running_var": ones()}
	return m
}

// module makes a module; pairs are attribute names and values.
func module(class string, children []pt.Child, pairs ...any) *pt.Module {
	m := &pt.Module{Class: class, Path: class, Attr: map[string]any{}, Children: children}
	for i := 0; i < len(pairs); i += 2 {
		v := pairs[i+1]
		if n, ok := v.(int); ok {
			v = int64(n)
		}
		m.Attr[pairs[i].(string)] = v
	}
	return m
}

// arguments reads a layer's args in order, keeping the first mistake.
type arguments struct {
	list []any
	at   int
	err  error
}

func (a *arguments) next() (any, bool) {
	if a.at >= len(a.list) {
		return nil, false
	}
	v := a.list[a.at]
	a.at++
	return v, true
}

func (a *arguments) fail(v any, want string) {
	if a.err == nil {
		a.err = fmt.Errorf("argument %d is %s, want %s", a.at-1, brief(v), want)
	}
}

func (a *arguments) int(usual int) int {
	v, ok := a.next()
	if !ok {
		return usual
	}
	n, ok := whole(v)
	if !ok || n < 0 || n > 1<<16 {
		a.fail(v, "a whole number")
		return usual
	}
	return n
}

// optional is a number that may be None; then it is -1.
func (a *arguments) optional() int {
	if a.at < len(a.list) {
		if v := a.list[a.at]; v == nil || v == "None" {
			a.at++
			return -1
		}
	}
	return a.int(-1)
}

func (a *arguments) float(usual float64) float64 {
	v, ok := a.next()
	if !ok {
		return usual
	}
	f, ok := float(v)
	if !ok || !(f > 0 && f <= 8) {
		a.fail(v, "a factor")
		return usual
	}
	return f
}

func (a *arguments) bool(usual bool) bool {
	v, ok := a.next()
	if !ok {
		return usual
	}
	if s, is := v.(string); is && (s == "False" || s == "True") { // Python's spelling
		return s == "True"
	}
	b, ok := v.(bool)
	if !ok {
		a.fail(v, "true or false")
	}
	return b
}

func (a *arguments) ints(usual ...int) []int {
	v, ok := a.next()
	if !ok {
		return usual
	}
	list, ok := v.([]any)
	if !ok || len(list) > 8 {
		a.fail(v, "a list of whole numbers")
		return usual
	}
	var out []int
	for _, e := range list {
		n, ok := whole(e)
		if !ok || n < 1 || n > 99 {
			a.fail(v, "a list of kernel sizes")
			return usual
		}
		out = append(out, n)
	}
	return out
}
