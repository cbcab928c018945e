package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"ultrafast/dataset"
	"ultrafast/graph"
	"ultrafast/prune"
	"ultrafast/report"
	"ultrafast/safetensors"
	"ultrafast/train"
)

// A gauge tells, while a sparse training goes on, how sparse the network is and what would
// be left of its accuracy if it were cut now: in sparsity.csv and .png of the run's folder
// and in a line of the log. What fails is a warning.
type gauge struct {
	ctx   context.Context
	out   io.Writer
	be    train.Backend
	data  *dataset.Data
	dir   string
	size  int
	score prune.Score
	warn  func(what string, err error)

	judge  *train.Judge
	points []report.SparsityPoint
	read   bool      // the points of before this session
	ended  time.Time // the last look at cuts, which took
	took   time.Duration
}

// gaugeKeeps are the shares of the parameters that cuts keep; 1 is none.
var gaugeKeeps = []float64{1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2}

// Pictures of a look at a cut.
const (
	gaugeMeasured   = 32  // give the batch norms their statistics
	gaugeValidation = 100 // are validated on
)

// gaugeShare bounds what looking at cuts may take of the time of a training.
const gaugeShare = 0.1

const sparsityFile = "sparsity.csv"

// watch adds the gauge to a training. It looks at the weights that the epoch has saved.
func (g *gauge) watch(cfg *train.Config) {
	show := cfg.Progress
	cfg.Progress = func(p train.Progress) {
		show(p)
		if p.Validated != nil {
			if err := g.epoch(p); err != nil && !errors.Is(err, context.Canceled) {
				g.warn(sparsityFile, err)
			}
		}
	}
}

func (g *gauge) epoch(p train.Progress) error {
	if !g.read {
		g.read = true
		if err := g.recall(p.Epoch); err != nil {
			return err
		}
	}
	f, err := safetensors.Open(filepath.Join(g.dir, "weights", "last.safetensors"))
	if err != nil {
		return err
	}
	if err := g.sizes(f.Graph, p.Epoch); err != nil {
		return err
	}
	if p.Epoch == p.Epochs || float64(time.Since(g.ended))*gaugeShare > float64(g.took) {
		start := time.Now()
		if err := g.cuts(f.Graph, p.Epoch); err != nil {
			return err
		}
		g.ended = time.Now()
		g.took = g.ended.Sub(start)
	}
	if err := report.WriteSparsity(filepath.Join(g.dir, sparsityFile), g.points); err != nil {
		return err
	}
	return report.Sparsity(filepath.Join(g.dir, "sparsity.png"), g.points)
}

// recall reads what was noted before a run was resumed.
func (g *gauge) recall(epoch int) error {
	f, err := os.Open(filepath.Join(g.dir, sparsityFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if g.points, err = report.ReadSparsity(f); err != nil {
		return fmt.Errorf("%s: %w", f.Name(), err)
	}
	g.points = slices.DeleteFunc(g.points, func(p report.SparsityPoint) bool { return p.Epoch >= epoch })
	return nil
}

func (g *gauge) note(epoch int, what string, at, value float64) {
	g.points = append(g.points, report.SparsityPoint{Epoch: epoch, What: what, At: at, Value: value})
}

// sizes notes how large the scales of batch norms and the weights of channels are.
func (g *gauge) sizes(net *graph.Graph, epoch int) error {
	groups, err := prune.Groups(net)
	if err != nil {
		return err
	}
	scores, err := prune.Scores(groups, prune.L2, nil)
	if err != nil {
		return err
	}
	var gammas []float64
	for _, n := range net.Nodes {
		if op, ok := n.Op.(*graph.BatchNorm); ok {
			for _, v := range op.Gamma.Data {
				gammas = append(gammas, math.Abs(float64(v)))
			}
		}
	}
	for what, values := range map[string][]float64{report.SparsityGamma: gammas, report.SparsityNorm: slices.Concat(scores...)} {
		if len(values) == 0 {
			continue
		}
		slices.Sort(values)
		for _, q := range report.Quantiles {
			g.note(epoch, what, q, values[int(q*float64(len(values)-1))])
		}
	}
	return nil
}

// cuts notes what would be left of the accuracy after cuts, and says what after one to half.
func (g *gauge) cuts(net *graph.Graph, epoch int) error {
	if g.judge == nil {
		var err error
		g.judge, err = train.NewJudge(g.ctx, g.be, g.data.Train, g.data.Val, train.JudgeOptions{Size: g.size, Statistics: gaugeMeasured, Pictures: gaugeValidation, Predictor: enginePredictor})
		if err != nil {
			return err
		}
	}
	bar := newProgress(g.out)
	defer bar.clear()
	whole, half := 0.0, math.NaN()
	for i, keep := range gaugeKeeps {
		cut := net
		if keep < 1 {
			plan, err := prune.New(net, prune.Target{Keep: keep, Score: g.score})
			var far *prune.UnreachableError
			if errors.As(err, &far) {
				break
			}
			if err == nil {
				cut, err = plan.Apply(net)
			}
			if err != nil {
				return err
			}
		}
		v, err := g.judge.Judge(g.ctx, cut)
		if err != nil {
			return err
		}
		switch keep {
		case 1:
			whole = v.Report.MAP50
		case 0.5:
			half = v.Report.MAP50
		}
		g.note(epoch, report.SparsityMAP50, keep, v.Report.MAP50)
		g.note(epoch, report.SparsityMAP5095, keep, v.Report.MAP5095)
		bar.set("what cuts would leave", i+1, len(gaugeKeeps))
	}
	bar.clear()
	if !math.IsNaN(half) {
		fmt.Fprintf(g.out, "a cut to 50 %% would keep mAP50 %.2f of %.2f, on %d pictures and without training\n", half, whole, min(gaugeValidation, len(g.data.Val)))
	}
	return nil
}
