package report

import (
	"fmt"
	"math"
	"strings"
)

// A chart is a figure of the page, drawn as SVG.
type chart struct {
	Title, Says string // Says tells those who cannot see it
	W, H        float64
	Shapes      []shape
	Legend      []key
	Wide        bool
}

// A shape is one thing in a chart: a path where D is set, a text where Text is, otherwise a
// rectangle.
type shape struct {
	Class      string
	X, Y, W, H float64
	D          string
	Text       string
	Title      string // shown where one points at it
}

// A key explains a line of a chart.
type key struct{ Class, Mark, Name string }

// axes are a chart's scales, from numbers to its pixels.
type axes struct {
	chart
	left, top, w, h float64
	x0, x1, y0, y1  float64
	logX            bool
}

// newAxes is a chart with the place for its labels left free.
func newAxes(title, says string, wide bool) *axes {
	a := &axes{chart: chart{Title: title, Says: says, W: 460, H: 300, Wide: wide}, left: 52, top: 12}
	if wide {
		a.W, a.H = 940, 260
	}
	a.w, a.h = a.W-a.left-14, a.H-a.top-42
	return a
}

func (a *axes) x(v float64) float64 {
	if a.logX {
		return tenth(a.left + a.w*math.Log(v/a.x0)/math.Log(a.x1/a.x0))
	}
	return tenth(a.left + a.w*(v-a.x0)/(a.x1-a.x0))
}

func (a *axes) y(v float64) float64 { return tenth(a.top + a.h*(1-(v-a.y0)/(a.y1-a.y0))) }

// tenth rounds to what can be seen.
func tenth(v float64) float64 { return math.Round(v*10) / 10 }

// ranged makes the axis of y hold all values, from 0 where zero says so, and ends it at ticks.
func (a *axes) ranged(values []Number, zero bool) {
	low, high := limits(values)
	if zero {
		low, high = min(low, 0), max(high, 0)
	}
	if far := max(math.Abs(low), math.Abs(high)); high-low <= max(far*1e-6, 1e-9) {
		high += max(far/10, 1e-3)
		if !zero {
			low -= max(far/10, 1e-3)
		}
	}
	step := niceStep((high - low) / 4)
	a.y0, a.y1 = math.Floor(low/step)*step, math.Ceil(high/step)*step
}

// limits are the least and the greatest of the known values, 0 and 1 where there are none.
func limits(values []Number) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if v.Known() {
			low, high = min(low, float64(v)), max(high, float64(v))
		}
	}
	if low > high {
		return 0, 1
	}
	return low, high
}

// niceStep is 1, 2 or 5 times a power of ten, at least v.
func niceStep(v float64) float64 {
	p := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if m*p >= v*(1-1e-9) {
			return m * p
		}
	}
	return 10 * p
}

// gridY draws the lines of the axis of y, and its name.
func (a *axes) gridY(name string) {
	step := niceStep((a.y1 - a.y0) / 5)
	for i := math.Ceil(a.y0/step - 1e-6); i*step <= a.y1+step*1e-6; i++ {
		y := a.y(i * step)
		a.Shapes = append(a.Shapes, shape{Class: "grid", D: fmt.Sprintf("M%g %gH%g", a.left, y, a.left+a.w)},
			shape{Class: "tick end", X: a.left - 6, Y: y + 4, Text: tickText(i*step, step)})
	}
	a.Shapes = append(a.Shapes, shape{Class: "axis", X: 2, Y: a.H - 8, Text: "↑ " + name})
}

// tickText is a tick's number, as exact as the step between ticks.
func tickText(v, step float64) string {
	places := max(0, int(math.Ceil(-math.Log10(step)-1e-9)))
	if places > 6 || math.Abs(v) >= 1e6 {
		return fmt.Sprintf("%.2g", v)
	}
	return fmt.Sprintf("%.*f", places, math.Abs(v)*sign(v))
}

func sign(v float64) float64 {
	if v < 0 {
		return -1
	}
	return 1
}

// nameX names the axis of x.
func (a *axes) nameX(name string) {
	a.Shapes = append(a.Shapes, shape{Class: "axis end", X: a.left + a.w, Y: a.H - 8, Text: name + " →"})
}

