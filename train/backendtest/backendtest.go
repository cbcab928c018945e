// Package backendtest checks what any train.Backend must do.
package backendtest

import (
	"errors"
	"slices"
	"testing"

	"ultrafast/graph"
	"ultrafast/tensor"
	"ultrafast/train"
)

const network = `ultrafast graph 1
x = input shape=1,3,16,16
c0 = conv x w=f32[4,3,3,3] stride=2 pad=1
b0 = batchnorm c0 c=4 eps=0.001 momentum=0.03
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
