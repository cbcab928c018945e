package torch

import (
	"math"
	"slices"
	"strings"
	"testing"

	"ultrafast/graph"
	"ultrafast/tensor"
	"ultrafast/train"
)

func loadWith(t testing.TB, b *backend, g *graph.Graph, o train.LoadOptions) *network {
	t.Helper()
	n, err := b.Load(g, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n.(*network)
}

// Adam and AdamW against their formulas, in float64 from the same gradients.
func TestAdamAgainstFormulas(t *testing.T) {
	for _, o := range []train.Optimizer{train.Adam, train.AdamW} {
		b := open(t, 2)
		g := parse(t, small)
		n := loadWith(t, b, g, train.LoadOptions{Optimizer: o})
		p := somePenalty(g)
		if err := n.Penalize(p); err != nil {
			t.Fatal(err)
		}
		groups := map[string]train.Group{}
		mean, squares := map[string][]float64{}, map[string][]float64{}
		for _, p := range g.Params() {
			groups[p.Name] = train.GroupOf(p)
			mean[p.Name], squares[p.Name] = make([]float64, p.Tensor().Len()), make([]float64, p.Tensor().Len())
		}
		for i := range 4 {
			u := train.Update{Rate: [3]float64{0.01, 0.002, 0.001}, Momentum: 0.9, Decay: 0.1, MaxNorm: 3, Step: i + 1, Average: 1}
			x := random(uint64(i), 4, 3, 16, 16)
			now, err := n.Graph(train.Live)
			if err != nil {
				t.Fatal(err)
			}
			twin := load(t, b, now)
			step(t, twin, x)
			step(t, n, x)
			grads := gradients(t, twin)
			live := weights(t, n, train.Live)
			want := map[string][]float64{}
			scale := clip(grads, u.MaxNorm)
			for name, gradient := range grads {
				want[name] = wide(live[name].Data)
				rate, decay := u.Rate[groups[name]], 0.0
				if groups[name] == train.Weight {
					decay = u.Decay
				}
				for k, v := range gradient.Data {
					w, grad := want[name][k], scale*float64(v)+plainPush(p, name, k, want[name][k])
					if o == train.AdamW {
						w *= 1 - rate*decay
					} else {
						grad += decay * w
					}
					m := 0.9*mean[name][k] + 0.1*grad
					s := 0.999*squares[name][k] + 0.001*grad*grad
					mean[name][k], squares[name][k] = m, s
					m /= 1 - math.Pow(0.9, float64(i+1))
					s /= 1 - math.Pow(0.999, float64(i+1))
					want[name][k] = w - rate*m/(math.Sqrt(s)+1e-8)
				}
			}
			update(t, n, u)
			got := weights(t, n, train.Live)
			state, err := n.Momentum()
			if err != nil {
				t.Fatal(err)
			}
			for name := range grads {
				for what, off := range map[string]float64{
					"weight": worst(got[name].Data, want[name]), "mean": worst(state[name].Data, mean[name]),
					"squares": worst(state[name+train.Squares].Data, squares[name]),
				} {
					if off > 2e-5 {
						t.Errorf("%s, update %d: %s of %s is off by %.2g", o, i, what, name, off)
					}
				}
				mean[name], squares[name] = wide(state[name].Data), wide(state[name+train.Squares].Data)
			}
		}
	}
}

// clip is by what gradients are scaled so that their norm is limit at most.
func clip(gradients map[string]*tensor.Tensor, limit float64) float64 {
	norm := 0.0
	for _, g := range gradients {
		for _, v := range g.Data {
			norm += float64(v) * float64(v)
		}
	}
	return min(1, limit/math.Sqrt(norm))
}

// layered is two layers and a head.
const layered = `images = input shape=1,3,16,16
model.0.conv = conv images w=f32[4,3,3,3] stride=2 pad=1
model.0.bn = batchnorm model.0.conv c=4 eps=0.001 momentum=0.03
model.0.act = silu model.0.bn
model.1.conv = conv model.0.act w=f32[4,4,3,3] stride=2 pad=1
model.1.bn = batchnorm model.1.conv c=4 eps=0.001 momentum=0.03
model.1.act = silu model.1.bn
model.2.m.0 = conv model.0.act w=f32[6,4,1,1] bias
model.2.m.1 = conv model.1.act w=f32[6,4,1,1] bias
model.2 = detect model.2.m.0 model.2.m.1 classes=1 strides=2,4 anchors=10,13;30,61
output model.2
`

// Frozen layers stay, but for their running statistics, and the others move exactly as
// they would beside layers that learn. With all but layer 1 frozen, one map depends on
// nothing that learns.
func TestFreeze(t *testing.T) {
	b := open(t, 2)
	g := parse(t, layered)
	u := train.Update{Rate: [3]float64{0.01, 0.01, 0.01}, Decay: 0.1, Average: 0.5}
	x := random(1, 8, 3, 16, 16)
	free := load(t, b, g)
	step(t, free, x)
	update(t, free, u)
	want, before := weights(t, free, train.Live), weights(t, load(t, b, g), train.Live)
	for _, frozen := range [][]int{{0}, {0, 1}, {0, 2}} {
		n := loadWith(t, b, g, train.LoadOptions{Freeze: frozen})
		step(t, n, x)
		update(t, n, u)
		state, err := n.Momentum()
		if err != nil {
			t.Fatal(err)
		}
		got := weights(t, n, train.Live)
		for _, p := range g.Params() {
			still := slices.ContainsFunc(frozen, func(k int) bool { return strings.HasPrefix(p.Name, "model."+string(rune('0'+k))+".") })
			expect := want[p.Name]
			if still && p.Trainable {
				expect = before[p.Name]
				if state[p.Name] != nil {
					t.Errorf("freeze %v: %s has a momentum", frozen, p.Name)
				}
			}
			if !slices.Equal(got[p.Name].Data, expect.Data) {
				t.Errorf("freeze %v: %s is not as it should be", frozen, p.Name)
			}
		}
	}
}
