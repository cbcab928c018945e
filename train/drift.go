package train

import (
	"errors"
	"fmt"
	"iter"

	"ultrafast/graph"
	"ultrafast/tensor"
)

// Drift returns a Backend that learns nothing: every raw map is zero, every gradient of a
// step is -1, and every update moves every weight by a thousandth, less its penalty times
// that. With it the whole pipeline runs in a test, with no libtorch and no GPU.
func Drift() Backend { return drift{} }

type drift struct{}

func (drift) String() string { return "drift: learns nothing" }
func (drift) Close() error   { return nil }

func (drift) Precision(p Precision) (Precision, error) {
	if p == "" {
		p = FP32
	}
	return p, p.check()
}

func (drift) Load(g *graph.Graph, o LoadOptions) (Network, error) {
	if err := g.Verify(); err != nil {
		return nil, err
	}
	n := &driftNet{o: o, velocity: map[string]*tensor.Tensor{}}
	n.weights[Live], n.weights[Averaged] = g.Clone(), g.Clone()
	for _, p := range g.Params() {
		if p.Tensor().Data == nil {
			return nil, fmt.Errorf("drift: %s has no numbers", p.Name)
		}
		if o.Learns(p) {
			n.velocity[p.Name] = tensor.New(p.Tensor().Shape...)
			if o.Optimizer.Adaptive() {
				n.velocity[p.Name+Squares] = tensor.New(p.Tensor().Shape...)
			}
		}
	}
	return n, nil
}

type driftNet struct {
	o        LoadOptions
	weights  [2]*graph.Graph // those of 8 bits as floats
	velocity map[string]*tensor.Tensor
	penalty  Penalty
	steps    int // since the last update
}

func (n *driftNet) Step(x *tensor.Tensor, loss Loss) error {
	raw, err := n.Predict(x, Live)
	if err != nil {
		return err
	}
	if _, err = loss(raw); err == nil {
		n.steps++
	}
	return err
}

func (n *driftNet) Gradients() (map[string]*tensor.Tensor, error) {
	all := map[string]*tensor.Tensor{}
	for _, p := range n.weights[Live].Params() {
		if n.o.Learns(p) {
			all[p.Name] = tensor.New(p.Tensor().Shape...)
			for k := range all[p.Name].Data {
				all[p.Name].Data[k] = -float32(n.steps)
			}
		}
	}
	n.steps = 0
	return all, nil
}

func (n *driftNet) Penalize(p Penalty) error {
	if err := p.Check(n.weights[Live]); err != nil {
		return err
	}
	n.penalty = p
	return nil
}

func (n *driftNet) Update(u Update) error {
	average := n.weights[Averaged].Params()
	for i, p := range n.weights[Live].Params() {
		live, avg := p.Tensor().Data, average[i].Tensor().Data
		for k := range live {
			if n.o.Learns(p) {
				live[k] += 0.001 * (1 - n.push(p.Name, k, live[k]))
				v := &n.velocity[p.Name].Data[k]
				*v = float32(u.Momentum)**v + 0.001
			}
			avg[k] = float32(u.Average*float64(avg[k]) + (1-u.Average)*float64(live[k]))
		}
	}
	n.steps = 0
	return nil
}

// push is what the penalty adds to the gradient of a weight.
func (n *driftNet) push(name string, k int, w float32) (g float32) {
	if f := n.penalty.L2[name]; f != nil {
		g += f.Data[k] * w
	}
	if f := n.penalty.L1[name]; f != nil && w > 0 {
		g += f.Data[k]
	} else if f != nil && w < 0 {
		g -= f.Data[k]
	}
	return g
}

func (n *driftNet) Predict(x *tensor.Tensor, w Weights) ([]*tensor.Tensor, error) {
	g := n.weights[w]
	if in := g.Input().Op.(*graph.Input); len(x.Shape) != 4 || x.Shape[1] != in.Shape[1] {
		return nil, fmt.Errorf("drift: a batch is %v, want [n,%d,h,w]", x, in.Shape[1])
	}
	shapes, err := g.Shapes(x.Shape[0], x.Shape[2], x.Shape[3])
	if err != nil {
		return nil, err
	}
	var raw []*tensor.Tensor
	for _, o := range MapsOf(g) {
		raw = append(raw, tensor.New(shapes[o]...))
	}
	return raw, nil
}

func (n *driftNet) Recalibrate(batches iter.Seq2[*tensor.Tensor, error]) error {
	for _, err := range batches {
		if err != nil {
			return err
		}
	}
	return nil
}

func (n *driftNet) Graph(w Weights) (*graph.Graph, error) {
	g := n.weights[w].Clone()
	return g, g.EightBits()
}

func (n *driftNet) Momentum() (map[string]*tensor.Tensor, error) {
	m := map[string]*tensor.Tensor{}
	for name, v := range n.velocity {
		m[name] = v.Clone()
	}
	averaged := n.weights[Averaged].Params()
	for i, p := range n.weights[Live].Params() {
		if p.EightBit() {
			m[p.Name+Latent], m[p.Name+LatentAverage] = p.Tensor().Clone(), averaged[i].Tensor().Clone()
		}
	}
	return m, nil
}

func (n *driftNet) SetState(live, averaged *graph.Graph, momentum map[string]*tensor.Tensor) error {
	if live.String() != n.weights[Live].String() || averaged.String() != n.weights[Live].String() {
		return fmt.Errorf("drift: the state is of another network")
	}
	for name, v := range n.velocity {
		if m := momentum[name]; m == nil || m.Len() != v.Len() {
			return fmt.Errorf("drift: the state has no momentum of %s", name)
		}
	}
	live, averaged = live.Clone(), averaged.Clone()
	if err := errors.Join(latents(live, momentum, Latent), latents(averaged, momentum, LatentAverage)); err != nil {
		return fmt.Errorf("drift: %w", err)
	}
	n.weights[Live], n.weights[Averaged] = live, averaged
	for name := range n.velocity {
		n.velocity[name] = momentum[name].Clone()
	}
	return nil
}

func (n *driftNet) Close() error { return nil }
