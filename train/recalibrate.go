package train

import (
	"context"

	"ultrafast/dataset"
	"ultrafast/graph"
	"ultrafast/tensor"
)

// RecalibrateOptions say on what statistics are measured. Size must be given.
type RecalibrateOptions struct {
	Size     int                       // side of the network's input
	Batch    int                       // pictures at a time; 0 means 16
	Pictures int                       // at most; 0 means 3200, the 200 batches of EagleEye (arXiv 2007.02491)
	CacheDir string                    // as in dataset.LoaderOptions
	Lost     func(err error, lost int) // as in dataset.LoaderOptions
	Progress func(done, batches int)   // is told each batch, if not nil
}

// Recalibrate returns g with the statistics of its batch norms measured anew, on pictures
// spread evenly over items, as they will be seen at work: letterboxed, not augmented. A
// network that was cut needs it before anybody judges it. g is not changed.
func Recalibrate(ctx context.Context, be Backend, g *graph.Graph, items []dataset.Item, o RecalibrateOptions) (*graph.Graph, error) {
	if o.Pictures == 0 {
		o.Pictures = 3200
	}
	loader, err := dataset.NewLoader(dataset.Spread(items, o.Pictures), dataset.LoaderOptions{Size: o.Size, Batch: o.Batch, CacheBytes: -1, CacheDir: o.CacheDir, Lost: o.Lost})
	if err != nil {
		return nil, err
	}
	net, err := be.Load(g, LoadOptions{Alone: true})
	if err != nil {
		return nil, err
	}
	defer net.Close()
	done := 0
	err = net.Recalibrate(func(yield func(*tensor.Tensor, error) bool) {
		for b, err := range loader.Epoch(ctx, 0) {
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(b.X, nil) {
				return
			}
			done++
			if o.Progress != nil {
				o.Progress(done, loader.Batches())
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return net.Graph(Live)
}
