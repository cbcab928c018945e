package report

import (
	"fmt"
	"math"
	"slices"
)

// comparison is all models at a glance: accuracy over time, and precision over recall.
func (c *Compression) comparison() section {
	s := section{ID: "comparison", Title: "Accuracy against time"}
	if ch, ok := c.scatter(); ok {
		s.Charts = append(s.Charts, ch)
	} else {
		s.Missing = append(s.Missing, c.missing(PartTimes, "No model has both a time and a validation."))
	}
	if ch, ok := c.precisionRecall(); ok {
		s.Charts = append(s.Charts, ch)
	} else {
		s.Missing = append(s.Missing, c.missing(PartAccuracy, "There are no curves of precision over recall."))
	}
	return s
}

// A spot is a model or a round in the plane of time and accuracy.
type spot struct {
	name   string
	series int
	ms     Number
	map_   Number
}

// scatter is mAP50-95 over milliseconds, of all models and of the rounds between.
func (c *Compression) scatter() (chart, bool) {
	kind, ok := c.headline()
	if !ok {
		kinds := c.timings()
		if len(kinds) == 0 {
			return chart{}, false
		}
		kind = kinds[0]
	}
	numbers, models := series(c.shown()), c.shown()
	var spots []spot
	for i := range models {
		if s := (spot{clip(models[i].Name, 28), numbers[i], models[i].time(kind), models[i].accuracy(map5095)}); s.ms.Known() && s.map_.Known() {
			spots = append(spots, s)
		}
	}
	if len(spots) == 0 {
		return chart{}, false
	}
	var way []spot // of the rounds that were kept
	of, measured := roundTime(c.Rounds[:min(len(c.Rounds), maxRows)])
	if parent := c.find(Parent); parent != nil && len(parent.Times) > 0 && parent.Times[0].as() == kind {
		for _, r := range c.Rounds[:min(len(c.Rounds), maxRows)] {
			if s := (spot{name: clip(r.Name, maxName), ms: of(r), map_: r.AfterTraining}); !r.RolledBack && s.ms.Known() && s.map_.Known() {
				way = append(way, s)
			}
		}
	}
	a := newAxes("mAP50-95 against milliseconds", "Accuracy of each model over the time it takes", false)
	var ys, xs []Number
	for _, s := range slices.Concat(spots, way) {
		ys, xs = append(ys, s.map_), append(xs, s.ms)
	}
	a.ranged(ys, false)
	a.gridY("mAP50-95")
	low, high := limits(xs)
	a.scaleX(low, high)
	a.nameX("ms, " + kind.String())
	var wx []float64
	var wy []Number
	for _, s := range way {
		wx, wy = append(wx, float64(s.ms)), append(wy, s.map_)
	}
	a.line("way", wx, wy)
	for i, s := range way {
		a.Shapes = append(a.Shapes, shape{Class: "step", D: fmt.Sprintf("M%g %gm-2.5 0a2.5 2.5 0 1 0 5 0a2.5 2.5 0 1 0 -5 0z", a.x(wx[i]), a.y(float64(s.map_))), Title: fmt.Sprintf("%s: %s ms, %s", s.name, digits(s.ms), rate(s.map_))})
	}
	a.label(spots)
	if len(way) > 0 {
		a.Legend = []key{{Class: "way", Name: "the rounds"}}
		if !measured {
			a.Legend[0].Name = "the rounds, predicted"
		}
	}
	return a.chart, true
}

// scaleX makes a linear axis from 0, or a logarithmic one where the values lie far apart.
func (a *axes) scaleX(low, high float64) {
	if high < 4*low {
		a.x0, a.x1 = 0, high*1.15
		a.ticksX()
		return
	}
	a.logX, a.x0, a.x1 = true, low/1.3, high*1.3
	every := []float64{1, 2, 5}
	if high > 500*low {
		every = every[:1]
	}
	for p := math.Floor(math.Log10(a.x0)); p <= math.Log10(a.x1); p++ {
		for _, m := range every {
			if v := m * math.Pow(10, p); v >= a.x0 && v <= a.x1 {
				a.tickX(v, fmt.Sprintf("%g", tenth(v*100)/100))
			}
		}
	}
}

// label draws spots with their names beside them, one below the other where they would meet.
func (a *axes) label(spots []spot) {
	slices.SortStableFunc(spots, func(p, q spot) int { return int(a.y(float64(p.map_))*10) - int(a.y(float64(q.map_))*10) })
	var last [2]float64 // the lowest label on the left and on the right
	for _, s := range spots {
		x, y := a.x(float64(s.ms)), a.y(float64(s.map_))
		a.mark(s.series, seriesClass(s.series), float64(s.ms), s.map_, fmt.Sprintf("%s: %s ms, %s", s.name, digits(s.ms), rate(s.map_)))
		side, class, at := 0, "name", x+10
		if x > a.left+a.w*0.6 {
			side, class, at = 1, "name end", x-10
		}
		below := max(y+4, last[side]+14)
		last[side] = below
		a.Shapes = append(a.Shapes, shape{Class: class, X: tenth(at), Y: tenth(below), Text: s.name})
	}
}

// precisionRecall is a curve for each model.
func (c *Compression) precisionRecall() (chart, bool) {
	a := newAxes("Precision over recall, IoU 0.5, mean of the classes", "Precision over recall of each model", false)
	a.x1, a.y1 = 1, 1
	a.gridY("precision")
	a.ticksX()
	a.nameX("recall")
	models := c.shown()
	for i, n := range series(models) {
		if models[i].Accuracy == nil || len(models[i].Accuracy.PR) < 2 {
			continue
		}
		ys := thin(models[i].Accuracy.PR)
		a.line(seriesClass(n), evenly(len(ys)), ys)
		a.Legend = append(a.Legend, key{Class: seriesClass(n), Name: fmt.Sprintf("%s, mAP50 %s", clip(models[i].Name, maxName), rate(models[i].Accuracy.MAP50))})
	}
	return a.chart, len(a.Legend) > 0
}

// evenly are n numbers from 0 to 1.
func evenly(n int) []float64 {
	x := make([]float64, n)
	for i := range x {
		x[i] = float64(i) / float64(max(n-1, 1))
	}
	return x
}

// thin takes as many points of a curve as can be seen.
func thin(ys []Number) []Number {
	const most = 201
	if len(ys) <= most {
		return ys
	}
	t := make([]Number, most)
	for i := range t {
		t[i] = ys[i*(len(ys)-1)/(most-1)]
	}
	return t
}

// outline is the network's channels before and after.
func (c *Compression) outline() chart {
	var pairs []pair
	for _, p := range c.Plan[:min(len(c.Plan), maxRows)] {
		pairs = append(pairs, pair{p.Group, Number(p.From), Number(p.To)})
	}
	return columns("Channels of each group", "Channels of each group before and after the cut; the table has the numbers", "channels", "pruned network", pairs)
}

// layerChart is the time of each layer before and after.
func (c *Compression) layerChart() chart {
	var pairs []pair
	for _, l := range c.Layers.Rows[:min(len(c.Layers.Rows), maxRows)] {
		pairs = append(pairs, pair{l.Name, l.Parent, l.Child})
	}
	return columns("Milliseconds of each layer", "Time of each layer in parent and result; the table has the numbers", "ms", "result", pairs)
}
