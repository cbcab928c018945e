package prune

import (
	"fmt"
	"slices"
	"strconv"

	"ultrafast/graph"
)

// A Kind is all that a layer's time depends on but its channels. A layer is a node with
// what runtimes compute together with it: a convolution takes along the batch norm, the
// activation and the addition of a shortcut that follow it.
type Kind struct {
	Op     string `json:"op"`               // as graph.Op.Word says: conv, concat, silu where an activation stands alone
	Kernel string `json:"kernel,omitempty"` // "3x3", vertical first; of a slice "axis1"; else empty
	Stride string `json:"stride,omitempty"` // "2x2"; of a slice its step, of upsampling its scale; else empty
	Groups string `json:"groups,omitempty"` // "1", "depthwise", or a number; empty where Op is no convolution
	Height int    `json:"height"`           // of the map that it reads
	Width  int    `json:"width"`
	Act    string `json:"act"` // the activation that it takes along, or "none"
	Add    bool   `json:"add"` // whether it takes an addition along
}

// String is the kind as a row of a latency table begins.
func (k Kind) String() string {
	return fmt.Sprintf("%s,%s,%s,%s,%d,%d,%s,%s", k.Op, k.Kernel, k.Stride, k.Groups, k.Height, k.Width, k.Act, yesNo(k.Add))
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// dense reports whether each output channel reads several input channels, so that the work
// grows with their product.
func (k Kind) dense() bool {
	return (k.Op == "conv" || k.Op == "convtranspose") && k.Groups != depthwiseGroups
}

// depthwiseGroups is the Kind's Groups of a convolution with a group for each channel.
const depthwiseGroups = "depthwise"

// noAct is the Kind's Act where no activation is taken along.
const noAct = "none"

// A layer is a node at work in a network: what it is, and its channels. What a
// concatenation reads counts together.
type layer struct {
	node    *graph.Node
	kind    Kind
	in, out int
}

// layers lists the layers of a network for pictures of w x h, in order, and says in which
// of them each node is. The input and the decoding of the head are in none: pictures are
// there already, and boxes are decoded outside the network. g may have no data.
func layers(g *graph.Graph, w, h int) ([]layer, map[*graph.Node]int, error) {
	if err := inFloat(g); err != nil {
		return nil, nil, err
	}
	shapes, err := g.Shapes(1, h, w)
	if err != nil {
		return nil, nil, err
	}
	users := g.Consumers()
	index := make(map[*graph.Node]int, len(g.Nodes))
	for i, n := range g.Nodes {
		index[n] = i
	}
	alone := func(n *graph.Node) *graph.Node { // who alone reads n
		if u := users[n]; len(u) == 1 && !slices.Contains(g.Outputs, n) {
			return u[0]
		}
		return nil
	}
	var all []layer
	at := make(map[*graph.Node]int, len(g.Nodes))
	for _, n := range g.Nodes {
		if _, taken := at[n]; taken {
			continue
		}
		l := layer{node: n, kind: Kind{Op: n.Op.Word(), Act: noAct}}
		switch op := n.Op.(type) {
		case *graph.Input, *graph.Detect:
			continue
		case *graph.Conv:
			l.kind.convolution(op.Weight.Shape, op.Stride, op.Dilation, op.Groups, shapes[n.In[0]][1])
		case *graph.ConvTranspose:
			l.kind.convolution(op.Weight.Shape, op.Stride, op.Dilation, op.Groups, shapes[n.In[0]][1])
		case *graph.MaxPool:
			l.kind.Kernel, l.kind.Stride = pair([2]int{op.Kernel, op.Kernel}), pair([2]int{op.Stride, op.Stride})
		case *graph.Upsample:
			l.kind.Stride = pair([2]int{op.Scale, op.Scale})
		case *graph.Slice:
			l.kind.Kernel, l.kind.Stride = "axis"+strconv.Itoa(op.Axis), strconv.Itoa(op.Step)
		case *graph.BatchNorm, *graph.Activation, *graph.Add, *graph.Concat:
		default:
			return nil, nil, fmt.Errorf("prune: %s: no layer is made of the op %s", n.Name, n.Op.Word())
		}
		at[n] = len(all)
		if isConv(n) {
			last := n
			if u := alone(last); u != nil && is[*graph.BatchNorm](u) {
				last, at[u] = u, len(all)
			}
			if u := alone(last); u != nil && is[*graph.Activation](u) {
				l.kind.Act = u.Op.Word()
				last, at[u] = u, len(all)
			}
			if u := alone(last); u != nil && is[*graph.Add](u) && len(u.In) == 2 && u.In[0] != u.In[1] {
				other := u.In[0]
				if other == last {
					other = u.In[1]
				}
				if index[other] < index[n] { // else it is not there yet when n is computed
					l.kind.Add = true
					at[u] = len(all)
				}
			}
		}
		for i, p := range n.In {
			if s := shapes[p]; i == 0 || is[*graph.Concat](n) {
				l.in += s[1]
				l.kind.Height, l.kind.Width = s[2], s[3]
			}
		}
		l.out = shapes[n][1]
		all = append(all, l)
	}
	return all, at, nil
}

func is[T graph.Op](n *graph.Node) bool {
	_, ok := n.Op.(T)
	return ok
}

func (k *Kind) convolution(weight []int, stride, dilation [2]int, groups, in int) {
	k.Kernel, k.Stride, k.Groups = pair([2]int{weight[2], weight[3]}), pair(stride), strconv.Itoa(groups)
	if dilation != [2]int{1, 1} {
		k.Kernel += "d" + pair(dilation)
	}
	if groups > 1 && depthwise(in, groups) {
		k.Groups = depthwiseGroups
	}
}

func pair(p [2]int) string { return strconv.Itoa(p[0]) + "x" + strconv.Itoa(p[1]) }
