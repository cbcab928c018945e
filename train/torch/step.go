package torch

import (
	"errors"
	"fmt"
	"iter"
	"slices"

	"ultrafast/graph"
	"ultrafast/tensor"
	"ultrafast/train"
)

// A part is a worker's share of a batch: pictures from … to-1.
type part struct{ from, to int }

// split shares n pictures among at most k workers, none empty.
func split(n, k int) []part {
	k = min(n, k)
	parts := make([]part, k)
	for i := range parts {
		parts[i] = part{n * i / k, n * (i + 1) / k}
	}
	return parts
}

// of returns the part's numbers of a tensor whose first axis is the batch, and their shape.
func (p part) of(t *tensor.Tensor) ([]float32, []int) {
	size := t.Len() / t.Shape[0]
	shape := slices.Clone(t.Shape)
	shape[0] = p.to - p.from
	return t.Data[p.from*size : p.to*size], shape
}

// mapsFor checks x and makes room for its maps.
func (n *network) mapsFor(x *tensor.Tensor) ([]*tensor.Tensor, error) {
	if len(x.Shape) != 4 || x.Len() != len(x.Data) {
		return nil, fmt.Errorf("train: batch is %v with %d numbers, want [pictures, channels, height, width]", x, len(x.Data))
	}
	in := n.g.Input()
	if want := in.Op.(*graph.Input).Shape[1]; x.Shape[1] != want {
		return nil, fmt.Errorf("train: %s takes %d channels, batch is %v", in.Name, want, x)
	}
	shapes, err := n.g.Shapes(x.Shape[0], x.Shape[2], x.Shape[3])
	if err != nil {
		return nil, fmt.Errorf("train: batch %v: %w", x, err)
	}
	maps := make([]*tensor.Tensor, len(n.plan.maps))
	for i, v := range n.plan.maps {
		maps[i] = tensor.New(shapes[n.g.Nodes[v]]...)
	}
	return maps, nil
}

