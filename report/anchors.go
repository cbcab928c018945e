package report

import (
	"bytes"
	"fmt"
	"image/color"
	"os"

	"github.com/google/renameio/v2"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// An AnchorLevel is the anchors of one level, width and height in pixels.
type AnchorLevel struct {
	Stride        int
	Before, After [][2]float32
}

// maxDots is how many boxes Anchors draws; more are a black patch.
const maxDots = 20_000

// Anchors draws the sizes of boxes, width and height in pixels on logarithmic axes, and the
// anchors among them, as a PNG: a colour a level, rings for those before, dots after.
// Sides below a pixel are drawn as one.
func Anchors(path, title string, boxes [][2]float32, levels []AnchorLevel) error {
	p := plot.New()
	p.Title.Text = title
	p.X.Label.Text, p.Y.Label.Text = "width, pixels", "height, pixels"
	p.X.Min, p.X.Max = 10, 100 // shown at least
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Tick.Marker, p.Y.Tick.Marker = plot.LogTicks{Prec: -1}, plot.LogTicks{Prec: -1}
	p.Add(plotter.NewGrid())
	dots := make([][2]float32, 0, maxDots)
	every := (len(boxes) + maxDots - 1) / maxDots
	for i := 0; i < len(boxes); i += every {
		dots = append(dots, boxes[i])
	}
	if err := scatter(p, "labels", dots, draw.GlyphStyle{Color: color.NRGBA{A: 60}, Radius: vg.Points(1.2), Shape: draw.CircleGlyph{}}); err != nil {
		return err
	}
	for l, level := range levels {
		style := draw.GlyphStyle{Color: plotutil.Color(l), Radius: vg.Points(6), Shape: draw.RingGlyph{}}
		if err := scatter(p, fmt.Sprintf("stride %d before", level.Stride), level.Before, style); err != nil {
			return err
		}
		style.Shape, style.Radius = draw.CircleGlyph{}, vg.Points(4)
		if err := scatter(p, fmt.Sprintf("stride %d after", level.Stride), level.After, style); err != nil {
			return err
		}
	}
	p.Legend.Top, p.Legend.Left, p.Legend.Padding = true, true, vg.Points(3)
	// One scale for both axes, so that what is square lies on the diagonal.
	const margin = 1.2
	p.X.Min = min(p.X.Min, p.Y.Min) / margin
	p.X.Max = max(p.X.Max, p.Y.Max) * margin
	p.Y.Min, p.Y.Max = p.X.Min, p.X.Max
	canvas := vgimg.NewWith(vgimg.UseWH(9*vg.Inch, 9*vg.Inch), vgimg.UseDPI(96))
	p.Draw(draw.New(canvas))
	var b bytes.Buffer
	if _, err := (vgimg.PngCanvas{Canvas: canvas}).WriteTo(&b); err != nil {
		return err
	}
	return renameio.WriteFile(path, b.Bytes(), os.FileMode(0o644))
}

// scatter adds sizes to a figure and its legend.
func scatter(p *plot.Plot, name string, sizes [][2]float32, style draw.GlyphStyle) error {
	xy := make(plotter.XYs, len(sizes))
	for i, s := range sizes {
		xy[i] = plotter.XY{X: float64(max(s[0], 1)), Y: float64(max(s[1], 1))}
	}
	s, err := plotter.NewScatter(xy)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	s.GlyphStyle = style
	p.Add(s)
	p.Legend.Add(name, s)
	return nil
}
