package box

import (
	"slices"
	"sort"
)

// curvePoints is how finely curves are sampled, in confidence and in recall.
const curvePoints = 1000

// A curve is sampled at 0, 1/999 … 1.
func curveAt(i int) float64 {
	if i == curvePoints-1 {
		return 1
	}
	return float64(i) * (1.0 / (curvePoints - 1))
}

// precisionRecall walks through one class's verdicts, the most confident first, and
// returns recall and precision after each one. labels is at least 1.
func precisionRecall(correct []bool, labels int) (recall, precision []float64) {
	recall = make([]float64, len(correct))
	precision = make([]float64, len(correct))
	tp := 0
	for i, ok := range correct {
		if ok {
			tp++
		}
		recall[i] = float64(tp) / (float64(labels) + 1e-16)
		precision[i] = float64(tp) / float64(i+1)
	}
	return recall, precision
}

// averagePrecision is the area under precision over recall, taken as YOLOv5's compute_ap
// takes it: precision is made to fall with recall, sampled at recalls 0, .01 … 1 and
// integrated by trapezoids. It returns the curve too, with its added ends.
func averagePrecision(recall, precision []float64) (ap float64, mrec, mpre []float64) {
	mrec = append(append([]float64{0}, recall...), 1)
	mpre = append(append([]float64{1}, precision...), 0)
	for i := len(mpre) - 2; i >= 0; i-- {
		mpre[i] = max(mpre[i], mpre[i+1])
	}
	const n = 100
	last := interpolate(0, mrec, mpre, mpre[0])
	for i := 1; i <= n; i++ {
		x := float64(i) * 0.01
		if i == n {
			x = 1
		}
		v := interpolate(x, mrec, mpre, mpre[0])
		ap += (last + v) / 2 * 0.01
		last = v
	}
	return ap, mrec, mpre
}

// interpolate returns the value at x of the line through the points (xs, ys), as
// numpy.interp does: xs ascends, before the first point the value is left, after the last
// one it stays, and where several points have one x the last of them counts.
func interpolate(x float64, xs, ys []float64, left float64) float64 {
	j := sort.Search(len(xs), func(i int) bool { return xs[i] > x }) - 1
	switch {
	case j < 0:
		return left
	case j == len(xs)-1 || xs[j] == x:
		return ys[j]
	}
	return ys[j] + (ys[j+1]-ys[j])/(xs[j+1]-xs[j])*(x-xs[j])
}

// smooth is a box filter over a tenth of y, whose ends are continued.
func smooth(y []float64) []float64 {
	half := len(y) / 20
	padded := slices.Concat(
		slices.Repeat(y[:1], half), y, slices.Repeat(y[len(y)-1:], half))
	out := make([]float64, len(y))
	for i := range out {
		sum := 0.0
		for _, v := range padded[i : i+2*half+1] {
			sum += v
		}
		out[i] = sum / float64(2*half+1)
	}
	return out
}
