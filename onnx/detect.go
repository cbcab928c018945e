package onnx

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"ultrafast/graph"
)

// maxHead bounds the sum of all arrays that the trial of a head makes: a batch of 8 at
// 640x640 with 80 classes, or one of 1 at 1920x1920.
const maxHead = 1 << 28

// detect adds the Detect node that computes what the output of that name is. Exporters'
// operators differ from release to release, so they are not compared but run: once, on
// maps of random numbers that are zero in the first cell. There a sigmoid is 1/2 exactly,
// so the width and height of the first boxes are the anchors, and their centre is half the
// stride. Then all boxes must agree with what Detect says.
func (r *reader) detect(output string) (*graph.Node, error) {
	nodes, maps := r.head(output)
	if len(maps) == 0 {
		return nil, &UnsupportedError{Reason: fmt.Sprintf("output %.80q comes from no map", output)}
	}
	trial := make(map[string]*array)
	raw := make(map[*graph.Node]*array)
	rnd := rand.New(rand.NewPCG(1, 2))
	size := 0
	for name, n := range maps {
		if raw[n] == nil {
			raw[n] = &array{dims: r.shapes[n]}
			size += r.shapes[n][0] * r.shapes[n][1] * r.shapes[n][2] * r.shapes[n][3]
		}
		trial[name] = raw[n]
	}
	if size > maxHead/8 {
		return nil, &UnsupportedError{Reason: "the decoding of boxes is too large to follow; export the model for a smaller picture"}
	}
	for _, n := range r.g.Nodes { // in order, so that every reading makes the same numbers
		if a := raw[n]; a != nil {
			a.f = make([]float32, a.dims[0]*a.dims[1]*a.dims[2]*a.dims[3])
			for i := range a.f {
				if i%(a.dims[2]*a.dims[3]) != 0 {
					a.f[i] = rnd.Float32()*4 - 2
				}
			}
		}
	}
	boxes, err := r.try(nodes, trial, output)
	if err != nil {
		return nil, err
	}
	levels, op, err := levelsOf(boxes, raw, r.g.Nodes)
	if err != nil {
		return nil, &UnsupportedError{Reason: fmt.Sprintf("output %.80q: %v", output, err)}
	}
	last := *r.heads[output]
	if numbered.MatchString(last.name) || last.name == "" {
		r.rename()
		last.name = detectName(levels[0].Name)
	}
	return r.add(&last, op, levels...)
}

// head lists the nodes between the maps and an output, and the maps by name.
func (r *reader) head(output string) ([]*node, map[string]*graph.Node) {
	seen := map[*node]bool{}
	maps := map[string]*graph.Node{}
	for todo := []string{output}; len(todo) > 0; {
		name := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		switch n, s := r.heads[name], r.slots[name]; {
		case name == "" || seen[n]:
		case n != nil:
			seen[n] = true
			todo = append(todo, n.in...)
		case s != nil && s.node != nil:
			maps[name] = s.node
		}
	}
	var nodes []*node
	for _, n := range r.m.nodes {
		if seen[n] {
			nodes = append(nodes, n)
		}
	}
	return nodes, maps
}

// try runs the head. Arrays are let go when the last node has used them.
func (r *reader) try(nodes []*node, arrays map[string]*array, output string) (*array, error) {
	e := evaluator{arena{maxHead}, r.m.opset}
	uses := map[string]int{output: 1}
	for _, n := range nodes {
		for _, name := range n.in {
			uses[name]++
		}
	}
	for _, n := range nodes {
		in := make([]*array, len(n.in))
		for i, name := range n.in {
			if name == "" {
				continue
			}
			in[i] = arrays[name]
			if in[i] == nil && r.slots[name].part == none {
				var err error
				if in[i], err = r.slots[name].known(); err != nil {
					return nil, err
				}
			}
			if in[i] == nil {
				return nil, unsupported(n, "takes %.80q, which is half of an activation", name)
			}
			if uses[name]--; uses[name] == 0 {
				delete(arrays, name)
			}
		}
		out, err := e.apply(n, in)
		if err != nil {
			return nil, asNode(n, err)
		}
		for i, name := range n.out {
			if i < len(out) && uses[name] > 0 {
				arrays[name] = out[i]
			}
		}
	}
	if arrays[output] == nil {
		return nil, &UnsupportedError{Reason: fmt.Sprintf("output %.80q is given by no node", output)}
	}
	return arrays[output], nil
}

