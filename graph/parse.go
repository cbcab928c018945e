package graph

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"ultrafast/tensor"
)

// Limits of a graph and its text form; YOLOv5x has about 600 nodes in 60 kB.
const (
	maxText   = 16 << 20
	maxNodes  = 100_000
	maxBlocks = 10_000
)

// Parse reads the text form. The graph's tensors have shapes and no data; the caller
// fills them (Params) from wherever the numbers are. What Parse accepts, Verify accepts,
// and String prints back identically if String wrote it. Errors name the line.
//
//	ultrafast graph 1
//	names ["face","mask"]
//	block model.0 Conv
//	images = input shape=1,3,640,640
//	model.0.conv = conv images w=f32[16,3,6,6] stride=2 pad=2
//	output model.0.conv
func Parse(text string) (*Graph, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("graph text of %d bytes, the limit is %d", len(text), maxText)
	}
	p := parser{g: &Graph{}, nodes: map[string]*Node{}}
	line := 0
	for l := range strings.Lines(text) {
		line++
		l = strings.TrimSpace(l)
		if line == 1 {
			if l != "ultrafast graph 1" {
				return nil, fmt.Errorf("graph text line 1: is %.40q, want \"ultrafast graph 1\"", l)
			}
			continue
		}
		if l == "" {
			continue
		}
		if err := p.line(l); err != nil {
			return nil, fmt.Errorf("graph text line %d: %w", line, err)
		}
	}
	if err := p.g.Verify(); err != nil {
		return nil, err
	}
	return p.g, nil
}

type parser struct {
	g     *Graph
	nodes map[string]*Node
}

func (p *parser) line(l string) error {
	f := strings.Fields(l)
	switch {
	case len(f) > 2 && f[1] == "=":
		return p.node(f)
	case f[0] == "names":
		return json.Unmarshal([]byte(strings.TrimPrefix(l, "names")), &p.g.Names)
	case f[0] == "block" && len(f) == 3:
		p.g.Blocks = append(p.g.Blocks, Block{f[1], f[2]})
		return nil
	case f[0] == "output":
		for _, name := range f[1:] {
			n := p.nodes[name]
			if n == nil {
				return fmt.Errorf("output %s is not a node above", name)
			}
			p.g.Outputs = append(p.g.Outputs, n)
		}
		return nil
	}
	return fmt.Errorf("%.60q is neither a node nor names, block or output", l)
}

// node reads "name = op input… key=value…".
func (p *parser) node(f []string) error {
	name := f[0]
	if p.nodes[name] != nil {
		return fmt.Errorf("%s is defined twice", name)
	}
	a := attrs{m: map[string]string{}}
	var in []*Node
	for _, w := range f[3:] {
		key, value, has := strings.Cut(w, "=")
		if has || w == "bias" {
			if _, twice := a.m[key]; twice {
				return fmt.Errorf("%s says %s twice", name, key)
			}
			a.m[key] = value
			continue
		}
		n := p.nodes[w]
		if n == nil {
			return fmt.Errorf("%s takes %s, which is not a node above", name, w)
		}
		in = append(in, n)
	}
	op := a.op(f[2])
	if op == nil {
		return fmt.Errorf("%s: unknown op %q", name, f[2])
	}
	for key := range a.m {
		a.fail(key, "is unknown to "+f[2])
	}
	if a.err != nil {
		return fmt.Errorf("%s: %w", name, a.err)
	}
	p.nodes[name] = p.g.Add(name, op, in...)
	return nil
}

// op builds the op of a word, nil if there is none. Reading an attribute removes it, so
// that what is left over is a mistake.
func (a *attrs) op(word string) Op {
	switch word {
	case "input":
		in := &Input{}
		copy(in.Shape[:], a.ints("shape", 4, 4))
		return in
	case "conv":
		eight := a.eightBits("w")
		c := &Conv{Weight: a.tensor("w"), Stride: a.pair("stride", 1), Pad: a.pair("pad", 0), Dilation: a.pair("dilation", 1), Groups: a.int("groups", 1)}
		if _, ok := a.take("bias"); ok && len(c.Weight.Shape) > 0 {
			c.Bias = &tensor.Tensor{Shape: []int{c.Weight.Shape[0]}}
		}
		if eight {
			c.WeightScale = []float32{}
		}
		return c
	case "convtranspose":
		c := &ConvTranspose{Weight: a.tensor("w"), Stride: a.pair("stride", 1), Pad: a.pair("pad", 0), OutPad: a.pair("outpad", 0),
			Dilation: a.pair("dilation", 1), Groups: a.int("groups", 1)}
		if _, ok := a.take("bias"); ok && len(c.Weight.Shape) > 1 {
			c.Bias = &tensor.Tensor{Shape: []int{c.Outputs()}}
		}
		return c
	case "batchnorm":
		c := a.int("c", 0)
		vec := func() *tensor.Tensor { return &tensor.Tensor{Shape: []int{c}} }
		return &BatchNorm{vec(), vec(), vec(), vec(), a.float("eps"), a.float("momentum")}
	case "leakyrelu":
		return &Activation{LeakyReLU, a.float("slope")}
	case "silu", "hardswish", "relu", "relu6", "sigmoid", "mish":
		return &Activation{Kind: ActKind(word)}
	case "add":
		return &Add{}
	case "concat":
		return &Concat{}
	case "maxpool":
		return &MaxPool{a.int("kernel", 0), a.int("stride", 0), a.int("pad", 0)}
	case "upsample":
		return &Upsample{a.int("scale", 0)}
	case "quantize":
		return a.quantize()
	case "slice":
		return &Slice{a.int("axis", 0), a.int("start", 0), a.int("end", 0), a.int("step", 1)}
	case "detect":
		return &Detect{Classes: a.int("classes", 0), Strides: a.ints("strides", 1, 16), Anchors: a.anchors("anchors")}
	}
	return nil
}

