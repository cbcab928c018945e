package main

import (
	"context"
	"fmt"
	"io"

	"ultrafast/dataset"
	"ultrafast/detect"
	"ultrafast/engine"
	"ultrafast/graph"
	"ultrafast/train"
)

// judgeStatistics is how many training pictures renew the statistics of each cut: few, since
// that takes half of the time.
const judgeStatistics = 64

// validationPictures is enough to compare cuts of one network.
const validationPictures = 300

// judgePrecision is what cuts are judged in here.
func judgePrecision() string {
	if canBF16() {
		return engine.BF16
	}
	return engine.FP32
}

// newJudge reads the pictures of a judge that computes in judgePrecision. lost is as in
// train.JudgeOptions; nil warns.
func newJudge(ctx context.Context, be train.Backend, data *dataset.Data, size, pictures int, lost func(err error, lost int), out io.Writer) (*train.Judge, error) {
	bar := newProgress(out)
	defer bar.clear()
	o := train.JudgeOptions{Size: size, Statistics: judgeStatistics, Pictures: pictures, Predictor: enginePredictor, Lost: warnLost(out, bar),
		Progress: func(done, batches int) { bar.set("pictures", done, batches) }}
	if judgePrecision() == engine.BF16 {
		o.Precision = train.BF16
		o.Predictor = func(g *graph.Graph) (train.Predict, error) {
			p, _, err := newPredictor(g, detect.Native, engine.BF16)
			return p.predict, err
		}
	}
	if lost != nil {
		o.Lost = lost
	}
	return train.NewJudge(ctx, be, data.Train, data.Val, o)
}

// noteFolded says so where a model has no statistics that could be renewed after a cut.
func noteFolded(out io.Writer, g *graph.Graph, path string) {
	for _, n := range g.Nodes {
		if _, ok := n.Op.(*graph.BatchNorm); ok {
			return
		}
	}
	fmt.Fprintf(out, "%s has no batch norms (an export folds them): no statistics are renewed, and cuts cost more accuracy than they need; take the checkpoint\n", path)
}

// canBF16 reports whether the engine computes in bfloat16 on this machine.
func canBF16() bool {
	g, err := graph.Parse("ultrafast graph 1\nx = input shape=1,1,1,1\noutput x\n")
	if err != nil {
		panic(err)
	}
	_, err = engine.Compile(g, engine.Options{Precision: engine.BF16})
	return err == nil
}
