package backendtest

import (
	"math"
	"slices"
	"strings"
	"testing"

	"ultrafast/graph"
	"ultrafast/tensor"
	"ultrafast/train"
)

// quantised is a network whose middle is of 8 bits and whose head is not.
const quantised = `ultrafast graph 1
x = input shape=1,3,16,16
x.q = quantize x scale=0.0078125 zero=128
model.0.c = conv x.q w=i8[4,3,3,3] bias stride=2 pad=1
model.0.c.q = quantize model.0.c scale=0.04 zero=128
a0 = silu model.0.c.q
a0.q = quantize a0 scale=0.02 zero=14
c1 = conv a0.q w=i8[4,4,3,3] bias stride=2 pad=1
c1.q = quantize c1 scale=0.06 zero=128
a1 = silu c1.q
a1.q = quantize a1 scale=0.03 zero=10
m0 = conv a0.q w=f32[12,4,1,1] bias
m1 = conv a1.q w=f32[6,4,1,1] bias
y = detect m0 m1 classes=1 strides=2,4 anchors=10,13,16,30;30,61
output y
`

// quantises runs the tests of a quantised network.
func quantises(t *testing.T, open func() train.Backend, p train.Precision) {
	for name, test := range map[string]func(*testing.T, train.Network){
		"steps":   steps,
		"resumes": resumes,
		"latents": learnsFloats,
		"state":   needsFloats,
		"errors":  fails,
	} {
		t.Run(name, func(t *testing.T) {
			with(t, open, filled(t, quantised), train.LoadOptions{Precision: p}, test)
		})
	}
	t.Run("frozen layers", func(t *testing.T) {
		with(t, open, filled(t, quantised), train.LoadOptions{Precision: p, Freeze: []int{0}}, frozenLayers)
	})
	t.Run("rounded", func(t *testing.T) {
		b := open()
		n, err := b.Load(filled(t, quantised), train.LoadOptions{Precision: p})
		must(t, err)
		advance(t, n)
		g, err := n.Graph(train.Live)
		must(t, err)
		again, err := b.Load(g, train.LoadOptions{Precision: p})
		must(t, err)
		want, err := again.Predict(batch(3), train.Live)
		must(t, err)
		got, err := n.Predict(batch(3), train.Live)
		must(t, err)
		for i, m := range got {
			for k, v := range m.Data {
				if d := math.Abs(float64(v - want[i].Data[k])); d > 1e-4 {
					t.Fatalf("map %d holds %g, and %g once the weights are rounded", i, v, want[i].Data[k])
				}
			}
		}
		must(t, again.Close())
		must(t, n.Close())
		must(t, b.Close())
	})
}

// eightBits are the numbers of a graph's parameters that are weights of 8 bits.
func eightBits(g *graph.Graph) (numbers []int) {
	for i, p := range g.Params() {
		if p.EightBit() {
			numbers = append(numbers, i)
		}
	}
	return numbers
}

// learnsFloats checks that what learns and is averaged are floats, of which Graph gives the
// rounded.
func learnsFloats(t *testing.T, n train.Network) {
	first, loaded := stateOf(t, n), filled(t, quantised)
	if first.live.String() != loaded.String() {
		t.Errorf("Graph is not what was loaded: %s", first.live)
	}
	for i, p := range loaded.Params() {
		for k, v := range p.Tensor().Data {
			if got := first.live.Params()[i].Tensor().Data[k]; math.Abs(float64(got-v)) > 1e-6 { // a scale may differ in its last bit
				t.Fatalf("%s[%d] is %g, %g was loaded", p.Name, k, got, v)
			}
		}
		if (first.momentum[p.Name+train.Latent] != nil) != p.EightBit() || (first.momentum[p.Name+train.LatentAverage] != nil) != p.EightBit() {
			t.Errorf("Momentum has or has not the floats of %s", p.Name)
		}
	}
	before := first
	for range 3 {
		advance(t, n)
		s := stateOf(t, n)
		for set, suffix := range map[*graph.Graph]string{s.live: train.Latent, s.averaged: train.LatentAverage} {
			must(t, set.Verify()) // weights are whole multiples
			for _, i := range eightBits(set) {
				p := set.Params()[i]
				c := *p.Node.Op.(*graph.Conv)
				c.Weight = s.momentum[p.Name+suffix]
				want, err := c.EightBits()
				must(t, err)
				if !slices.Equal(p.Tensor().Data, want.Weight.Data) || slices.Equal(p.Tensor().Data, c.Weight.Data) {
					t.Errorf("%s is not the rounded of %s", p.Name, p.Name+suffix)
				}
			}
		}
		for _, i := range eightBits(s.live) {
			name := s.live.Params()[i].Name
			live, average := s.momentum[name+train.Latent].Data, s.momentum[name+train.LatentAverage].Data
			if slices.Equal(live, before.momentum[name+train.Latent].Data) {
				t.Errorf("Update did not move %s", name)
			}
			for k, was := range before.momentum[name+train.LatentAverage].Data {
				want := 0.9*float64(was) + 0.1*float64(live[k])
				if d := float64(average[k]) - want; d > 1e-5 || d < -1e-5 {
					t.Errorf("average of the floats of %s is %g, want %g", name, average[k], want)
					break
				}
			}
		}
		before = s
	}
}

// needsFloats checks that a state without them is refused, and changes nothing.
func needsFloats(t *testing.T, n train.Network) {
	advance(t, n)
	s := stateOf(t, n)
	for _, suffix := range []string{train.Latent, train.LatentAverage} {
		for _, bad := range []*tensor.Tensor{nil, tensor.New(3)} {
			momentum := map[string]*tensor.Tensor{}
			for name, v := range s.momentum {
				momentum[name] = v
			}
			momentum["c1.weight"+suffix] = bad
			if err := n.SetState(s.live, s.averaged, momentum); err == nil || !strings.Contains(err.Error(), "c1.weight") {
				t.Errorf("a state with the floats %v of c1.weight%s: error %v", bad, suffix, err)
			}
		}
	}
	if again := stateOf(t, n); !same(again.live, s.live) {
		t.Error("a refused state moved the weights")
	}
}
