// Package backendtest checks what any train.Backend must do.
package backendtest

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"ultrafast/graph"
	"ultrafast/tensor"
	"ultrafast/train"
)

const network = `ultrafast graph 1
x = input shape=1,3,16,16
model.0.c = conv x w=f32[4,3,3,3] stride=2 pad=1
b0 = batchnorm model.0.c c=4 eps=0.001 momentum=0.03
a0 = silu b0
c1 = conv a0 w=f32[4,4,3,3] stride=2 pad=1
a1 = silu c1
m0 = conv a0 w=f32[12,4,1,1] bias
m1 = conv a1 w=f32[6,4,1,1] bias
y = detect m0 m1 classes=1 strides=2,4 anchors=10,13,16,30;30,61
output y
`

// further are outputs beside the head: a value of its middle, and a convolution of theirs.
const further = `e = conv a1 w=f32[5,4,1,1]
output a0
output e
`

// Suite runs the tests on backends that open returns, with networks that compute in p.
func Suite(t *testing.T, open func() train.Backend, p train.Precision) {
	for name, test := range map[string]func(*testing.T, train.Network){
		"loads":       loads,
		"steps":       steps,
		"updates":     updates,
		"resumes":     resumes,
		"recalibrate": recalibrates,
		"errors":      fails,
		"gradients":   gradients,
		"penalties":   penalties,
	} {
		t.Run(name, func(t *testing.T) {
			with(t, open, filled(t, network), train.LoadOptions{Precision: p}, test)
		})
	}
	for name, test := range map[string]func(*testing.T, train.Network){
		"steps": func(t *testing.T, n train.Network) {
			gives(t, n, []int{12, 8, 8}, []int{6, 4, 4}, []int{4, 8, 8}, []int{5, 4, 4})
		},
		"updates": updates,
		"resumes": resumes,
	} {
		t.Run("further outputs/"+name, func(t *testing.T) {
			with(t, open, filled(t, network+further), train.LoadOptions{Precision: p}, test)
		})
	}
	t.Run("frozen norms", func(t *testing.T) {
		with(t, open, filled(t, network), train.LoadOptions{Precision: p, FrozenBN: true}, frozenNorms)
	})
	t.Run("frozen layers", func(t *testing.T) {
		with(t, open, filled(t, network), train.LoadOptions{Precision: p, Freeze: []int{0}}, frozenLayers)
	})
	t.Run("quantised", func(t *testing.T) { quantises(t, open, p) })
	for _, o := range []train.Optimizer{train.Adam, train.AdamW} {
		t.Run("resumes "+string(o), func(t *testing.T) {
			with(t, open, filled(t, network), train.LoadOptions{Optimizer: o, Precision: p}, resumes)
		})
	}
}

// with runs a test on a network that is loaded with o.
func with(t *testing.T, open func() train.Backend, g *graph.Graph, o train.LoadOptions, test func(*testing.T, train.Network)) {
	b := open()
	if b.String() == "" {
		t.Error("the backend has no name")
	}
	p, err := b.Precision(o.Precision)
	must(t, err)
	if p == "" || o.Precision != "" && p != o.Precision {
		t.Errorf("Precision of %q is %q", o.Precision, p)
	}
	n, err := b.Load(g, o)
	must(t, err)
	if s := stateOf(t, n); s.momentum[train.LossScale] != nil {
		s.momentum[train.LossScale].Data[0] = 256 // with the first one it skips some updates
		must(t, n.SetState(s.live, s.averaged, s.momentum))
	}
	test(t, n)
	must(t, n.Close())
	must(t, b.Close())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// filled is a network with numbers in it.
func filled(t *testing.T, text string) *graph.Graph {
	t.Helper()
	g, err := graph.Parse(text)
	must(t, err)
	for i, p := range g.Params() {
		x := p.Tensor()
		x.Data = numbers(i, x.Len())
		if bn, ok := p.Node.Op.(*graph.BatchNorm); ok && p.At == &bn.Var {
			for j := range x.Data {
				x.Data[j] = 1 + 0.1*x.Data[j]
			}
		}
	}
	must(t, g.EightBits())
	return g
}

// numbers are n of about -1 to 1.
func numbers(seed, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32((i*37+seed*11)%101)/50 - 1
	}
	return v
}

func batch(pictures int) *tensor.Tensor {
	x := tensor.New(pictures, 3, 16, 16)
	copy(x.Data, numbers(pictures, len(x.Data)))
	return x
}

