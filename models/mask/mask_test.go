package mask_test

import (
	"slices"
	"testing"

	"ultrafast/models/mask"
	"ultrafast/onnx"
	"ultrafast/pass"
)

// The model is what its card says, and the ONNX beside it the same network.
func TestGraph(t *testing.T) {
	g, err := mask.Graph()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(g.Names, []string{"face", "mask"}) || g.ParamCount() != 98016 {
		t.Errorf("classes %v, %d parameters", g.Names, g.ParamCount())
	}
	other, err := mask.Graph()
	if err != nil || other == g {
		t.Errorf("a second one is the same graph: %v", err)
	}
	ship, err := onnx.Open("mask.onnx")
	if err != nil {
		t.Fatal(err)
	}
	if err := pass.FoldBatchNorm(g); err != nil {
		t.Fatal(err)
	}
	want, got := g.Params(), ship.Params()
	if len(want) != len(got) {
		t.Fatalf("%d tensors in the ONNX, %d here", len(got), len(want))
	}
	for i, p := range want {
		if !slices.Equal(p.Tensor().Data, got[i].Tensor().Data) {
			t.Errorf("%s is another in the ONNX", p.Name)
		}
	}
}
