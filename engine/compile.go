package engine

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"

	"ultrafast/graph"
	"ultrafast/internal/codegen"
	"ultrafast/pass"
	"ultrafast/tensor"
)

// Options says what a program is compiled for. The zero value takes the shape of the
// graph's input, all cores, and the best that this processor can do.
type Options struct {
	Batch, Height, Width int    // 0 means as the graph's input says
	Threads              int    // 0 means one for each core
	CPU                  string // amx, avx512, avx2, neon, generic; empty means the best that runs here
	Precision            string // FP32 or BF16; empty means FP32; a quantised network has its own
	KeepAll              bool   // fold, fuse and drop nothing, so that Watch meets every node
	Tuning               Tuning // how to compute convolutions; what it does not know a model of the processor decides
}

// The precisions. With BF16, maps and weights are bfloat16, while sums, biases, activations
// and the program's outputs are float32: for processors that multiply bfloat16. Int8 is that
// of quantised networks, and cannot be asked for: what lies on a grid is computed in 8 bits,
// equal to Reference in every bit, and the rest in float32; but 1x1 convolutions in float32 that read
// such values have weights of 16 bits where the processor multiplies four bytes at once.
const (
	FP32 = "fp32"
	BF16 = "bf16"
	Int8 = "int8"
)

// Generic is the CPU for which everything runs in plain Go.
const Generic = "generic"

// A Program is a graph that is ready to run on pictures of one shape. It never changes,
// and any number of sessions may run it at a time.
type Program struct {
	graph   *graph.Graph
	shapes  map[*graph.Node]graph.Shape
	value   map[*graph.Node]int   // which plain tensor holds a node's value
	places  map[*graph.Node]place // where kernels of machine code read and write it
	written map[*graph.Node]bool  // whose places were written by such a kernel
	steps   []step                // in the order of groups
	groups  []group
	buffers []int // floats of each buffer
	lives   []life
	scratch int  // floats that one thread needs beside
	bytes   int  // and bytes
	pixels  bool // whether the first convolution takes pixels
	threads int
	cpu     string
	text    *codegen.Text // nil without machine code
}

// A step is one parallel loop: run is called once for each job in 0..jobs-1, in any order
// and on any thread.
type step struct {
	StepInfo
	key    string // of the convolution that it is a part of, for tuning
	jobs   int
	run    job
	values []int  // that it touches; the last is written
	bands  *bands // by which it may be taken together with others, or nil; without, it may write any of the values
	also   []doneNode
}

// A doneNode is a node that no step of its own computes: a part or the whole of a value.
type doneNode struct {
	node  *graph.Node
	value int
}

type job func(s *state, job, worker int)

// A kernel is a job of plain Go. v holds the values; scratch belongs to the thread.
type kernel func(v [][]float32, job int, scratch []float32)

// Compile prepares a graph for running. g is not changed, nor kept. The error names the
// node that does not fit, holds no numbers, or is unknown.
func Compile(g *graph.Graph, o Options) (*Program, error) {
	return compile(g, o, pickTuned(o.Tuning))
}

func compile(g *graph.Graph, o Options, pick picker) (*Program, error) {
	g, err := rewritten(g, o.KeepAll)
	if err != nil {
		return nil, err
	}
	usual := g.Input().Op.(*graph.Input).Shape
	shapes, err := g.Shapes(cmp.Or(o.Batch, usual[0]), cmp.Or(o.Height, usual[2]), cmp.Or(o.Width, usual[3]))
	if err != nil {
		return nil, err
	}
	if err := checkSizes(shapes, g.Nodes); err != nil {
		return nil, err
	}
	p := &Program{graph: g, shapes: shapes, value: map[*graph.Node]int{}, places: map[*graph.Node]place{},
		written: map[*graph.Node]bool{}, threads: cmp.Or(o.Threads, runtime.GOMAXPROCS(0))}
	if p.threads < 1 || p.threads > maxThreads {
		return nil, fmt.Errorf("engine: %d threads, want 1 to %d", o.Threads, maxThreads)
	}
	c := compiler{Program: p, users: g.Consumers(), grids: g.Grids(), keepAll: o.KeepAll, pick: pick}
	if c.native, err = newNative(o.CPU, o.Precision, g.Quantized() != nil); err != nil {
		return nil, err
	}
	p.cpu = Generic
	if c.native != nil {
		p.cpu = c.target.String()
		c.prepare()
	}
	for _, n := range g.Nodes {
		if err := c.node(n); err != nil {
			return nil, fmt.Errorf("engine: %s: %w", n.Name, err)
		}
	}
	return p, c.finish()
}

const maxThreads = 1024

// rewritten returns a copy of g that computes the same with fewer nodes.
func rewritten(g *graph.Graph, keepAll bool) (*graph.Graph, error) {
	if err := g.Verify(); err != nil {
		return nil, err
	}
	for _, p := range g.Params() {
		if p.Tensor().Data == nil {
			return nil, fmt.Errorf("engine: %s has no numbers", p.Name)
		}
	}
	g = g.Clone()
	if keepAll {
		return g, nil
	}
	if err := pass.Run(g, pass.Inference...); err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	return g, nil
}

// finish puts the values into buffers and the code into memory.
func (c *compiler) finish() error {
	for _, n := range c.graph.Outputs {
		if _, err := c.plain(n); err != nil {
			return err
		}
	}
	c.gather()
	for _, n := range c.graph.Outputs {
		c.lives[c.value[n]].to = len(c.groups)
	}
	if len(c.groups) > maxSteps {
		return fmt.Errorf("engine: %d steps, at most %d can run", len(c.groups), maxSteps)
	}
	for _, g := range c.groups {
		if g.jobs > maxJobs {
			return fmt.Errorf("engine: %s: %d jobs, at most %d can run", c.steps[g.first].Name, g.jobs, maxJobs)
		}
	}
	c.buffers = plan(c.lives)
	if err := c.checkMemory(); err != nil {
		return err
	}
	if c.native == nil {
		return nil
	}
	var err error
	c.text, err = c.code.Finish()
	return err
}

