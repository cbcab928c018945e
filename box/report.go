package box

import (
	"cmp"
	"maps"
	"slices"
)

// A Report holds YOLOv5's validation metrics. Its means are over the classes that have
// labels; all are 0 where there are none.
type Report struct {
	Pictures, Labels int
	Precision        float64 // at IoU .5, at Confidence
	Recall           float64
	F1               float64 // mean of the classes' F1
	MAP50            float64 // mean AP at IoU .5
	MAP5095          float64 // mean AP over IoU .50:.05:.95
	Confidence       float64 // at which the smoothed mean F1 is best
	Classes          []ClassReport
	Sizes            [sizes]SizeReport // indexed by Small, Medium, Large
}

// A ClassReport is one class that has labels.
type ClassReport struct {
	Class, Labels         int
	Precision, Recall, F1 float64             // at IoU .5, at the Report's Confidence
	AP                    [Thresholds]float64 // at IoU .50, .55 … .95
	AP50, AP5095          float64
	Curves                Curves
}

// Curves of one class at IoU .5, each of 1000 points at 0, 1/999 … 1.
type Curves struct {
	Precision, Recall, F1 []float64 // over confidence
	PR                    []float64 // precision over recall
}

// Report computes the metrics of all pictures so far.
func (e *Evaluator) Report() Report {
	r := Report{Pictures: e.pictures}
	for _, class := range slices.Sorted(maps.Keys(e.classes)) {
		c := e.classes[class]
		labels := c.labels[Small] + c.labels[Medium] + c.labels[Large]
		if labels == 0 {
			continue
		}
		slices.SortStableFunc(c.hits, func(a, b hit) int { return cmp.Compare(b.conf, a.conf) })
		r.Labels += labels
		r.Classes = append(r.Classes, c.report(class, labels))
	}
	r.summarize()
	for size := range r.Sizes {
		r.Sizes[size] = e.sizeReport(size)
	}
	return r
}

// report computes what does not depend on the other classes.
func (c *tally) report(class, labels int) ClassReport {
	r := ClassReport{Class: class, Labels: labels}
	r.Curves = Curves{
		Precision: make([]float64, curvePoints),
		Recall:    make([]float64, curvePoints),
		F1:        make([]float64, curvePoints),
		PR:        make([]float64, curvePoints),
	}
	if len(c.hits) == 0 {
		return r
	}
	correct := make([]bool, len(c.hits))
	for j := range Thresholds {
		for i, h := range c.hits {
			correct[i] = h.match[j] >= 0
		}
		recall, precision := precisionRecall(correct, labels)
		ap, mrec, mpre := averagePrecision(recall, precision)
		r.AP[j] = ap
		r.AP5095 += ap / Thresholds
		if j == 0 {
			r.AP50 = ap
			c.curves(&r.Curves, recall, precision)
			for i := range r.Curves.PR {
				r.Curves.PR[i] = interpolate(curveAt(i), mrec, mpre, mpre[0])
			}
		}
	}
	return r
}

// curves fills the curves over confidence. Above the best confidence nothing is found:
// recall 0, precision 1.
func (c *tally) curves(out *Curves, recall, precision []float64) {
	falling := make([]float64, len(c.hits)) // negated, so that it ascends
	for i, h := range c.hits {
		falling[i] = -float64(h.conf)
	}
	for i := range curvePoints {
		x := -curveAt(i)
		p := interpolate(x, falling, precision, 1)
		r := interpolate(x, falling, recall, 0)
		out.Precision[i], out.Recall[i] = p, r
		out.F1[i] = 2 * p * r / (p + r + 1e-16)
	}
}

// summarize chooses the confidence and takes the means.
func (r *Report) summarize() {
	n := float64(len(r.Classes))
	if n == 0 {
		return
	}
	f1 := make([]float64, curvePoints)
	for _, c := range r.Classes {
		for i, v := range c.Curves.F1 {
			f1[i] += v / n
		}
	}
	f1 = smooth(f1)
	best := slices.Index(f1, slices.Max(f1))
	r.Confidence = curveAt(best)
	for i := range r.Classes {
		c := &r.Classes[i]
		c.Precision, c.Recall, c.F1 = c.Curves.Precision[best], c.Curves.Recall[best], c.Curves.F1[best]
		r.Precision += c.Precision / n
		r.Recall += c.Recall / n
		r.F1 += c.F1 / n
		r.MAP50 += c.AP50 / n
		r.MAP5095 += c.AP5095 / n
	}
}
