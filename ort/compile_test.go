package ort_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"ultrafast/engine"
	"ultrafast/graph"
	"ultrafast/ort"
	"ultrafast/tensor"
)

// network is two levels of convolutions, with a batch norm to fold.
func network() *graph.Graph {
	rng := rand.New(rand.NewPCG(1, 1))
	random := func(shape ...int) *tensor.Tensor {
		t := tensor.New(shape...)
		for i := range t.Data {
			t.Data[i] = rng.Float32() - 0.3
		}
		return t
	}
	conv := func(in, out, k, stride int) *graph.Conv {
		return &graph.Conv{Weight: random(out, in, k, k), Stride: [2]int{stride, stride}, Pad: [2]int{k / 2, k / 2}, Dilation: [2]int{1, 1}, Groups: 1}
	}
	g := &graph.Graph{}
	x := g.Add("x", &graph.Input{Shape: [4]int{1, 3, 64, 64}})
	c := g.Add("conv", conv(3, 7, 3, 2), x)
	norm := &graph.BatchNorm{Gamma: random(7), Beta: random(7), Mean: random(7), Var: random(7), Eps: 1e-3}
	for i := range norm.Var.Data {
		norm.Var.Data[i] += 1
	}
	a := g.Add("act", &graph.Activation{Kind: graph.SiLU}, g.Add("norm", norm, c))
	g.Outputs = []*graph.Node{a, g.Add("head", conv(7, 5, 1, 1), g.Add("pool", &graph.MaxPool{Kernel: 2, Stride: 2}, a))}
	return g
}

func picture(h, w int) *tensor.Tensor {
	rng := rand.New(rand.NewPCG(2, 2))
	x := tensor.New(1, 3, h, w)
	for i := range x.Data {
		x.Data[i] = rng.Float32()
	}
	return x
}

func TestCompile(t *testing.T) {
	r := open(t)
	g, x := network(), picture(20, 12)
	want, err := engine.Reference(g, x)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []ort.Options{{}, {Threads: 1}, {Threads: 2, NoSpin: true}, {Provider: ort.CPU, Profile: true}} {
		s, err := r.Compile(g, 1, 20, 12, o)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for range 3 { // the first run allocates what the others use
			outs, err := s.Run(x)
			if err != nil {
				t.Fatal(err)
			}
			for i, n := range g.Outputs {
				if d := far(outs[i], want[n]); !(d < 1e-5) {
					t.Errorf("%+v: %s is off by %v", o, n.Name, d)
				}
			}
		}
	}
	if g.Node("norm") == nil {
		t.Error("the caller's graph was rewritten")
	}
	if _, err := r.Compile(g, 1, -4, 4, ort.Options{}); err == nil {
		t.Error("a negative height is accepted")
	}
	if _, err := r.Compile(g, 1, 20, 12, ort.Options{Threads: -1}); err == nil {
		t.Error("a negative number of threads is accepted")
	}
}

func far(got, want *tensor.Tensor) float64 {
	worst := 0.0
	for i, v := range want.Data {
		worst = max(worst, math.Abs(float64(got.Data[i]-v)))
	}
	return worst
}

// TestRunReusesMemory runs on two pictures in one place, and then in another.
func TestRunReusesMemory(t *testing.T) {
	r := open(t)
	s, err := r.Compile(network(), 1, 20, 12, ort.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	x := picture(20, 12)
	run := func() {
		if _, err := s.Run(x); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(20, run); n > 1 {
		t.Errorf("a run makes %v allocations, want one, of the call's arguments", n)
	}
	first, err := s.Run(x)
	if err != nil {
		t.Fatal(err)
	}
	before := first[0].Clone()
	clear(x.Data)
	run()
	if far(first[0], before) == 0 {
		t.Error("a changed input gives the old output")
	}
	x = picture(20, 12)
	run()
	if d := far(first[0], before); d != 0 {
		t.Errorf("the same picture at another place gives another output, off by %v", d)
	}
}

func TestProfile(t *testing.T) {
	r := open(t)
	s, err := r.Compile(network(), 1, 20, 12, ort.Options{Threads: 1, Profile: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 3 {
		if _, err := s.Run(picture(20, 12)); err != nil {
			t.Fatal(err)
		}
	}
	nodes, err := s.EndProfile()
	if err != nil {
		t.Fatal(err)
	}
	convs := 0
	for _, n := range nodes {
		if n.Op == "Conv" && len(n.Times) == 3 {
			convs++
		}
	}
	if convs != 2 {
		t.Errorf("%d convolutions that ran three times, want 2: %v", convs, nodes)
	}
	plain, err := r.Compile(network(), 1, 20, 12, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if _, err := plain.EndProfile(); err == nil {
		t.Error("a profile comes from a session that takes none")
	}
}
