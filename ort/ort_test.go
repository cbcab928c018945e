package ort_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"ultrafast/graph"
	"ultrafast/onnx"
	"ultrafast/ort"
	"ultrafast/tensor"
)

func open(t *testing.T) *ort.Runtime {
	t.Helper()
	path, err := ort.Find()
	if err != nil {
		t.Skip(err)
	}
	r, err := ort.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// model is relu(x) and its upsampled twin, for pictures of any size.
func model(t *testing.T) []byte {
	t.Helper()
	g := &graph.Graph{}
	x := g.Add("x", &graph.Input{Shape: [4]int{1, 1, 2, 2}})
	relu := g.Add("relu", &graph.Activation{Kind: graph.ReLU}, x)
	g.Outputs = []*graph.Node{relu, g.Add("large", &graph.Upsample{Scale: 2}, relu)}
	var b bytes.Buffer
	if err := onnx.Write(&b, g, onnx.WriteOptions{Dynamic: true}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRun(t *testing.T) {
	r := open(t)
	if !strings.HasPrefix(r.Version(), "1.") || r.String() != "ONNX Runtime "+r.Version() {
		t.Errorf("version %q, String %q", r.Version(), r)
	}
	s, err := r.Load(model(t), ort.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if len(s.Inputs) != 1 || s.Inputs[0].Name != "images" || !slices.Equal(s.Inputs[0].Shape, []int{-1, 1, -1, -1}) {
		t.Errorf("inputs %v", s.Inputs)
	}
	if len(s.Outputs) != 2 || s.Outputs[0].Name != "relu" || s.Outputs[1].Name != "large" {
		t.Errorf("outputs %v", s.Outputs)
	}
	for _, c := range []struct {
		shape             []int
		in, small, bigger []float32
	}{
		{[]int{1, 1, 1, 2}, []float32{-1, 2}, []float32{0, 2}, []float32{0, 0, 2, 2, 0, 0, 2, 2}},
		{[]int{1, 1, 1, 2}, []float32{3, -2}, []float32{3, 0}, []float32{3, 3, 0, 0, 3, 3, 0, 0}},
		{[]int{2, 1, 1, 1}, []float32{4, 5}, []float32{4, 5}, []float32{4, 4, 4, 4, 5, 5, 5, 5}},
	} {
		outs, err := s.Run(&tensor.Tensor{Shape: c.shape, Data: c.in})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(outs[0].Data, c.small) || !slices.Equal(outs[1].Data, c.bigger) || !slices.Equal(outs[0].Shape, c.shape) {
			t.Errorf("%v gives %v and %v", c.in, outs[0].Data, outs[1].Data)
		}
	}
}

// TestSessionsAtOnce runs sessions of one Runtime side by side.
func TestSessionsAtOnce(t *testing.T) {
	r, file := open(t), model(t)
	var wg sync.WaitGroup
	for k := range 4 {
		wg.Go(func() {
			s, err := r.Load(file, ort.Options{Threads: 1})
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			for i := range 50 {
				x := tensor.New(1, 1, 1, 1+i%5)
				x.Data[0] = float32(100*k + i)
				outs, err := s.Run(x)
				if err != nil || outs[0].Data[0] != x.Data[0] {
					t.Errorf("run %d: %v", i, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestErrors(t *testing.T) {
	r := open(t)
	for _, file := range [][]byte{nil, []byte("not a model"), model(t)[:40]} {
		if _, err := r.Load(file, ort.Options{}); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("loading %d bytes: error %v, want one line", len(file), err)
		}
	}
	s, err := r.Load(model(t), ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []*tensor.Tensor{tensor.New(1, 2, 2, 2), tensor.New(4), {Shape: []int{1, 1, 2, 2}, Data: []float32{1}}} {
		if _, err := s.Run(x); err == nil {
			t.Errorf("an input of shape %v is accepted", x.Shape)
		}
	}
	s.Close()
	s.Close() // does no harm
	if _, err := s.Run(tensor.New(1, 1, 1, 1)); err == nil {
		t.Error("a closed session runs")
	}
}

// TestProviders asks for what npm's library lacks as it comes.
func TestProviders(t *testing.T) {
	r := open(t)
	path, err := ort.Find()
	if err != nil {
		t.Fatal(err)
	}
	for provider, parts := range map[ort.Provider][]string{
		ort.CUDA:     {"cuda", path, "libonnxruntime_providers_cuda", "CUDA 12 and cuDNN 9"},
		ort.TensorRT: {"tensorrt", path, "libonnxruntime_providers_tensorrt", "TensorRT 10"},
		"tpu":        {`"tpu"`, "want cpu, cuda or tensorrt"},
	} {
		s, err := r.Load(model(t), ort.Options{Provider: provider})
		if err == nil {
			s.Close()
			t.Skipf("the library has %s", provider)
		}
		for _, part := range parts {
			if !strings.Contains(err.Error(), part) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: error %v, want one line with %q", provider, err, part)
			}
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	text := filepath.Join(t.TempDir(), "lib.so")
	if err := os.WriteFile(text, []byte("no library"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/nowhere/libonnxruntime.so", text} {
		if _, err := ort.Open(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v, want one with the path", path, err)
		}
	}
}
