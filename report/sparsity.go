package report

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"image/color"
	"io"
	"math"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// A SparsityPoint is one number that tells how sparse a training has made its network.
type SparsityPoint struct {
	Epoch int     // counted from 1
	What  string  // one of SparsityKinds
	At    float64 // the share of channels that lie below Value, or of parameters that a cut keeps
	Value float64
}

// What a SparsityPoint is of: the sizes of batch norms' scales; those of channels' weights, of
// which the mean in groups of a kind is 1; and what would be left of the accuracy after a cut.
const (
	SparsityGamma   = "gamma"
	SparsityNorm    = "norm"
	SparsityMAP50   = "mAP50"
	SparsityMAP5095 = "mAP50-95"
)

// SparsityKinds are all of them.
var SparsityKinds = []string{SparsityGamma, SparsityNorm, SparsityMAP50, SparsityMAP5095}

// Quantiles are the shares of channels at which sizes are noted.
var Quantiles = []float64{0.05, 0.25, 0.5, 0.75, 0.95}

var sparsityHead = []string{"epoch", "what", "at", "value"}

// maxSparsity bounds a sparsity.csv; a thousand epochs need 1 MB.
const maxSparsity = 64 << 20

// ReadSparsity reads what WriteSparsity wrote. Errors name the line.
func ReadSparsity(r io.Reader) ([]SparsityPoint, error) {
	c := csv.NewReader(io.LimitReader(r, maxSparsity))
	c.FieldsPerRecord = len(sparsityHead)
	rows, lines, err := readRows(c)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 || !slices.Equal(rows[0], sparsityHead) {
		return nil, fmt.Errorf("line 1 is not %v", sparsityHead)
	}
	var all []SparsityPoint
	for i, row := range rows[1:] {
		p := SparsityPoint{What: row[1]}
		var errs [3]error
		p.Epoch, errs[0] = strconv.Atoi(row[0])
		p.At, errs[1] = strconv.ParseFloat(row[2], 64)
		p.Value, errs[2] = strconv.ParseFloat(row[3], 64)
		if errs != [3]error{} || p.Epoch < 1 || !slices.Contains(SparsityKinds, p.What) || !(p.At >= 0 && p.At <= 1) ||
			math.IsNaN(p.Value) || math.IsInf(p.Value, 0) {
			return nil, fmt.Errorf("line %d: %q: want an epoch from 1, one of %v, a share and a number", lines[1+i], row, SparsityKinds)
		}
		all = append(all, p)
	}
	return all, nil
}

// WriteSparsity writes points as a CSV.
func WriteSparsity(path string, points []SparsityPoint) error {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	w.Write(sparsityHead)
	for _, p := range points {
		w.Write([]string{strconv.Itoa(p.Epoch), p.What, strconv.FormatFloat(p.At, 'g', -1, 64), strconv.FormatFloat(p.Value, 'g', 6, 64)})
	}
	w.Flush()
	return writeFile(path, b.Bytes())
}

// Sparsity draws points as a PNG: the sizes as bands over the epochs, from 5 to 95 % and from
// 25 to 75 % of the channels around the middle one, and accuracy over what a cut keeps, later
// epochs darker.
func Sparsity(path string, points []SparsityPoint) error {
	row := []*plot.Plot{
		bands("scales of batch norms", pointsOf(points, SparsityGamma)),
		bands("weights of channels, mean of their kind 1", pointsOf(points, SparsityNorm)),
		fans("mAP50 after a cut", pointsOf(points, SparsityMAP50)),
	}
	return sideBySide(path, [][]*plot.Plot{row}, 16*vg.Inch, 5*vg.Inch)
}

func pointsOf(points []SparsityPoint, what string) []SparsityPoint {
	return slices.DeleteFunc(slices.Clone(points), func(p SparsityPoint) bool { return p.What != what })
}

// bands draws quantiles over epochs.
func bands(title string, points []SparsityPoint) *plot.Plot {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Min = title, "epoch", 0
	p.Add(plotter.NewGrid())
	at := map[float64]plotter.XYs{}
	for _, v := range points {
		at[v.At] = append(at[v.At], plotter.XY{X: float64(v.Epoch), Y: v.Value})
	}
	last := len(Quantiles) - 1
	for i := range Quantiles[:len(Quantiles)/2] {
		edge := slices.Clone(at[Quantiles[i]])
		for _, xy := range slices.Backward(at[Quantiles[last-i]]) {
			edge = append(edge, xy)
		}
		if len(edge) < 4 { // of one epoch there is no band
			continue
		}
		if area, err := plotter.NewPolygon(edge); err == nil {
			area.Color, area.LineStyle.Width = color.NRGBA{R: 8, G: 48, B: 107, A: 60}, 0
			p.Add(area)
		}
	}
	if line, dots, err := plotter.NewLinePoints(at[Quantiles[len(Quantiles)/2]]); err == nil {
		line.Width, dots.Radius = vg.Points(1.5), vg.Points(1)
		p.Add(line, dots)
	}
	return p
}

// fans draws a curve for each epoch.
func fans(title string, points []SparsityPoint) *plot.Plot {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Min = title, "share of the parameters that stays", 0
	p.Add(plotter.NewGrid())
	p.Legend.Left, p.Legend.Top = true, true
	epochs, curves := []int{}, map[int]plotter.XYs{}
	for _, v := range points {
		if curves[v.Epoch] == nil {
			epochs = append(epochs, v.Epoch)
		}
		curves[v.Epoch] = append(curves[v.Epoch], plotter.XY{X: v.At, Y: v.Value})
	}
	for i, e := range epochs {
		slices.SortFunc(curves[e], func(a, b plotter.XY) int {
			if a.X < b.X {
				return -1
			}
			return 1
		})
		line, err := plotter.NewLine(curves[e])
		if err != nil {
			continue
		}
		line.Width, line.Color = vg.Points(1.5), color.Gray{Y: uint8(210 - 210*(i+1)/len(epochs))}
		p.Add(line)
		if i == 0 || i == len(epochs)-1 {
			p.Legend.Add(fmt.Sprintf("epoch %d", e), line)
		}
	}
	return p
}