// tickX writes under the axis of x.
func (a *axes) tickX(v float64, text string) {
	a.Shapes = append(a.Shapes, shape{Class: "tick mid", X: a.x(v), Y: a.top + a.h + 16, Text: text})
}

// ticksX are those of a linear axis.
func (a *axes) ticksX() {
	step := niceStep((a.x1 - a.x0) / 6)
	for i := math.Ceil(a.x0/step - 1e-6); i*step <= a.x1+step*1e-6; i++ {
		a.tickX(i*step, tickText(i*step, step))
	}
}

// line draws the known points, broken where one is not known.
func (a *axes) line(class string, xs []float64, ys []Number) {
	var d strings.Builder
	pen := "M"
	for i, v := range ys {
		if !v.Known() {
			pen = "M"
			continue
		}
		fmt.Fprintf(&d, "%s%g %g", pen, a.x(xs[i]), a.y(float64(v)))
		pen = "L"
	}
	if d.Len() > 0 {
		a.Shapes = append(a.Shapes, shape{Class: "line " + class, D: d.String()})
	}
}

// marks tell series apart without colours; each is around 0, 0.
var marks = []string{
	"m-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z",
	"m-4.5 -4.5h9v9h-9z",
	"m0 -6l5.5 9.5h-11z",
	"m0 -6.2l6.2 6.2l-6.2 6.2l-6.2 -6.2z",
	"m0 6l5.5 -9.5h-11z",
	"m-5 -5l10 10m0 -10l-10 10",
}

// mark draws a sign at a point.
func (a *axes) mark(series int, class string, x float64, y Number, title string) {
	if y.Known() {
		a.Shapes = append(a.Shapes, shape{Class: "mark " + class, D: fmt.Sprintf("M%g %g", a.x(x), a.y(float64(y))) + marks[series%len(marks)], Title: title})
	}
}

// seriesClass is the look of a model's lines: the parent's, the child's, and five others.
func seriesClass(series int) string {
	if series > 1 {
		series = 2 + (series-2)%5
	}
	return fmt.Sprintf("s%d", series)
}

// series numbers the models for that: parent 0, child 1, the others from 2 on.
func series(models []Model) []int {
	n, next, seen := make([]int, len(models)), 2, map[string]bool{}
	for i, m := range models {
		switch {
		case m.Role == Parent && !seen[Parent]:
			n[i] = 0
		case m.Role == Child && !seen[Child]:
			n[i] = 1
		default:
			n[i] = next
			next++
		}
		seen[m.Role] = true
	}
	return n
}

// A pair is a number before and after.
type pair struct {
	name          string
	before, after Number
}

// columns draws pairs side by side: outlined what was, solid what is.
func columns(title, says, unit, result string, pairs []pair) chart {
	a := newAxes(title, says, true)
	var values []Number
	for _, p := range pairs {
		values = append(values, p.before, p.after)
	}
	a.ranged(values, true)
	a.gridY(unit)
	a.nameX(fmt.Sprintf("%d in network order", len(pairs)))
	wide := a.w / float64(max(len(pairs), 1))
	gap := min(wide*0.2, 4)
	for i, p := range pairs {
		a.column("before", p, p.before, float64(i)*wide+gap/2, wide-gap)
		a.column("after", p, p.after, float64(i)*wide+wide*0.2, wide*0.6) // narrower, so that both are seen
	}
	a.Legend = []key{{Class: "before", Name: "parent"}, {Class: "after", Name: result}}
	return a.chart
}

// column draws one number of the pair, from x on.
func (a *axes) column(class string, p pair, v Number, x, w float64) {
	if v = positive(v); !v.Known() {
		return
	}
	y := a.y(float64(v))
	a.Shapes = append(a.Shapes, shape{Class: class, X: tenth(a.left + x), Y: y, W: tenth(w), H: tenth(a.top + a.h - y),
		Title: fmt.Sprintf("%s: %s to %s", clip(p.name, maxName), digits(p.before), digits(p.after))})
}
