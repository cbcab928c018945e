package yolo

import (
	"fmt"
	"slices"
	"strings"

	"ultrafast/graph"
	"ultrafast/pt"
)

// FromModule builds the graph of a model that is stored as a tree of modules, a whole
// checkpoint's or one made by Config.Modules. Nothing is taken from a description: widths,
// shortcuts, eps, anchors are what the modules hold, so pruned and custom models come out
// as they are. Blocks are recognised by the last part of their class name, and by their
// children where that name is foreign. Errors name the module.
func FromModule(root *pt.Module) (*graph.Graph, error) {
	if m := root.Child("module"); m != nil && root.Child("model") == nil {
		root = m // DataParallel wraps the model
	}
	layers := root.Child("model")
	if layers == nil || len(layers.Children) == 0 {
		return nil, fmt.Errorf("yolo: %s holds no layers under \"model\": not a YOLOv5", root.Path)
	}
	b := &builder{g: &graph.Graph{Names: root.Strings("names")}}
	channels := 3
	if conv := firstConv(layers); conv != nil {
		channels = conv.Params["weight"].Shape[1] * max(conv.Int("groups", 1), 1)
	}
	if layers.Children[0].Module.Class == "Focus" {
		channels /= 4
	}
	x := b.g.Add("images", &graph.Input{Shape: [4]int{1, channels, 640, 640}})
	if err := b.layers(layers, x); err != nil {
		return nil, fmt.Errorf("yolo: %w", err)
	}
	if d := b.g.Detect(); d != nil {
		if err := checkNames(b.g, d.Op.(*graph.Detect)); err != nil {
			return nil, fmt.Errorf("yolo: %w", err)
		}
	}
	if err := b.g.Verify(); err != nil {
		return nil, fmt.Errorf("yolo: %w", err)
	}
	return b.g, nil
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

// A builder appends the nodes of modules to a graph.
type builder struct {
	g *graph.Graph
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
	if make, ok := blocks[kind]; ok {
		return make(b, name, m, in)
	}
	return nil, fmt.Errorf("%s is a %s (%s), which this program does not know", name, kind, m.Path)
}

// child adds the named child of a module.
func (b *builder) child(name string, m *pt.Module, child string, in ...*graph.Node) (*graph.Node, error) {
	c := m.Child(child)
	if c == nil {
		return nil, fmt.Errorf("%s (%s) has no %s", name, m.Path, child)
	}
	return b.block(name+"."+child, kindOf(c), c, in)
}

// aliases are class names whose modules are built like those of another name.
var aliases = map[string]string{
	"Conv": "Conv", "DWConv": "Conv",
	"Focus":      "Focus",
	"Bottleneck": "Bottleneck", "CrossConv": "Bottleneck",
	"BottleneckCSP": "BottleneckCSP",
	"C3":            "C3", "C3x": "C3", "C3Ghost": "C3", "C3SPP": "C3",
	"SPP": "SPP", "SPPF": "SPPF",
	"GhostConv": "GhostConv", "GhostBottleneck": "GhostBottleneck",
	"Concat": "Concat", "Upsample": "Upsample", "MaxPool2d": "MaxPool2d",
	"Sequential": "Sequential", "Identity": "Identity", "Dropout": "Identity",
	"Conv2d": "Conv2d", "BatchNorm2d": "BatchNorm2d", "SyncBatchNorm": "BatchNorm2d",
	"Detect": "Detect",
}

// kindOf says how to build a module: by its class, else by what it holds.
func kindOf(m *pt.Module) string {
	if k, ok := aliases[m.Class]; ok {
		return k
	}
	if _, ok := activations[m.Class]; ok {
		return "Activation"
	}
	var names []string
	for _, c := range m.Children {
		names = append(names, c.Name)
	}
	has := func(want ...string) bool {
		return !slices.ContainsFunc(want, func(w string) bool { return !slices.Contains(names, w) })
	}
	switch _, add := m.Attr["add"].(bool); {
	case has("cv1", "cv2", "cv3", "cv4", "bn", "m"):
		return "BottleneckCSP"
	case has("cv1", "cv2", "cv3", "m"):
		return "C3"
	case has("cv1", "cv2", "m") && m.Child("m").Class == "ModuleList":
		return "SPP"
	case has("cv1", "cv2", "m"):
		return "SPPF"
	case has("cv1", "cv2") && add:
		return "Bottleneck"
	case has("conv", "act") && m.Child("conv").Class == "Conv2d":
		return "Conv"
	}
	return m.Class
}
