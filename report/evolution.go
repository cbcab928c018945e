package report

import (
	"fmt"
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Evolution draws the fitness of trials over each hyperparameter, values[i] being those of
// names[i] by trial, as a PNG: the fittest in red, later trials darker.
func Evolution(path string, names []string, values [][]float64, fitness []float64) error {
	const across = 6
	plots := make([][]*plot.Plot, (len(names)+across-1)/across)
	best := 0
	for i, f := range fitness {
		if f > fitness[best] {
			best = i
		}
	}
	for i, name := range names {
		p := plot.New()
		p.Title.Text = fmt.Sprintf("%s = %.3g", name, values[i][best])
		p.Y.Label.Text = "fitness"
		p.X.Tick.Marker = fewTicks{}
		xy := make(plotter.XYs, len(fitness))
		for k := range xy {
			xy[k] = plotter.XY{X: values[i][k], Y: fitness[k]}
		}
		dots, err := plotter.NewScatter(xy)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		dots.GlyphStyleFunc = func(k int) draw.GlyphStyle {
			style := draw.GlyphStyle{Color: color.Gray{Y: uint8(190 - 190*k/len(fitness))}, Radius: vg.Points(2), Shape: draw.CircleGlyph{}}
			if k == best {
				style.Color, style.Radius = color.NRGBA{R: 220, A: 255}, vg.Points(4)
			}
			return style
		}
		p.Add(plotter.NewGrid(), dots)
		plots[i/across] = append(plots[i/across], p)
	}
	for len(plots) > 0 && len(plots[len(plots)-1]) < across {
		plots[len(plots)-1] = append(plots[len(plots)-1], nil)
	}
	return sideBySide(path, plots, 16*vg.Inch, vg.Length(len(plots))*2.4*vg.Inch)
}

// fewTicks are those of plot's, every other one without a label, which would run together in
// small figures.
type fewTicks struct{}

func (fewTicks) Ticks(low, high float64) []plot.Tick {
	ticks := plot.DefaultTicks{}.Ticks(low, high)
	labelled := 0
	for i := range ticks {
		if ticks[i].Label == "" {
			continue
		}
		if labelled++; labelled%2 == 0 {
			ticks[i].Label = ""
		}
	}
	return ticks
}
