package train

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"ultrafast/box"
	"ultrafast/dataset"
	"ultrafast/graph"
	"ultrafast/tensor"
	"ultrafast/yolo"
)

// ValOptions says how to validate. Size must be given, or Loader; the rest is good at zero,
// which is what YOLOv5 validates with, but for Rect.
type ValOptions struct {
	Size    int     // longer side of the network's input
	Batch   int     // pictures; 0 means 32
	Rect    bool    // each batch in the shape that its pictures need, as YOLOv5 does
	Conf    float32 // candidates above this; 0 means .001
	IoU     float32 // of NMS; 0 means .6
	Workers int     // goroutines that load pictures; 0 is one for each core

	CacheDir string // as in dataset.LoaderOptions

	// Loader makes the batches instead of Size, Batch, Rect, Workers and CacheDir: one that is kept
	// for the next validation keeps decoded pictures. It must be of the same items.
	Loader *dataset.Loader

	// Lost is as in dataset.LoaderOptions, where Loader is nil; lost pictures are not measured.
	Lost func(err error, lost int)

	Loss     *Criterion              // computes the loss too, if not nil
	Progress func(done, batches int) // is told each batch, if not nil

	// Found is told what was found in each batch, if not nil: the boxes of its pictures, in
	// their pixels, which it may keep, and not change.
	Found func(b *dataset.Batch, found [][]box.Box)
}

// Predict runs a batch [N,3,H,W] and returns the raw maps, as a Loss takes them.
type Predict func(x *tensor.Tensor) ([]*tensor.Tensor, error)

// A Validation is what a network is worth on a set of pictures.
type Validation struct {
	Report box.Report
	Speed  Speed
	Loss   Parts // mean over the batches, as in YOLOv5; Total and Matches are not set
}

// Speed is milliseconds a picture.
type Speed struct {
	Load, Inference, NMS float64 // Load is the wait for pictures, NMS is decoding too
}

// Validate finds the boxes in items and compares them with the labels, in pixels of the
// pictures. The maps that predict returns are those of head d; any engine will do. The
// context stops it between batches.
func Validate(ctx context.Context, predict Predict, d *graph.Detect, items []dataset.Item, o ValOptions) (Validation, error) {
	if o.Batch == 0 {
		o.Batch = 32
	}
	if o.Conf == 0 {
		o.Conf = 0.001
	}
	if o.IoU == 0 {
		o.IoU = 0.6
	}
	if o.Loader == nil {
		var err error
		o.Loader, err = dataset.NewLoader(items, dataset.LoaderOptions{Size: o.Size, Stride: slices.Max(d.Strides), Batch: o.Batch, Rect: o.Rect, Workers: o.Workers, CacheBytes: -1, CacheDir: o.CacheDir, Lost: o.Lost})
		if err != nil {
			return Validation{}, fmt.Errorf("validation: %w", err)
		}
	}
	var v Validation
	var load, inference, nms time.Duration
	eval := box.NewEvaluator(d.Classes)
	batches, done := o.Loader.Batches(), 0
	start := time.Now()
	for b, err := range o.Loader.Epoch(ctx, 0) {
		if err != nil {
			return Validation{}, fmt.Errorf("validation: %w", err)
		}
		loaded := time.Now()
		maps, err := predict(b.X)
		if err != nil {
			return Validation{}, fmt.Errorf("validation: batch %d: %w", done+1, err)
		}
		predicted := time.Now()
		found := suppress(yolo.Boxes(d, maps, yolo.BoxOptions{Conf: o.Conf, MultiLabel: d.Classes > 1}), b, o.IoU)
		load, inference, nms = load+loaded.Sub(start), inference+predicted.Sub(loaded), nms+time.Since(predicted)
		for i, boxes := range found {
			if b.Lost[i] {
				continue
			}
			eval.Add(dataset.TruthOf(items[b.Items[i]]), boxes)
		}
		if o.Found != nil {
			o.Found(b, found)
		}
		if o.Loss != nil {
			p, err := o.Loss.Value(maps, b.Targets)
			if err != nil {
				return Validation{}, fmt.Errorf("validation: batch %d: %w", done+1, err)
			}
			v.Loss.Box += p.Box / float64(batches)
			v.Loss.Obj += p.Obj / float64(batches)
			v.Loss.Cls += p.Cls / float64(batches)
		}
		done++
		if o.Progress != nil {
			o.Progress(done, batches)
		}
		start = time.Now()
	}
	v.Report = eval.Report()
	each := func(d time.Duration) float64 { return d.Seconds() * 1000 / float64(len(items)) }
	v.Speed = Speed{each(load), each(inference), each(nms)}
	return v, nil
}

// suppress runs NMS on each picture of a batch and takes what is left to the pictures.
func suppress(candidates [][]box.Box, b *dataset.Batch, iou float32) [][]box.Box {
	found := make([][]box.Box, len(candidates))
	var wg sync.WaitGroup
	for i := range candidates {
		wg.Go(func() {
			found[i] = box.NMS(candidates[i], box.NMSOptions{IoU: iou})
			for k := range found[i] {
				f := &found[i][k]
				f.X1, f.Y1, f.X2, f.Y2 = b.Fits[i].Back(f.X1, f.Y1, f.X2, f.Y2)
			}
		})
	}
	wg.Wait()
	return found
}

// fitness is what the best weights are the best in: YOLOv5's mix of average precisions.
func fitness(r box.Report) float64 { return 0.1*r.MAP50 + 0.9*r.MAP5095 }