// A compiler is a program in the making.
type compiler struct {
	*Program
	*native // nil without machine code
	users   map[*graph.Node][]*graph.Node
	grids   grids // whose values are 8-bit numbers
	keepAll bool
	pick    picker
}

// node appends the steps that compute n.
func (c *compiler) node(n *graph.Node) error {
	if c.ready(n) || c.native != nil && c.taken[n] {
		return nil // an activation or an addition that its convolution has taken along
	}
	if c.absorbed(n) {
		return nil
	}
	if _, ok := n.Op.(*graph.Input); ok {
		c.value[n] = c.newValue(nil)
		return nil
	}
	if c.native == nil || !c.canRun(n) {
		return c.plainNode(n)
	}
	switch op := n.Op.(type) {
	case *graph.Conv:
		return c.nativeConv(n, op)
	case *graph.ConvTranspose:
		return c.nativeTranspose(n, op)
	case *graph.Quantize:
		return c.nativeQuantize(n, op)
	case *graph.Activation:
		return c.nativeActivation(n, op)
	case *graph.Add:
		return c.nativeAdd(n)
	case *graph.Concat:
		return c.nativeConcat(n)
	case *graph.MaxPool:
		return c.nativeMaxPool(n, op)
	case *graph.Slice:
		return c.nativeSlice(n, op)
	case *graph.Upsample:
		return c.nativeUpsample(n)
	}
	panic("engine: canRun and node disagree on " + n.Op.Word())
}

// ready reports whether n has been computed.
func (c *compiler) ready(n *graph.Node) bool {
	_, ok := c.value[n]
	return ok || c.written[n]
}

// plainNode appends the step of a kernel in plain Go.
func (c *compiler) plainNode(n *graph.Node) error {
	if op, ok := n.Op.(*graph.Quantize); ok && c.grids.joined(n) {
		return c.plainJoined(n, op)
	}
	in := make([]int, len(n.In))
	shapes := make([]graph.Shape, len(n.In))
	for i, p := range n.In {
		var err error
		if in[i], err = c.plain(p); err != nil {
			return err
		}
		shapes[i] = c.shapes[p]
	}
	out := c.shapes[n]
	var k kernel
	jobs := out[0] * out[1] // planes, which most kernels work through one at a time
	switch op := n.Op.(type) {
	case *graph.Conv:
		if _, ok := c.grids.conv(n); ok {
			return c.convInt8(n, n, op, nil, in[0])
		}
		return c.conv(n, op, in[0])
	case *graph.ConvTranspose:
		k = convTransposeKernel(op, in[0], shapes[0], c.newValue(out), out)
	case *graph.BatchNorm:
		k = batchNormKernel(op, in[0], c.newValue(out), out)
	case *graph.Quantize:
		k = quantizeKernel(op, in[0], c.newValue(out), out)
	case *graph.Activation:
		if grid := c.grids[n.In[0]]; grid != nil {
			k = tableKernel(op, grid, in[0], c.newValue(out), out)
			break
		}
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
	c.step(n, n, in, len(c.lives)-1, jobs, k).MACs = n.MACs(c.shapes)
	return nil
}

// newValue makes room for one more plain tensor. Nil is the input, which has room of its own.
func (c *compiler) newValue(s graph.Shape) int {
	size := 0
	if s != nil {
		size = tensorLen(s)
	}
	return c.newLife(size, nil)
}

func (c *compiler) newLife(size int, l *layout) int {
	c.lives = append(c.lives, life{size: size, layout: l})
	return len(c.lives) - 1
}

func tensorLen(s graph.Shape) int { return (&tensor.Tensor{Shape: s}).Len() }

// step appends a step of a plain kernel of node n that reads the values in and writes
// out. done, if not nil, is the node whose result that is.
func (c *compiler) step(n, done *graph.Node, in []int, out, jobs int, k kernel) *step {
	if done != nil {
		c.value[done] = out
	}
	return c.parallel(n.Name, done, append(slices.Clone(in), out), jobs, func(s *state, job, worker int) { k(s.v, job, s.scratch[worker]) })
}

// parallel appends a step that touches the values. done, if not nil, is the node whose
// value is then complete. The result is valid until the next step is appended.
func (c *compiler) parallel(name string, done *graph.Node, values []int, jobs int, run job) *step {
	s := step{StepInfo: StepInfo{Name: name, Kernel: PlainGo}, jobs: jobs, run: run, values: values}
	if done != nil {
		s.Nodes = []*graph.Node{done}
	}
	c.steps = append(c.steps, s)
	return &c.steps[len(c.steps)-1]
}

// need asks for that many floats of scratch memory for each thread.
func (c *compiler) need(floats int) { c.scratch = max(c.scratch, floats) }

// alone reports whether one node alone reads n, so that it may be computed with n.
func (c *compiler) alone(n *graph.Node) bool {
	return !c.keepAll && len(c.users[n]) == 1 && !slices.Contains(c.graph.Outputs, n)
}

// follower returns the activation that alone reads n, which is then computed with it.
func (c *compiler) follower(n *graph.Node) *graph.Node {
	if !c.alone(n) {
		return nil
	}
	u := c.users[n][0]
	if _, ok := u.Op.(*graph.Activation); !ok {
		return nil
	}
	return u
}

// machineCode is the Kernel of a step of machine code that is no convolution.
const machineCode = "machine code"
