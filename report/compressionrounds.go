package report

import (
	"fmt"
	"slices"
)

// rounds is the way from parent to child: what each round did to accuracy and to time.
func (c *Compression) rounds() section {
	s := section{ID: PartRounds, Title: "The rounds"}
	if len(c.Rounds) == 0 {
		s.Missing = []string{c.missing(PartRounds, "There were no rounds.")}
		return s
	}
	rounds := c.Rounds[:min(len(c.Rounds), maxRows)]
	if ch, ok := zigzag(rounds); ok {
		s.Charts = append(s.Charts, ch)
	}
	if ch, ok := c.shrinking(rounds); ok {
		s.Charts = append(s.Charts, ch)
	}
	t := table{Caption: "Every round. mAP is mAP50-95.",
		Head: []string{"round", "done", "parameters", "GFLOP", "ms", "ms predicted", "mAP before", "after the cut", "after training", "epochs", "time", "and then"}}
	for _, r := range c.Rounds {
		end := "kept"
		if r.RolledBack {
			end = "rolled back"
		}
		if r.Why != "" {
			end += ": " + r.Why
		}
		t.add(r.Name, cell{Text: clip(r.Done, maxName), Class: "text"}, cell{Text: count(r.Parameters)}, cell{Text: digits(positive(r.GFLOP))}, cell{Text: digits(positive(r.Milliseconds))},
			cell{Text: digits(positive(r.Predicted))}, cell{Text: rate(r.Before)}, cell{Text: rate(r.AfterCut)}, cell{Text: rate(r.AfterTraining)},
			cell{Text: count(r.Epochs)}, cell{Text: duration(r.Seconds)}, cell{Text: clip(end, maxName), Class: "text"})
		if r.RolledBack {
			t.Rows[len(t.Rows)-1].Class = "back"
		}
	}
	s.Tables = []table{t.known()}
	return s
}

// zigzag is mAP in each round: down by the cut, up by the training.
func zigzag(rounds []Round) (chart, bool) {
	var ys []Number
	for _, r := range rounds {
		ys = append(ys, r.Before, r.AfterCut, r.AfterTraining)
	}
	if !slices.ContainsFunc(ys, Number.Known) {
		return chart{}, false
	}
	a := newAxes("mAP50-95 by round", "Accuracy before and after each cut and after each training; the table has the numbers", false)
	a.ranged(ys, false)
	a.x0, a.x1 = 0.4, float64(len(rounds))+0.6
	a.gridY("mAP50-95")
	a.nameX("round")
	for i, r := range rounds {
		at, class := float64(i+1), "s1"
		if r.RolledBack {
			class = "s0"
		}
		before, cut, after := at-0.35, at-0.05, at+0.35
		a.line("fall "+class, []float64{before, cut}, []Number{r.Before, r.AfterCut})
		a.line(class, []float64{cut, after}, []Number{r.AfterCut, r.AfterTraining})
		if !r.AfterCut.Known() {
			a.line(class, []float64{before, after}, []Number{r.Before, r.AfterTraining})
		}
		says := fmt.Sprintf("%s: %s, after the cut %s, after training %s", clip(r.Name, maxName), rate(r.Before), rate(r.AfterCut), rate(r.AfterTraining))
		a.mark(0, "hollow "+class, cut, r.AfterCut, says)
		if r.RolledBack {
			a.mark(5, "hollow "+class, after, r.AfterTraining, says+", rolled back")
		} else {
			a.mark(1, class, after, r.AfterTraining, says)
		}
		if every := 1 + len(rounds)/14; i%every == 0 {
			a.tickX(at, fmt.Sprint(i+1))
		}
	}
	a.Legend = []key{{Class: "hollow s1", Mark: marks[0], Name: "after the cut"}, {Class: "s1", Mark: marks[1], Name: "after training"}}
	if slices.ContainsFunc(rounds, func(r Round) bool { return r.RolledBack }) {
		a.Legend = append(a.Legend, key{Class: "hollow s0", Mark: marks[5], Name: "rolled back"})
	}
	return a.chart, true
}

// roundTime is what rounds take: the milliseconds that were measured or, where there are none,
// those that were predicted.
func roundTime(rounds []Round) (of func(Round) Number, measured bool) {
	of = func(r Round) Number { return positive(r.Milliseconds) }
	if slices.ContainsFunc(rounds, func(r Round) bool { return of(r).Known() }) {
		return of, true
	}
	return func(r Round) Number { return positive(r.Predicted) }, false
}

