package onnx

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"ultrafast/graph"
	"ultrafast/tensor"
)

// quantised is a network of every form that quantisation gives.
func quantised(t testing.TB) *graph.Graph {
	t.Helper()
	g, err := graph.Parse(`ultrafast graph 1
images = input shape=1,3,16,16
images.q = quantize images scale=0.003921569 zero=0
model.0.conv = conv images.q w=i8[6,3,3,3] bias stride=2 pad=1
model.0.conv.q = quantize model.0.conv scale=0.05 zero=131
model.0.act = silu model.0.conv.q
model.0.act.q = quantize model.0.act scale=0.03 zero=9
model.1.conv = conv model.0.act.q w=i8[6,6,1,1]
model.1.conv.q = quantize model.1.conv scale=0.03 zero=9
model.2 = add model.0.act.q model.1.conv.q
model.2.q = quantize model.2 scale=0.06 zero=255
model.3 = maxpool model.2.q kernel=3 stride=1 pad=1
model.4 = concat model.2.q model.3
model.24.m.0 = conv model.4 w=f32[14,12,1,1] bias
model.24 = detect model.24.m.0 classes=2 strides=2 anchors=10,13,16,30
output model.24
`)
	if err != nil {
		t.Fatal(err)
	}
	for k, p := range g.Params() {
		v := tensor.New(p.Tensor().Shape...)
		for i := range v.Data {
			v.Data[i] = float32((i*7+k)%11-5) / 8
		}
		*p.At = v
	}
	for _, n := range g.Nodes {
		c, ok := n.Op.(*graph.Conv)
		if !ok || c.WeightScale == nil {
			continue
		}
		row := len(c.Weight.Data) / c.Weight.Shape[0]
		for i := range c.Weight.Shape[0] {
			c.WeightScale = append(c.WeightScale, 0.001*float32(i+1))
		}
		for i := range c.Weight.Data {
			c.Weight.Data[i] = float32(i*31%255-127) * c.WeightScale[i/row]
		}
	}
	return g
}

func encoded(t testing.TB, m *model) *bytes.Reader {
	t.Helper()
	var b bytes.Buffer
	if err := m.encode(&b); err != nil {
		t.Fatal(err)
	}
	return bytes.NewReader(b.Bytes())
}

// sameNetwork compares text, numbers and scales.
func sameNetwork(t *testing.T, got, want *graph.Graph) {
	t.Helper()
	if got.String() != want.String() {
		t.Fatalf("reads\n%s\nwant\n%s", got, want)
	}
	for i, p := range want.Params() {
		if !slices.Equal(got.Params()[i].Tensor().Data, p.Tensor().Data) {
			t.Errorf("%s is changed", p.Name)
		}
	}
	for i, n := range want.Nodes {
		if c, ok := n.Op.(*graph.Conv); ok && !slices.Equal(got.Nodes[i].Op.(*graph.Conv).WeightScale, c.WeightScale) {
			t.Errorf("%s has other scales", n.Name)
		}
	}
}

func TestQuantisedReadsBack(t *testing.T) {
	g := quantised(t)
	for _, o := range []WriteOptions{{}, {Heads: true, Opset: 17}, {Dynamic: true, Opset: 13}} {
		m, err := build(g, o)
		if err != nil {
			t.Fatal(err)
		}
		if m.opset < 13 {
			t.Errorf("%+v: written with opset %d", o, m.opset)
		}
		r := encoded(t, m)
		back, err := Read(r, r.Size())
		if err != nil {
			t.Fatal(err)
		}
		sameNetwork(t, back, g)
	}
	if _, err := build(g, WriteOptions{Opset: 12}); err == nil || !strings.Contains(err.Error(), "images.q is quantised, which opset 12 has no form for: want 13 to 17") {
		t.Errorf("opset 12: %v", err)
	}
}

