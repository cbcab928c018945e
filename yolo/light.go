package yolo

import (
	"fmt"

	"ultrafast/graph"
	"ultrafast/pt"
)

// Blocks of light backbones. GhostConv and GhostBottleneck are YOLOv5's own (Han et al.,
// "GhostNet: More Features from Cheap Operations", 2020); the other two follow the papers
// named at them, with Conv's batch norms and the model's activation.

// ghostConv makes half of the channels by a convolution, and from these the other half by a
// depthwise one of 5x5.
func (d *describer) ghostConv(in, out, kernel, stride int, act bool) *pt.Module {
	h := max(out/2, 1)
	m := module("GhostConv", []pt.Child{
		{Name: "cv1", Module: d.conv(in, h, kernel, stride, -1, 1)},
		{Name: "cv2", Module: d.conv(h, h, 5, 1, -1, h)},
	})
	if !act {
		for _, c := range m.Children {
			withoutAct(c.Module)
		}
	}
	return m
}

// ghostBottleneck keeps size and channels: ghost to half of the channels, ghost back, added
// to the input.
func (d *describer) ghostBottleneck(c int) *pt.Module {
	return module("GhostBottleneck", []pt.Child{
		{Name: "conv", Module: module("Sequential", []pt.Child{
			{Name: "0", Module: d.ghostConv(c, max(c/2, 2), 1, 1, true)},
			{Name: "1", Module: module("Identity", nil)},
			{Name: "2", Module: d.ghostConv(max(c/2, 2)/2*2, c, 1, 1, false)},
		})},
		{Name: "shortcut", Module: module("Identity", nil)},
	})
}

// shuffleUnit is the unit of ShuffleNet V2 (Ma et al., 2018). At stride 1 half of the
// channels pass through; at stride 2 both halves are made from the whole input.
func (d *describer) shuffleUnit(in, out, stride int) *pt.Module {
	h := out / 2
	from := in
	if stride == 1 { // two of the quarters, which may differ by a channel
		from = in - 2*(in/4)
	}
	branch := func(parts ...*pt.Module) *pt.Module {
		m := module("Sequential", nil)
		for i, p := range parts {
			m.Children = append(m.Children, pt.Child{Name: fmt.Sprint(i), Module: p})
		}
		return m
	}
	m := module("ShuffleUnit", nil, "channels", in)
	if stride != 1 {
		m.Children = append(m.Children, pt.Child{Name: "branch1", Module: branch(withoutAct(d.conv(in, in, 3, stride, -1, in)), d.conv(in, h, 1, 1, -1, 1))})
	} else {
		h = out - 2*(in/4)
	}
	m.Children = append(m.Children, pt.Child{Name: "branch2", Module: branch(d.conv(from, h, 1, 1, -1, 1), withoutAct(d.conv(h, h, 3, stride, -1, h)), d.conv(h, h, 1, 1, -1, 1))})
	return m
}

// invertedResidual is the block of MobileNet V2 and V3 (Sandler et al., 2018; Howard et al.,
// 2019) without squeeze and excitation: wider by a factor, depthwise, narrow again.
func (d *describer) invertedResidual(in, out, kernel, stride int, expand float64) *pt.Module {
	h := max(int(float64(in)*expand+0.5), 1)
	m := module("InvertedResidual", nil, "add", stride == 1 && in == out)
	if h != in {
		m.Children = append(m.Children, pt.Child{Name: "expand", Module: d.conv(in, h, 1, 1, -1, 1)})
	}
	m.Children = append(m.Children, pt.Child{Name: "depthwise", Module: d.conv(h, h, kernel, stride, -1, h)},
		pt.Child{Name: "project", Module: withoutAct(d.conv(h, out, 1, 1, -1, 1))})
	return m
}

// withoutAct takes a Conv's activation away.
func withoutAct(conv *pt.Module) *pt.Module {
	conv.Children = conv.Children[:2]
	return conv
}

// shuffle splits the channels of x, which are those of two branches one after the other,
// into halves that have some of both, as shuffling does; one passes, the other goes through
// branch2. With branch1 both are made from all of x.
func (b *builder) shuffle(name string, m *pt.Module, in []*graph.Node) (*graph.Node, error) {
	x, y := in[0], in[0]
	var err error
	if m.Child("branch1") != nil {
		if x, err = b.child(name, m, "branch1", in[0]); err != nil {
			return nil, err
		}
	} else {
		c := m.Int("channels", 0)
		if c < 4 || c > 1<<14 {
			return nil, fmt.Errorf("%s splits %d channels, want 4 to %d", name, c, 1<<14)
		}
		quarter := func(i, from, to int) *graph.Node {
			return b.g.Add(fmt.Sprintf("%s.quarter%d", name, i), &graph.Slice{Axis: 1, Start: from, End: to, Step: 1}, in[0])
		}
		half := c / 2
		q := [4]*graph.Node{quarter(0, 0, c/4), quarter(1, c/4, half), quarter(2, half, half+c/4), quarter(3, half+c/4, c)}
		x = b.g.Add(name+".pass", &graph.Concat{}, q[0], q[2])
		y = b.g.Add(name+".work", &graph.Concat{}, q[1], q[3])
	}
	if y, err = b.child(name, m, "branch2", y); err != nil {
		return nil, err
	}
	return b.g.Add(name+".cat", &graph.Concat{}, x, y), nil
}

// invertedResidual is project(depthwise(expand(x))), plus x where the module says add.
func (b *builder) invertedResidual(name string, m *pt.Module, in []*graph.Node) (*graph.Node, error) {
	children := []string{"depthwise", "project"}
	if m.Child("expand") != nil {
		children = append([]string{"expand"}, children...)
	}
	y, err := b.chain(name, m, children, in)
	if err != nil || !m.Bool("add", false) {
		return y, err
	}
	return b.g.Add(name+".add", &graph.Add{}, in[0], y), nil
}
