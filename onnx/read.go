package onnx

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"ultrafast/graph"
	"ultrafast/tensor"
)

// Open reads the ONNX file of that name. See Read.
func Open(path string) (*graph.Graph, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	g, err := Read(f, info.Size())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return g, nil
}

// Read reads a model of size bytes: what Write wrote, or an export of YOLOv5. Boxes that
// the model decodes become a Detect node again, whatever operators decode them, if a trial
// shows that they compute what Detect does. Raw maps get one if the metadata describes it.
// Half-precision weights are widened. QuantizeLinear with DequantizeLinear becomes a Quantize,
// whose numbers of int8 are shifted to uint8; weights of int8 keep their scales. Nodes are called as in YOLOv5 where the file tells.
// Errors are FormatError and UnsupportedError, besides those of r.
func Read(r io.ReaderAt, size int64) (*graph.Graph, error) {
	if size > maxModel {
		return nil, &FormatError{0, "is above 2 GB, the limit of the format"}
	}
	file, err := io.ReadAll(io.NewSectionReader(r, 0, size))
	if err != nil {
		return nil, err
	}
	m, err := decode(file)
	if err != nil {
		return nil, err
	}
	return m.read(len(file))
}

// read makes the graph of a model that came in so many bytes.
func (m *model) read(size int) (*graph.Graph, error) {
	if m.opset < 9 {
		return nil, &UnsupportedError{Reason: fmt.Sprintf("is of opset %d, 9 or later is needed", m.opset)}
	}
	rd := &reader{
		m: m, g: &graph.Graph{},
		eval:   evaluator{arena{maxShapeMath}, m.opset},
		spare:  size + 1<<16,
		slots:  map[string]*slot{},
		shapes: map[*graph.Node]graph.Shape{},
		source: map[*graph.Node]*node{},
		heads:  map[string]*node{},
		shared: map[*float32]bool{},
		copied: map[*constant]bool{},
	}
	if err := rd.read(); err != nil {
		return nil, err
	}
	return rd.g, nil
}

// maxShapeMath bounds the sum of all arrays that the arithmetic on shapes makes.
const maxShapeMath = 1 << 22

// A reader turns a model into a graph, node by node in the file's order.
type reader struct {
	m      *model
	g      *graph.Graph
	eval   evaluator
	slots  map[string]*slot // what each name stands for
	shapes map[*graph.Node]graph.Shape
	source map[*graph.Node]*node // which ONNX node a node comes from
	heads  map[string]*node      // who gives a value of the head
	shared map[*float32]bool     // weights that a node has taken
	copied map[*constant]bool    // whose numbers were rounded or multiplied out
	spare  int                   // how many numbers may be copied for nodes that share weights
}

// A slot is what a name in the file stands for: one of the four.
type slot struct {
	weight *constant
	array  *array      // a number known while reading
	node   *graph.Node // a map; with part, something half-way to an activation of it
	part   part
	grid   *grid     // of a map's 8-bit numbers
	scale  []float32 // of an array's output channels, if they are whole multiples of it
	head   bool      // computed from maps in ways only a detection head does
}

// known returns the slot's numbers, nil if they depend on the picture.
func (s *slot) known() (*array, error) {
	if s.weight != nil {
		return s.weight.numbers()
	}
	return s.array, nil
}

func (r *reader) read() error {
	for _, c := range r.m.constants {
		r.slots[c.name] = &slot{weight: c}
	}
	if err := r.input(); err != nil {
		return err
	}
	for _, n := range r.live() {
		if err := r.node(n); err != nil {
			return err
		}
	}
	r.m.describe(r.g)
	if err := r.outputs(); err != nil {
		return err
	}
	r.g.Nodes = reaching(r.g, r.g.Outputs)
	r.joinAdds()
	r.rename()
	if d := r.g.Detect(); d != nil && len(r.g.Names) != d.Op.(*graph.Detect).Classes {
		r.g.Names = nil // they are of some other model
	}
	if err := r.g.Verify(); err != nil {
		return &FormatError{0, err.Error()}
	}
	return nil
}

// live lists the nodes that the outputs need.
func (r *reader) live() []*node {
	need := map[string]bool{}
	for _, v := range r.m.outputs {
		need[v.name] = true
	}
	var all []*node
	for _, n := range slices.Backward(r.m.nodes) {
		if slices.ContainsFunc(n.out, func(name string) bool { return name != "" && need[name] }) {
			all = append(all, n)
			for _, name := range n.in {
				need[name] = true
			}
		}
	}
	slices.Reverse(all)
	return all
}