// shrinking is the time after each round, or where it is not known the parameters.
func (c *Compression) shrinking(rounds []Round) (chart, bool) {
	title, unit, name := "Milliseconds by round", "ms", "measured"
	of, measured := roundTime(rounds)
	if !measured {
		title, name = "Predicted milliseconds by round", "predicted, not measured"
	}
	if !slices.ContainsFunc(rounds, func(r Round) bool { return of(r).Known() }) {
		title, unit = "Parameters by round, in millions", "million"
		of = func(r Round) Number { return positive(r.Parameters) / 1e6 }
	}
	a := newAxes(title, title+"; the table has the numbers", false)
	xs, ys, predicted := []float64{0}, []Number{Unknown()}, []Number{Unknown()}
	if parent := c.find(Parent); parent != nil {
		if ys[0] = positive(parent.Parameters) / 1e6; unit == "ms" {
			ys[0] = Unknown()
			if len(parent.Times) > 0 {
				ys[0] = positive(parent.Times[0].Milliseconds)
			}
		}
	}
	for i, r := range rounds {
		if r.RolledBack {
			continue
		}
		xs, ys = append(xs, float64(i+1)), append(ys, of(r))
		if p := positive(r.Predicted); measured {
			predicted = append(predicted, p)
		} else {
			predicted = append(predicted, Unknown())
		}
	}
	if !slices.ContainsFunc(ys, Number.Known) {
		return chart{}, false
	}
	a.ranged(slices.Concat(ys, predicted), true)
	a.x0, a.x1 = -0.4, float64(len(rounds))+0.4
	a.gridY(unit)
	a.nameX("round, 0 is the parent")
	a.line("s1", xs, ys)
	for i := range xs {
		a.mark(3, "hollow s2", xs[i], predicted[i], "predicted "+digits(predicted[i]))
		a.mark(1, "s1", xs[i], ys[i], digits(ys[i])+" "+unit)
		if every := 1 + len(rounds)/14; int(xs[i])%every == 0 {
			a.tickX(xs[i], fmt.Sprint(xs[i]))
		}
	}
	foreseen := slices.ContainsFunc(predicted, Number.Known)
	if foreseen || unit == "ms" && !measured {
		a.Legend = []key{{Class: "s1", Mark: marks[1], Name: name}}
	}
	if foreseen {
		a.Legend = append(a.Legend, key{Class: "hollow s2", Mark: marks[3], Name: "predicted by the plan"})
	}
	return a.chart, true
}

// learning is how the trainings went.
func (c *Compression) learning() section {
	s := section{ID: PartCurves, Title: "How the trainings went"}
	curves := c.Curves[max(0, len(c.Curves)-maxRows):]
	looks := c.looks(curves)
	for _, of := range []struct {
		name   string
		values func(LearningCurve) []Number
	}{
		{"mAP50", func(l LearningCurve) []Number { return l.MAP50 }},
		{"mAP50-95", func(l LearningCurve) []Number { return l.MAP5095 }},
	} {
		a := newAxes(of.name+" by epoch", of.name+" of each training by epoch", false)
		var all []Number
		for _, l := range curves {
			all = append(all, of.values(l)...)
			a.x1 = max(a.x1, float64(len(of.values(l))))
		}
		if !slices.ContainsFunc(all, Number.Known) {
			continue
		}
		a.ranged(all, true)
		a.gridY(of.name)
		a.ticksX()
		a.nameX("epoch")
		others := 0
		for i, l := range curves {
			ys := thin(of.values(l))
			xs := evenly(len(ys))
			for k := range xs {
				xs[k] = 1 + xs[k]*float64(len(of.values(l))-1)
			}
			if a.line(looks[i], xs, ys); len(ys) == 1 {
				a.mark(i, looks[i], xs[0], ys[0], l.Name)
			}
			if looks[i] == "way" {
				others++
				continue
			}
			a.Legend = append(a.Legend, key{Class: looks[i], Name: clip(l.Name, maxName)})
		}
		if others > 0 {
			a.Legend = append(a.Legend, key{Class: "way", Name: fmt.Sprintf("%d others between", others)})
		}
		s.Charts = append(s.Charts, a.chart)
	}
	if len(s.Charts) == 0 {
		s.Missing = []string{c.missing(PartCurves, "There are no curves of a training.")}
	}
	return s
}

// looks are the classes of trainings: that of the model of the same name, or one of its own;
// where there are many, those between the first and the last few are thin.
func (c *Compression) looks(curves []LearningCurve) []string {
	const last = 5
	looks, next := make([]string, len(curves)), len(c.shown())
	numbers := series(c.shown())
	for i, l := range curves {
		at := slices.IndexFunc(c.shown(), func(m Model) bool { return m.Name == l.Name })
		switch {
		case at >= 0:
			looks[i] = seriesClass(numbers[at])
		case i > 0 && i < len(curves)-last:
			looks[i] = "way"
		default:
			looks[i] = seriesClass(max(next, 2))
			next++
		}
	}
	return looks
}
