package train

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"ultrafast/graph"
	"ultrafast/tensor"
)

// A pairing is a student and a teacher with further outputs where they meet. Numbers of
// maps are those of MapsOf.
type pairing struct {
	student, teacher *graph.Graph
	features         []featurePair
	outputs          []outputPair
	classes          [][2]int // student's and teacher's, by name; none where one of them has a single class
	known            []int    // the teacher's classes that the student has as well
	strangers        bool     // the teacher knows classes that the student does not
	news             bool     // the student is to learn classes that the teacher does not know
}

// A featurePair is the maps of one level's neck, which have the same channels.
type featurePair struct{ student, teacher, channels int }

// An outputPair is the raw maps of one level.
type outputPair struct {
	student, teacher       int
	anchors                [][2]int     // student's and teacher's, of equal size
	sizes                  [][2]float32 // of these, in cells
	balance                float64      // of the student's objectness
	perStudent, perTeacher int          // channels of an anchor
}

// adapterPrefix begins the names of what a student has in training only.
const adapterPrefix = "distill."

// pair finds where a student can learn from a teacher. Where their necks differ in width
// the student gets a 1x1 convolution to the teacher's, a node of its graph, so that it
// learns as everything else does; it has no bias, since both terms on features take the
// mean of a channel away. Neither graph is changed.
func pair(student, teacher *graph.Graph, terms Terms, seed uint64) (*pairing, error) {
	p := &pairing{student: student.Clone(), teacher: teacher.Clone()}
	if p.teacher.Detect() == nil {
		return nil, fmt.Errorf("train: the teacher has no detection head")
	}
	p.student.Outputs = []*graph.Node{p.student.Detect()}
	p.teacher.Outputs = []*graph.Node{p.teacher.Detect()}
	s, t := p.student.Detect().Op.(*graph.Detect), p.teacher.Detect().Op.(*graph.Detect)
	levels := pairLevels(s.Strides, t.Strides)
	if len(levels) == 0 {
		return nil, fmt.Errorf("train: the teacher has levels of strides %v and the student of %v: none is the same", t.Strides, s.Strides)
	}
	if terms.PKD > 0 || terms.CWD > 0 {
		for _, l := range levels {
			if err := p.pairNecks(l[0], l[1], seed); err != nil {
				return nil, err
			}
		}
	}
	if terms.Outputs > 0 {
		if err := p.pairOutputs(levels); err != nil {
			return nil, err
		}
	}
	return p, p.student.Verify()
}

// pairLevels lists the levels of equal stride, as the student orders them.
func pairLevels(student, teacher []int) (levels [][2]int) {
	for i, s := range student {
		if k := slices.Index(teacher, s); k >= 0 {
			levels = append(levels, [2]int{i, k})
		}
	}
	return levels
}

// neck returns the map from which a level of the head is made.
func neck(g *graph.Graph, level int) (*graph.Node, int, error) {
	n := g.Detect().In[level]
	conv, ok := n.Op.(*graph.Conv)
	if !ok {
		return nil, 0, fmt.Errorf("train: %s is a %s, and no convolution that a neck's map could be taken from: learn from the outputs alone", n.Name, n.Op.Word())
	}
	return n.In[0], conv.Weight.Shape[1] * conv.Groups, nil
}

func (p *pairing) pairNecks(level, other int, seed uint64) error {
	mine, have, err := neck(p.student, level)
	if err != nil {
		return err
	}
	theirs, want, err := neck(p.teacher, other)
	if err != nil {
		return err
	}
	if have != want {
		stride := p.student.Detect().Op.(*graph.Detect).Strides[level]
		mine = p.student.Add(fmt.Sprintf("%s%d", adapterPrefix, stride), adapter(want, have, rand.New(rand.NewPCG(seed, uint64(stride)))), mine)
	}
	p.features = append(p.features, featurePair{
		student: len(p.student.Detect().In) + len(p.student.Outputs) - 1,
		teacher: len(p.teacher.Detect().In) + len(p.teacher.Outputs) - 1, channels: want,
	})
	p.student.Outputs = append(p.student.Outputs, mine)
	p.teacher.Outputs = append(p.teacher.Outputs, theirs)
	return nil
}

// adapter makes a 1x1 convolution that keeps variances on average.
func adapter(out, in int, r *rand.Rand) *graph.Conv {
	w := tensor.New(out, in, 1, 1)
	for i := range w.Data {
		w.Data[i] = float32(r.NormFloat64() / math.Sqrt(float64(in)))
	}
	return &graph.Conv{Weight: w, Stride: [2]int{1, 1}, Dilation: [2]int{1, 1}, Groups: 1}
}

// modelOf returns a training's graph without what pair added.
func modelOf(g *graph.Graph) *graph.Graph {
	g = g.Clone()
	g.Nodes = slices.DeleteFunc(g.Nodes, func(n *graph.Node) bool { return strings.HasPrefix(n.Name, adapterPrefix) })
	if d := g.Detect(); d != nil {
		g.Outputs = []*graph.Node{d}
	}
	return g
}

func (p *pairing) pairOutputs(levels [][2]int) error {
	s, t := p.student.Detect().Op.(*graph.Detect), p.teacher.Detect().Op.(*graph.Detect)
	for _, l := range levels {
		stride := float32(s.Strides[l[0]])
		o := outputPair{student: l[0], teacher: l[1], perStudent: 5 + s.Classes, perTeacher: 5 + t.Classes, balance: balance(l[0], len(s.Strides))}
		for _, a := range pairAnchors(s.Anchors[l[0]], t.Anchors[l[1]]) {
			size := s.Anchors[l[0]][a[0]]
			o.anchors = append(o.anchors, a)
			o.sizes = append(o.sizes, [2]float32{size[0] / stride, size[1] / stride})
		}
		if len(o.anchors) > 0 {
			p.outputs = append(p.outputs, o)
		}
	}
	if len(p.outputs) == 0 {
		return fmt.Errorf("train: the teacher has the anchors %v at the strides %v and the student %v at %v: none is the same, so the outputs teach nothing; learn from pkd or cwd, or keep the teacher's anchors (--noautoanchor)",
			t.Anchors, t.Strides, s.Anchors, s.Strides)
	}
	classes := pairClasses(p.student.Names, p.teacher.Names)
	if len(classes) == 0 {
		return fmt.Errorf("train: the teacher has the classes %v and the student %v: none has the same name, so the outputs teach nothing; learn from pkd or cwd", p.teacher.Names, p.student.Names)
	}
	for _, c := range classes {
		p.known = append(p.known, c[1])
	}
	p.news, p.strangers = len(classes) < s.Classes, len(classes) < t.Classes
	if s.Classes > 1 && t.Classes > 1 { // a head of one class has learned nothing of it: objectness says it all
		p.classes = classes
	}
	return nil
}

// pairAnchors lists the student's anchors and the teacher's of the same size. A thousandth
// is allowed for what files round.
func pairAnchors(student, teacher [][2]float32) (anchors [][2]int) {
	like := func(a, b float32) bool { return math.Abs(float64(a-b)) <= 1e-3*math.Abs(float64(b)) }
	for i, a := range student {
		k := slices.IndexFunc(teacher, func(b [2]float32) bool { return like(a[0], b[0]) && like(a[1], b[1]) })
		if k >= 0 {
			anchors = append(anchors, [2]int{i, k})
		}
	}
	return anchors
}

// pairClasses lists the classes of equal name.
func pairClasses(student, teacher []string) (classes [][2]int) {
	for i, name := range student {
		if k := slices.Index(teacher, name); k >= 0 {
			classes = append(classes, [2]int{i, k})
		}
	}
	return classes
}
