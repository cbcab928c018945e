package prune

import (
	"fmt"
	"slices"

	"ultrafast/graph"
	"ultrafast/pass"
)

// A Trim says what of a detection head stays. The zero value keeps all.
type Trim struct {
	Levels  []int   // numbers of the head's inputs, ascending; nil means all
	Anchors [][]int // for each level that the model has, ascending numbers of its anchors; nil, or a nil among them, means all
	Classes []int   // numbers of classes in the order that they get; nil means all

	// Slim narrows the neck: the levels below no longer get what the levels above made, and
	// blocks become single convolutions. Unlike all else it makes a network that has to learn
	// again.
	Slim bool
}

// Apply returns g with that head and without the nodes that fed only what has gone. In the
// convolutions before the head the rows of boxes, objectness and kept classes stay as they
// are: maps of what is left are bit for bit slices of g's, but for Slim. g is not changed. The error names
// the level, anchor or class that the model does not have, or the node that cannot be cut.
func (t Trim) Apply(g *graph.Graph) (*graph.Graph, error) {
	if err := inFloat(g); err != nil {
		return nil, err
	}
	g = g.Clone()
	node := g.Detect()
	if node == nil {
		return nil, fmt.Errorf("prune: the model has no detection head")
	}
	head := node.Op.(*graph.Detect)
	levels, err := kept("levels", t.Levels, len(node.In))
	if err != nil {
		return nil, err
	}
	classes, err := kept("classes", t.Classes, head.Classes)
	if err != nil {
		return nil, err
	}
	if !slices.IsSorted(levels) {
		return nil, fmt.Errorf("prune: levels %v are not in order", levels)
	}
	if t.Anchors != nil && len(t.Anchors) != len(node.In) {
		return nil, fmt.Errorf("prune: anchors for %d levels, the model has %d", len(t.Anchors), len(node.In))
	}
	users := g.Consumers()
	smaller := &graph.Detect{Classes: len(classes)}
	var in []*graph.Node
	for _, l := range levels {
		var want []int
		if t.Anchors != nil {
			want = t.Anchors[l]
		}
		anchors, err := kept(fmt.Sprintf("anchors of level %d", l), want, len(head.Anchors[l]))
		if err != nil {
			return nil, err
		}
		if err := keepRows(node.In[l], len(users[node.In[l]]), len(head.Anchors[l]), head.Classes, anchors, classes); err != nil {
			return nil, err
		}
		var sizes [][2]float32
		for _, a := range anchors {
			sizes = append(sizes, head.Anchors[l][a])
		}
		smaller.Anchors = append(smaller.Anchors, sizes)
		smaller.Strides = append(smaller.Strides, head.Strides[l])
		in = append(in, node.In[l])
	}
	node.Op, node.In = smaller, in
	if len(g.Names) == head.Classes {
		names := make([]string, len(classes))
		for i, c := range classes {
			names[i] = g.Names[c]
		}
		g.Names = names
	}
	if err := pass.DropDead(g); err != nil {
		return nil, err
	}
	if t.Slim {
		if err := slimNeck(g); err != nil {
			return nil, err
		}
	}
	return g, g.Verify()
}

// kept checks a choice among n things; nil is all of them.
func kept(what string, numbers []int, n int) ([]int, error) {
	if numbers == nil {
		numbers = make([]int, n)
		for i := range numbers {
			numbers[i] = i
		}
		return numbers, nil
	}
	seen := map[int]bool{}
	for _, k := range numbers {
		if k < 0 || k >= n || seen[k] {
			return nil, fmt.Errorf("prune: %s %v: want different ones of 0 to %d", what, numbers, n-1)
		}
		seen[k] = true
	}
	if len(numbers) == 0 {
		return nil, fmt.Errorf("prune: %s: none would be left", what)
	}
	return numbers, nil
}

// keepRows cuts the convolution before a head down to some of its anchors and classes.
func keepRows(n *graph.Node, users, anchors, classes int, keepAnchors, keepClasses []int) error {
	per := 5 + classes
	var rows []int
	for _, a := range keepAnchors {
		for r := range 5 {
			rows = append(rows, a*per+r)
		}
		for _, c := range keepClasses {
			rows = append(rows, a*per+5+c)
		}
	}
	if same := len(rows) == anchors*per && slices.IsSorted(rows); same {
		return nil
	}
	conv, ok := n.Op.(*graph.Conv)
	if !ok || conv.Groups != 1 || users != 1 || conv.Weight.Shape[0] != anchors*per {
		return fmt.Errorf("prune: %s, which the head takes, is no convolution of its own with %d outputs: it cannot be trimmed", n.Name, anchors*per)
	}
	conv.Weight = take(conv.Weight, 0, rows)
	if conv.Bias != nil {
		conv.Bias = take(conv.Bias, 0, rows)
	}
	return nil
}