// attrs holds the key=value words of one line and the first thing wrong with them.
type attrs struct {
	m   map[string]string
	err error
}

func (a *attrs) fail(key, reason string) {
	if a.err == nil {
		a.err = fmt.Errorf("%s %s", key, reason)
	}
}

func (a *attrs) take(key string) (string, bool) {
	v, ok := a.m[key]
	delete(a.m, key)
	return v, ok
}

// integer reads one number that is safe to do arithmetic with.
func (a *attrs) integer(key, s string) int {
	v, err := strconv.Atoi(s)
	if err != nil || v < 0 || v > math.MaxInt32 {
		a.fail(key, fmt.Sprintf("is %.20q, want a whole number", s))
		return 0
	}
	return v
}

func (a *attrs) int(key string, usual int) int {
	s, ok := a.take(key)
	if !ok {
		return usual
	}
	return a.integer(key, s)
}

func (a *attrs) ints(key string, least, most int) []int {
	s, _ := a.take(key)
	words := strings.Split(s, ",")
	if len(words) < least || len(words) > most {
		a.fail(key, fmt.Sprintf("has %d numbers, want %d to %d", len(words), least, most))
		return nil
	}
	v := make([]int, len(words))
	for i, w := range words {
		v[i] = a.integer(key, w)
	}
	return v
}

func (a *attrs) pair(key string, usual int) [2]int {
	if _, ok := a.m[key]; !ok {
		return [2]int{usual, usual}
	}
	v := a.ints(key, 1, 2)
	if len(v) == 0 {
		return [2]int{}
	}
	return [2]int{v[0], v[len(v)-1]}
}

func (a *attrs) float(key string) float64 {
	s, _ := a.take(key)
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		a.fail(key, fmt.Sprintf("is %.20q, want a number", s))
	}
	return v
}

// float32 reads one of the numbers that are kept in single precision.
func (a *attrs) float32(key string) float32 {
	s, _ := a.take(key)
	v, err := strconv.ParseFloat(s, 32)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		a.fail(key, fmt.Sprintf("is %.20q, want a number", s))
	}
	return float32(v)
}

// eightBits reports whether a tensor is one of 8-bit numbers, "i8[16,3,6,6]", and makes it
// "f32[16,3,6,6]", as it is held.
func (a *attrs) eightBits(key string) bool {
	inner, ok := strings.CutPrefix(a.m[key], "i8")
	if ok {
		a.m[key] = "f32" + inner
	}
	return ok
}

// tensor reads "f32[16,3,6,6]".
func (a *attrs) tensor(key string) *tensor.Tensor {
	s, _ := a.take(key)
	inner, ok := strings.CutPrefix(s, "f32[")
	inner, closed := strings.CutSuffix(inner, "]")
	if !ok || !closed {
		a.fail(key, fmt.Sprintf("is %.30q, want f32[…]", s))
		return &tensor.Tensor{}
	}
	a.m[key] = inner
	t := &tensor.Tensor{Shape: a.ints(key, 1, 8)}
	if _, err := tensor.Count(t.Shape); err != nil {
		a.fail(key, err.Error())
	}
	return t
}

func (a *attrs) anchors(key string) [][][2]float32 {
	s, _ := a.take(key)
	var levels [][][2]float32
	for _, level := range strings.Split(s, ";") {
		words := strings.Split(level, ",")
		var pairs [][2]float32
		for i := 0; i+1 < len(words); i += 2 {
			var p [2]float32
			for j := range p {
				v, err := strconv.ParseFloat(words[i+j], 32)
				if err != nil {
					a.fail(key, fmt.Sprintf("holds %.20q, want a width or height in pixels", words[i+j]))
				}
				p[j] = float32(v)
			}
			pairs = append(pairs, p)
		}
		if len(words)%2 != 0 || len(levels) >= 16 {
			a.fail(key, "has an odd count of numbers, or more than 16 levels")
			return nil
		}
		levels = append(levels, pairs)
	}
	return levels
}
