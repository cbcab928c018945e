package onnx

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"ultrafast/graph"
	"ultrafast/tensor"
)

// exported is a detector of two levels as an exporter of PyTorch would see it.
func exported(batch int) *graph.Graph {
	g := &graph.Graph{}
	conv := func(name string, in *graph.Node, from, to, kernel, stride int) *graph.Node {
		c := &graph.Conv{Weight: tensor.New(to, from, kernel, kernel), Bias: tensor.New(to), Stride: [2]int{stride, stride},
			Pad: [2]int{kernel / 2, kernel / 2}, Dilation: [2]int{1, 1}, Groups: 1}
		for i := range c.Weight.Data {
			c.Weight.Data[i] = float32(i%7-3) / 4
		}
		return g.Add(name, c, in)
	}
	act := func(name string, in *graph.Node) *graph.Node {
		return g.Add(name, &graph.Activation{Kind: graph.SiLU}, in)
	}
	x := g.Add("images", &graph.Input{Shape: [4]int{batch, 3, 64, 32}})
	x = act("model.0.act", conv("model.0.conv", x, 3, 4, 3, 2))
	y := act("model.2.m.0.cv1.act", conv("model.2.m.0.cv1.conv", x, 4, 4, 1, 1))
	x = g.Add("model.2.m.0", &graph.Add{}, x, y)
	p4 := act("model.3.act", conv("model.3.conv", x, 4, 4, 3, 4))
	p5 := act("model.4.act", conv("model.4.conv", p4, 4, 4, 3, 2))
	d := &graph.Detect{Classes: 3, Strides: []int{8, 16}, Anchors: [][][2]float32{{{10, 13}, {16, 30.5}, {33, 23}}, {{116, 90}, {156, 198}, {373, 326}}}}
	g.Outputs = []*graph.Node{g.Add("model.24", d, conv("model.24.m.0", p4, 4, 24, 1, 1), conv("model.24.m.1", p5, 4, 24, 1, 1))}
	return g
}

// A sketch adds nodes to a model, in a line each.
type sketch struct {
	*model
	style string // how nodes are called: "/model.24/%s_%d" or "%s_%d"
}

func (s *sketch) op(op string, in []string, attrs ...attr) string {
	n := &node{op: op, in: in, name: fmt.Sprintf(s.style, op, len(s.nodes)), out: []string{fmt.Sprintf("v%d", len(s.nodes))}, attrs: attrs}
	s.nodes = append(s.nodes, n)
	return n.out[0]
}

func (s *sketch) floats(v []float32, dims ...int64) string {
	s.constants = append(s.constants, &constant{name: fmt.Sprintf("c%d", len(s.constants)), kind: float32s, f: v, dims: dims})
	return s.constants[len(s.constants)-1].name
}

func (s *sketch) number(v float32) string { return s.floats([]float32{v}) }

func (s *sketch) integers(v ...int64) string {
	s.constants = append(s.constants, &constant{name: fmt.Sprintf("c%d", len(s.constants)), kind: int64s, i: v, dims: []int64{int64(len(v))}})
	return s.constants[len(s.constants)-1].name
}

func (s *sketch) scalar(v int64) string {
	name := s.integers(v)
	s.constants[len(s.constants)-1].dims = nil
	return name
}

// each calls f for every level, with the map's name, size, anchors spread over the cells,
// and stride.
func (s *sketch) each(g *graph.Graph, f func(x string, h, w int64, anchors []float32, stride float32) string) {
	d := g.Detect()
	shapes, err := g.Shapes(1, 64, 32)
	if err != nil {
		panic(err)
	}
	var parts []string
	for i, in := range d.In {
		op := d.Op.(*graph.Detect)
		var anchors []float32
		for _, a := range op.Anchors[i] {
			anchors = append(anchors, a[0], a[1])
		}
		parts = append(parts, f(in.Name, int64(shapes[in][2]), int64(shapes[in][3]), anchors, float32(op.Strides[i])))
	}
	out := s.op("Concat", parts, integer("axis", 1))
	s.outputs = append([]value{{name: out, kind: float32s, dims: []dim{{size: 1}, {size: 1}, {size: 8}}}}, s.outputs...)
}

