package yolo

import (
	"fmt"
	"strings"

	"ultrafast/graph"
	"ultrafast/pt"
	"ultrafast/tensor"
)

// FromModule builds the graph of a model that is stored as a tree of modules, a whole
// checkpoint's or one made by Config.Modules. Nothing is taken from a description: widths,
// shortcuts, eps, anchors are what the modules hold, so pruned and custom models come out
// as they are. Blocks are recognised by the last part of their class name, and by their
// children where that name is foreign; one that holds more or less than its kind is an
// error, not a guess. Errors name the module.
func FromModule(root *pt.Module) (*graph.Graph, error) {
	root = unwrap(root)
	layers := root.Child("model")
	if layers == nil || len(layers.Children) == 0 {
		return nil, fmt.Errorf("yolo: %s holds no layers under \"model\": not a YOLOv5", root.Path)
	}
	b := &builder{g: &graph.Graph{Names: root.Strings("names")}, taken: map[*tensor.Tensor]bool{}}
	channels := 3
	if conv := firstConv(layers); conv != nil {
		channels = inputs(conv)
	}
	if layers.Children[0].Module.Class == "Focus" {
		channels /= 4
	}
	x := b.g.Add("images", &graph.Input{Shape: [4]int{1, channels, 640, 640}})
	if err := b.layers(layers, x); err != nil {
		return nil, fmt.Errorf("yolo: %w", err)
	}
	if b.copied > maxWeights {
		return nil, fmt.Errorf("yolo: the layers share weights so often that they would take more than %d numbers", maxWeights)
	}
	if err := b.g.Verify(); err != nil {
		return nil, fmt.Errorf("yolo: %w", err)
	}
	if d := b.g.Detect(); d != nil {
		if d != b.g.Outputs[0] {
			return nil, fmt.Errorf("yolo: %s is not the last layer", d.Name)
		}
		if err := checkNames(b.g, d.Op.(*graph.Detect)); err != nil {
			return nil, fmt.Errorf("yolo: %w", err)
		}
	}
	return b.g, nil
}

// unwrap takes off what holds the model as a whole: DataParallel under "module", and the
// wrappers of PyTorch Hub (AutoShape, DetectMultiBackend) under "model".
func unwrap(m *pt.Module) *pt.Module {
	for {
		inner := m.Child("model")
		switch {
		case inner == nil && m.Child("module") != nil:
			m = m.Child("module")
		case inner != nil && inner.Child("model") != nil:
			m = inner
		default:
			return m
		}
	}
}

// checkNames gives classes without a name a number, as YOLOv5 does.
func checkNames(g *graph.Graph, d *graph.Detect) error {
	if len(g.Names) == 0 {
		for i := range d.Classes {
			g.Names = append(g.Names, fmt.Sprint(i))
		}
	}
	if len(g.Names) != d.Classes {
		return fmt.Errorf("the model has %d classes and %d class names", d.Classes, len(g.Names))
	}
	return nil
}

func firstConv(m *pt.Module) *pt.Module {
	if w := m.Params["weight"]; w != nil && len(w.Shape) == 4 {
		return m
	}
	for _, c := range m.Children {
		if conv := firstConv(c.Module); conv != nil {
			return conv
		}
	}
	return nil
}

// inputs is how many channels a convolution takes.
func inputs(conv *pt.Module) int {
	w := conv.Params["weight"].Shape
	if kindOf(conv) == "ConvTranspose2d" {
		return w[0]
	}
	return w[1] * max(conv.Int("groups", 1), 1)
}

// A builder appends the nodes of modules to a graph.
type builder struct {
	g      *graph.Graph
	taken  map[*tensor.Tensor]bool
	copied int // numbers in the tensors that were copied
}

// own returns a parameter that no other node has: a file may hold one module at several
// places, and what changes a node in place (folding, training) must not reach another.
func (b *builder) own(t *tensor.Tensor) *tensor.Tensor {
	if t == nil || !b.taken[t] {
		b.taken[t] = true
		return t
	}
	if b.copied += t.Len(); b.copied > maxWeights {
		return nil // FromModule refuses the whole
	}
	return t.Clone()
}

// layers adds the model's list of layers, each of which says in "f" where its inputs come
// from: indices of layers, negative ones counted back from here.
func (b *builder) layers(list *pt.Module, x *graph.Node) error {
	out := make([]*graph.Node, len(list.Children))
	for i, c := range list.Children {
		name := "model." + c.Name
		from := c.Module.Ints("f")
		if len(from) == 0 {
			from = []int{-1}
		}
		var in []*graph.Node
		for _, f := range from {
			switch {
			case f < 0 && i+f == -1:
				in = append(in, x)
			case f < 0 && i+f >= 0:
				in = append(in, out[i+f])
			case f >= 0 && f < i:
				in = append(in, out[f])
			default:
				return fmt.Errorf("%s takes layer %d, which does not come before it", name, f)
			}
		}
		kind := kindOf(c.Module)
		b.g.Blocks = append(b.g.Blocks, graph.Block{Name: name, Kind: printable(kind)})
		n, err := b.block(name, kind, c.Module, in)
		if err != nil {
			return err
		}
		out[i] = n
	}
	b.g.Outputs = []*graph.Node{out[len(out)-1]}
	return nil
}

// printable keeps what the graph's text form can carry.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' || strings.ContainsRune(`,="'`, r) {
			return '_'
		}
		return r
	}, s)
	if s == "" {
		return "_"
	}
	return s[:min(len(s), 100)]
}

// block adds one module of any kind. Modules of one input take the first.
func (b *builder) block(name, kind string, m *pt.Module, in []*graph.Node) (*graph.Node, error) {
	k, ok := blocks[kind]
	if !ok {
		return nil, fmt.Errorf("%s is a %s (%s), which this program does not know", name, kind, m.Path)
	}
	if why := k.unlike(m); why != "" {
		return nil, fmt.Errorf("%s (%s) %s, so it is no %s as this program knows it", name, m.Path, why, kind)
	}
	return k.make(b, name, m, in)
}

// child adds the named child of a module.
func (b *builder) child(name string, m *pt.Module, child string, in ...*graph.Node) (*graph.Node, error) {
	c := m.Child(child)
	if c == nil {
		return nil, fmt.Errorf("%s (%s) has no %s", name, m.Path, child)
	}
	return b.block(name+"."+child, kindOf(c), c, in)
}
