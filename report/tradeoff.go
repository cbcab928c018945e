package report

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// A TradeoffPoint is a network: what it reaches, and the time that it takes.
type TradeoffPoint struct {
	Name         string // beside the point; may be empty
	Series       string // points of one series share a colour and, by time, a line
	Milliseconds float64
	MAP          float64
}

// Tradeoff draws accuracy over time as a PNG, with a logarithmic axis of times; y names the
// accuracy, "mAP50-95". Series come in the order of their first points. The error names a
// point whose time is not above 0, or whose numbers are not finite.
func Tradeoff(path, y string, points []TradeoffPoint) error {
	p := newPlot("Accuracy over time", "ms", y)
	p.Add(plotter.NewGrid())
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, tradeoffTicks{}
	var order []string
	series := map[string][]TradeoffPoint{}
	for _, v := range points {
		if !(v.Milliseconds > 0) || math.IsInf(v.Milliseconds, 1) || math.IsNaN(v.MAP) || math.IsInf(v.MAP, 0) {
			return fmt.Errorf("%s %s: %g ms and %s %g cannot be drawn", v.Series, v.Name, v.Milliseconds, y, v.MAP)
		}
		if series[v.Series] == nil {
			order = append(order, v.Series)
		}
		series[v.Series] = append(series[v.Series], v)
	}
	if len(points) == 0 {
		return fmt.Errorf("there are no points to draw")
	}
	for i, name := range order {
		of := series[name]
		slices.SortStableFunc(of, func(a, b TradeoffPoint) int {
			if a.Milliseconds < b.Milliseconds {
				return -1
			}
			return 1
		})
		labels := plotter.XYLabels{XYs: make(plotter.XYs, len(of)), Labels: make([]string, len(of))}
		for k, v := range of {
			labels.XYs[k], labels.Labels[k] = plotter.XY{X: v.Milliseconds, Y: v.MAP}, clip(v.Name, maxName)
		}
		line, dots, err := plotter.NewLinePoints(labels.XYs)
		if err != nil {
			return err
		}
		line.Color, line.Dashes, line.Width = plotutil.Color(i), plotutil.Dashes(i), vg.Points(1.5)
		dots.GlyphStyle = draw.GlyphStyle{Color: plotutil.Color(i), Radius: vg.Points(4), Shape: plotutil.Shape(i)}
		names, err := plotter.NewLabels(labels)
		if err != nil {
			return err
		}
		names.Offset = vg.Point{X: vg.Points(5), Y: vg.Points(-13)} // under lines that rise
		p.Add(line, dots, names)
		if name != "" {
			p.Legend.Add(clip(name, maxName), line, dots)
		}
	}
	p.X.Min, p.X.Max = p.X.Min/1.2, p.X.Max*2 // names stand on the right of their points
	margin := max((p.Y.Max-p.Y.Min)/12, 1e-3)
	p.Y.Min, p.Y.Max = p.Y.Min-margin, p.Y.Max+margin
	return beside(path, p, 9*vg.Inch, 5*vg.Inch)
}

// tradeoffTicks are 1, 2 and 5 times the powers of ten.
type tradeoffTicks struct{}

func (tradeoffTicks) Ticks(low, high float64) []plot.Tick {
	var ticks []plot.Tick
	for p := math.Floor(math.Log10(low)); p <= math.Log10(high); p++ {
		for _, m := range []float64{1, 2, 5} {
			if v := m * math.Pow(10, p); v >= low && v <= high {
				ticks = append(ticks, plot.Tick{Value: v, Label: fmt.Sprintf("%.4g", v)})
			}
		}
	}
	return ticks
}
