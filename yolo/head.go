package yolo

import (
	"fmt"
	"slices"

	"ultrafast/graph"
	"ultrafast/pt"
)

// detect adds the head's convolutions (layers of their own up to v1.0) and the decoding.
// Anchors are stored in stride units beside the strides; where strides are missing, as in
// a new model, they follow from the sizes of the maps, and anchor_grid holds pixels. They
// come level by level, as many as the channels of each tell.
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
	if anchors == nil {
		return nil, fmt.Errorf("%s has no anchors beside its strides: it was never made ready to detect", name)
	}
	counts := share(len(anchors.Data)/2, maps)
	sum := 0
	for _, n := range counts {
		sum += n
	}
	if len(strides) != len(in) || len(anchors.Data) != 2*sum {
		return nil, fmt.Errorf("%s has anchors %v and strides %v for %d levels", name, anchors, strides, len(in))
	}
	sides := anchors.Data
	for i, s := range strides {
		unit := float32(1)
		if perCell {
			unit = float32(s)
		}
		var level [][2]float32
		for range counts[i] {
			level = append(level, [2]float32{sides[0] * unit, sides[1] * unit})
			sides = sides[2:]
		}
		if s < 1 || s > 4096 || s != float64(int(s)) {
			return nil, fmt.Errorf("%s has stride %v, want a whole number", name, s)
		}
		d.Anchors, d.Strides = append(d.Anchors, level), append(d.Strides, int(s))
	}
	return b.g.Add(name, d, maps...), nil
}

// share deals n anchors out to maps by their channels, which are 5 and the classes for each
// anchor. What does not come out even is left over.
func share(n int, maps []*graph.Node) []int {
	channels, sum := make([]int, len(maps)), 0
	for i, m := range maps {
		if c, ok := m.Op.(*graph.Conv); ok {
			channels[i] = c.Weight.Shape[0]
		}
		sum += channels[i]
	}
	for i := range channels {
		channels[i] = n * channels[i] / max(sum, 1)
	}
	return channels
}
