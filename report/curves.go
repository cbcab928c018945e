// Package report draws what a person would rather look at than read.
package report

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
)

// A Run is a training's results by column, as results.csv has them.
type Run struct {
	Name    string
	Columns map[string][]float64 // one number an epoch
}

// maxResults bounds a results.csv; a thousand epochs need 300 kB.
const maxResults = 64 << 20

// ReadRun reads a results.csv. Errors name the line.
func ReadRun(name string, r io.Reader) (Run, error) {
	c := csv.NewReader(io.LimitReader(r, maxResults))
	c.TrimLeadingSpace = true
	rows, lines, err := readRows(c)
	if err != nil {
		return Run{}, err
	}
	run := Run{Name: name, Columns: map[string][]float64{}}
	if len(rows) < 2 {
		return run, fmt.Errorf("holds no epoch")
	}
	for r, row := range rows[1:] {
		for i, cell := range row {
			v, err := strconv.ParseFloat(strings.TrimSpace(cell), 64)
			if err != nil {
				return run, fmt.Errorf("line %d: column %q: %q is no number", lines[1+r], rows[0][i], cell)
			}
			run.Columns[rows[0][i]] = append(run.Columns[rows[0][i]], v)
		}
	}
	return run, nil
}

// readRows is ReadAll with the line of each row: empty lines are none.
func readRows(c *csv.Reader) (rows [][]string, lines []int, err error) {
	for {
		row, err := c.Read()
		if err == io.EOF {
			return rows, lines, nil
		}
		if err != nil {
			return nil, nil, err
		}
		line, _ := c.FieldPos(0)
		rows, lines = append(rows, row), append(lines, line)
	}
}

// panels are the figures of Curves: YOLOv5's columns, those of one panel in one figure.
var panels = []struct {
	title   string
	columns []string
}{
	{"box loss", []string{"train/box_loss", "val/box_loss"}},
	{"objectness loss", []string{"train/obj_loss", "val/obj_loss"}},
	{"class loss", []string{"train/cls_loss", "val/cls_loss"}},
	{"precision, recall", []string{"metrics/precision", "metrics/recall"}},
	{"mAP50", []string{"metrics/mAP_0.5"}},
	{"mAP50-95", []string{"metrics/mAP_0.5:0.95"}},
}

// Curves draws the runs over their epochs, losses above and accuracy below, as a PNG.
func Curves(path string, runs ...Run) error {
	const across = 3
	plots := make([][]*plot.Plot, (len(panels)+across-1)/across)
	for i, panel := range panels {
		p := plot.New()
		p.Title.Text = panel.title
		p.X.Label.Text = "epoch"
		p.Y.Min = 0
		p.Add(plotter.NewGrid())
		for r, run := range runs {
			for k, column := range panel.columns {
				line, err := plotter.NewLine(points(run.Columns[column]))
				if err != nil {
					return fmt.Errorf("%s of %s: %w", column, run.Name, err)
				}
				line.Color, line.Dashes, line.Width = plotutil.Color(r), plotutil.Dashes(k), vg.Points(1.5)
				p.Add(line)
				if name := strings.TrimSpace(run.Name + " " + short(column, panel.columns)); name != "" {
					p.Legend.Add(name, line)
				}
			}
		}
		p.Legend.Top = i/across == 0
		plots[i/across] = append(plots[i/across], p)
	}
	return sideBySide(path, plots, 14*vg.Inch, 8*vg.Inch)
}

// short says which of several columns of a panel one is: "train", "recall".
func short(column string, of []string) string {
	if len(of) < 2 {
		return ""
	}
	before, after, _ := strings.Cut(column, "/")
	if before == "metrics" {
		return after
	}
	return before
}

func points(y []float64) plotter.XYs {
	p := make(plotter.XYs, len(y))
	for i, v := range y {
		p[i] = plotter.XY{X: float64(i + 1), Y: v}
	}
	return p
}
