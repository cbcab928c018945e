package detect_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"ultrafast/box"
	"ultrafast/detect"
	"ultrafast/graph"
	"ultrafast/ort"
	"ultrafast/picture"
	"ultrafast/scene"
	"ultrafast/tensor"
	"ultrafast/yolo"
)

// lively returns a random network whose layers keep their numbers at one size, so that its
// boxes depend on the picture.
func lively(t *testing.T) *graph.Graph {
	t.Helper()
	cfg, err := yolo.Standard("yolov5n")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Width = 0.125
	g, err := yolo.New(cfg, scene.Names, 1)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 0))
	for _, n := range g.Nodes {
		if b, ok := n.Op.(*graph.BatchNorm); ok {
			for i := range b.Var.Data {
				b.Var.Data[i], b.Beta.Data[i] = 1.0/6, 2*rng.Float32()-1
			}
		}
	}
	return g
}

// TestRuntimesAgree detects on a drawn picture in the engine and in ONNX Runtime.
func TestRuntimesAgree(t *testing.T) {
	path, err := ort.Find()
	if err != nil {
		t.Skip(err)
	}
	r, err := ort.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	second := func(raw *graph.Graph, o detect.Options) (func() (detect.Network, error), error) {
		return func() (detect.Network, error) {
			s, err := r.Compile(raw, 1, o.Height, o.Width, ort.Options{Threads: o.Threads})
			return &planes{s, tensor.New(1, 3, o.Height, o.Width)}, err
		}, nil
	}
	p, _ := scene.Draw(rand.New(rand.NewPCG(3, 0)), 300, 200)
	var want []box.Box
	for name, compile := range map[string]detect.Compiler{"engine": nil, "ONNX Runtime": second} {
		d, err := detect.New(lively(t), detect.Options{Width: 192, Height: 128, Conf: 0.005, Threads: 2, Compile: compile})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		found, _, err := d.Detect(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d boxes", name, len(found))
		if len(found) < 5 {
			t.Fatalf("%s finds %d boxes: too few to compare", name, len(found))
		}
		if want == nil {
			want = found
			continue
		}
		compare(t, found, want)
	}
}

// planes gives ONNX Runtime the tensors that it takes.
type planes struct {
	*ort.Session
	input *tensor.Tensor
}

func (p *planes) RunRGB(pixels []uint8) ([]*tensor.Tensor, error) {
	rgb := picture.RGB{Pix: pixels, W: p.input.Shape[3], H: p.input.Shape[2]}
	rgb.CHW(p.input.Data)
	return p.Run(p.input)
}

// TestGoroutines has eight goroutines detect with one program, and compares what they find
// with what one finds alone.
func TestGoroutines(t *testing.T) {
	var pictures []*picture.RGB
	for i := range 8 {
		p, _ := scene.Draw(rand.New(rand.NewPCG(5, uint64(i))), 200+40*i, 150)
		pictures = append(pictures, p)
	}
	var want [][]box.Box
	for _, o := range []detect.Options{{Threads: 1, Sessions: 1}, {Threads: 1, Sessions: 3}, {Threads: 2, Sessions: 2}, {Threads: 3, Sessions: 1}} {
		o.Width, o.Height, o.Conf = 128, 96, 0.005
		d, err := detect.New(lively(t), o)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if want == nil {
			for _, p := range pictures {
				found, _, err := d.Detect(t.Context(), p)
				if err != nil {
					t.Fatal(err)
				}
				want = append(want, found)
			}
		}
		var wg sync.WaitGroup
		for i := range pictures {
			wg.Go(func() {
				for k := range 3 {
					k = (i + k) % len(pictures)
					found, _, err := d.Detect(t.Context(), pictures[k])
					if err != nil {
						t.Error(err)
					}
					compare(t, found, want[k])
				}
			})
		}
		wg.Wait()
	}
	if slices.EqualFunc(want[0], want[1], func(a, b box.Box) bool { return a == b }) {
		t.Error("the network finds the same everywhere")
	}
}

func compare(t *testing.T, got, want []box.Box) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d boxes and %d", len(got), len(want))
		return
	}
	for i, b := range got {
		w := want[i]
		far := 0.0
		for _, d := range []float32{b.X1 - w.X1, b.Y1 - w.Y1, b.X2 - w.X2, b.Y2 - w.Y2} {
			far = max(far, math.Abs(float64(d)))
		}
		if b.Class != w.Class || !(far < 0.01) || !(math.Abs(float64(b.Conf-w.Conf)) < 1e-4) {
			t.Errorf("box %d: %+v and %+v", i, b, w)
		}
	}
}
