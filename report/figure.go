package report

import (
	"bytes"
	"fmt"
	"image/color"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// beside writes a plot as a PNG of that size, with the legend on the right of it, where it
// hides nothing.
func beside(path string, p *plot.Plot, w, h vg.Length) error {
	legend := p.Legend
	p.Legend = plot.NewLegend()
	legend.Top, legend.Left, legend.Padding, legend.YOffs = true, true, vg.Points(3), -vg.Points(24)
	return figure(path, w, h, func(c draw.Canvas) {
		width := min(legend.Rectangle(c).Size().X, w/2) + vg.Points(10)
		p.Draw(draw.Crop(c, vg.Points(8), -width, vg.Points(8), -vg.Points(8)))
		legend.Draw(draw.Crop(c, w-width, 0, 0, 0))
	})
}

// figure writes what paint draws as a PNG.
func figure(path string, w, h vg.Length, paint func(draw.Canvas)) error {
	canvas := vgimg.NewWith(vgimg.UseWH(w, h), vgimg.UseDPI(120))
	paint(draw.New(canvas))
	var b bytes.Buffer
	if _, err := (vgimg.PngCanvas{Canvas: canvas}).WriteTo(&b); err != nil {
		return err
	}
	return writeFile(path, b.Bytes())
}

// sideBySide writes rows of plots as a PNG; nil leaves a place empty.
func sideBySide(path string, plots [][]*plot.Plot, w, h vg.Length) error {
	return figure(path, w, h, func(c draw.Canvas) {
		tiles := draw.Tiles{Rows: len(plots), Cols: len(plots[0]), PadX: vg.Points(12), PadY: vg.Points(12), PadTop: vg.Points(6), PadBottom: vg.Points(6), PadLeft: vg.Points(6), PadRight: vg.Points(6)}
		for i, row := range plot.Align(plots, tiles, c) {
			for k, c := range row {
				if plots[i][k] != nil {
					plots[i][k].Draw(c)
				}
			}
		}
	})
}

// unitAxes makes both axes go from 0 to 1.
func unitAxes(p *plot.Plot) {
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, 1, 0, 1
	p.X.Tick.Marker, p.Y.Tick.Marker = fifths(false), fifths(false)
}

// fifths are ticks at 0, .2 … 1, or those numbers from the top down.
func fifths(down bool) plot.ConstantTicks {
	var t plot.ConstantTicks
	for i := range 6 {
		v := float64(i) / 5
		at := v
		if down {
			at = 1 - v
		}
		t = append(t, plot.Tick{Value: at, Label: fmt.Sprintf("%.1f", v)})
	}
	return t
}

// writeFile writes a file that is there in full or not at all.
func writeFile(path string, data []byte) error {
	return renameio.WriteFile(path, data, 0o644, renameio.WithTempDir(filepath.Dir(path)), renameio.WithStaticPermissions(0o644))
}

// className is the name of a class, or its number where it has none.
func className(names []string, class int) string {
	if class < len(names) {
		return names[class]
	}
	return fmt.Sprint(class)
}

// quoted is a cell of a CSV.
func quoted(s string) string {
	if strings.ContainsAny(s, "\",\n\r") {
		return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
	}
	return s
}

// blues is a palette from white to dark blue.
type blues struct{}

func (blues) Colors() []color.Color {
	const n = 64
	c := make([]color.Color, n)
	for i := range c {
		v := float64(i) / (n - 1)
		c[i] = color.RGBA{uint8(255 - 247*v), uint8(255 - 207*v), uint8(255 - 148*v), 255}
	}
	return c
}

// A grid is a table of numbers, [row][column], for a heat map. Its cells begin at x0 and
// y0 and are dx by dy.
type grid struct {
	z              [][]float64
	x0, y0, dx, dy float64
}

func (g grid) Dims() (c, r int)   { return len(g.z[0]), len(g.z) }
func (g grid) Z(c, r int) float64 { return g.z[r][c] }
func (g grid) X(c int) float64    { return g.x0 + (float64(c)+0.5)*g.dx }
func (g grid) Y(r int) float64    { return g.y0 + (float64(r)+0.5)*g.dy }
