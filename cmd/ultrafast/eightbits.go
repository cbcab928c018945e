package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"

	"ultrafast/engine"
	"ultrafast/graph"
	"ultrafast/quant"
	"ultrafast/scene"
	"ultrafast/tensor"
)

// checkAnyPrecision is checkPrecision where the network may also be quantised first.
func checkAnyPrecision(precision string, runtimes ...string) error {
	switch precision {
	case engine.Int8:
		return nil
	case engine.FP32, engine.BF16:
		return checkPrecision(precision, runtimes...)
	}
	return fmt.Errorf("--precision %q: want %s, %s or %s", precision, engine.FP32, engine.BF16, engine.Int8)
}

// inEightBits returns g quantised with the ranges of one picture, [1, 3, H, W] in 0..1: for how long
// it takes, not for what it finds.
func inEightBits(ctx context.Context, g *graph.Graph, x *tensor.Tensor) (*graph.Graph, error) {
	p := &calibration{ctx: ctx, w: x.Shape[3], h: x.Shape[2], out: io.Discard}
	one := func(yield func(*tensor.Tensor, error) bool) { yield(x, nil) }
	r, err := quant.Calibrate(g, one, p.runner, quant.MinMax)
	if err != nil {
		return nil, err
	}
	return quant.Quantize(g, r, quant.Options{})
}

// timedInEightBits is inEightBits with a small drawn picture: only g's time counts, on which ranges
// have next to no influence.
func timedInEightBits(ctx context.Context, g *graph.Graph) (*graph.Graph, error) {
	side := 2 * maxStride(g)
	frame, _ := scene.Draw(rand.New(rand.NewPCG(1, 0)), side, side)
	x := tensor.New(1, 3, side, side)
	frame.CHW(x.Data)
	return inEightBits(ctx, g, x)
}