// Where 0 is in the middle of all grids, values are int8 and every zero point is 0; where one has
// it elsewhere, all are uint8.
func TestSymmetric(t *testing.T) {
	g := quantised(t)
	for _, n := range g.Nodes {
		if op, ok := n.Op.(*graph.Quantize); ok {
			op.Zero = 128
		}
	}
	for _, c := range []struct {
		zero int
		kind int64
	}{{128, int8s}, {127, uint8s}} {
		g.Node("model.2.q").Op.(*graph.Quantize).Zero = c.zero
		m, err := buildNamed(g)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range m.constants {
			if strings.HasSuffix(k.name, ".q/zero_point") && (k.kind != c.kind || c.kind == int8s && k.raw[0] != 0) {
				t.Errorf("zero %d: %s is %v of kind %d", c.zero, k.name, k.raw, k.kind)
			}
		}
		r := encoded(t, m)
		back, err := Read(r, r.Size())
		if err != nil {
			t.Fatal(err)
		}
		sameNetwork(t, back, g)
	}
}

// Other programs say the same in other ways.
func TestQuantisedForms(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(s *model)
	}{
		{"int8 activations", func(m *model) {
			for _, c := range m.constants {
				if c.kind == uint8s {
					c.kind, c.raw = int8s, []byte{c.raw[0] - 128}
				}
			}
		}},
		{"a DequantizeLinear for each consumer", func(m *model) {
			at := index(m, "model.0.act.q")
			twin := *m.nodes[at]
			twin.name, twin.out = "twin", []string{"twin"}
			m.nodes = slices.Insert(m.nodes, at+1, &twin)
			m.nodes[index(m, "model.2")].in[0] = "twin"
		}},
		{"no zero points", func(m *model) {
			for _, n := range m.nodes {
				if strings.HasPrefix(n.name, "images.q") || n.name == "model.1.conv.weight" {
					n.in = n.in[:2]
				}
			}
		}},
		{"uint8 weights around 128", func(m *model) {
			for _, c := range m.constants {
				if c.name == "model.1.conv.weight_quantized" || c.name == "model.1.conv.weight_zero_point" {
					c.kind = uint8s
					for i := range c.raw {
						c.raw[i] += 128
					}
				}
			}
		}},
		{"the gate of SiLU by itself", func(m *model) {
			at := index(m, "model.0.act/Sigmoid")
			s := &sketch{m, "%s_%d"}
			scale := s.number(1. / 256)
			q := &node{name: "gq", op: "QuantizeLinear", in: []string{m.nodes[at].out[0], scale}, out: []string{"gq"}}
			dq := &node{name: "gdq", op: "DequantizeLinear", in: []string{"gq", scale}, out: []string{"gdq"}}
			m.nodes = slices.Insert(m.nodes, at+1, q, dq)
			m.nodes[index(m, "model.0.act")].in = []string{"model.0.conv.q", "gdq"}
		}},
		{"a bias of int32", func(m *model) {
			s := &sketch{m, "%s_%d"}
			bias := m.nodes[index(m, "model.0.conv")].in[2]
			for _, c := range m.constants {
				if c.name == bias { // eighths
					c.name, c.kind, c.f = "whole", int32s, nil
					for i := range 6 {
						k := int32((i*7+1)%11 - 5)
						c.raw = append(c.raw, byte(k), byte(k>>8), byte(k>>16), byte(k>>24))
					}
				}
			}
			dq := &node{name: "dq", op: "DequantizeLinear", in: []string{"whole", s.number(0.125)}, out: []string{bias}}
			m.nodes = slices.Insert(m.nodes, 0, dq)
		}},
		{"weights that the runtime rounds", func(m *model) {
			for _, c := range m.constants {
				if c.name == "model.1.conv.weight_quantized" {
					c.name, c.kind = "full", float32s
					for i, b := range c.raw {
						c.f = append(c.f, (float32(int8(b))+0.4)*0.001*float32(i/6+1))
					}
					c.raw = nil
				}
			}
			q := &node{name: "rounded", op: "QuantizeLinear", in: []string{"full", "model.1.conv.weight_scale", "model.1.conv.weight_zero_point"},
				out: []string{"model.1.conv.weight_quantized"}, attrs: []attr{integer("axis", -4)}}
			m.nodes = slices.Insert(m.nodes, 0, q)
		}},
		{"a type in the place of zero points", func(m *model) {
			q := m.nodes[index(m, "images.q/QuantizeLinear")]
			q.in, q.attrs = q.in[:2], []attr{integer("output_dtype", uint8s)}
			for _, c := range m.constants {
				if c.name == "model.1.conv.weight_quantized" {
					c.name, c.kind = "full", float32s
					for i, b := range c.raw {
						c.f = append(c.f, float32(int8(b))*0.001*float32(i/6+1))
					}
					c.raw = nil
				}
			}
			q = &node{name: "rounded", op: "QuantizeLinear", in: []string{"full", "model.1.conv.weight_scale"},
				out: []string{"model.1.conv.weight_quantized"}, attrs: []attr{integer("axis", 0), integer("output_dtype", int8s)}}
			m.nodes = slices.Insert(m.nodes, 0, q)
		}},
	} {
		g := quantised(t)
		m, err := buildNamed(g)
		if err != nil {
			t.Fatal(err)
		}
		c.change(m)
		r := encoded(t, m)
		back, err := Read(r, r.Size())
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		t.Run(c.name, func(t *testing.T) { sameNetwork(t, back, g) })
	}
}

