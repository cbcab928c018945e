package main

import (
	"strings"
	"testing"

	"ultrafast/dataset"
	"ultrafast/graph"
)

// A model that does not name its classes has the data's, in their order.
func TestTrimWithoutNames(t *testing.T) {
	data := &dataset.Data{Names: []string{"face", "mask"}, Train: []dataset.Item{{W: 64, H: 64, Labels: []dataset.Label{{Class: 1, W: 0.5, H: 0.5}}}}}
	head := &graph.Detect{Classes: 2, Strides: []int{8}, Anchors: [][][2]float32{{{32, 32}}}}
	flags := &trimFlags{data: "d.yaml", classes: "0"}
	w := newTrimmer(flags, head, nil, data, 64, 64)
	if _, err := w.classes(); err == nil || !strings.Contains(err.Error(), "--classes 0: 1 has 1 labels; drop it with --force") {
		t.Errorf("a class with labels went: %v", err)
	}
	flags.classes = automatic
	if keep, err := w.classes(); err != nil || len(keep) != 1 || keep[0] != 1 {
		t.Errorf("auto keeps %v, %v, want the second", keep, err)
	}
	data.Names = []string{"mask", "mask"}
	if w := newTrimmer(flags, head, []string{"mask", "dog"}, data, 64, 64); len(w.labels[0]) != 1 || w.all != 1 {
		t.Errorf("two classes of one name have %v", w.labels)
	}
	data.Names = []string{"face", "mask", "dog"} // more than the model's, so that nobody knows which are which
	w = newTrimmer(flags, head, nil, data, 64, 64)
	if _, err := w.classes(); err == nil || !strings.Contains(err.Error(), "by their numbers if need be") {
		t.Errorf("with other classes: %v", err)
	}
}