// gridInFull lists x-0.5, y-0.5 of every cell, row by row.
func gridInFull(height, width int64) []float32 {
	grid := make([]float32, 0, 2*height*width)
	for y := range height {
		for x := range width {
			grid = append(grid, float32(x)-.5, float32(y)-.5)
		}
	}
	return grid
}

// v7 draws the head as YOLOv5 v6.2 and v7.0 export it: Split, and grid and anchors in full.
func (s *sketch) v7(g *graph.Graph, batch int64) {
	s.outputs = nil
	s.each(g, func(x string, h, w int64, anchors []float32, stride float32) string {
		y := s.op("Reshape", []string{x, s.integers(batch, 3, 8, h, w)})
		y = s.op("Sigmoid", []string{s.op("Transpose", []string{y}, ints("perm", 0, 1, 3, 4, 2))})
		xy := s.op("Split", []string{y}, integer("axis", 4), ints("split", 2, 2, 4))
		last := s.nodes[len(s.nodes)-1]
		last.out = []string{xy, xy + "wh", xy + "rest"}
		full := slices.Repeat(gridInFull(h, w), 3)
		a := s.op("Mul", []string{s.op("Add", []string{s.op("Mul", []string{xy, s.number(2)}), s.floats(full, 1, 3, h, w, 2)}), s.number(stride)})
		var grid []float32
		for i := range 3 {
			grid = append(grid, slices.Repeat(anchors[2*i:2*i+2], int(h*w))...)
		}
		b := s.op("Pow", []string{s.op("Mul", []string{xy + "wh", s.number(2)}), s.number(2)})
		b = s.op("Mul", []string{b, s.floats(grid, 1, 3, h, w, 2)})
		return s.op("Reshape", []string{s.op("Concat", []string{a, b, xy + "rest"}, integer("axis", -1)), s.integers(batch, 3*h*w, 8)})
	})
}

// v5 draws it as v5.0 exports it: Slices, 0.5 on its own, anchors per level, and the raw
// maps as further outputs.
func (s *sketch) v5(g *graph.Graph) {
	s.outputs = nil
	s.each(g, func(x string, h, w int64, anchors []float32, stride float32) string {
		raw := s.op("Transpose", []string{s.op("Reshape", []string{x, s.integers(1, 3, 8, h, w)})}, ints("perm", 0, 1, 3, 4, 2))
		s.outputs = append(s.outputs, value{name: raw, kind: float32s, dims: make([]dim, 5)})
		y := s.op("Sigmoid", []string{raw})
		part := func(from, to int64) string {
			return s.op("Slice", []string{y, s.integers(from), s.integers(to), s.integers(4), s.integers(1)})
		}
		a := s.op("Sub", []string{s.op("Mul", []string{part(0, 2), s.number(2)}), s.number(.5)})
		grid := gridInFull(h, w)
		for i := range grid {
			grid[i] += .5
		}
		a = s.op("Mul", []string{s.op("Add", []string{a, s.floats(grid, 1, 1, h, w, 2)}), s.number(stride)})
		b := s.op("Pow", []string{s.op("Mul", []string{part(2, 4), s.number(2)}), s.number(2)})
		b = s.op("Mul", []string{b, s.floats(anchors, 1, 3, 1, 1, 2)})
		return s.op("Reshape", []string{s.op("Concat", []string{a, b, part(4, 1<<62)}, integer("axis", 4)), s.integers(1, -1, 8)})
	})
}

