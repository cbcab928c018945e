package onnx

import (
	"bytes"
	"errors"
	"testing"

	"ultrafast/graph"
)

// FuzzRead reads anything without a panic, and writes again what it could read.
func FuzzRead(f *testing.F) {
	g := exported(1)
	for _, o := range []WriteOptions{{}, {Dynamic: true, Opset: 13}, {Heads: true, Opset: 17}} {
		var b bytes.Buffer
		if err := Write(&b, g, o); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	for _, draw := range []func(s *sketch){func(s *sketch) { s.v7(g, 1) }, func(s *sketch) { s.v5(g) }, func(s *sketch) { s.open(g) }} {
		m, err := build(g, WriteOptions{Heads: true})
		if err != nil {
			f.Fatal(err)
		}
		draw(&sketch{m, "%s_%d"})
		var b bytes.Buffer
		if err := m.encode(&b); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	var b bytes.Buffer
	if err := Write(&b, quantised(f), WriteOptions{}); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, file []byte) {
		g, err := Read(bytes.NewReader(file), int64(len(file)))
		var format *FormatError
		var beyond *UnsupportedError
		if err != nil {
			if !errors.As(err, &format) && !errors.As(err, &beyond) {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		shape := g.Input().Op.(*graph.Input).Shape
		if shape[0]*shape[2]*shape[3] > 1<<14 {
			return // right, but slow
		}
		var b bytes.Buffer
		if err := Write(&b, g, WriteOptions{}); err != nil {
			return // such as the input being an output, which ONNX has no form for
		}
		again, err := Read(bytes.NewReader(b.Bytes()), int64(b.Len()))
		if err != nil {
			t.Fatalf("cannot read what was written: %v\n%s", err, g)
		}
		// Names may change where two kinds of value claim one.
		if len(again.Nodes) != len(g.Nodes) || again.ParamCount() != g.ParamCount() {
			t.Fatalf("read\n%s\nthen\n%s", g, again)
		}
	})
}
