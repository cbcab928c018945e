package report

import (
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"ultrafast/dataset"
)

// labelBins is how finely places and sizes are counted, along each axis.
const labelBins = 50

// labelNames is up to how many classes the bars have names; above, some have numbers.
const labelNames = 40

// Labels draws how many boxes each class has, where their centres lie and how large they
// are, both as fractions of the picture. Darker is more; the shades are of the logarithm.
func Labels(path string, names []string, items []dataset.Item) error {
	counts := make(plotter.Values, len(names))
	centres, sizes := bins(), bins()
	for _, item := range items {
		for _, l := range item.Labels {
			counts[l.Class]++
			centres.count(float64(l.CX), 1-float64(l.CY))
			sizes.count(float64(l.W), float64(l.H))
		}
	}
	bars, err := classBars(names, counts)
	if err != nil {
		return err
	}
	places := centres.plot("Centres of the boxes", "x", "y, from the top")
	places.Y.Tick.Marker = fifths(true)
	plots := [][]*plot.Plot{{bars, places, sizes.plot("Sizes of the boxes", "width", "height")}}
	return figure(path, 15*vg.Inch, 5*vg.Inch, func(c draw.Canvas) {
		pad := vg.Points(10)
		tiles := draw.Tiles{Rows: 1, Cols: 3, PadX: 2 * pad, PadTop: pad, PadBottom: pad, PadLeft: pad, PadRight: 2 * pad}
		for i, c := range plot.Align(plots, tiles, c)[0] {
			plots[0][i].Draw(c)
		}
	})
}

func classBars(names []string, counts plotter.Values) (*plot.Plot, error) {
	p := newPlot("Boxes of each class", "class", "boxes")
	bars, err := plotter.NewBarChart(counts, vg.Points(max(1, min(60, 220/float64(len(counts))))))
	if err != nil {
		return nil, err
	}
	bars.Color, bars.LineStyle.Width = blues{}.Colors()[45], 0
	p.Add(bars)
	p.Y.Min = 0
	p.X.Min, p.X.Max = -0.6, float64(len(counts))-0.4
	if len(names) > labelNames {
		p.X.Label.Text = "number of the class"
		return p, nil
	}
	p.NominalX(names...)
	p.X.Min, p.X.Max = -0.6, float64(len(counts))-0.4
	if len(names) > 6 {
		p.X.Tick.Label.Rotation = math.Pi / 2
		p.X.Tick.Label.XAlign, p.X.Tick.Label.YAlign = text.XRight, text.YCenter
		p.X.Tick.Label.Font.Size = vg.Points(min(10, 260/float64(len(names))))
	}
	return p, nil
}

func bins() grid {
	g := grid{z: make([][]float64, labelBins), dx: 1. / labelBins, dy: 1. / labelBins}
	for r := range g.z {
		g.z[r] = make([]float64, labelBins)
	}
	return g
}

// count counts a point of 0..1 by 0..1.
func (g grid) count(x, y float64) {
	at := func(v float64) int { return max(0, min(labelBins-1, int(v*labelBins))) }
	g.z[at(y)][at(x)]++
}

func (g grid) plot(title, x, y string) *plot.Plot {
	p := newPlot(title, x, y)
	most := 0.0
	for _, row := range g.z {
		for i := range row {
			row[i] = math.Log1p(row[i])
			most = max(most, row[i])
		}
	}
	heat := plotter.NewHeatMap(g, blues{})
	heat.Min, heat.Max = 0, max(most, 1)
	p.Add(heat)
	unitAxes(p)
	return p
}
