package quant

import (
	"fmt"
	"slices"
	"strings"

	"ultrafast/graph"
	"ultrafast/pass"
)

// A network is a float one with what is to be rounded in it.
type network struct {
	*graph.Graph // batch norms folded
	users        map[*graph.Node][]*graph.Node
	float        map[*graph.Node]bool // layers that compute in float
	behind       map[*graph.Node]bool // the last convolutions and all behind them
	bytes        map[*graph.Node]bool // values that 8-bit layers compute or take
}

// prepare folds a copy of g and finds what stays in float: the head, and the layers that keep
// names, each a node or a prefix of nodes as "model.2".
func prepare(g *graph.Graph, keep []string) (*network, error) {
	if err := g.Verify(); err != nil {
		return nil, err
	}
	if n := g.Quantized(); n != nil {
		return nil, fmt.Errorf("quant: %s is quantised already: take the network from before that", n.Name)
	}
	for _, p := range g.Params() {
		if p.Tensor().Data == nil {
			return nil, fmt.Errorf("quant: %s has no numbers", p.Name)
		}
	}
	g = g.Clone()
	if err := pass.Run(g, pass.Inference...); err != nil {
		return nil, fmt.Errorf("quant: %w", err)
	}
	net := &network{Graph: g, users: g.Consumers(), float: map[*graph.Node]bool{}, behind: map[*graph.Node]bool{}, bytes: map[*graph.Node]bool{}}
	for _, name := range keep {
		found := false
		for _, n := range g.Nodes {
			if n.Name == name || strings.HasPrefix(n.Name, name+".") {
				net.float[n], found = true, true
			}
		}
		if !found {
			return nil, fmt.Errorf("quant: there is no layer %s to keep in float; a layer is called as its nodes begin: model.2.cv1", name)
		}
	}
	for _, n := range g.Nodes {
		switch n.Op.(type) {
		case *graph.BatchNorm, *graph.ConvTranspose:
			net.float[n] = true
		}
		if net.isHead(n) || slices.ContainsFunc(n.In, func(in *graph.Node) bool { return net.behind[in] }) {
			net.behind[n] = true
		}
	}
	net.findBytes()
	return net, nil
}

// findBytes finds the values that are 8-bit numbers: what a convolution in 8 bits computes, with
// its activation, and what is added, joined or passed on of nothing but such values; and what
// such a convolution takes, with all that is added, joined or passed on into it. So between
// layers that stay in float nothing is rounded.
func (net *network) findBytes() {
	isBytes := func(n *graph.Node) bool { return net.bytes[n] }
	for _, n := range net.Nodes {
		switch n.Op.(type) {
		case *graph.Conv:
			_, net.bytes[n] = net.eight(n)
		case *graph.Activation, *graph.Add, *graph.Concat, *graph.MaxPool, *graph.Upsample, *graph.Slice:
			net.bytes[n] = !slices.ContainsFunc(n.In, func(in *graph.Node) bool { return !isBytes(in) })
		}
	}
	for _, n := range slices.Backward(net.Nodes) {
		if net.behind[n] || net.bytes[n] {
			continue
		}
		net.bytes[n] = slices.ContainsFunc(net.users[n], func(u *graph.Node) bool {
			switch u.Op.(type) {
			case *graph.Conv:
				_, eight := net.eight(u)
				return eight
			case *graph.Activation:
				return net.bytes[u] && !net.isFloatLayer(n)
			case *graph.Add, *graph.Concat, *graph.MaxPool, *graph.Upsample, *graph.Slice:
				return net.bytes[u]
			}
			return false
		})
	}
}

// isFloatLayer reports whether n computes in float and makes one layer with an activation
// behind it.
func (net *network) isFloatLayer(n *graph.Node) bool {
	switch n.Op.(type) {
	case *graph.Conv, *graph.ConvTranspose, *graph.BatchNorm:
		return net.float[n]
	}
	return false
}

// isHead reports whether n gives the network's raw maps: a convolution that Detect reads, or
// one that is an output and nothing else.
func (net *network) isHead(n *graph.Node) bool {
	switch n.Op.(type) {
	case *graph.Detect:
		return true
	case *graph.Conv:
		isDetect := func(u *graph.Node) bool { _, ok := u.Op.(*graph.Detect); return ok }
		return slices.ContainsFunc(net.users[n], isDetect) || len(net.users[n]) == 0
	}
	return false
}

// eight returns n's convolution if its weights become 8-bit numbers.
func (net *network) eight(n *graph.Node) (*graph.Conv, bool) {
	c, ok := n.Op.(*graph.Conv)
	return c, ok && !net.float[n] && !net.behind[n]
}

// rounded reports whether the result of n is rounded to levels of its own: that of every layer
// that computes new numbers which others read in 8 bits. A float layer and its activation are one.
func (net *network) rounded(n *graph.Node) bool {
	if net.behind[n] || !net.bytes[n] {
		return false
	}
	switch n.Op.(type) {
	case *graph.Conv, *graph.ConvTranspose, *graph.BatchNorm, *graph.Input, *graph.Activation, *graph.Add:
	default:
		return false
	}
	return slices.ContainsFunc(net.users[n], func(u *graph.Node) bool { _, ok := u.Op.(*graph.Detect); return !ok })
}

// values lists the nodes whose ranges have to be measured. The picture is not among them.
func (net *network) values() []*graph.Node {
	var all []*graph.Node
	for _, n := range net.Nodes {
		if net.rounded(n) && n != net.Input() {
			all = append(all, n)
		}
	}
	return all
}

// A sharing is a union-find over nodes: those of one root have one scale.
type sharing map[*graph.Node]*graph.Node

func (s sharing) root(n *graph.Node) *graph.Node {
	for s[n] != nil {
		n = s[n]
	}
	return n
}

func (s sharing) unite(a, b *graph.Node) {
	if a, b = s.root(a), s.root(b); a != b {
		s[b] = a
	}
}

// shares finds the nodes that must have one scale: what an Add adds, what a Concat joins, and
// what MaxPool, Upsample and Slice pass on.
func (net *network) shares() sharing {
	s := sharing{}
	for _, n := range net.Nodes {
		if net.behind[n] || !net.bytes[n] {
			continue
		}
		switch n.Op.(type) {
		case *graph.Add:
			for _, in := range n.In[1:] {
				s.unite(n.In[0], in)
			}
		case *graph.Concat, *graph.MaxPool, *graph.Upsample, *graph.Slice:
			for _, in := range n.In {
				s.unite(in, n)
			}
		}
	}
	return s
}
