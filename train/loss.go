package train

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"ultrafast/dataset"
	"ultrafast/graph"
	"ultrafast/tensor"
)

// LossHyp are the settings of the loss, the gains scaled already (see Hyp.Loss).
type LossHyp struct {
	Box, Obj, Cls  float64 // gains
	ObjPW, ClsPW   float64 // weight of positives in objectness and class
	AnchorT        float64 // a label and an anchor match below this ratio of their sides
	FocalGamma     float64 // 0 is no focal loss
	LabelSmoothing float64
}

// Parts are the weighted terms of the loss, means over a batch as YOLOv5 reports them.
type Parts struct {
	Box, Obj, Cls float64
	Distill       float64 // from the teacher, where there is one
	Total         float64 // what is minimised: their sum times the pictures of the batch
	Pictures      int     // in the batch
	Matches       []int   // by level: anchors of cells that answer for a label
}

// A Criterion computes YOLOv5 v7.0's detection loss and its gradient. It keeps buffers
// between calls and is for one goroutine at a time; it uses every core itself. Its
// results do not depend on how many there are.
type Criterion struct {
	hyp     LossHyp
	classes int
	levels  []lossLevel
	peers   Peers // shares each batch
	batch   int   // pictures of the batch, over the group
}

// A lossLevel is one map of the head.
type lossLevel struct {
	anchors [][2]float32 // in cells
	balance float64      // weight of its objectness

	matches  []match        // of the last batch, by picture
	matched  int            // how many there are, over the group
	first    []int          // of each picture, in matches; one more than pictures
	objects  []float32      // the objectness wanted, [N, anchors, h, w]; zeros between calls
	gradient *tensor.Tensor // zero where no match is, but for objectness
	sums     [][3]float64   // box, objectness, class of each picture
}

// NewLoss returns the loss for a detection head.
func NewLoss(d *graph.Detect, h LossHyp) *Criterion {
	c := &Criterion{hyp: h, classes: d.Classes, levels: make([]lossLevel, len(d.Anchors)), peers: alone{}}
	for i, anchors := range d.Anchors {
		l := &c.levels[i]
		l.balance = balance(i, len(d.Anchors))
		for _, a := range anchors {
			s := float32(d.Strides[i])
			l.anchors = append(l.anchors, [2]float32{a[0] / s, a[1] / s})
		}
	}
	return c
}

// balance is how YOLOv5 weighs a level's objectness, by the number of levels.
func balance(level, levels int) float64 {
	weights := []float64{4, 1, 0.25, 0.06, 0.02}
	if levels == 3 {
		weights = []float64{4, 1, 0.4}
	}
	return weights[min(level, len(weights)-1)]
}

// Eval returns the gradient of Parts.Total with respect to each map, and the loss. Maps
// are as Loss has them; targets are those of the batch, as fractions of the network's
// input. The gradients are valid until the next call of Eval.
func (c *Criterion) Eval(maps []*tensor.Tensor, targets []dataset.Target) ([]*tensor.Tensor, Parts, error) {
	if err := c.check(maps, targets); err != nil {
		return nil, Parts{}, err
	}
	gradients := make([]*tensor.Tensor, len(maps))
	for i := range c.levels {
		gradients[i] = c.levels[i].clearGradient(maps[i].Shape)
	}
	parts, err := c.eval(maps, gradients, targets)
	return gradients, parts, err
}

// Value returns the loss alone.
func (c *Criterion) Value(maps []*tensor.Tensor, targets []dataset.Target) (Parts, error) {
	if err := c.check(maps, targets); err != nil {
		return Parts{}, err
	}
	for i := range c.levels {
		c.levels[i].gradient = nil // its matches are forgotten, so it cannot be cleared
	}
	return c.eval(maps, make([]*tensor.Tensor, len(maps)), targets)
}

func (c *Criterion) check(maps []*tensor.Tensor, targets []dataset.Target) error {
	if len(maps) != len(c.levels) {
		return fmt.Errorf("loss: %d maps for a head of %d levels", len(maps), len(c.levels))
	}
	for i, m := range maps {
		want := len(c.levels[i].anchors) * (5 + c.classes)
		if len(m.Shape) != 4 || m.Shape[1] != want || m.Shape[0] != maps[0].Shape[0] || len(m.Data) != m.Len() || m.Len() == 0 {
			return fmt.Errorf("loss: map %d is %v, want [%d,%d,h,w]", i, m, maps[0].Shape[0], want)
		}
	}
	for _, t := range targets {
		if t.Image < 0 || t.Image >= maps[0].Shape[0] || t.Class < 0 || t.Class >= c.classes {
			return fmt.Errorf("loss: a label of class %d in picture %d of the batch, want classes below %d and pictures below %d",
				t.Class, t.Image, c.classes, maps[0].Shape[0])
		}
	}
	return nil
}

