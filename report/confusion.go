package report

import (
	"bytes"
	"errors"
	"fmt"
	"image/color"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"ultrafast/box"
)

// Up to so many classes a matrix shows its numbers, and their names.
const (
	matrixNumbers = 30
	matrixNames   = 100
)

// Confusion draws confusion_matrix.png into a folder, each column as shares of its labels,
// and writes the counts to confusion_matrix.csv.
func Confusion(dir string, names []string, c *box.Confusion) error {
	return errors.Join(
		writeFile(filepath.Join(dir, "confusion_matrix.csv"), confusionCSV(names, c)),
		drawConfusion(filepath.Join(dir, "confusion_matrix.png"), names, c))
}

func confusionCSV(names []string, c *box.Confusion) []byte {
	var b bytes.Buffer
	b.WriteString("predicted\\true")
	for k := range c.Classes + 1 {
		b.WriteString("," + quoted(rowName(names, c, k)))
	}
	for r := range c.Classes + 1 {
		b.WriteString("\n" + quoted(rowName(names, c, r)))
		for k := range c.Classes + 1 {
			fmt.Fprintf(&b, ",%d", c.At(r, k))
		}
	}
	b.WriteByte('\n')
	return b.Bytes()
}

func rowName(names []string, c *box.Confusion, row int) string {
	if row == c.Classes {
		return "background"
	}
	return className(names, row)
}

// shares divides each column by its sum.
func shares(c *box.Confusion) [][]float64 {
	n := c.Classes + 1
	z := make([][]float64, n)
	for r := range z {
		z[r] = make([]float64, n)
	}
	for k := range n {
		sum := 0
		for r := range n {
			sum += c.At(r, k)
		}
		for r := range n {
			z[r][k] = float64(c.At(r, k)) / float64(max(sum, 1))
		}
	}
	return z
}

func drawConfusion(path string, names []string, c *box.Confusion) error {
	p := newPlot(fmt.Sprintf("Confusion matrix at confidence %.2f, IoU %.2f: shares of each column", box.ConfusionConf, box.ConfusionIoU), "true class", "predicted class")
	n := c.Classes + 1
	z := shares(c)
	flipped := make([][]float64, n) // the first class on top
	for r := range z {
		flipped[n-1-r] = z[r]
	}
	heat := plotter.NewHeatMap(grid{z: flipped, dx: 1, dy: 1}, blues{})
	heat.Min, heat.Max = 0, 1
	p.Add(heat)
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, float64(n), 0, float64(n)
	var across, up []plot.Tick
	var numbers plotter.XYLabels
	var inks []color.Color
	for k := range n {
		label := ""
		if c.Classes <= matrixNames {
			label = rowName(names, c, k)
		}
		across = append(across, plot.Tick{Value: float64(k) + 0.5, Label: label})
		up = append(up, plot.Tick{Value: float64(n-1-k) + 0.5, Label: label})
		for r := range n {
			if z[r][k] >= 0.005 && c.Classes <= matrixNumbers {
				numbers.XYs = append(numbers.XYs, plotter.XY{X: float64(k) + 0.5, Y: float64(n-1-r) + 0.5})
				numbers.Labels = append(numbers.Labels, fmt.Sprintf("%.2f", z[r][k]))
				inks = append(inks, map[bool]color.Color{true: color.White, false: color.Black}[z[r][k] > 0.5])
			}
		}
	}
	p.X.Tick.Marker, p.Y.Tick.Marker = plot.ConstantTicks(across), plot.ConstantTicks(up)
	if n > 6 {
		p.X.Tick.Label.Rotation = 1.5708
		p.X.Tick.Label.XAlign, p.X.Tick.Label.YAlign = text.XRight, text.YCenter
	}
	side := 6*vg.Inch + vg.Length(min(n, 60))*vg.Points(12)
	if n > matrixNumbers {
		p.X.Tick.Label.Font.Size, p.Y.Tick.Label.Font.Size = vg.Points(7), vg.Points(7)
	}
	labels, err := plotter.NewLabels(numbers)
	if err != nil {
		return err
	}
	for i := range labels.TextStyle {
		labels.TextStyle[i].Color = inks[i]
		labels.TextStyle[i].XAlign, labels.TextStyle[i].YAlign = text.XCenter, text.YCenter
		labels.TextStyle[i].Font.Size = vg.Points(max(6, min(14, 200/float64(n))))
	}
	p.Add(labels)
	return figure(path, side+vg.Inch, side, func(c draw.Canvas) {
		p.Draw(draw.Crop(c, vg.Points(8), -vg.Points(12), vg.Points(8), -vg.Points(8)))
	})
}
