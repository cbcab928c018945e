package onnx

import (
	"fmt"

	"ultrafast/graph"
)

// detect writes the decoding of the raw maps, level by level, in the steps of YOLOv5's own
// export. Sigmoid gives s; then x, y = (2 s + grid) * stride, where the grid is the cell
// less 0.5, and w, h = (2 s)^2 * anchor.
func (w *writer) detect(n *graph.Node, op *graph.Detect, in []string, out string) {
	of := func(i int) string { return fmt.Sprintf("%s/%d", n.Name, i) }
	per := int64(5 + op.Classes)
	levels := make([]string, len(in))
	for i, x := range in {
		anchors := int64(len(op.Anchors[i]))
		s := w.shapes[n.In[i]]
		batch, height, width := int64(s[0]), int64(s[2]), int64(s[3])
		var split, grid string
		flat := []int64{batch, anchors * height * width, per}
		if w.o.Dynamic {
			split, grid = w.openGrid(of(i), x, anchors, per)
			flat = []int64{0, -1, per} // the batch as it is, and what is left
		} else {
			split = w.integers(of(i)+"/shape", batch, anchors, per, height, width)
			// Along each side by itself: in full they would be more than a small network's weights.
			grid = w.part(of(i)+"/grid", "Add", []string{w.floats(of(i)+"/columns", cells(width, 0), 1, 1, 1, width, 2), w.floats(of(i)+"/rows", cells(height, 1), 1, 1, height, 1, 2)})
		}
		y := w.part(of(i), "Reshape", []string{x, split})
		y = w.part(of(i), "Transpose", []string{y}, ints("perm", 0, 1, 3, 4, 2))
		y = w.part(of(i), "Sigmoid", []string{y})
		xy, wh, scores := w.split(of(i), y, int64(op.Classes+1))

		two := w.scalar(of(i)+"/two", 2)
		xy = w.part(of(i), "Mul", []string{xy, two})
		xy = w.part(of(i), "Add", []string{xy, grid})
		xy = w.part(of(i), "Mul", []string{xy, w.scalar(of(i)+"/stride", float32(op.Strides[i]))})
		wh = w.part(of(i), "Mul", []string{wh, two})
		wh = w.part(of(i), "Pow", []string{wh, two})
		var sides []float32
		for _, a := range op.Anchors[i] {
			sides = append(sides, a[0], a[1])
		}
		wh = w.part(of(i), "Mul", []string{wh, w.floats(of(i)+"/anchors", sides, 1, anchors, 1, 1, 2)})

		y = w.part(of(i), "Concat", []string{xy, wh, scores}, integer("axis", 4))
		levels[i] = w.part(of(i), "Reshape", []string{y, w.integers(of(i)+"/flat", flat...)})
	}
	w.m.nodes = append(w.m.nodes, &node{name: n.Name, op: "Concat", in: levels, out: []string{out}, attrs: []attr{integer("axis", 1)}})
}

// split divides the last axis into centre, size and scores.
func (w *writer) split(of, x string, scores int64) (xy, wh, rest string) {
	n := &node{op: "Split", in: []string{x}, attrs: []attr{integer("axis", 4)}}
	if w.o.Opset >= 13 { // the sizes became an input
		n.in = append(n.in, w.integers(of+"/split", 2, 2, scores))
	} else {
		n.attrs = append(n.attrs, ints("split", 2, 2, scores))
	}
	xy, wh, rest = w.inner(of+"/xy"), w.inner(of+"/wh"), w.inner(of+"/scores")
	n.out = []string{xy, wh, rest}
	if !w.short {
		n.name = of + "/Split"
	}
	w.m.nodes = append(w.m.nodes, n)
	return xy, wh, rest
}

// cells lists the numbers of a side's cells less 0.5, each as one of two coordinates; the other is 0.
func cells(side int64, coordinate int) []float32 {
	all := make([]float32, 2*side)
	for i := range side {
		all[2*i+int64(coordinate)] = float32(i) - .5
	}
	return all
}

// openGrid computes, from the map's shape at run time, the shape that splits its channels
// into anchors and numbers per box, and the grid [1, 1, h, w, 2].
func (w *writer) openGrid(of, x string, anchors, per int64) (split, grid string) {
	shape := w.part(of, "Shape", []string{x})
	zero, one, two, four := w.integers(of+"/0", 0), w.integers(of+"/1", 1), w.integers(of+"/2", 2), w.integers(of+"/4", 4)
	batch := w.part(of, "Slice", []string{shape, zero, one})
	sides := w.part(of, "Slice", []string{shape, two, four})
	split = w.part(of, "Concat", []string{batch, w.integers(of+"/per", anchors, per), sides}, integer("axis", 0))
	y := w.axis(of+"/y", shape, 2, []int64{1, 1, -1, 1, 1}, []float32{0, 1})
	x = w.axis(of+"/x", shape, 3, []int64{1, 1, 1, -1, 1}, []float32{1, 0})
	grid = w.part(of+"/grid", "Add", []string{x, y})
	return split, w.part(of+"/grid", "Add", []string{grid, w.scalar(of+"/grid/half", -.5)})
}

// axis counts 0, 1, 2 … along one side of a map, in one of the two members of the last axis;
// the other is 0.
func (w *writer) axis(of, shape string, dim int64, lay []int64, member []float32) string {
	scalar := func(name string, v int64) string { // Range takes scalars
		return w.constant(of+"/"+name, &constant{kind: int64s, i: []int64{v}})
	}
	side := w.part(of, "Gather", []string{shape, scalar("dim", dim)}, integer("axis", 0))
	count := w.part(of, "Range", []string{scalar("from", 0), side, scalar("step", 1)})
	count = w.part(of, "Cast", []string{count}, integer("to", float32s))
	count = w.part(of, "Reshape", []string{count, w.integers(of+"/lay", lay...)})
	return w.part(of, "Mul", []string{count, w.floats(of+"/member", member, 2)})
}