// open draws it as PyTorch exports it for open sizes: the grid by Range, Expand and Where.
func (s *sketch) open(g *graph.Graph) {
	s.outputs = nil
	s.each(g, func(x string, _, _ int64, anchors []float32, stride float32) string {
		side := func(i int64) string {
			return s.op("Gather", []string{s.op("Shape", []string{x}), s.scalar(i)}, integer("axis", 0))
		}
		row := func(v string) string { return s.op("Unsqueeze", []string{v}, ints("axes", 0)) }
		join := func(v ...string) string { return s.op("Concat", v, integer("axis", 0)) }
		n, h, w := side(0), side(2), side(3)
		y := s.op("Reshape", []string{x, join(row(n), s.integers(3), s.integers(8), row(h), row(w))})
		y = s.op("Sigmoid", []string{s.op("Transpose", []string{y}, ints("perm", 0, 1, 3, 4, 2))})
		count := func(side string, lay ...int64) string {
			v := s.op("Cast", []string{s.op("Range", []string{s.scalar(0), side, s.scalar(1)})}, integer("to", float32s))
			v = s.op("Expand", []string{s.op("Reshape", []string{v, s.integers(lay...)}), join(row(h), row(w))})
			return s.op("Unsqueeze", []string{v}, ints("axes", 2))
		}
		grid := s.op("Concat", []string{count(w, 1, -1), count(h, -1, 1)}, integer("axis", -1))
		want := join(s.integers(1), s.integers(3), row(h), row(w), s.integers(2))
		ones := s.op("ConstantOfShape", []string{s.integers(5)}, attr{name: "value", kind: kindTensor, t: &constant{kind: int64s, dims: []int64{1}, i: []int64{1}}})
		minus := s.op("Mul", []string{ones, s.scalar(-1)})
		want = s.op("Where", []string{s.op("Equal", []string{want, minus}), ones, want})
		grid = s.op("Sub", []string{s.op("Expand", []string{grid, want}), s.number(.5)})
		part := func(from, to int64) string {
			return s.op("Slice", []string{y, s.integers(from), s.integers(to), s.integers(-1)})
		}
		a := s.op("Mul", []string{s.op("Add", []string{s.op("Mul", []string{part(0, 2), s.number(2)}), grid}), s.number(stride)})
		b := s.op("Pow", []string{s.op("Mul", []string{part(2, 4), s.number(2)}), s.number(2)})
		b = s.op("Mul", []string{b, s.op("Expand", []string{s.floats(anchors, 1, 3, 1, 1, 2), want})})
		boxes := s.op("Mul", []string{s.op("Mul", []string{s.scalar(3), h}), w})
		shape := join(row(n), row(boxes), s.integers(8))
		return s.op("Reshape", []string{s.op("Concat", []string{a, b, part(4, 1<<62)}, integer("axis", 4)), shape})
	})
}

// narrow makes the weights half precision, which all of these are exactly, in the two forms
// that files have: raw, and as integers.
func (s *sketch) narrow() {
	halves := map[float32]uint16{}
	for h := range 1 << 16 {
		halves[tensor.FromHalf(uint16(h))] = uint16(h)
	}
	for i, c := range s.constants {
		a, err := c.numbers()
		if err != nil {
			panic(err)
		}
		if a.f == nil {
			continue
		}
		c.kind, c.f, c.raw = float16s, nil, nil
		for _, v := range a.f {
			if i%2 == 0 {
				c.raw = binary.LittleEndian.AppendUint16(c.raw, halves[v])
			} else {
				c.packed = protowire.AppendVarint(c.packed, uint64(halves[v]))
			}
		}
	}
}

// torchNames calls nodes as PyTorch does, "/model.2/m/m.0/cv1/conv/Conv", and weights by
// numbers.
func (s *sketch) torchNames() {
	for i, n := range s.nodes {
		path := strings.NewReplacer("model.2.m.0", "model.2/m/m.0", ".conv", "/conv", ".act", "/act", ".cv1", "/cv1", "model.24.m", "model.24/m").Replace(n.name)
		n.name = "/" + strings.TrimSuffix(path, "/"+n.op) + "/" + n.op
		if n.op == "Conv" {
			for k, w := range n.in[1:] {
				c := s.constants[slices.IndexFunc(s.constants, func(c *constant) bool { return c.name == w })]
				c.name = fmt.Sprintf("onnx::Conv_%d%d", i, k)
				n.in[1+k] = c.name
			}
		}
	}
}

func (s *sketch) numbers() {
	for i, n := range s.nodes {
		n.name = fmt.Sprintf("%s_%d", n.op, i)
	}
}

