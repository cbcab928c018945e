package quant

import (
	"errors"
	"fmt"
	"slices"

	"ultrafast/graph"
)

// Options says how a network is quantised. The zero value quantises all but the head.
type Options struct {
	KeepFloat []string // layers that stay in float: nodes, or what their names begin with, as "model.2.cv1"

	// Symmetric puts 0 in the middle of every grid, that of the picture too: level 128, which is 0
	// in int8. What TensorRT takes is so; where values lie on one side of 0, as behind SiLU, half
	// of the levels are then without use.
	Symmetric bool
}

// Check refuses KeepFloat where it names a layer that g has not, or leaves none to 8 bits: what
// Quantize would, once ranges are measured.
func (o Options) Check(g *graph.Graph) error {
	net, err := prepare(g, o.KeepFloat)
	if err != nil {
		return err
	}
	if len(o.KeepFloat) > 0 && !slices.ContainsFunc(net.Nodes, net.rounded) {
		return errAllFloat
	}
	return nil
}

var errAllFloat = errors.New("quant: every layer stays in float: name fewer")

// Quantize returns g in 8 bits, its batch norms folded, with the ranges that Calibrate has
// measured for it. Ranges of another network are refused. g is not changed.
func Quantize(g *graph.Graph, r *Ranges, o Options) (*graph.Graph, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	net, err := prepare(g, o.KeepFloat)
	if err != nil {
		return nil, err
	}
	if r.Model != net.Fingerprint() {
		return nil, errors.New("quant: the ranges were measured with another network: measure them with this one")
	}
	grids, err := net.grids(r, o.Symmetric)
	if err != nil {
		return nil, err
	}
	for _, n := range net.Nodes {
		if c, ok := net.eight(n); ok {
			if n.Op, err = c.EightBits(); err != nil {
				return nil, fmt.Errorf("quant: %s: %w", n.Name, err)
			}
		}
	}
	if len(grids) == 0 {
		return nil, errAllFloat
	}
	net.insert(grids)
	return net.Graph, net.Verify()
}

// grids returns the levels of each value that is rounded. Values that share a scale have the
// range that covers all of theirs; the picture, unless it shares one or grids are symmetric, has
// its own 256 levels.
func (net *network) grids(r *Ranges, symmetric bool) (map[*graph.Node]*graph.Quantize, error) {
	measured := make(map[string]Range, len(r.Values))
	for _, v := range r.Values {
		measured[v.Name] = v
	}
	measured[net.Input().Name] = Range{High: 1}
	share := net.shares()
	whole := map[*graph.Node]Range{}
	levels := gridOf
	if symmetric {
		levels = symmetricGrid
	}
	for _, n := range net.Nodes {
		if !net.rounded(n) {
			continue
		}
		v, ok := measured[n.Name]
		if !ok {
			return nil, fmt.Errorf("quant: the ranges have none of %s", n.Name)
		}
		w := whole[share.root(n)]
		whole[share.root(n)] = Range{Low: min(w.Low, v.Low), High: max(w.High, v.High)}
	}
	grids := map[*graph.Node]*graph.Quantize{}
	for _, n := range net.Nodes {
		if !net.rounded(n) {
			continue
		}
		w := whole[share.root(n)]
		q, err := levels(w.Low, w.High)
		if err != nil {
			return nil, fmt.Errorf("quant: %s: %w", n.Name, err)
		}
		grids[n] = q
	}
	return grids, nil
}

// insert puts a Quantize behind each node of grids, for all who read it but Detect. Outputs
// stay what they were.
func (net *network) insert(grids map[*graph.Node]*graph.Quantize) {
	nodes := net.Nodes
	net.Nodes = nil
	taken := map[string]bool{}
	for _, n := range nodes {
		taken[n.Name] = true
	}
	rounded := map[*graph.Node]*graph.Node{}
	for _, n := range nodes {
		if _, ok := n.Op.(*graph.Detect); !ok {
			for i, in := range n.In {
				if q := rounded[in]; q != nil {
					n.In[i] = q
				}
			}
		}
		net.Nodes = append(net.Nodes, n)
		if op := grids[n]; op != nil {
			name := n.Name + ".q"
			for taken[name] {
				name += "q"
			}
			taken[name] = true
			rounded[n] = net.Add(name, op, n)
		}
	}
}
