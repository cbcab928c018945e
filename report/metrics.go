package report

import (
	"bytes"
	"errors"
	"fmt"
	"image/color"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"

	"ultrafast/box"
)

// legendClasses is up to how many classes a figure names each one; above, their curves are
// grey behind the mean.
const legendClasses = 20

// A metric is one figure over one curve of the classes.
type metric struct {
	file, title, x, y string
	of                func(box.Curves) []float64
}

var metricFigures = []metric{
	{"P_curve.png", "Precision over confidence", "confidence", "precision", func(c box.Curves) []float64 { return c.Precision }},
	{"R_curve.png", "Recall over confidence", "confidence", "recall", func(c box.Curves) []float64 { return c.Recall }},
	{"F1_curve.png", "F1 over confidence", "confidence", "F1", func(c box.Curves) []float64 { return c.F1 }},
	{"PR_curve.png", "Precision over recall", "recall", "precision", func(c box.Curves) []float64 { return c.PR }},
}

// Metrics draws the curves of a validation at IoU .5 into a folder, as YOLOv5 names them,
// and writes their numbers to curves.csv. It does as much of this as it can. Without a
// class that has labels there is nothing to draw.
func Metrics(dir string, names []string, r box.Report) error {
	if len(r.Classes) == 0 {
		return nil
	}
	err := writeFile(filepath.Join(dir, "curves.csv"), curvesCSV(names, r))
	for _, m := range metricFigures {
		err = errors.Join(err, m.draw(filepath.Join(dir, m.file), names, r))
	}
	return err
}

func (m metric) draw(path string, names []string, r box.Report) error {
	p := newPlot(m.title+", IoU 0.5", m.x, m.y)
	unitAxes(p)
	p.Add(plotter.NewGrid())
	all := make([]float64, len(m.of(r.Classes[0].Curves)))
	for i, c := range r.Classes {
		y := m.of(c.Curves)
		for k, v := range y {
			all[k] += v / float64(len(r.Classes))
		}
		line, err := unitLine(y)
		if err != nil {
			return err
		}
		line.Width, line.Color = vg.Points(1), color.Gray{190}
		if p.Add(line); len(r.Classes) <= legendClasses {
			line.Color, line.Dashes = plotutil.Color(i), plotutil.Dashes(i/len(plotutil.DefaultColors))
			p.Legend.Add(m.says(className(names, c.Class), y, c.AP50, r.Confidence), line)
		}
	}
	mean, err := unitLine(all)
	if err != nil {
		return err
	}
	mean.Width, mean.Color = vg.Points(3), color.RGBA{20, 60, 200, 255}
	p.Add(mean)
	p.Legend.Add(m.says("all classes", all, r.MAP50, r.Confidence), mean)
	return beside(path, p, 9*vg.Inch, 6*vg.Inch)
}

// says is a line of the legend: what a curve is worth.
func (m metric) says(name string, y []float64, ap, confidence float64) string {
	if m.x == "recall" {
		return fmt.Sprintf("%s %.3f AP50", name, ap)
	}
	at := int(confidence*float64(len(y)-1) + 0.5)
	return fmt.Sprintf("%s %.3f at %.3f", name, y[at], confidence)
}

// unitLine is a curve sampled evenly over 0..1.
func unitLine(y []float64) (*plotter.Line, error) {
	xy := make(plotter.XYs, len(y))
	for i, v := range y {
		xy[i] = plotter.XY{X: float64(i) / float64(len(y)-1), Y: v}
	}
	return plotter.NewLine(xy)
}

// curvesCSV is a row for each class and each point of the curves: precision, recall and F1
// above the confidence at, and precision at the recall at.
func curvesCSV(names []string, r box.Report) []byte {
	var b bytes.Buffer
	fmt.Fprintln(&b, "class,at,precision,recall,f1,precision_at_recall")
	for _, c := range r.Classes {
		name, v := quoted(className(names, c.Class)), c.Curves
		for i := range v.F1 {
			fmt.Fprintf(&b, "%s,%.4f,%.4g,%.4g,%.4g,%.4g\n", name, float64(i)/float64(len(v.F1)-1), v.Precision[i], v.Recall[i], v.F1[i], v.PR[i])
		}
	}
	return b.Bytes()
}

func newPlot(title, x, y string) *plot.Plot {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.Title.TextStyle.Font.Size = vg.Points(14)
	p.Title.Padding = vg.Points(6)
	return p
}