func TestReadExports(t *testing.T) {
	for _, c := range []struct {
		name  string
		opset int
		batch int
		draw  func(s *sketch, g *graph.Graph)
	}{
		{"v7", 12, 1, func(s *sketch, g *graph.Graph) { s.torchNames(); s.v7(g, 1) }},
		{"v7 batch", 12, 3, func(s *sketch, g *graph.Graph) { s.torchNames(); s.v7(g, 3) }},
		{"v7 without names", 12, 1, func(s *sketch, g *graph.Graph) { s.style = "%s_%d"; s.numbers(); s.v7(g, 1) }},
		{"v5", 12, 1, func(s *sketch, g *graph.Graph) { s.style = "%s_%d"; s.numbers(); s.v5(g) }},
		{"open", 12, 1, func(s *sketch, g *graph.Graph) { s.torchNames(); s.open(g) }},
		{"half precision", 12, 1, func(s *sketch, g *graph.Graph) { s.v7(g, 1); s.narrow(); s.inputs[0].kind = float16s }},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := exported(c.batch)
			m := asRead(t, want, WriteOptions{Opset: c.opset, Heads: true})
			m.meta = []property{{"stride", "16"}, {"names", "{0: 'a', 1: 'b', 2: 'c'}"}}
			want.Names = []string{"a", "b", "c"}
			c.draw(&sketch{m, "/model.24/%s_%d"}, want)
			if m.nodes[0].name == "Conv_0" { // nothing tells what the sum was called
				want.Node("model.2.m.0").Name = fmt.Sprintf("Add_%d", slices.IndexFunc(m.nodes, func(n *node) bool { return n.op == "Add" }))
			}
			g, err := m.read(1 << 20)
			if err != nil {
				t.Fatal(err)
			}
			if g.String() != want.String() {
				t.Fatalf("read\n%s\nwant\n%s", g, want)
			}
			for i, p := range want.Params() {
				if !slices.Equal(g.Params()[i].Tensor().Data, p.Tensor().Data) {
					t.Errorf("%s has other numbers", p.Name)
				}
			}
		})
	}
}

