package torch

import (
	"fmt"

	"ultrafast/graph"
	"ultrafast/tensor"
	"ultrafast/train"
)

// network holds three sets of tensors in the order of params (weights and running
// statistics): live, averaged and, for what is trained, velocity. The replicas' sets are
// in the same order. Weights of 8 bits are the floats that they are rounded from.
type network struct {
	b      *backend
	group  *group       // nil where the process is alone, or the network is
	g      *graph.Graph // the structure; its numbers are those it was loaded with
	params []graph.Param
	plan   *plan
	o      train.LoadOptions
	place  place
	owned  *scope

	live, averaged []handle
	replicas       [][]handle // per worker: leaves over live's storage, statistics of its own
	trained        []int      // numbers of the tensors that learn
	velocity       []handle   // of those: SGD's, or Adam's mean of gradients
	squares        []handle   // of those: Adam's mean of squares
	statistics     []int      // numbers of the running statistics
	eightBit       []int      // numbers of the weights of 8 bits
	scale          *lossScale // nil where losses are not scaled

	penalties *scope // of l2 and l1: what updates add, 0 where a tensor has none
	l2, l1    []handle
}

func newNetwork(b *backend, g *graph.Graph, o train.LoadOptions) (*network, error) {
	params := g.Params()
	p, err := newPlan(g, params)
	if err != nil {
		return nil, err
	}
	p.precision = shimPrecision[o.Precision]
	n := &network{
		b: b, g: g, params: params, plan: p, o: o, owned: b.lib.scope(), penalties: b.lib.scope(),
		// oneDNN's convolutions are fastest on channels-last maps, and cuDNN's in 16 bits.
		place: place{b.device, b.device < 0 || o.Precision != train.FP32},
	}
	if o.Precision == train.FP16 {
		n.scale = newLossScale()
	}
	if !o.Alone {
		n.group = b.group
	}
	for i, p := range params {
		if p.EightBit() {
			n.eightBit = append(n.eightBit, i)
		}
		switch {
		case o.Learns(p):
			n.trained = append(n.trained, i)
		case !p.Trainable:
			n.statistics = append(n.statistics, i)
		}
	}
	n.l2, n.l1 = make([]handle, len(n.trained)), make([]handle, len(n.trained))
	err = n.fill()
	if err == nil {
		err = n.shareNumbers(n.live, n.averaged)
	}
	if err == nil && n.group != nil {
		err = n.shareStatistics()
	}
	if err != nil {
		n.owned.close()
		return nil, err
	}
	return n, nil
}

// fill makes every tensor.
func (n *network) fill() error {
	fresh := func(p graph.Param, data []float32) (handle, error) {
		h, err := n.owned.new(n.place, data, p.Tensor().Shape)
		if err != nil {
			err = fmt.Errorf("train: %s: %w", p.Name, err)
		}
		return h, err
	}
	n.replicas = make([][]handle, len(n.b.workers))
	for _, p := range n.params {
		data := p.Tensor().Data
		live, err := fresh(p, data)
		if err != nil {
			return err
		}
		averaged, err := fresh(p, data)
		if err != nil {
			return err
		}
		n.live, n.averaged = append(n.live, live), append(n.averaged, averaged)
		for _, set := range n.optimizerSets() {
			if !n.o.Learns(p) {
				break
			}
			zero, err := fresh(p, make([]float32, len(data)))
			if err != nil {
				return err
			}
			*set.of = append(*set.of, zero)
		}
		for i := range n.replicas {
			h, err := n.replica(p, live)
			if err != nil {
				return err
			}
			n.replicas[i] = append(n.replicas[i], h)
		}
	}
	return nil
}

// An optimizerSet is a tensor for each that learns, kept under its name with a suffix.
type optimizerSet struct {
	of     *[]handle
	suffix string
}

func (n *network) optimizerSets() []optimizerSet {
	sets := []optimizerSet{{&n.velocity, ""}}
	if n.o.Optimizer.Adaptive() {
		sets = append(sets, optimizerSet{&n.squares, train.Squares})
	}
	return sets
}

func (n *network) replica(p graph.Param, live handle) (handle, error) {
	switch {
	case !p.Trainable:
		return n.owned.new(n.place, p.Tensor().Data, p.Tensor().Shape)
	case !n.o.Learns(p):
		return live, nil // read by all, and no gradient reaches it
	}
	var h handle
	m := n.b.lib.leaf(&h, live)
	return n.owned.keep(h, m)
}

// pick returns some tensors of a set.
func pick(set []handle, numbers []int) []handle {
	some := make([]handle, len(numbers))
	for i, k := range numbers {
		some[i] = set[k]
	}
	return some
}

// set returns the tensors of one kind of weights.
func (n *network) set(w train.Weights) []handle {
	if w == train.Averaged {
		return n.averaged
	}
	return n.live
}