// A weight with a level of -128, or a zero point elsewhere, is read as a weight in float.
func TestAsymmetricWeights(t *testing.T) {
	for _, c := range []struct {
		change func(m *model)
		want   float32 // the fourth weight of the first row, whose scale is 0.001
	}{
		{func(m *model) { constantNamed(m, "model.1.conv.weight_quantized").raw[3] = 0x80 }, -0.128},
		{func(m *model) {
			constantNamed(m, "model.1.conv.weight_zero_point").raw[0] = 0xfb // -5
			constantNamed(m, "model.1.conv.weight_quantized").raw[3] = 0x7f
		}, 0.132},
	} {
		m, err := buildNamed(quantised(t))
		if err != nil {
			t.Fatal(err)
		}
		c.change(m)
		r := encoded(t, m)
		g, err := Read(r, r.Size())
		if err != nil {
			t.Fatal(err)
		}
		op := g.Node("model.1.conv").Op.(*graph.Conv)
		if got := op.Weight.Data[3]; op.WeightScale != nil || math.Abs(float64(got-c.want)) > 1e-7 {
			t.Errorf("weight %v, want %v; scales %v", got, c.want, op.WeightScale)
		}
	}
}

// Since opset 21 a QuantizeLinear without a zero point says by itself whether it gives int8, whose
// zero is 128 here.
func TestOutputType(t *testing.T) {
	for _, c := range []struct {
		kind, zero int
	}{{0, 0}, {uint8s, 0}, {int8s, 128}} {
		g := quantised(t)
		g.Node("model.0.conv.q").Op.(*graph.Quantize).Zero = c.zero
		m, err := buildNamed(g)
		if err != nil {
			t.Fatal(err)
		}
		q := m.nodes[index(m, "model.0.conv.q/QuantizeLinear")]
		q.in, q.attrs = q.in[:2], []attr{integer("output_dtype", c.kind)}
		m.nodes[index(m, "model.0.conv.q")].in = []string{q.out[0], q.in[1]}
		r := encoded(t, m)
		back, err := Read(r, r.Size())
		if err != nil {
			t.Fatalf("kind %d: %v", c.kind, err)
		}
		sameNetwork(t, back, g)
	}
}

// buildNamed builds with names that tests can look for.
func buildNamed(g *graph.Graph) (*model, error) {
	w, err := newWriter(g, WriteOptions{})
	if err != nil {
		return nil, err
	}
	w.short = false
	err = w.graph(g)
	return &w.m, err
}

