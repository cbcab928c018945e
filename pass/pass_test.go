package pass_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ultrafast/engine"
	"ultrafast/graph"
	"ultrafast/pass"
	"ultrafast/tensor"
)

const header = "ultrafast graph 1\n"

// TestGolden runs each pass over the graphs of testdata/PASS/*.txt: a graph, four dashes,
// the graph that it must become. Both must compute the same numbers.
func TestGolden(t *testing.T) {
	for _, p := range pass.Inference {
		files, err := filepath.Glob("testdata/" + p.Name + "/*.txt")
		if err != nil || len(files) == 0 {
			t.Fatalf("pass %s has no golden files (%v)", p.Name, err)
		}
		for _, file := range files {
			t.Run(p.Name+"/"+filepath.Base(file), func(t *testing.T) {
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				before, want, ok := strings.Cut(string(text), "----\n")
				if !ok {
					t.Fatal("no line of four dashes")
				}
				g := parse(t, header+before)
				old := g.Clone()
				if err := pass.Run(g, p); err != nil {
					t.Fatal(err)
				}
				if got := g.String(); got != header+want {
					t.Errorf("became\n%swant\n%s", got, header+want)
				}
				same(t, old, g)
			})
		}
	}
}

// parse reads a graph and fills it with numbers that training might have left.
func parse(t *testing.T, text string) *graph.Graph {
	t.Helper()
	g, err := graph.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for _, p := range g.Params() {
		v := p.Tensor()
		v.Data = make([]float32, v.Len())
		for i := range v.Data {
			v.Data[i] = float32(r.NormFloat64())
			if strings.HasSuffix(p.Name, "running_var") {
				v.Data[i] = 0.01 + v.Data[i]*v.Data[i]
			}
		}
	}
	return g
}

// same runs both graphs on one random input and compares output by output.
func same(t *testing.T, a, b *graph.Graph) {
	t.Helper()
	s := a.Input().Op.(*graph.Input).Shape
	x := tensor.New(s[:]...)
	r := rand.New(rand.NewPCG(3, 4))
	for i := range x.Data {
		x.Data[i] = r.Float32()
	}
	want, err := engine.Reference(a, x)
	if err != nil {
		t.Fatal(err)
	}
	got, err := engine.Reference(b, x)
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range a.Outputs {
		for j, w := range want[n].Data {
			if v := got[b.Outputs[i]].Data[j]; math.Abs(float64(v-w)) > 1e-5*max(1, math.Abs(float64(w))) {
				t.Fatalf("output %s: [%d] = %v, before the pass %v", n.Name, j, v, w)
			}
		}
	}
}

// TestFoldWritesNoOldTensor folds a graph whose tensors somebody else holds too.
func TestFoldWritesNoOldTensor(t *testing.T) {
	g := parse(t, header+"x = input shape=1,1,4,4\nc = conv x w=f32[1,1,1,1]\nn = batchnorm c c=1 eps=0.001 momentum=0.03\noutput n\n")
	w := g.Params()[0].Tensor()
	before := w.Data[0]
	if err := pass.FoldBatchNorm(g); err != nil {
		t.Fatal(err)
	}
	if w.Data[0] != before {
		t.Error("the convolution's old tensor was written to")
	}
}

func TestErrors(t *testing.T) {
	g := parse(t, header+"x = input shape=1,1,4,4\nc = conv x w=f32[1,1,1,1]\nn = batchnorm c c=1 eps=0.001 momentum=0.03\noutput n\n")
	g.Params()[0].Tensor().Data = nil
	if err := pass.Run(g, pass.Inference...); err == nil || !strings.HasPrefix(err.Error(), "pass fold-batchnorm: n into c: ") {
		t.Errorf("a tensor without numbers: %v", err)
	}
	fails := errors.New("no")
	if err := pass.Run(g, pass.Pass{Name: "p", Apply: func(*graph.Graph) error { return fails }}); !errors.Is(err, fails) {
		t.Errorf("Run = %v, want %v wrapped", err, fails)
	}
	breaks := pass.Pass{Name: "p", Apply: func(g *graph.Graph) error { g.Outputs = nil; return nil }}
	if err := pass.Run(g, breaks); err == nil || !strings.HasPrefix(err.Error(), "pass p broke the graph: ") {
		t.Errorf("a pass that breaks the graph: %v", err)
	}
}