// onWorker runs f on a worker: libtorch keeps threads of its own for every thread that
// calls it, and a goroutine's own thread may be any. f must not use workers itself.
func (n *network) onWorker(f func() error) error {
	return each(n.b.workers, 1, func(int) error { return f() })
}

func (n *network) Graph(w train.Weights) (*graph.Graph, error) {
	g := n.g.Clone()
	err := n.onWorker(func() error {
		for i, p := range g.Params() {
			if err := n.b.lib.readTo(p.Tensor().Data, n.set(w)[i]); err != nil {
				return fmt.Errorf("train: %s: %w", p.Name, err)
			}
		}
		return nil
	})
	if err == nil {
		err = g.EightBits()
	}
	if err != nil {
		return nil, err
	}
	return g, nil
}

func (n *network) Momentum() (map[string]*tensor.Tensor, error) {
	all := make(map[string]*tensor.Tensor, len(n.trained))
	read := func(from []handle, numbers []int, suffix string) error {
		for i, k := range numbers {
			p := n.params[k]
			t := tensor.New(p.Tensor().Shape...)
			if err := n.b.lib.readTo(t.Data, from[i]); err != nil {
				return fmt.Errorf("train: %s: %w", p.Name, err)
			}
			all[p.Name+suffix] = t
		}
		return nil
	}
	err := n.onWorker(func() error {
		for _, set := range n.optimizerSets() {
			if err := read(*set.of, n.trained, set.suffix); err != nil {
				return err
			}
		}
		if err := read(pick(n.live, n.eightBit), n.eightBit, train.Latent); err != nil {
			return err
		}
		return read(pick(n.averaged, n.eightBit), n.eightBit, train.LatentAverage)
	})
	if err != nil {
		return nil, err
	}
	if n.scale != nil {
		all[train.LossScale] = n.scale.state()
	}
	return all, nil
}

// SetState checks everything before it changes anything. Accumulated gradients are lost.
func (n *network) SetState(live, averaged *graph.Graph, momentum map[string]*tensor.Tensor) error {
	byName := func(g *graph.Graph, latent string) map[string]*tensor.Tensor {
		m := map[string]*tensor.Tensor{}
		for _, p := range g.Params() {
			m[p.Name] = p.Tensor()
		}
		for _, k := range n.eightBit {
			m[n.params[k].Name] = momentum[n.params[k].Name+latent]
		}
		return m
	}
	type write struct {
		to   handle
		from *tensor.Tensor
	}
	var writes []write
	check := func(what string, to []handle, numbers []int, from map[string]*tensor.Tensor, suffix string) error {
		for i, k := range numbers {
			p := n.params[k]
			t := from[p.Name+suffix]
			if t == nil || len(t.Data) != p.Tensor().Len() {
				return fmt.Errorf("train: state has no %s %s of %v", what, p.Name, p.Tensor())
			}
			writes = append(writes, write{to[i], t})
		}
		return nil
	}
	all := make([]int, len(n.params))
	for i := range all {
		all[i] = i
	}
	if err := check("live", n.live, all, byName(live, train.Latent), ""); err != nil {
		return err
	}
	if err := check("averaged", n.averaged, all, byName(averaged, train.LatentAverage), ""); err != nil {
		return err
	}
	for _, set := range n.optimizerSets() {
		if err := check("momentum"+set.suffix, *set.of, n.trained, momentum, set.suffix); err != nil {
			return err
		}
	}
	if n.scale != nil {
		scale, err := lossScaleOf(momentum[train.LossScale])
		if err != nil {
			return err
		}
		*n.scale = scale
	}
	err := n.onWorker(func() error {
		for _, w := range writes {
			if err := n.b.lib.writeFrom(w.to, w.from.Data); err != nil {
				return fmt.Errorf("train: restore state: %w", err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := n.shareNumbers(n.live, n.averaged, n.velocity, n.squares); err != nil {
		return err
	}
	if err := n.clearGradients(); err != nil {
		return err
	}
	return n.shareStatistics()
}

// clearGradients forgets what Steps have accumulated.
func (n *network) clearGradients() error {
	leaves := n.leaves()
	if len(leaves) == 0 {
		return nil
	}
	return n.onWorker(func() error { return n.b.lib.err(n.b.lib.clear(&leaves[0], int64(len(leaves)))) })
}

// leaves lists the trained tensors of every replica, replica by replica.
func (n *network) leaves() []handle {
	var all []handle
	for _, r := range n.replicas {
		all = append(all, pick(r, n.trained)...)
	}
	return all
}

// shareStatistics gives every replica the live running statistics.
func (n *network) shareStatistics() error {
	live := pick(n.live, n.statistics)
	return n.onWorker(func() error {
		for _, r := range n.replicas {
			if err := n.b.lib.mixInto(pick(r, n.statistics), []float64{1}, live); err != nil {
				return err
			}
		}
		return nil
	})
}

func (n *network) Close() error {
	n.penalties.close()
	n.owned.close()
	return nil
}
