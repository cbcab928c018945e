package onnx_test

import (
	"os"
	"path/filepath"
	"testing"

	"ultrafast/graph"
	"ultrafast/onnx"
	"ultrafast/yolo"
)

// Save folds batch norms and leaves the graph alone.
func TestSave(t *testing.T) {
	cfg, err := yolo.Standard("thin")
	if err != nil {
		t.Fatal(err)
	}
	g, err := yolo.New(cfg, []string{"a", "b"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	before, o := g.String(), onnx.WriteOptions{Batch: 1, Width: 64, Height: 32}
	path := filepath.Join(t.TempDir(), "a.onnx")
	size, err := onnx.Save(path, g, o)
	if err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(path)
	if err != nil || st.Size() != size {
		t.Errorf("the file has %v bytes, Save said %d; %v", st, size, err)
	}
	if g.String() != before {
		t.Error("Save changed the graph")
	}
	back, err := onnx.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range back.Nodes {
		if _, ok := n.Op.(*graph.BatchNorm); ok {
			t.Errorf("%s is a batch norm still", n.Name)
		}
	}
	if _, err := onnx.Save(filepath.Join(t.TempDir(), "none", "a.onnx"), g, o); err == nil {
		t.Error("a file in a folder that is not there was written")
	}
}
