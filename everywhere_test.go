package ultrafast_test

import (
	"bytes"
	"math"
	"math/rand/v2"
	"path/filepath"
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

// TestCutRunsEverywhere cuts channels and blocks by chance out of every architecture that can be
// described, trains what is left for a step, writes it, reads it and runs it in everything there is.
func TestCutRunsEverywhere(t *testing.T) {
	for i, name := range append([]string{"yolov5n", "yolov5n-v5", "yolov5n-v3"}, yolo.Light...) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, err := yolo.Standard(name)
			if err != nil {
				t.Fatal(err)
			}
			cfg.Width = min(cfg.Width, 0.125)
			g, err := yolo.New(cfg, []string{"face", "mask"}, 1)
			if err != nil {
				t.Fatal(err)
			}
			r := rand.New(rand.NewPCG(uint64(i), 4))
			small, err := chance(t, g, r).Apply(g)
			if err != nil {
				t.Fatal(err)
			}
			x := tensor.New(2, 3, 64, 96)
			for i := range x.Data {
				x.Data[i] = r.Float32()
			}
			everywhere(t, trained(t, small, x), x)
		})
	}
}

// chance is a plan in which half of the groups lose half of their channels, and half of the
// blocks leave, at least one where there are any.
func chance(t *testing.T, g *graph.Graph, r *rand.Rand) *prune.Plan {
	t.Helper()
	groups, err := prune.Groups(g)
	if err != nil {
		t.Fatal(err)
	}
	p := &prune.Plan{}
	for _, group := range groups {
		c := prune.Cut{Group: group.Name, From: group.Width(), Drop: []int{}}
		if r.IntN(2) == 0 {
			for k := 0; k < c.From-1; k += 2 {
				c.Drop = append(c.Drop, k)
			}
		}
		p.Cuts = append(p.Cuts, c)
	}
	for i, b := range prune.Blocks(g) {
		if i == 0 || r.IntN(2) == 0 {
			p.Blocks = append(p.Blocks, b.Name)
		}
	}
	return p
}

// trained is g after a step in libtorch, or g itself where there is none.
func trained(t *testing.T, g *graph.Graph, x *tensor.Tensor) *graph.Graph {
	t.Helper()
	path, err := torch.Find()
	if err != nil {
		t.Log(err)
		return g
	}
	b, err := torch.Open(torch.OpenOptions{Workers: 1, Library: path})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	net, err := b.Load(g, train.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer net.Close()
	step(t, net, x)
	if g, err = net.Graph(train.Live); err != nil {
		t.Fatal(err)
	}
	return g
}

// everywhere compares the raw maps of g by the definitions with those of the engine, of its plain
// twin, and of ONNX Runtime, from memory and from files.
func everywhere(t *testing.T, g *graph.Graph, x *tensor.Tensor) {
	t.Helper()
	want := truth(t, g, x)
	path := filepath.Join(t.TempDir(), "g.safetensors")
	if err := safetensors.Save(path, &safetensors.File{Graph: g}); err != nil {
		t.Fatal(err)
	}
	back, err := ultrafast.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	file := writeONNX(t, g, onnx.WriteOptions{Dynamic: true, Heads: true})
	fromONNX, err := onnx.Read(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what, cpu string
		g         *graph.Graph
	}{{"the engine", "", g}, {"the plain engine", engine.Generic, g}, {"the engine, from a checkpoint", "", back}, {"the engine, from ONNX", "", fromONNX}} {
		raw, _, err := yolo.Raw(c.g)
		if err != nil {
			t.Fatal(err)
		}
		near(t, c.what, runOn(t, c.cpu, raw, x), want)
	}
	if outs, ok := inONNXRuntime(t, file, x); ok {
		near(t, "ONNX Runtime", outs, want)
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