// clearGradient returns zeros of that shape. It clears what the last batch's matches
// wrote; objectness is written everywhere each time.
func (l *lossLevel) clearGradient(shape []int) *tensor.Tensor {
	if l.gradient == nil || !slices.Equal(l.gradient.Shape, shape) {
		l.gradient = tensor.New(shape...)
		return l.gradient
	}
	area := shape[2] * shape[3]
	per := shape[1] / len(l.anchors)
	for _, m := range l.matches {
		at := l.cell(m, shape)
		for k := range per {
			l.gradient.Data[at+k*area] = 0
		}
	}
	return l.gradient
}

// cell returns where the first channel of a match lies in a map of that shape.
func (l *lossLevel) cell(m match, shape []int) int {
	per := shape[1] / len(l.anchors)
	channel := int(m.image)*shape[1] + int(m.anchor)*per
	return (channel*shape[2]+int(m.y))*shape[3] + int(m.x)
}

// eval spreads the pictures of each level over the cores, and adds up in a fixed order.
//
// What the loss divides by, pictures and matches, is counted over the whole group, so each
// process has its share of the loss of the whole batch, and neither loss nor gradients
// depend on how many processes there are. (YOLOv5 takes each process's own mean and
// multiplies by their number, where a match counts more among few than among many.)
func (c *Criterion) eval(maps, gradients []*tensor.Tensor, targets []dataset.Target) (Parts, error) {
	batch := maps[0].Shape[0]
	parts := Parts{Matches: make([]int, len(maps))}
	counts := []float64{float64(batch)}
	for i := range c.levels {
		c.levels[i].prepare(maps[i].Shape, targets, float32(c.hyp.AnchorT))
		counts = append(counts, float64(len(c.levels[i].matches)))
	}
	if err := c.peers.Sum(counts); err != nil {
		return parts, err
	}
	c.batch = int(counts[0])
	parts.Pictures = c.batch
	for i := range c.levels {
		c.levels[i].matched = int(counts[1+i])
		parts.Matches[i] = c.levels[i].matched
	}
	spread(batch*len(maps), func(n int) { c.picture(n/batch, n%batch, maps[n/batch], gradients[n/batch]) })
	for i := range c.levels {
		for _, s := range c.levels[i].sums {
			parts.Box += s[0]
			parts.Obj += s[1]
			parts.Cls += s[2]
		}
	}
	sums := []float64{parts.Box, parts.Obj, parts.Cls}
	if err := c.peers.Sum(sums); err != nil {
		return parts, err
	}
	parts.Box, parts.Obj, parts.Cls = sums[0], sums[1], sums[2]
	parts.Total = (parts.Box + parts.Obj + parts.Cls) * float64(c.batch)
	return parts, nil
}

// spread runs f(0) … f(n-1) on all cores.
func spread(n int, f func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), n) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	wg.Wait()
}

// prepare assigns the targets and sorts the matches by picture, in which they keep their
// order.
func (l *lossLevel) prepare(shape []int, targets []dataset.Target, limit float32) {
	l.matches = assign(l.matches[:0], targets, l.anchors, shape[3], shape[2], limit)
	slices.SortStableFunc(l.matches, func(a, b match) int { return int(a.image) - int(b.image) })
	l.first = append(l.first[:0], 0)
	for image, i := 0, 0; image < shape[0]; image++ {
		for i < len(l.matches) && int(l.matches[i].image) == image {
			i++
		}
		l.first = append(l.first, i)
	}
	l.sums = slices.Grow(l.sums[:0], shape[0])[:shape[0]]
	n := shape[0] * len(l.anchors) * shape[2] * shape[3]
	if cap(l.objects) < n {
		l.objects = make([]float32, n)
	}
	l.objects = l.objects[:n]
}

