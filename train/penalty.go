package train

import (
	"fmt"
	"slices"

	"ultrafast/graph"
	"ultrafast/tensor"
)

// A Penalty pushes weights towards zero while they learn. It holds a factor for every
// number of a parameter, by the parameter's name; one that is missing has none. With w a
// weight and g its gradient, an Update begins, once the gradients' norm is limited, with
//
//	g += L2*w + L1*sign(w)
//
// whatever the Optimizer: unlike the decay of AdamW it goes through the moments.
type Penalty struct {
	L2, L1 map[string]*tensor.Tensor
}

// Check says which factor does not belong to a parameter of g.
func (p Penalty) Check(g *graph.Graph) error {
	shapes := map[string][]int{}
	for _, q := range g.Params() {
		if q.Trainable {
			shapes[q.Name] = q.Tensor().Shape
		}
	}
	for _, factors := range []map[string]*tensor.Tensor{p.L2, p.L1} {
		for name, f := range factors {
			if shape, ok := shapes[name]; !ok {
				return fmt.Errorf("train: penalty: the network has no parameter %s", name)
			} else if f == nil || !slices.Equal(f.Shape, shape) || len(f.Data) != f.Len() {
				return fmt.Errorf("train: penalty: the factors of %s are %v, want %v", name, f, shape)
			}
		}
	}
	return nil
}

// penalize makes the epoch's penalty and hands it to the network.
func (r *run) penalize() error {
	if r.c.Penalty == nil {
		return nil
	}
	live, err := r.net.Graph(Live)
	if err != nil {
		return err
	}
	p, err := r.c.Penalty(r.at.epochs, modelOf(live))
	if err != nil {
		return fmt.Errorf("penalty: %w", err)
	}
	return r.net.Penalize(p)
}
