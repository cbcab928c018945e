package detect_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"ultrafast/box"
	"ultrafast/detect"
	"ultrafast/graph"
	"ultrafast/ort"
	"ultrafast/scene"
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
	var session *ort.Session
	second := func(raw *graph.Graph, o detect.Options) (detect.Network, error) {
		var err error
		session, err = r.Compile(raw, 1, o.Height, o.Width, ort.Options{Threads: o.Threads})
		return session, err
	}
	p, _ := scene.Draw(rand.New(rand.NewPCG(3, 0)), 300, 200)
	var want []box.Box
	for name, compile := range map[string]detect.Compiler{"engine": nil, "ONNX Runtime": second} {
		d, err := detect.New(lively(t), detect.Options{Width: 192, Height: 128, Conf: 0.005, Threads: 2, Compile: compile})
		if err != nil {
			t.Fatal(err)
		}
		found, _, err := d.Detect(p)
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
	session.Close()
}

func compare(t *testing.T, got, want []box.Box) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d boxes and %d", len(got), len(want))
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