// picture computes the terms of one picture in one level, and their gradient where
// gradient is not nil.
func (c *Criterion) picture(level, image int, maps, gradient *tensor.Tensor) {
	l := &c.levels[level]
	shape := maps.Shape
	batch, area, per := float64(c.batch), shape[2]*shape[3], 5+c.classes
	matches := l.matches[l.first[image]:l.first[image+1]]
	objects := l.objects[image*len(l.anchors)*area:][:len(l.anchors)*area]

	var sum [3]float64
	boxGain := c.hyp.Box / float64(l.matched)
	clsGain := c.hyp.Cls / float64(l.matched*c.classes)
	for _, m := range matches {
		at := l.cell(m, shape)
		var t [4]float64
		for k := range t {
			t[k] = float64(m.box[k])
		}
		p, slope := boxAt(maps.Data[at:], area, l.anchors[m.anchor])
		value, d := ciou(p, t)
		sum[0] += boxGain * (1 - value)
		objects[(int(m.anchor)*shape[2]+int(m.y))*shape[3]+int(m.x)] = float32(max(value, 0))
		if gradient != nil {
			g := gradient.Data[at:]
			gain := -boxGain * batch
			for k := range d {
				g[k*area] += float32(gain * d[k] * slope[k])
			}
		}
		if c.classes == 1 {
			continue // objectness says it all
		}
		for k := range c.classes {
			want := 0.5 * c.hyp.LabelSmoothing
			if k == int(m.class) {
				want = 1 - want
			}
			i := at + (5+k)*area
			v, d := c.bce(float64(maps.Data[i]), want, c.hyp.ClsPW)
			sum[2] += clsGain * v
			if gradient != nil {
				gradient.Data[i] += float32(clsGain * batch * d)
			}
		}
	}

	objGain := c.hyp.Obj * l.balance / (batch * float64(len(objects)))
	for a := range l.anchors {
		at := ((image*len(l.anchors)+a)*per + 4) * area
		for i, raw := range maps.Data[at : at+area] {
			v, d := c.bce(float64(raw), float64(objects[a*area+i]), c.hyp.ObjPW)
			sum[1] += objGain * v
			if gradient != nil {
				gradient.Data[at+i] = float32(objGain * batch * d)
			}
		}
	}
	for _, m := range matches {
		objects[(int(m.anchor)*shape[2]+int(m.y))*shape[3]+int(m.x)] = 0
	}
	l.sums[image] = sum
}

// boxAt decodes the four raw numbers of a box, which are area apart: centre from the corner
// of the cell, width and height, all in cells, and the slope of each along its raw number.
func boxAt(raw []float32, area int, anchor [2]float32) (p, slope [4]float64) {
	for k := range p {
		s, _ := sigmoid(float64(raw[k*area]))
		if k < 2 {
			p[k], slope[k] = 2*s-0.5, 2*s*(1-s)
			continue
		}
		p[k] = 4 * s * s * float64(anchor[k-2])
		slope[k] = 2 * p[k] * (1 - s)
	}
	return p, slope
}

// bce is binary cross-entropy of sigmoid(x) against want, and its derivative. The share
// of positives is weighted by weight; a focal gamma lets what is nearly right count less,
// with the α of 0.25 that YOLOv5 has (Lin et al., Focal Loss, ICCV 2017).
func (c *Criterion) bce(x, want, weight float64) (value, derivative float64) {
	p, softplus := sigmoid(-x) // 1 - sigmoid(x) and ln(1 + exp(-x))
	w := 1 + (weight-1)*want
	value = (1-want)*x + w*softplus
	derivative = (1 - want) - w*p
	gamma := c.hyp.FocalGamma
	if gamma == 0 {
		return value, derivative
	}
	miss := want*p + (1-want)*(1-p)
	if miss == 0 {
		return 0, 0
	}
	alpha := 0.25*want + 0.75*(1-want)
	f := math.Pow(miss, gamma)
	turn := (1 - 2*want) * p * (1 - p) // derivative of miss
	return alpha * f * value, alpha * (f*derivative + value*gamma*f/miss*turn)
}

// sigmoid returns 1/(1+exp(-x)) and ln(1+exp(x)), exact for large |x| too.
func sigmoid(x float64) (s, softplus float64) {
	e := math.Exp(-math.Abs(x))
	if x < 0 {
		return e / (1 + e), math.Log1p(e)
	}
	return 1 / (1 + e), x + math.Log1p(e)
}