// levelsOf finds order, anchors and strides of the levels in the boxes that the trial gave
// for the maps raw, and checks every number.
func levelsOf(boxes *array, raw map[*graph.Node]*array, order []*graph.Node) ([]*graph.Node, *graph.Detect, error) {
	if len(boxes.dims) != 3 || boxes.dims[2] < 6 || boxes.f == nil {
		return nil, nil, fmt.Errorf("is %v, want boxes [batch, boxes, 5+classes]", boxes.dims)
	}
	count, per := boxes.dims[1], boxes.dims[2]
	var left, levels []*graph.Node
	for _, n := range order {
		if raw[n] != nil {
			left = append(left, n)
		}
	}
	op := &graph.Detect{Classes: per - 5}
	for at := 0; len(left) > 0; {
		i := slices.IndexFunc(left, func(n *graph.Node) bool { return begins(boxes, at, raw[n]) })
		if i < 0 {
			return nil, nil, fmt.Errorf("boxes from %d on are of no map in YOLOv5's order (level, anchor, row, column)", at)
		}
		m := raw[left[i]]
		cells := m.dims[2] * m.dims[3]
		anchors := make([][2]float32, m.dims[1]/per)
		for a := range anchors {
			b := boxes.f[(at+a*cells)*per:]
			anchors[a] = [2]float32{b[2], b[3]}
			if !(b[2] > 0 && b[3] > 0 && b[2] < 1e6 && b[3] < 1e6) {
				return nil, nil, fmt.Errorf("an anchor of %v x %v", b[2], b[3])
			}
		}
		stride := 2 * float64(boxes.f[at*per])
		if stride < 1 || stride > 4096 || math.Abs(stride-math.Round(stride)) > 1e-3 {
			return nil, nil, fmt.Errorf("a stride of %v", stride)
		}
		op.Anchors = append(op.Anchors, anchors)
		op.Strides = append(op.Strides, int(math.Round(stride)))
		if err := agrees(boxes, at, m, anchors, stride); err != nil {
			return nil, nil, err
		}
		levels = append(levels, left[i])
		left = slices.Delete(left, i, i+1)
		if at += len(anchors) * cells; at == count {
			break
		}
	}
	if len(left) > 0 || len(levels) > 16 {
		return nil, nil, fmt.Errorf("%d maps give no boxes", len(left))
	}
	return levels, op, nil
}

// begins reports whether the boxes from at on can be those of a map: there are as many,
// and the objectness of its second cell fits.
func begins(boxes *array, at int, m *array) bool {
	count, per := boxes.dims[1], boxes.dims[2]
	cells := m.dims[2] * m.dims[3]
	if m.dims[0] != boxes.dims[0] || m.dims[1] < per || m.dims[1]%per != 0 || m.dims[1]/per*cells > count-at {
		return false
	}
	second := min(1, cells-1)
	return alike(boxes.f[(at+second)*per+4], sigmoid(m.f[4*cells+second]))
}

// agrees compares all boxes of one map with graph.Detect's formula.
func agrees(boxes *array, at int, m *array, anchors [][2]float32, stride float64) error {
	count, per := boxes.dims[1], boxes.dims[2]
	height, width := m.dims[2], m.dims[3]
	for n := range m.dims[0] {
		for a, anchor := range anchors {
			for y := range height {
				for x := range width {
					cell := y*width + x
					b := boxes.f[(n*count+at+a*height*width+cell)*per:]
					for k := range per {
						s := sigmoid(m.f[((n*m.dims[1]+a*per+k)*height+y)*width+x])
						want := s
						switch k {
						case 0:
							want = (2*s - .5 + float32(x)) * float32(stride)
						case 1:
							want = (2*s - .5 + float32(y)) * float32(stride)
						case 2, 3:
							want = 4 * s * s * anchor[k-2]
						}
						if !alike(b[k], want) {
							return fmt.Errorf("number %d of a box is %v where YOLOv5 decodes %v", k, b[k], want)
						}
					}
				}
			}
		}
	}
	return nil
}

// alike allows for constants in half precision.
func alike(a, b float32) bool {
	return math.Abs(float64(a-b)) <= 1e-3*(math.Abs(float64(b))+.1)
}