// half is the loss sum(map^2)/2: its gradient is the map.
func half(maps []*tensor.Tensor) ([]*tensor.Tensor, error) {
	var g []*tensor.Tensor
	for _, m := range maps {
		g = append(g, m.Clone())
	}
	return g, nil
}

var usual = train.Update{Rate: [3]float64{1e-3, 1e-3, 1e-3}, Momentum: 0.9, Decay: 1e-4, MaxNorm: 10, Average: 0.9, Step: 1}

func advance(t *testing.T, n train.Network) {
	t.Helper()
	must(t, n.Step(batch(3), half))
	must(t, n.Update(usual))
}

// state is everything a run must keep.
type state struct {
	live, averaged *graph.Graph
	momentum       map[string]*tensor.Tensor
}

func stateOf(t *testing.T, n train.Network) (s state) {
	t.Helper()
	var err error
	s.live, err = n.Graph(train.Live)
	must(t, err)
	s.averaged, err = n.Graph(train.Averaged)
	must(t, err)
	s.momentum, err = n.Momentum()
	must(t, err)
	return s
}

// same reports whether two graphs hold the same numbers.
func same(a, b *graph.Graph) bool {
	p, q := a.Params(), b.Params()
	return slices.EqualFunc(p, q, func(p, q graph.Param) bool { return slices.Equal(p.Tensor().Data, q.Tensor().Data) })
}

func loads(t *testing.T, n train.Network) {
	want := filled(t, network)
	s := stateOf(t, n)
	if s.live.String() != want.String() || !same(s.live, want) || !same(s.averaged, want) {
		t.Error("Graph is not what was loaded")
	}
	s.live.Params()[0].Tensor().Data[0]++
	if again := stateOf(t, n); !same(again.live, want) {
		t.Error("Graph shares memory with the network")
	}
	for _, p := range want.Params() {
		v := s.momentum[p.Name]
		if p.Trainable != (v != nil) {
			t.Errorf("Momentum of %s is %v", p.Name, v)
		} else if v != nil && (!slices.Equal(v.Shape, p.Tensor().Shape) || slices.Max(v.Data) != 0 || slices.Min(v.Data) != 0) {
			t.Errorf("Momentum of %s is not zero", p.Name)
		}
	}
}

func steps(t *testing.T, n train.Network) { gives(t, n, []int{12, 8, 8}, []int{6, 4, 4}) }

// gives checks the maps' shapes for batches of one, few and more pictures, and that the
// loss is called once.
func gives(t *testing.T, n train.Network, want ...[]int) {
	for _, pictures := range []int{1, 3, 8} {
		check := func(what string, maps []*tensor.Tensor) {
			t.Helper()
			if !slices.EqualFunc(maps, want, func(m *tensor.Tensor, w []int) bool {
				return m.Shape[0] == pictures && slices.Equal(m.Shape[1:], w)
			}) {
				t.Fatalf("%s gives maps %v, want %d pictures of %v", what, maps, pictures, want)
			}
		}
		calls := 0
		must(t, n.Step(batch(pictures), func(maps []*tensor.Tensor) ([]*tensor.Tensor, error) {
			calls++
			check("Step", maps)
			return half(maps)
		}))
		if calls != 1 {
			t.Errorf("Step calls the loss %d times", calls)
		}
		for _, w := range []train.Weights{train.Live, train.Averaged} {
			maps, err := n.Predict(batch(pictures), w)
			must(t, err)
			check("Predict", maps)
		}
	}
}

func updates(t *testing.T, n train.Network) {
	first := stateOf(t, n)
	must(t, n.Step(batch(3), half))
	for i, p := range stateOf(t, n).live.Params() {
		if p.Trainable && !slices.Equal(p.Tensor().Data, first.live.Params()[i].Tensor().Data) {
			t.Errorf("Step moved %s", p.Name)
		}
	}
	must(t, n.Update(usual))
	s := stateOf(t, n)
	average := s.averaged.Params()
	for i, p := range s.live.Params() {
		was := first.live.Params()[i].Tensor().Data
		if p.Trainable && slices.Equal(p.Tensor().Data, was) {
			t.Errorf("Update did not move %s", p.Name)
		}
		for k, v := range p.Tensor().Data {
			want := 0.9*float64(was[k]) + 0.1*float64(v)
			if d := float64(average[i].Tensor().Data[k]) - want; d > 1e-5 || d < -1e-5 {
				t.Errorf("average of %s is %g, want %g", p.Name, average[i].Tensor().Data[k], want)
				break
			}
		}
	}
}