func index(m *model, name string) int {
	return slices.IndexFunc(m.nodes, func(n *node) bool { return n.name == name })
}

func constantNamed(m *model, name string) *constant {
	return m.constants[slices.IndexFunc(m.constants, func(c *constant) bool { return c.name == name })]
}

func TestQuantisedRefuses(t *testing.T) {
	for _, c := range []struct {
		change func(m *model)
		want   string
	}{
		{func(m *model) { constantNamed(m, "model.1.conv.weight_scale").f[1] = 0 }, `"model.1.conv.weight": scale 0 is out of range`},
		{func(m *model) { constantNamed(m, "model.2.q/scale").f[0] = float32(math.NaN()) }, `scale NaN is out of range`},
		{func(m *model) { m.nodes[index(m, "model.2.q")].in[1] = "model.0.act.q/scale" }, `DequantizeLinear "model.2.q": has scale 0.03`},
		{func(m *model) { m.nodes[index(m, "model.2.q")].in[0] = "model.2" }, `"model.2.q": its input is not what QuantizeLinear gives`},
		{func(m *model) { m.nodes[index(m, "model.2.q/QuantizeLinear")].in[1] = "model.1.conv.weight_scale" }, "6 scales and 1 zero points"},
		{func(m *model) {
			m.nodes[index(m, "model.2.q/QuantizeLinear")].in = m.nodes[index(m, "model.2.q/QuantizeLinear")].in[:1]
		}, "has no scale"},
		{func(m *model) {
			n := m.nodes[index(m, "model.2.q/QuantizeLinear")]
			n.in = []string{n.in[0], "model.1.conv.weight_scale"}
		}, "has 6 scales for a map, want one"},
		{func(m *model) { m.nodes[index(m, "model.2.q/QuantizeLinear")].in[1] = "images.q" }, "depends on the picture"},
		{func(m *model) { constantNamed(m, "model.2.q/zero_point").kind = bools }, "is of ONNX kind 9, want uint8 or int8"},
		{func(m *model) {
			n := m.nodes[index(m, "model.2.q/QuantizeLinear")]
			n.in, n.attrs = n.in[:2], []attr{integer("output_dtype", int16s)}
		}, `QuantizeLinear "model.2.q/QuantizeLinear": is of ONNX kind 5, want uint8 or int8`},
		{func(m *model) {
			m.nodes[index(m, "model.2.q/QuantizeLinear")].attrs = []attr{integer("output_dtype", int8s)}
		}, `QuantizeLinear "model.2.q/QuantizeLinear": gives numbers of ONNX kind 3 and has a zero point of kind 2`},
		{func(m *model) { m.nodes[index(m, "model.1.conv.weight")].attrs = nil }, "along axis 1 of a weight"},
		{func(m *model) { m.nodes[index(m, "model.3")].in[0] = "model.2.q/QuantizeLinear" }, `MaxPool "model.3": its input is not a map`},
		{func(m *model) { m.nodes[index(m, "model.0.act")].in = []string{"model.0.conv.q", "images.q"} }, "keep Sigmoid in float"},
	} {
		m, err := buildNamed(quantised(t))
		if err != nil {
			t.Fatal(err)
		}
		c.change(m)
		r := encoded(t, m)
		_, err = Read(r, r.Size())
		var format *FormatError
		var beyond *UnsupportedError
		if !errors.As(err, &format) && !errors.As(err, &beyond) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want an error with %q", err, c.want)
		}
	}
}

// Other programs quantise the decoding, too, if one lets them.
func TestQuantisedDecoding(t *testing.T) {
	for _, op := range []string{"QuantizeLinear", "DequantizeLinear"} {
		e := evaluator{arena{maxHead}, 13}
		if _, err := e.apply(&node{op: op}, nil); err == nil || !strings.Contains(err.Error(), "leave all behind the last convolutions in float") {
			t.Errorf("%s: %v", op, err)
		}
	}
}
