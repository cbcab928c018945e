package yolo

import (
	"fmt"

	"ultrafast/graph"
	"ultrafast/pt"
)

// conv is Conv2d, batch norm (absent once fused), activation.
func (b *builder) conv(name string, m *pt.Module, in []*graph.Node) (*graph.Node, error) {
	children := []string{"conv"}
	for _, c := range []string{"bn", "act"} {
		if m.Child(c) != nil {
			children = append(children, c)
		}
	}
	return b.chain(name, m, children, in)
}

// chain runs through the named children one after the other.
func (b *builder) chain(name string, m *pt.Module, children []string, in []*graph.Node) (*graph.Node, error) {
	x := in[0]
	for _, c := range children {
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
	parts, pools := []*graph.Node{x}, m.Child("m")
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
	parts, pool := []*graph.Node{x}, m.Child("m")
	for i := range 3 {
		p, err := b.block(fmt.Sprintf("%s.m%d", name, i), kindOf(pool), pool, parts[i:])
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