// resumes checks that a network set back goes on exactly as it did the first time.
func resumes(t *testing.T, n train.Network) {
	advance(t, n)
	saved := stateOf(t, n)
	advance(t, n)
	want := stateOf(t, n)
	must(t, n.SetState(saved.live, saved.averaged, saved.momentum))
	advance(t, n)
	got := stateOf(t, n)
	if !same(got.live, want.live) || !same(got.averaged, want.averaged) {
		t.Error("a network that was set back goes another way")
	}
	for name, v := range want.momentum {
		if !slices.Equal(got.momentum[name].Data, v.Data) {
			t.Errorf("Momentum of %s differs", name)
		}
	}
}

func recalibrates(t *testing.T, n train.Network) {
	advance(t, n)
	before := stateOf(t, n)
	must(t, n.Recalibrate(func(yield func(*tensor.Tensor, error) bool) {
		_ = yield(batch(3), nil) && yield(batch(2), nil) && yield(batch(4), nil)
	}))
	after := stateOf(t, n)
	// Loaders write every batch to the same memory.
	must(t, n.Recalibrate(func(yield func(*tensor.Tensor, error) bool) {
		x := batch(4)
		for _, size := range []int{3, 2, 4} {
			copy(x.Data, batch(size).Data)
			if !yield(&tensor.Tensor{Shape: batch(size).Shape, Data: x.Data[:batch(size).Len()]}, nil) {
				return
			}
		}
	}))
	for i, p := range stateOf(t, n).live.Params() {
		if !slices.Equal(p.Tensor().Data, after.live.Params()[i].Tensor().Data) {
			t.Errorf("Recalibrate reads a batch after the next one was asked for: %s differs", p.Name)
		}
	}
	for i, p := range after.live.Params() {
		if p.Trainable && !slices.Equal(p.Tensor().Data, before.live.Params()[i].Tensor().Data) {
			t.Errorf("Recalibrate moved %s", p.Name)
		}
	}
}

func fails(t *testing.T, n train.Network) {
	bad := errors.New("a bad loss")
	if err := n.Step(batch(2), func([]*tensor.Tensor) ([]*tensor.Tensor, error) { return nil, bad }); !errors.Is(err, bad) {
		t.Errorf("error %v, want the loss's", err)
	}
	if err := n.Recalibrate(func(yield func(*tensor.Tensor, error) bool) { yield(nil, bad) }); !errors.Is(err, bad) {
		t.Errorf("error %v, want the reader's", err)
	}
	advance(t, n) // errors do no lasting harm
}

// gradients checks that they add up over steps, are there for what learns, and are gone
// once they were asked for or used.
func gradients(t *testing.T, n train.Network) {
	take := func(pictures ...int) map[string]*tensor.Tensor {
		t.Helper()
		for _, size := range pictures {
			must(t, n.Step(batch(size), half))
		}
		g, err := n.Gradients()
		must(t, err)
		return g
	}
	none := func(what string) {
		t.Helper()
		for name, g := range take() {
			if slices.Max(g.Data) != 0 || slices.Min(g.Data) != 0 {
				t.Errorf("%s: there are gradients of %s", what, name)
			}
		}
	}
	none("before a step")
	few, more := take(3), take(5)
	for _, p := range filled(t, network).Params() {
		switch g := few[p.Name]; {
		case p.Trainable != (g != nil):
			t.Errorf("gradient of %s is %v", p.Name, g)
		case g == nil:
		case !slices.Equal(g.Shape, p.Tensor().Shape):
			t.Errorf("gradient of %s is %v, want %v", p.Name, g, p.Tensor())
		case slices.Max(g.Data) == 0 && slices.Min(g.Data) == 0:
			t.Errorf("no gradient of %s", p.Name)
		}
	}
	for name, g := range take(3, 5) {
		size := max(slices.Max(g.Data), -slices.Min(g.Data))
		for k, v := range g.Data {
			if d := v - few[name].Data[k] - more[name].Data[k]; d > 1e-5*size || d < -1e-5*size {
				t.Errorf("gradient of %s over two steps is %g, the single ones %g and %g", name, v, few[name].Data[k], more[name].Data[k])
				break
			}
		}
	}
	none("after they were taken")
	advance(t, n)
	none("after an update")
}

