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

// Several updates against the formulas, in float64 from the same gradients.
func TestUpdateAgainstFormulas(t *testing.T) {
	for name, u := range map[string]train.Update{
		"plain":     {Rate: [3]float64{0.01, 0.01, 0.01}},
		"nesterov":  {Rate: [3]float64{0.1, 0.02, 0.01}, Momentum: 0.937, Decay: 5e-4, Average: 0.9},
		"clipped":   {Rate: [3]float64{0.1, 0.02, 0.01}, Momentum: 0.9, Decay: 0.1, Average: 0.5, MaxNorm: 0.7},
		"penalties": {Rate: [3]float64{0.1, 0.02, 0.01}, Momentum: 0.9, Decay: 0.1, MaxNorm: 0.7, Average: 0.5},
		"unmoved":   {Rate: [3]float64{0.1, 0.02, 0.01}, Momentum: 0.9, MaxNorm: 1e9, Average: 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t, 2)
			g := parse(t, small)
			n := load(t, b, g)
			var p train.Penalty
			if name == "penalties" {
				p = somePenalty(g)
				if err := n.Penalize(p); err != nil {
					t.Fatal(err)
				}
			}
			groups := map[string]train.Group{}
			trained := map[string]bool{}
			for _, p := range g.Params() {
				groups[p.Name], trained[p.Name] = train.GroupOf(p), p.Trainable
			}
			live, velocity, averaged := map[string][]float64{}, map[string][]float64{}, map[string][]float64{}
			for name, w := range weights(t, n, train.Live) {
				live[name], averaged[name] = wide(w.Data), wide(w.Data)
				velocity[name] = make([]float64, w.Len())
			}
			for i := range 4 {
				x := random(uint64(i), 4, 3, 16, 16)
				now, err := n.Graph(train.Live)
				if err != nil {
					t.Fatal(err)
				}
				twin := load(t, b, now)
				for range 1 + i%2 { // gradients accumulate over steps
					step(t, twin, x)
					step(t, n, x)
				}
				moved := weights(t, n, train.Live)
				plainUpdate(u, p, gradients(t, twin), groups, live, velocity)
				update(t, n, u)
				got, average := weights(t, n, train.Live), weights(t, n, train.Averaged)
				momentum, err := n.Momentum()
				if err != nil {
					t.Fatal(err)
				}
				for name, w := range got {
					if trained[name] {
						if off := worst(momentum[name].Data, velocity[name]); off > 1e-6 {
							t.Errorf("update %d: velocity of %s is off by %.2g", i, name, off)
						}
					} else {
						live[name] = wide(moved[name].Data) // running statistics move in Step
					}
					if off := worst(w.Data, live[name]); off > 1e-6 {
						t.Errorf("update %d: %s is off by %.2g", i, name, off)
					}
					for k, v := range live[name] {
						averaged[name][k] = u.Average*averaged[name][k] + (1-u.Average)*v
					}
					if off := worst(average[name].Data, averaged[name]); off > 1e-6 {
						t.Errorf("update %d: average of %s is off by %.2g", i, name, off)
					}
					// Go on from the device's numbers: gradients depend on them.
					live[name], averaged[name] = wide(w.Data), wide(average[name].Data)
					if trained[name] {
						velocity[name] = wide(momentum[name].Data)
					}
				}
			}
		})
	}
}

func plainUpdate(u train.Update, p train.Penalty, gradients map[string]*tensor.Tensor, groups map[string]train.Group, live, velocity map[string][]float64) {
	scale := 1.0
	if u.MaxNorm > 0 {
		scale = clip(gradients, u.MaxNorm)
	}
	for name, gradient := range gradients {
		for k, v := range gradient.Data {
			g := scale*float64(v) + plainPush(p, name, k, live[name][k])
			if groups[name] == train.Weight {
				g += u.Decay * live[name][k]
			}
			velocity[name][k] = u.Momentum*velocity[name][k] + g
			live[name][k] -= u.Rate[groups[name]] * (g + u.Momentum*velocity[name][k])
		}
	}
}

// somePenalty has both factors for some tensors, and one for others.
func somePenalty(g *graph.Graph) train.Penalty {
	p := train.Penalty{L2: map[string]*tensor.Tensor{}, L1: map[string]*tensor.Tensor{}}
	for i, q := range g.Params() {
		if q.Trainable && i%3 < 2 {
			p.L2[q.Name] = random(uint64(40+i), q.Tensor().Shape...)
		}
		if q.Trainable && i%3 > 0 {
			p.L1[q.Name] = random(uint64(80+i), q.Tensor().Shape...)
		}
	}
	return p
}

func plainPush(p train.Penalty, name string, k int, w float64) (g float64) {
	if f := p.L2[name]; f != nil {
		g += float64(f.Data[k]) * w
	}
	if f := p.L1[name]; f != nil && w > 0 {
		g += float64(f.Data[k])
	} else if f != nil && w < 0 {
		g -= float64(f.Data[k])
	}
	return g
}

func TestGradientsThatAreNotFinite(t *testing.T) {
	n := load(t, open(t, 2), parse(t, small))
	x := random(1, 4, 3, 16, 16)
	before := weights(t, n, train.Live)
	err := n.Step(x, func(maps []*tensor.Tensor) ([]*tensor.Tensor, error) {
		g, err := new(linear).loss(maps)
		g[0].Data[3] = float32(math.NaN())
		return g, err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Update(train.Update{Rate: [3]float64{1, 1, 1}, MaxNorm: 10}); err == nil || !strings.Contains(err.Error(), "not finite") {
		t.Errorf("error %v, want one about gradients", err)
	}
	if w := weights(t, n, train.Live)["m0.bias"]; !slices.Equal(w.Data, before["m0.bias"].Data) {
		t.Error("weights moved")
	}
}

func TestStateContinues(t *testing.T) {
	b := open(t, 2)
	g := parse(t, small)
	u := train.Update{Rate: [3]float64{0.01, 0.01, 0.01}, Momentum: 0.9, Decay: 1e-3, Average: 0.9, MaxNorm: 10}
	advance := func(n *network, from, to int) {
		for i := from; i < to; i++ {
			step(t, n, random(uint64(i), 4, 3, 16, 16))
			update(t, n, u)
		}
	}
	straight, interrupted := load(t, b, g), load(t, b, g)
	advance(straight, 0, 4)
	advance(interrupted, 0, 2)
	live, err := interrupted.Graph(train.Live)
	if err != nil {
		t.Fatal(err)
	}
	averaged, err := interrupted.Graph(train.Averaged)
	if err != nil {
		t.Fatal(err)
	}
	momentum, err := interrupted.Momentum()
	if err != nil {
		t.Fatal(err)
	}
	resumed := load(t, b, g)
	step(t, resumed, random(9, 4, 3, 16, 16)) // what it has done before must not matter
	if err := resumed.SetState(live, averaged, momentum); err != nil {
		t.Fatal(err)
	}
	advance(resumed, 2, 4)
	for _, set := range []train.Weights{train.Live, train.Averaged} {
		want, got := weights(t, straight, set), weights(t, resumed, set)
		for name, w := range want {
			if !slices.Equal(got[name].Data, w.Data) {
				t.Errorf("set %d: %s differs after resuming", set, name)
			}
		}
	}
	delete(momentum, "m1.bias")
	if err := resumed.SetState(live, averaged, momentum); err == nil || !strings.Contains(err.Error(), "m1.bias") {
		t.Errorf("error %v, want one that names m1.bias", err)
	}
	if err := resumed.SetState(parse(t, chain), averaged, momentum); err == nil {
		t.Error("the state of another network is no error")
	}
}
