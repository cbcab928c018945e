package yolo

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"ultrafast/pt"
	"ultrafast/tensor"
)

func (d *describer) simple(block string, in, out int, a *arguments) *pt.Module {
	switch block {
	case "Focus":
		return module("Focus", []pt.Child{{Name: "conv", Module: d.conv(4*in, out, a.int(1), a.int(1), a.optional(), a.int(1))}})
	case "Bottleneck":
		shortcut, groups := a.bool(true), a.int(1)
		return d.bottleneck(in, out, shortcut, groups, a.float(0.5))
	case "SPP", "SPPF":
		return d.spp(block, in, out, a)
	case "ConvTranspose2d":
		return d.convTranspose2d(transposed{in, out, a.int(0), a.int(1), a.int(0), a.int(0), a.int(1), a.bool(true), a.int(1)})
	case "DWConvTranspose2d":
		return d.convTranspose2d(transposed{in, out, a.int(1), a.int(1), a.int(0), a.int(0), gcd(in, out), true, 1})
	case "GhostConv":
		return d.ghostConv(in, out, a.int(1), a.int(1), true)
	case "ShuffleUnit":
		return d.shuffleUnit(in, out, a.int(1))
	case "InvertedResidual":
		kernel, stride := a.int(3), a.int(1)
		return d.invertedResidual(in, out, kernel, stride, a.float(4))
	case "DWConv":
		return d.conv(in, out, a.int(1), a.int(1), -1, gcd(in, out))
	}
	m := d.conv(in, out, a.int(1), a.int(1), a.optional(), a.int(1))
	if !a.bool(true) { // act, before v7.0 put the dilation in front of it
		m.Children = m.Children[:2]
	}
	return m
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

// csp makes C3, C3Ghost of ghost bottlenecks, and their ancestor BottleneckCSP, which leaves two convolutions bare and
// normalises after the join.
func (d *describer) csp(block string, in, out, repeat int, a *arguments) *pt.Module {
	shortcut, groups, expand := a.bool(true), a.int(1), a.float(0.5)
	h := max(int(float64(out)*expand), 1)
	chain := module("Sequential", nil)
	for i := range repeat {
		inner := d.bottleneck
		if block == "C3Ghost" {
			inner = func(c, _ int, _ bool, _ int, _ float64) *pt.Module { return d.ghostBottleneck(c) }
		}
		chain.Children = append(chain.Children, pt.Child{Name: fmt.Sprint(i), Module: inner(h, h, shortcut, groups, 1)})
	}
	cv1 := pt.Child{Name: "cv1", Module: d.conv(in, h, 1, 1, -1, 1)}
	m := pt.Child{Name: "m", Module: chain}
	if block != "BottleneckCSP" {
		return module("C3", []pt.Child{cv1,
			{Name: "cv2", Module: d.conv(in, h, 1, 1, -1, 1)},
			{Name: "cv3", Module: d.conv(2*h, out, 1, 1, -1, 1)}, m})
	}
	// Its own activation was LeakyReLU until v6.0 made it SiLU, whatever the model's is;
	// the model's tells the releases up to v3.1 apart.
	act := module("SiLU", nil)
	if d.act.Class == "Hardswish" || d.act.Class == "LeakyReLU" {
		act = module("LeakyReLU", nil, "negative_slope", 0.1)
	}
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
	var sides []float32
	convs := module("ModuleList", nil)
	out := 0
	for i, c := range in {
		for _, v := range d.c.Anchors[i] {
			sides = append(sides, float32(v))
		}
		out = len(d.c.Anchors[i]) / 2 * (5 + d.classes)
		convs.Children = append(convs.Children, pt.Child{Name: fmt.Sprint(i), Module: d.conv2d(c, out, 1, 1, 0, 1, true)})
	}
	grid := tensor.New(len(sides)/2, 2)
	copy(grid.Data, sides)
	m := module("Detect", []pt.Child{{Name: "m", Module: convs}}, "nc", d.classes)
	m.Params = map[string]*tensor.Tensor{"anchor_grid": grid}
	return m, out, nil
}

// conv is Conv2d, batch norm and the model's activation; pad -1 keeps the size.
func (d *describer) conv(in, out, kernel, stride, pad, groups int) *pt.Module {
	if pad < 0 {
		pad = kernel / 2
	}
	return module("Conv", []pt.Child{
		{Name: "conv", Module: d.conv2d(in, out, kernel, stride, pad, groups, false)},
		{Name: "bn", Module: batchnorm(out)},
		{Name: "act", Module: d.act},
	})
}

// call is an activation as a description names it: SiLU, nn.SiLU(), nn.LeakyReLU(0.1).
var call = regexp.MustCompile(`^(?:(?:torch\.)?nn\.)?(\w+)(?:\( *(?:(?:negative_slope *= *)?([0-9.]+))? *,? *(?:inplace *= *(?:True|False))? *\))?$`)

// activation makes the module that the words in a description stand for, SiLU if none.
func activation(words string) (*pt.Module, error) {
	m := call.FindStringSubmatch(cmp.Or(words, "SiLU"))
	if m == nil || activations[m[1]] == "" {
		return nil, fmt.Errorf("activation %.40q: want one of %s, or LeakyReLU(0.1)", words, strings.Join(slices.Sorted(maps.Keys(activations)), ", "))
	}
	a := module(m[1], nil)
	if m[2] != "" {
		slope, err := strconv.ParseFloat(m[2], 64)
		if err != nil || m[1] != "LeakyReLU" {
			return nil, fmt.Errorf("activation %.40q: %s takes no %s", words, m[1], m[2])
		}
		a.Attr["negative_slope"] = slope
	}
	return a, nil
}

func (d *describer) conv2d(in, out, kernel, stride, pad, groups int, bias bool) *pt.Module {
	m := module("Conv2d", nil, "stride", stride, "padding", pad, "dilation", 1, "groups", groups)
	if d.affords(in, out, groups, kernel) {
		setWeights(m, bias, out, out, in/groups, kernel, kernel)
	}
	return m
}

// transposed is what PyTorch's ConvTranspose2d takes, in its order.
type transposed struct {
	in, out, kernel, stride, pad, outPad, groups int
	bias                                         bool
	dilation                                     int
}

func (d *describer) convTranspose2d(t transposed) *pt.Module {
	m := module("ConvTranspose2d", nil, "stride", t.stride, "padding", t.pad, "output_padding", t.outPad, "dilation", t.dilation, "groups", t.groups)
	if d.affords(t.in, t.out, t.groups, t.kernel) {
		setWeights(m, t.bias, t.out, t.in, t.out/t.groups, t.kernel, t.kernel)
	}
	return m
}

// affords reports whether the weights of such a convolution may be made, and counts them;
// if not, it leaves the reason in d.err.
func (d *describer) affords(in, out, groups, kernel int) bool {
	if d.err == nil && (kernel < 1 || kernel > 64 || groups < 1 || in%groups != 0 || out%groups != 0) {
		d.err = fmt.Errorf("a convolution of %d to %d channels cannot have %d groups and a kernel of %d (want 1 to 64)", in, out, groups, kernel)
	}
	if d.err == nil {
		d.weights += out * (in / groups) * kernel * kernel
		if d.weights > maxWeights {
			d.err = fmt.Errorf("the model has more than %d weights", maxWeights)
		}
	}
	return d.err == nil
}

func setWeights(m *pt.Module, bias bool, out int, weight ...int) {
	m.Params = map[string]*tensor.Tensor{"weight": tensor.New(weight...)}
	if bias {
		m.Params["bias"] = tensor.New(out)
	}
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
