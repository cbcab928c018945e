package ultrafast_test

import (
	"bytes"
	"context"
	"image"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ultrafast"
	"ultrafast/engine"
	"ultrafast/graph"
	"ultrafast/onnx"
	"ultrafast/ort"
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
	want := truth(t, small, x)
	near(t, "what was masked", truth(t, masked, x), want)

	raw, _, err := yolo.Raw(small)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "the engine", run(t, raw, x), want)
	dir := t.TempDir()
	path := filepath.Join(dir, "small.safetensors")
	if err := safetensors.Save(path, &safetensors.File{Graph: small}); err != nil {
		t.Fatal(err)
	}
	file := writeONNX(t, small, onnx.WriteOptions{Dynamic: true, Heads: true})
	back, err := onnx.Read(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	if back, _, err = yolo.Raw(back); err != nil {
		t.Fatal(err)
	}
	near(t, "the engine, from ONNX", run(t, back, x), want)
	if outs, ok := inONNXRuntime(t, file, x); ok {
		near(t, "ONNX Runtime", outs, want)
	}

	other := filepath.Join(dir, "small.onnx")
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

// step learns once, from a loss that wants the maps to be zero.
func step(t *testing.T, net train.Network, x *tensor.Tensor) {
	t.Helper()
	err := net.Step(x, func(maps []*tensor.Tensor) ([]*tensor.Tensor, error) {
		var slopes []*tensor.Tensor
		for _, m := range maps {
			s := tensor.New(m.Shape...)
			for i, v := range m.Data {
				s.Data[i] = v / 100
			}
			slopes = append(slopes, s)
		}
		return slopes, nil
	})
	if err == nil {
		err = net.Update(train.Update{Rate: [3]float64{0.01, 0.01, 0.01}, Momentum: 0.9, Decay: 5e-4, Average: 0.9})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// truth computes the raw maps by the definitions.
func truth(t *testing.T, g *graph.Graph, x *tensor.Tensor) (maps []*tensor.Tensor) {
	t.Helper()
	all, err := engine.Reference(g, x)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range g.Detect().In {
		maps = append(maps, all[n])
	}
	return maps
}

// near fails where numbers differ by more than 1e-4, relative to those above 1.
func near(t *testing.T, what string, got, want []*tensor.Tensor) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d maps, want %d", what, len(got), len(want))
	}
	for i, w := range want {
		for j, v := range w.Data {
			if d := math.Abs(float64(got[i].Data[j]-v)) / max(1, math.Abs(float64(v))); !(d <= 1e-4) {
				t.Fatalf("%s: map %d[%d] is %v, want %v", what, i, j, got[i].Data[j], v)
			}
		}
	}
}

func writeONNX(t *testing.T, g *graph.Graph, o onnx.WriteOptions) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := onnx.Write(&b, g, o); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// inONNXRuntime reports false where the library is not.
func inONNXRuntime(t *testing.T, file []byte, x *tensor.Tensor) ([]*tensor.Tensor, bool) {
	t.Helper()
	path, err := ort.Find()
	if err != nil {
		t.Log(err)
		return nil, false
	}
	r, err := ort.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	s, err := r.Load(file, ort.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	outs, err := s.Run(x)
	if err != nil {
		t.Fatal(err)
	}
	return outs, true
}
