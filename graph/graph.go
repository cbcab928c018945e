package graph

import (
	"fmt"
	"slices"
	"strings"

	"ultrafast/tensor"
)

// A Graph is a network: nodes in topological order, the first of them the input.
type Graph struct {
	Nodes   []*Node
	Outputs []*Node
	Names   []string // class names, may be empty
	Blocks  []Block  // what the nodes' name prefixes stand for, in order; may be empty
}

// A Node is one operation and at the same time its result.
type Node struct {
	Name string // unique: "model.4.cv1.conv"
	Op   Op
	In   []*Node // all of them earlier in Graph.Nodes
}

// A Block says that the nodes below a prefix form one layer of the model's description.
type Block struct {
	Name string // "model.4"
	Kind string // "C3"
}

// Input returns the graph's input node, or nil if there is none yet.
func (g *Graph) Input() *Node {
	for _, n := range g.Nodes {
		if _, ok := n.Op.(*Input); ok {
			return n
		}
	}
	return nil
}

// Add appends a node. Name and inputs are checked by Verify, not here.
func (g *Graph) Add(name string, op Op, in ...*Node) *Node {
	n := &Node{Name: name, Op: op, In: in}
	g.Nodes = append(g.Nodes, n)
	return n
}

// Node returns the node of that name, or nil.
func (g *Graph) Node(name string) *Node {
	for _, n := range g.Nodes {
		if n.Name == name {
			return n
		}
	}
	return nil
}

// Consumers maps each node to those that take it as input, in order of execution. A node
// that takes an input twice is listed twice. Outputs are not consumers.
func (g *Graph) Consumers() map[*Node][]*Node {
	use := make(map[*Node][]*Node, len(g.Nodes))
	for _, n := range g.Nodes {
		for _, in := range n.In {
			use[in] = append(use[in], n)
		}
	}
	return use
}

// Detect returns the node of the detection head, or nil if the graph ends in raw maps.
func (g *Graph) Detect() *Node {
	for _, n := range g.Nodes {
		if _, ok := n.Op.(*Detect); ok {
			return n
		}
	}
	return nil
}

// BlockOf returns the block whose nodes a name belongs to, the zero Block if none.
func (g *Graph) BlockOf(name string) Block {
	for _, b := range g.Blocks {
		if name == b.Name || strings.HasPrefix(name, b.Name+".") {
			return b
		}
	}
	return Block{}
}

// Clone returns a copy that shares nothing with g.
func (g *Graph) Clone() *Graph {
	c := &Graph{Names: slices.Clone(g.Names), Blocks: slices.Clone(g.Blocks)}
	twin := make(map[*Node]*Node, len(g.Nodes))
	for _, n := range g.Nodes {
		in := make([]*Node, len(n.In))
		for i, p := range n.In {
			in[i] = twin[p]
		}
		twin[n] = c.Add(n.Name, n.Op.clone(), in...)
	}
	for _, o := range g.Outputs {
		c.Outputs = append(c.Outputs, twin[o])
	}
	return c
}

// Verify checks everything that the stages rely on: one input, inputs before their users,
// unique and printable names, tensors of the shapes their op needs, and channel counts
// that fit all the way through. The error names the first node at fault.
func (g *Graph) Verify() error {
	if len(g.Nodes) > maxNodes || len(g.Blocks) > maxBlocks {
		return fmt.Errorf("graph: has %d nodes in %d blocks, the limits are %d and %d", len(g.Nodes), len(g.Blocks), maxNodes, maxBlocks)
	}
	seen := make(map[*Node]bool, len(g.Nodes))
	names := make(map[string]bool, len(g.Nodes))
	inputs := 0
	for i, n := range g.Nodes {
		if n == nil || n.Op == nil {
			return fmt.Errorf("graph: node %d is empty", i)
		}
		if err := checkName(n.Name); err != nil {
			return fmt.Errorf("graph: node %d: %w", i, err)
		}
		if names[n.Name] {
			return fmt.Errorf("graph: two nodes are called %s", n.Name)
		}
		names[n.Name] = true
		for _, in := range n.In {
			if !seen[in] {
				return fmt.Errorf("graph: %s takes an input that does not come before it", n.Name)
			}
		}
		if _, ok := n.Op.(*Input); ok {
			inputs++
		}
		for _, s := range n.Op.slots() {
			if err := checkTensor(s); err != nil {
				return fmt.Errorf("graph: %s: %w", n.Name, err)
			}
		}
		if c, ok := n.Op.(*Conv); ok {
			if err := c.checkLevels(); err != nil {
				return fmt.Errorf("graph: %s: %w", n.Name, err)
			}
		}
		seen[n] = true
	}
	if inputs != 1 {
		return fmt.Errorf("graph: has %d inputs, want one", inputs)
	}
	if len(g.Outputs) == 0 {
		return fmt.Errorf("graph: has no outputs")
	}
	for _, o := range g.Outputs {
		if !seen[o] {
			return fmt.Errorf("graph: an output is not one of its nodes")
		}
	}
	for _, b := range g.Blocks {
		if checkName(b.Name) != nil || checkName(b.Kind) != nil {
			return fmt.Errorf("graph: block %q of kind %q has no printable name", b.Name, b.Kind)
		}
	}
	in := g.Input().Op.(*Input)
	_, err := g.Shapes(in.Shape[0], in.Shape[2], in.Shape[3])
	return err
}

// checkName accepts what the text form can carry: printable ASCII without blanks,
// commas, equals signs and quotes.
func checkName(name string) error {
	if name == "" || len(name) > 200 {
		return fmt.Errorf("name of %d bytes, want 1 to 200", len(name))
	}
	if name == "bias" {
		return fmt.Errorf("name %q is a word of the text form", name)
	}
	for _, r := range name {
		if r <= ' ' || r > '~' || strings.ContainsRune(`,="'`, r) {
			return fmt.Errorf("name %q holds %q, which the text form has no place for", name, r)
		}
	}
	return nil
}

func checkTensor(s slot) error {
	t := *s.at
	if t == nil {
		if s.optional {
			return nil
		}
		return fmt.Errorf("has no %s", s.suffix)
	}
	if len(t.Shape) != s.rank {
		return fmt.Errorf("%s is %v, want %d dimensions", s.suffix, t, s.rank)
	}
	count, err := tensor.Count(t.Shape)
	if err != nil {
		return fmt.Errorf("%s: %w", s.suffix, err)
	}
	if count == 0 {
		return fmt.Errorf("%s is %v: a layer needs at least one channel", s.suffix, t)
	}
	if t.Data != nil && len(t.Data) != count {
		return fmt.Errorf("%s is %v and holds %d numbers", s.suffix, t, len(t.Data))
	}
	return nil
}