// asRead returns the model that a file of g holds.
func asRead(t *testing.T, g *graph.Graph, o WriteOptions) *model {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, g, o); err != nil {
		t.Fatal(err)
	}
	m, err := decode(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestReadRefuses changes one thing in a good model.
func TestReadRefuses(t *testing.T) {
	find := func(m *model, op string) *node {
		return m.nodes[slices.IndexFunc(m.nodes, func(n *node) bool { return n.op == op })]
	}
	transpose := func(a attr) func(m *model) { // a convolution of as many channels in as out
		return func(m *model) {
			n := m.nodes[slices.IndexFunc(m.nodes, func(n *node) bool { return n.name == "model.2.m.0.cv1.conv" })]
			n.op = "ConvTranspose"
			n.attrs = append(slices.DeleteFunc(n.attrs, func(old attr) bool { return old.name == a.name }), a)
		}
	}
	for _, c := range []struct {
		name   string
		change func(m *model)
		format bool   // FormatError, else UnsupportedError
		says   string // part of the message
	}{
		{"unknown operator", func(m *model) { find(m, "Add").op = "Einsum" }, false, `Einsum "model.2.m.0"`},
		{"foreign domain", func(m *model) { find(m, "Add").domain = "com.x" }, false, "com.x"},
		{"missing value", func(m *model) { find(m, "Add").in[0] = "nobody" }, true, `"nobody"`},
		{"given twice", func(m *model) { m.nodes[1].out[0] = m.nodes[0].out[0] }, true, "given before"},
		{"cycle", func(m *model) { m.nodes[0].in[0] = "model.4.act" }, true, "nothing before it"},
		{"uneven pads", func(m *model) { *find(m, "Conv").attr("pads") = ints("pads", 0, 0, 1, 1) }, false, "pads"},
		{"short weight", func(m *model) { m.constants[0].raw = m.constants[0].raw[4:] }, true, "as many numbers"},
		{"huge shape", func(m *model) { m.constants[0].dims = []int64{1 << 30, 1 << 30, 1, 1} }, true, "2^31"},
		{"external data", func(m *model) { m.constants[0].external = true }, false, "another file"},
		{"strange head", func(m *model) { find(m, "Pow").op = "Mul" }, false, "YOLOv5 decodes"},
		{"uneven pads of a transposed one", transpose(ints("pads", 0, 0, 1, 1)), false, "pads [0 0 1 1]"},
		{"automatic pads", transpose(text("auto_pad", "SAME_UPPER")), false, `auto_pad "SAME_UPPER"`},
		{"a size for the output", transpose(ints("output_shape", 64, 32)), false, "output_shape [64 32]"},
		{"output padding that no stride asks for", transpose(ints("output_padding", 1, 1)), true, "outpad [1 1]"},
		{"other kernel", transpose(ints("kernel_shape", 2, 2)), true, "kernel_shape [2 2]"},
		{"old opset", func(m *model) { m.opset = 7 }, false, "opset 7"},
		{"no outputs", func(m *model) { m.outputs = nil }, true, "no outputs"},
		{"an axis that is cut twice", func(m *model) {
			list := func(name string, v ...int64) *constant {
				return &constant{name: name, kind: int64s, dims: []int64{2}, i: v}
			}
			known := &constant{name: "known", kind: int64s, dims: []int64{2, 10}, i: make([]int64, 20)}
			m.constants = append(m.constants, known, list("from", 5, 5), list("to", 10, 10), list("axes", 1, 1))
			find(m, "Add").in[0] = "part"
			m.nodes = append([]*node{{name: "twice", op: "Slice", in: []string{"known", "from", "to", "axes"}, out: []string{"part"}}}, m.nodes...)
		}, true, "cuts axis 1 twice"},
		{"two inputs", func(m *model) { m.inputs = append(m.inputs, value{name: "more"}) }, false, `"more"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := asRead(t, exported(1), WriteOptions{})
			c.change(m)
			_, err := m.read(1 << 20)
			var format *FormatError
			var beyond *UnsupportedError
			if c.format && !errors.As(err, &format) || !c.format && !errors.As(err, &beyond) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want format=%v and %q", err, c.format, c.says)
			}
		})
	}
}

// TestHardswishForms reads the ways in which exporters spell this activation out.
func TestHardswishForms(t *testing.T) {
	for i, draw := range []func(s *sketch, x string) string{
		func(s *sketch, x string) string {
			c := s.op("Clip", []string{s.op("Add", []string{x, s.number(3)}), s.number(0), s.number(6)})
			return s.op("Div", []string{s.op("Mul", []string{x, c}), s.number(6)})
		},
		func(s *sketch, x string) string {
			c := s.op("Clip", []string{s.op("Add", []string{x, s.number(3)}), s.number(0), s.number(6)})
			return s.op("Mul", []string{s.op("Div", []string{c, s.number(6)}), x})
		},
		func(s *sketch, x string) string {
			return s.op("Mul", []string{s.op("HardSigmoid", []string{x}, float("alpha", 1./6), float("beta", .5)), x})
		},
		func(s *sketch, x string) string { return s.op("HardSwish", []string{x}) },
	} {
		g := exported(1)
		g.Outputs = []*graph.Node{g.Node("model.0.conv")}
		m := asRead(t, g, WriteOptions{})
		m.outputs[0].name = draw(&sketch{m, "%s_%d"}, "model.0.conv")
		m.outputs[0].dims, m.meta = nil, nil
		read, err := m.read(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		last := read.Outputs[0]
		if a, ok := last.Op.(*graph.Activation); !ok || a.Kind != graph.Hardswish || last.Name != "model.0.act" {
			t.Errorf("form %d: read %s %s", i, last.Name, last.Op.Word())
		}
	}
}

func TestNames(t *testing.T) {
	for text, want := range map[string][]string{
		"{0: 'person', 1: 'bicycle'}": {"person", "bicycle"},
		`{1: "it's", 0: 'a\'b"c\\'}`:  {`a'b"c\`, "it's"},
		"['face', 'mask']":            {"face", "mask"},
		"{0: 'a', 2: 'c'}":            nil,
		"{0: 'a'":                     nil,
		"":                            nil,
		"{}":                          {},
	} {
		if got := parseNames(text); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
		if want != nil && len(want) > 0 && !slices.Equal(parseNames(formatNames(want)), want) {
			t.Errorf("%q is written as %s", want, formatNames(want))
		}
	}
	for path, want := range map[string]string{
		"/model.0/conv/Conv":         "model.0.conv",
		"/model.2/m/m.0/cv1/act/Mul": "model.2.m.0.cv1.act",
		"/model.24/m.1/Conv":         "model.24.m.1",
		"/model/model.9/m/MaxPool":   "model.9.m",
		"/model.11/Resize":           "model.11",
	} {
		if got := moduleName(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}