// forward runs a part of x on the calling worker and copies its maps to their place. It
// returns the maps on the device, which belong to s.
func (n *network) forward(s *scope, weights []handle, x *tensor.Tensor, p part, maps []*tensor.Tensor, m norms) ([]handle, error) {
	data, shape := p.of(x)
	in, err := s.new(n.place, data, shape)
	if err != nil {
		return nil, err
	}
	out, err := n.plan.run(s, weights, in, m)
	if err != nil {
		return nil, err
	}
	for i, h := range out {
		to, _ := p.of(maps[i])
		if err := n.b.lib.readTo(to, h); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// leastShare is the number of pictures that a worker gets at least, so that batch norm has
// enough to take statistics of, however many cores there are.
const leastShare = 4

// Step computes on all workers, each with its share of the batch. Batch norm normalizes
// within a share, as PyTorch's data parallel does, or with SyncBN over the whole batch; the
// live running statistics are the mean of the replicas', by pictures. After an error no
// gradients are left.
func (n *network) Step(x *tensor.Tensor, loss train.Loss) error {
	err := n.step(x, loss)
	if err != nil {
		return errors.Join(err, n.clearGradients(), n.shareStatistics())
	}
	return nil
}

func (n *network) step(x *tensor.Tensor, loss train.Loss) error {
	maps, err := n.mapsFor(x)
	if err != nil {
		return err
	}
	parts := split(x.Shape[0], min(len(n.b.workers), max(1, x.Shape[0]/leastShare)))
	scopes := make([]*scope, len(parts))
	for i := range scopes {
		scopes[i] = n.b.lib.scope()
		defer scopes[i].close()
	}
	m := norms{mode: learn}
	if n.o.FrozenBN {
		m.mode = frozen
	} else if m.sync, err = n.meeting(len(parts)); err != nil {
		return err
	}
	sync := m.sync
	if sync != 0 {
		defer n.b.lib.syncFree(sync)
	}
	outs := make([][]handle, len(parts))
	err = n.together(sync, len(parts), func(i int) error {
		var err error
		m := m
		m.member = i
		outs[i], err = n.forward(scopes[i], n.replicas[i], x, parts[i], maps, m)
		return err
	})
	if err != nil {
		return err
	}
	gradients, err := loss(maps)
	if err != nil {
		return err
	}
	if err := likeMaps(gradients, maps); err != nil {
		return err
	}
	err = n.together(sync, len(parts), func(i int) error {
		defer scopes[i].close() // here, so that the worker's own memory takes it back
		return n.backward(scopes[i], outs[i], parts[i], gradients)
	})
	if err != nil {
		return err
	}
	if n.o.FrozenBN {
		return nil
	}
	return n.joinStatistics(parts)
}

// together is each for workers that may wait for each other in batch norm: one that fails
// ends the others' waiting.
func (n *network) together(sync syncHandle, workers int, f func(i int) error) error {
	err := each(n.b.workers, workers, func(i int) error {
		err := f(i)
		if err != nil && sync != 0 {
			n.b.lib.syncFail(sync)
		}
		return err
	})
	if err != nil && sync != 0 && n.group != nil {
		err = n.group.cause(err)
	}
	return err
}

func likeMaps(gradients, maps []*tensor.Tensor) error {
	if len(gradients) != len(maps) {
		return fmt.Errorf("train: the loss gave %d gradients for %d maps", len(gradients), len(maps))
	}
	for i, g := range gradients {
		if g == nil || !slices.Equal(g.Shape, maps[i].Shape) || len(g.Data) != len(maps[i].Data) {
			return fmt.Errorf("train: the loss gave a gradient %v for map %d, %v", g, i, maps[i])
		}
	}
	return nil
}

func (n *network) backward(s *scope, out []handle, p part, gradients []*tensor.Tensor) error {
	given := make([]handle, len(out))
	for i, g := range gradients {
		data, shape := p.of(g)
		var err error
		if given[i], err = s.new(n.place, data, shape); err != nil {
			return err
		}
	}
	if err := n.b.lib.err(n.b.lib.backward(&out[0], &given[0], int64(len(out)), n.scale.by())); err != nil {
		return fmt.Errorf("train: backward: %w", err)
	}
	return nil
}

// joinStatistics makes the live running statistics the mean of those of the replicas that
// took part, and gives them to all.
func (n *network) joinStatistics(parts []part) error {
	total := parts[len(parts)-1].to
	var weights []float64
	var sets [][]handle
	for i, p := range parts {
		weights = append(weights, float64(p.to-p.from)/float64(total))
		sets = append(sets, pick(n.replicas[i], n.statistics))
	}
	err := n.onWorker(func() error {
		if err := n.b.lib.mixInto(pick(n.live, n.statistics), weights, sets...); err != nil {
			return err
		}
		return n.averageStatistics(total)
	})
	if err != nil {
		return err
	}
	return n.shareStatistics()
}

func (n *network) Predict(x *tensor.Tensor, w train.Weights) ([]*tensor.Tensor, error) {
	maps, err := n.mapsFor(x)
	if err != nil {
		return nil, err
	}
	parts := split(x.Shape[0], len(n.b.workers))
	err = each(n.b.workers, len(parts), func(i int) error {
		s := n.b.lib.scope()
		defer s.close()
		_, err := n.forward(s, n.set(w), x, parts[i], maps, norms{mode: evaluate})
		return err
	})
	if err != nil {
		return nil, err
	}
	return maps, nil
}

// Recalibrate gives each worker whole batches, so that the result does not depend on the
// number of workers.
func (n *network) Recalibrate(batches iter.Seq2[*tensor.Tensor, error]) error {
	err := n.recalibrate(batches)
	return errors.Join(err, n.shareStatistics())
}

func (n *network) recalibrate(batches iter.Seq2[*tensor.Tensor, error]) error {
	s := n.b.lib.scope()
	defer s.close()
	var sums []handle
	for _, k := range n.statistics {
		t := n.params[k].Tensor()
		h, err := s.new(n.place, make([]float32, t.Len()), t.Shape)
		if err != nil {
			return err
		}
		sums = append(sums, h)
	}
	count := 0
	var waiting []*tensor.Tensor
	flush := func() error {
		err := each(n.b.workers, len(waiting), func(i int) error { return n.measure(i, waiting[i]) })
		for i, x := range waiting {
			if err == nil {
				err = n.b.lib.mixInto(sums, []float64{1, float64(x.Shape[0])}, sums, pick(n.replicas[i], n.statistics))
				count += x.Shape[0]
			}
		}
		waiting = waiting[:0]
		return err
	}
	for x, err := range batches {
		if err != nil {
			return err
		}
		// x may be written to once the next one is asked for.
		if waiting = append(waiting, x.Clone()); len(waiting) == len(n.b.workers) {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	if count == 0 {
		return errors.New("train: no batches to recalibrate with")
	}
	for _, set := range [][]handle{n.live, n.averaged} {
		if err := n.b.lib.mixInto(pick(set, n.statistics), []float64{1 / float64(count)}, sums); err != nil {
			return err
		}
	}
	return nil
}

// measure makes the statistics of x the running ones of replica i.
func (n *network) measure(i int, x *tensor.Tensor) error {
	maps, err := n.mapsFor(x)
	if err != nil {
		return err
	}
	s := n.b.lib.scope()
	defer s.close()
	_, err = n.forward(s, n.replicas[i], x, part{0, x.Shape[0]}, maps, norms{mode: measure})
	return err
}
