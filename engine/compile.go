package engine

import (
	"fmt"
	"runtime"
	"slices"

	"ultrafast/graph"
	"ultrafast/pass"
	"ultrafast/tensor"
)

// Options says what a program is compiled for. The zero value takes the shape of the
// graph's input and all cores.
type Options struct {
	Batch, Height, Width int  // 0 means as the graph's input says
	Threads              int  // 0 means one for each core
	KeepAll              bool // fold, fuse and drop nothing, so that Watch meets every node
}

// A Program is a graph that is ready to run on pictures of one shape. It never changes,
// and any number of sessions may run it at a time.
type Program struct {
	graph   *graph.Graph
	shapes  map[*graph.Node]graph.Shape
	value   map[*graph.Node]int // which value a node produces
	steps   []step
	buffers []int // floats of each buffer
	lives   []life
	scratch int // floats that one thread needs beside
	threads int
}

// A step is one parallel loop: run is called once for each job in 0..jobs-1, in any order
// and on any thread. v holds the values; scratch belongs to the thread.
type step struct {
	node *graph.Node // whose result is complete after this step, or nil
	jobs int
	run  kernel
}

type kernel func(v [][]float32, job int, scratch []float32)

// Compile prepares a graph for running. g is not changed, nor kept. The error names the
// node that does not fit, holds no numbers, or is unknown.
func Compile(g *graph.Graph, o Options) (*Program, error) {
	if err := g.Verify(); err != nil {
		return nil, err
	}
	for _, p := range g.Params() {
		if p.Tensor().Data == nil {
			return nil, fmt.Errorf("engine: %s has no numbers", p.Name)
		}
	}
	g = g.Clone()
	if !o.KeepAll {
		if err := pass.Run(g, pass.Inference...); err != nil {
			return nil, fmt.Errorf("engine: %w", err)
		}
	}
	usual := g.Input().Op.(*graph.Input).Shape
	pick := func(wanted, usual int) int {
		if wanted == 0 {
			return usual
		}
		return wanted
	}
	shapes, err := g.Shapes(pick(o.Batch, usual[0]), pick(o.Height, usual[2]), pick(o.Width, usual[3]))
	if err != nil {
		return nil, err
	}
	p := &Program{graph: g, shapes: shapes, value: map[*graph.Node]int{}, threads: pick(o.Threads, runtime.GOMAXPROCS(0))}
	if p.threads < 1 {
		return nil, fmt.Errorf("engine: %d threads, want at least 1", o.Threads)
	}
	c := compiler{Program: p, users: g.Consumers(), keepAll: o.KeepAll}
	for _, n := range g.Nodes {
		if err := c.node(n); err != nil {
			return nil, fmt.Errorf("engine: %s: %w", n.Name, err)
		}
	}
	for _, n := range g.Outputs {
		p.lives[p.value[n]].to = len(p.steps)
	}
	p.buffers = plan(p.lives)
	return p, nil
}

// A compiler is a program in the making.
type compiler struct {
	*Program
	users   map[*graph.Node][]*graph.Node
	keepAll bool
}

// node appends the steps that compute n.
func (c *compiler) node(n *graph.Node) error {
	if _, done := c.value[n]; done {
		return nil // an activation that its convolution has taken along
	}
	in := make([]int, len(n.In))
	shapes := make([]graph.Shape, len(n.In))
	for i, p := range n.In {
		in[i], shapes[i] = c.value[p], c.shapes[p]
	}
	out := c.shapes[n]
	var k kernel
	jobs := out[0] * out[1] // planes, which most kernels work through one at a time
	switch op := n.Op.(type) {
	case *graph.Input:
		c.value[n] = c.newValue(nil)
		return nil
	case *graph.Conv:
		return c.conv(n, op, in[0])
	case *graph.BatchNorm:
		k = batchNormKernel(op, in[0], c.newValue(out), out)
	case *graph.Activation:
		f, err := activation(op)
		if err != nil {
			return err
		}
		k = activationKernel(f, in[0], c.newValue(out), out)
	case *graph.Add:
		k = addKernel(in, c.newValue(out), out)
	case *graph.Concat:
		k = concatKernel(in, shapes, c.newValue(out), out)
	case *graph.MaxPool:
		c.need(shapes[0][2] * out[3])
		k = maxPoolKernel(op, in[0], shapes[0], c.newValue(out), out)
	case *graph.Upsample:
		k = upsampleKernel(op.Scale, in[0], shapes[0], c.newValue(out), out)
	case *graph.Slice:
		k = sliceKernel(op, in[0], shapes[0], c.newValue(out), out)
	case *graph.Detect:
		d := newDetect(op, in, shapes, c.newValue(out), out)
		k, jobs = d.run, d.jobs()
	default:
		return fmt.Errorf("the engine does not know the op %s", n.Op.Word())
	}
	c.step(n, n, in, len(c.lives)-1, jobs, k)
	return nil
}

// newValue makes room for one more value. Nil is the input, which has room of its own.
func (c *compiler) newValue(s graph.Shape) int {
	size := 0
	if s != nil {
		size = tensorLen(s)
	}
	c.lives = append(c.lives, life{size: size, from: len(c.steps), to: len(c.steps)})
	return len(c.lives) - 1
}

func tensorLen(s graph.Shape) int { return (&tensor.Tensor{Shape: s}).Len() }

// step appends a step of node n that reads the values in and writes out. done, if not
// nil, is the node whose result that is.
func (c *compiler) step(n, done *graph.Node, in []int, out, jobs int, k kernel) {
	for _, i := range in {
		c.lives[i].to = len(c.steps)
	}
	if done != nil {
		c.value[done] = out
	}
	c.steps = append(c.steps, step{node: done, jobs: jobs, run: k})
}

// need asks for that many floats of scratch memory for each thread.
func (c *compiler) need(floats int) { c.scratch = max(c.scratch, floats) }

// follower returns the activation that alone reads n, which is then computed with it.
func (c *compiler) follower(n *graph.Node) *graph.Node {
	if c.keepAll || len(c.users[n]) != 1 || slices.Contains(c.graph.Outputs, n) {
		return nil
	}
	u := c.users[n][0]
	if _, ok := u.Op.(*graph.Activation); !ok {
		return nil
	}
	return u
}
