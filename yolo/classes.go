package yolo

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"ultrafast/graph"
	"ultrafast/tensor"
)

// SetClasses returns g made for the classes called names, which are one at least. In the
// convolutions before the head the rows of boxes and objectness stay, and so do those of
// every class whose name the model has; the others start as Initialize starts them, by
// seed. Where the model or the caller has no names ("", "3", "class3") but the same number
// of classes, they are taken for the same in the same order. kept says of each class which
// of the model's it was, or -1. g is not changed.
func SetClasses(g *graph.Graph, names []string, seed uint64) (out *graph.Graph, kept []int, err error) {
	out = g.Clone()
	node := out.Detect()
	if node == nil {
		return nil, nil, fmt.Errorf("yolo: the model has no detection head")
	}
	d := node.Op.(*graph.Detect)
	before := d.Classes
	kept = ClassRows(g.Names, before, names)
	out.Names, d.Classes = slices.Clone(names), len(names)
	if same(kept, before) {
		return out, kept, nil
	}
	users := out.Consumers()
	rng := rand.New(rand.NewPCG(seed, 0xc1a55))
	for i, m := range node.In {
		c, ok := m.Op.(*graph.Conv)
		per := 5 + before
		switch {
		case !ok || c.Bias == nil || c.Groups != 1 || len(users[m]) != 1:
			return nil, nil, fmt.Errorf("yolo: %s, which the head takes, is no convolution with a bias of its own: the model cannot be given other classes", m.Name)
		case c.Weight.Shape[0] != per*len(d.Anchors[i]):
			return nil, nil, fmt.Errorf("yolo: %s has %d outputs, want %d for each of %d anchors", m.Name, c.Weight.Shape[0], per, len(d.Anchors[i]))
		}
		c.Weight, c.Bias = headRows(c, len(d.Anchors[i]), per, kept, 640/float64(d.Strides[i]), rng)
		c.WeightScale = nil // which was for other rows
	}
	return out, kept, out.Verify()
}

// headRows makes weight [anchors*(5+len(kept)), C, R, S] and bias anew, from rows of c where
// there are any: those of anchor a begin at a*per.
func headRows(c *graph.Conv, anchors, per int, kept []int, cells float64, rng *rand.Rand) (weight, bias *tensor.Tensor) {
	s := c.Weight.Shape
	rows, size := 5+len(kept), s[1]*s[2]*s[3]
	weight, bias = tensor.New(anchors*rows, s[1], s[2], s[3]), tensor.New(anchors*rows)
	fillUniform(weight, bias, rng)
	expectFew(bias.Data, len(kept), cells)
	for a := range anchors {
		for r := range rows {
			from := r
			if r >= 5 {
				if from = 5 + kept[r-5]; kept[r-5] < 0 {
					continue
				}
			}
			to, at := a*rows+r, a*per+from
			copy(weight.Data[to*size:(to+1)*size], c.Weight.Data[at*size:])
			bias.Data[to] = c.Bias.Data[at]
		}
	}
	return weight, bias
}

// ClassRows finds each of the names among a model's classes: its number there, or -1. Where as many
// classes have no names but numbers, on either side, their order counts.
func ClassRows(have []string, classes int, names []string) []int {
	kept := make([]int, len(names))
	inOrder := len(names) == classes && (unnamed(have) || unnamed(names))
	for i, name := range names {
		if kept[i] = slices.Index(have, name); inOrder {
			kept[i] = i
		}
		if kept[i] >= classes {
			kept[i] = -1
		}
	}
	return kept
}

// same reports whether kept are all of the model's classes in their order.
func same(kept []int, classes int) bool {
	for i, k := range kept {
		if k != i {
			return false
		}
	}
	return len(kept) == classes
}

// unnamed reports whether no name says more than a number does.
func unnamed(names []string) bool {
	for _, name := range names {
		name = strings.TrimPrefix(name, "class")
		if _, err := strconv.Atoi(name); err != nil && name != "" {
			return false
		}
	}
	return true
}