// penalties checks by how far more a penalized update goes, and that it does so until the
// penalty is taken back.
func penalties(t *testing.T, n train.Network) {
	start := stateOf(t, n)
	u := train.Update{Rate: [3]float64{1e-3, 1e-3, 1e-3}, MaxNorm: 1, Average: 0.9}
	move := func(p train.Penalty) []graph.Param {
		t.Helper()
		must(t, n.SetState(start.live, start.averaged, start.momentum))
		must(t, n.Penalize(p))
		must(t, n.Step(batch(3), half))
		must(t, n.Update(u))
		return stateOf(t, n).live.Params()
	}
	factors := func(g *graph.Graph, names ...string) map[string]*tensor.Tensor {
		m := map[string]*tensor.Tensor{}
		for i, p := range g.Params() {
			if slices.Contains(names, p.Name) {
				m[p.Name] = tensor.New(p.Tensor().Shape...)
				for k, v := range numbers(i+50, p.Tensor().Len()) {
					m[p.Name].Data[k] = 20 + 10*v
				}
			}
		}
		return m
	}
	p := train.Penalty{
		L2: factors(start.live, "c1.weight", "b0.weight", "m1.bias"),
		L1: factors(start.live, "b0.weight", "m0.weight"),
	}
	plain, pushed := move(train.Penalty{}), move(p)
	for i, q := range start.live.Params() {
		for k, w := range q.Tensor().Data {
			want := 0.0
			if f := p.L2[q.Name]; f != nil {
				want += float64(f.Data[k]) * float64(w)
			}
			if f := p.L1[q.Name]; f != nil && w > 0 {
				want += float64(f.Data[k])
			} else if f != nil && w < 0 {
				want -= float64(f.Data[k])
			}
			got := float64(plain[i].Tensor().Data[k]) - float64(pushed[i].Tensor().Data[k])
			if math.Abs(got-1e-3*want) > 1e-5 {
				t.Errorf("%s[%d] of %g moves %g further, want %g", q.Name, k, w, got, 1e-3*want)
				break
			}
		}
	}
	again := move(train.Penalty{})
	for i, q := range plain {
		if !slices.Equal(again[i].Tensor().Data, q.Tensor().Data) {
			t.Errorf("a penalty that was taken back still moves %s", q.Name)
		}
	}
	for name, f := range map[string]*tensor.Tensor{"c9.weight": tensor.New(4, 3, 3, 3), "c1.weight": tensor.New(4), "m0.bias": nil, "b0.running_mean": tensor.New(4)} {
		if err := n.Penalize(train.Penalty{L1: map[string]*tensor.Tensor{name: f}}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("a penalty of %s with %v: error %v", name, f, err)
		}
	}
}

// frozenNorms checks that Step sees what Predict sees and moves no statistics.
func frozenNorms(t *testing.T, n train.Network) {
	want, err := n.Predict(batch(5), train.Live)
	must(t, err)
	must(t, n.Step(batch(5), func(maps []*tensor.Tensor) ([]*tensor.Tensor, error) {
		for i, m := range maps {
			for k, v := range m.Data {
				if d := v - want[i].Data[k]; d > 0.02 || d < -0.02 { // of rounding, with 16 bits
					t.Errorf("Step gives %g in map %d, Predict %g", v, i, want[i].Data[k])
					break
				}
			}
		}
		return half(maps)
	}))
	before := stateOf(t, n)
	must(t, n.Update(usual))
	after := stateOf(t, n)
	for i, p := range filled(t, network).Params() {
		loaded, stepped, updated := p.Tensor().Data, before.live.Params()[i].Tensor().Data, after.live.Params()[i].Tensor().Data
		if !slices.Equal(stepped, loaded) {
			t.Errorf("Step moved %s", p.Name)
		}
		if slices.Equal(updated, loaded) == p.Trainable {
			t.Errorf("Update: %s was %v and is %v", p.Name, loaded, updated)
		}
	}
}

// frozenLayers checks that what does not learn has no gradient and feels no penalty.
func frozenLayers(t *testing.T, n train.Network) {
	start := stateOf(t, n).live
	p := start.Params()[0]
	f := tensor.New(p.Tensor().Shape...)
	for k := range f.Data {
		f.Data[k] = 1
	}
	must(t, n.Penalize(train.Penalty{L2: map[string]*tensor.Tensor{p.Name: f}}))
	must(t, n.Step(batch(3), half))
	g, err := n.Gradients()
	must(t, err)
	if g[p.Name] != nil || g["m0.weight"] == nil {
		t.Errorf("there are gradients of %s or none of m0.weight: %v", p.Name, g)
	}
	advance(t, n)
	if got := stateOf(t, n).live.Params()[0]; !slices.Equal(got.Tensor().Data, p.Tensor().Data) {
		t.Errorf("%s moved", p.Name)
	}
}