func (r *reader) input() error {
	var in *value
	for i := range r.m.inputs { // before version 4 of the format, weights are listed too
		if r.slots[r.m.inputs[i].name] != nil {
			continue
		}
		if in != nil {
			return &UnsupportedError{Reason: fmt.Sprintf("has the inputs %.80q and %.80q, want one, the picture", in.name, r.m.inputs[i].name)}
		}
		in = &r.m.inputs[i]
	}
	if in == nil {
		return &FormatError{0, "the model has no input"}
	}
	if in.kind != float32s && in.kind != float16s {
		return &UnsupportedError{Reason: fmt.Sprintf("input %.80q has numbers of ONNX kind %d, want float32 or float16", in.name, in.kind)}
	}
	if len(in.dims) != 4 {
		return &UnsupportedError{Reason: fmt.Sprintf("input %.80q has %d dimensions, want [batch, channels, height, width]", in.name, len(in.dims))}
	}
	batch, height, width := r.m.usualSize()
	shape := [4]int{batch, 3, height, width}
	for i, d := range in.dims {
		if d.size > maxSide || d.size < 0 && d.name == "" && d.size != -1 {
			return &FormatError{0, fmt.Sprintf("input %.80q has a dimension of %d", in.name, d.size)}
		}
		if d.name == "" && d.size > 0 {
			shape[i] = int(d.size)
		}
	}
	if _, err := tensor.Count(shape[:]); err != nil {
		return &FormatError{0, fmt.Sprintf("input %.80q: %v", in.name, err)}
	}
	n := r.g.Add("", &graph.Input{Shape: shape})
	r.source[n] = &node{name: in.name, op: "Input", out: []string{in.name}}
	r.shapes[n] = shape[:]
	r.slots[in.name] = &slot{node: n}
	return nil
}

// outputs sets the graph's outputs, and restores Detect.
func (r *reader) outputs() error {
	if len(r.m.outputs) == 0 {
		return &FormatError{0, "the model has no outputs"}
	}
	boxes := -1 // the output that holds decoded boxes; exports give raw maps beside it
	for i, v := range r.m.outputs {
		s := r.slots[v.name]
		if s == nil || s.weight != nil || s.array != nil || s.part != none {
			return &UnsupportedError{Reason: fmt.Sprintf("output %.80q is not computed from the picture by anything known here", v.name)}
		}
		if s.head && (boxes < 0 || len(v.dims) == 3 && len(r.m.outputs[boxes].dims) != 3) {
			boxes = i
		}
	}
	if boxes >= 0 {
		d, err := r.detect(r.m.outputs[boxes].name)
		r.g.Outputs = []*graph.Node{d}
		return err
	}
	for _, v := range r.m.outputs {
		r.g.Outputs = append(r.g.Outputs, r.slots[v.name].node)
	}
	if op := r.m.detection(); op != nil {
		r.rename() // gives the head's convolutions the names that its own comes from
		d, err := r.add(&node{name: detectName(r.g.Outputs[0].Name), op: "Detect"}, op, r.g.Outputs...)
		if err != nil {
			return err
		}
		r.g.Outputs = []*graph.Node{d}
	}
	return nil
}

// detectName returns what the head is called whose first convolution has that name:
// "model.24" for "model.24.m.0".
func detectName(conv string) string {
	if name, ok := strings.CutSuffix(conv, ".m.0"); ok {
		return name
	}
	return "detect"
}

// joinAdds makes one Add of the chain that Write makes of one with more than two inputs.
func (r *reader) joinAdds() {
	use := r.g.Consumers()
	gone := map[*graph.Node]bool{}
	for _, n := range slices.Backward(r.g.Nodes) {
		if _, ok := n.Op.(*graph.Add); !ok || gone[n] {
			continue
		}
		for {
			first := n.In[0]
			_, ok := first.Op.(*graph.Add)
			if !ok || len(use[first]) != 1 || slices.Contains(r.g.Outputs, first) || len(n.In) > maxPerNode ||
				!strings.HasPrefix(r.source[first].name, r.source[n].name+"/Add") {
				break
			}
			n.In = slices.Concat(first.In, n.In[1:])
			gone[first] = true
		}
	}
	r.g.Nodes = slices.DeleteFunc(r.g.Nodes, func(n *graph.Node) bool { return gone[n] })
}
