package ultrafast_test

import (
	"context"
	"image"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ultrafast"
	"ultrafast/graph"
	"ultrafast/onnx"
	"ultrafast/prune"
	"ultrafast/safetensors"
	"ultrafast/tensor"
	"ultrafast/train"
	"ultrafast/train/torch"
	"ultrafast/yolo"
)

// learnsToEnlarge is a YOLOv5 whose neck has transposed convolutions for nn.Upsample.
const learnsToEnlarge = `
nc: 2
depth_multiple: 0.33
width_multiple: 0.25
anchors:
  - [10,13, 16,30, 33,23]
  - [30,61, 62,45, 59,119]
backbone:
  [[-1, 1, Conv, [64, 6, 2, 2]],
   [-1, 1, Conv, [64, 3, 2]],
   [-1, 3, C3, [64]],
   [-1, 1, Conv, [128, 3, 2]],
   [-1, 3, C3, [128]],
   [-1, 1, Conv, [128, 3, 2]],
   [-1, 1, SPPF, [128, 5]],
  ]
head:
  [[-1, 1, nn.ConvTranspose2d, [128, 2, 2]],
   [[-1, 4], 1, Concat, [1]],
   [-1, 3, C3, [128, False]],
   [-1, 1, DWConvTranspose2d, [128, 4, 2, 1]],
   [[-1, 2], 1, Concat, [1]],
   [-1, 3, C3, [64, False]],
   [-1, 1, Conv, [64, 3, 2]],
   [[-1, 9], 1, Detect, [nc, anchors]],
  ]
`

// TestLearnsToEnlarge trains such a model for a step, cuts it, writes it, and runs it in
// everything there is.
func TestLearnsToEnlarge(t *testing.T) {
	cfg, err := yolo.ParseConfig(strings.NewReader(learnsToEnlarge))
	if err != nil {
		t.Fatal(err)
	}
	g, err := yolo.New(cfg, []string{"face", "mask"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("drift", func(t *testing.T) { enlarge(t, g, train.Drift()) })
	t.Run("torch", func(t *testing.T) {
		path, err := torch.Find()
		if err != nil {
			t.Skip(err)
		}
		b, err := torch.Open(torch.OpenOptions{Workers: 1, Library: path})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		enlarge(t, g, b)
	})
}

func enlarge(t *testing.T, g *graph.Graph, b train.Backend) {
	net, err := b.Load(g, train.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer net.Close()
	x := tensor.New(2, 3, 64, 96)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range x.Data {
		x.Data[i] = r.Float32()
	}
	step(t, net, x)
	trained, err := net.Graph(train.Live)
	if err != nil {
		t.Fatal(err)
	}
	moved := 0
	for i, p := range trained.Params() {
		if _, ok := p.Node.Op.(*graph.ConvTranspose); ok {
			moved++
			if slices.Equal(g.Params()[i].Tensor().Data, p.Tensor().Data) {
				t.Errorf("%s did not learn", p.Name)
			}
		}
	}
	if moved != 4 {
		t.Errorf("%d tensors of transposed convolutions, want 4", moved)
	}
	if b.String() != train.Drift().String() { // whose maps are zero
		maps, err := net.Predict(x, train.Live)
		if err != nil {
			t.Fatal(err)
		}
		near(t, "libtorch", maps, truth(t, trained, x))
	}

	plan, err := prune.New(trained, prune.Target{Keep: 0.5, Round: 8})
	if err != nil {
		t.Fatal(err)
	}
	small, err := plan.Apply(trained)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := small.ParamCount(), trained.ParamCount(); 2*a > b {
		t.Errorf("%d of %d parameters are left", a, b)
	}
	masked, err := plan.Mask(trained)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "what was masked", truth(t, masked, x), truth(t, small, x))

	everywhere(t, small, x)
	dir := t.TempDir()
	path, other := filepath.Join(dir, "small.safetensors"), filepath.Join(dir, "small.onnx")
	if err := safetensors.Save(path, &safetensors.File{Graph: small}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(other, writeONNX(t, small, onnx.WriteOptions{}), 0o666); err != nil {
		t.Fatal(err)
	}
	var found [2][]ultrafast.Box
	for i, p := range []string{path, other} {
		d, err := ultrafast.Open(p, ultrafast.Options{Width: 96, Height: 64, Conf: 1e-4})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if found[i], err = d.Detect(context.Background(), paint(image.NewRGBA(image.Rect(0, 0, 120, 70)), image.Rect(20, 20, 60, 50))); err != nil {
			t.Fatal(err)
		}
	}
	if len(found[0]) == 0 || len(found[0]) != len(found[1]) {
		t.Errorf("%d boxes by the checkpoint, %d by the ONNX", len(found[0]), len(found[1]))
	}
}
