package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"ultrafast/dataset"
	"ultrafast/train"
)

// recipeFlags are those flags of train that YOLOv5 has for single parts of the recipe.
type recipeFlags struct {
	optimizer, freeze, cache, sparse                 string
	smoothing, sparseRate                            float64
	singleCls, imageWeights, multiScale, rect, noVal bool
	syncBN                                           bool
}

func (f *recipeFlags) add(c *cobra.Command) {
	fl := c.Flags()
	fl.StringVar(&f.optimizer, "optimizer", "SGD", "SGD, Adam or AdamW; the last two want an lr0 of about 0.001")
	fl.StringVar(&f.freeze, "freeze", "0", "layers that do not learn: 10 is the first ten, 0,1,2 are those")
	fl.Float64Var(&f.smoothing, "label-smoothing", 0, "of the class loss, 0 to 1; above 0 it stands for the hyper-parameters' own")
	fl.StringVar(&f.cache, "cache", "ram", "where decoded pictures are kept: ram, as far as they fit, or disk, in the user's cache folder")
	fl.BoolVar(&f.singleCls, "single-cls", false, "train all classes as one")
	fl.BoolVar(&f.imageWeights, "image-weights", false, "draw pictures more often whose classes are rare and not yet found")
	fl.BoolVar(&f.multiScale, "multi-scale", false, "give each batch another size, --img plus or minus half")
	fl.BoolVar(&f.rect, "rect", false, "batches of the shapes that their pictures need, without mosaics")
	fl.BoolVar(&f.syncBN, "sync-bn", false, "let batch norm see the whole batch, and not each worker's share of it")
	fl.StringVar(&f.sparse, "sparse", "", "push channels that matter little to nothing, before a cut: group decays all their weights, gamma the scales of batch norms")
	fl.Float64Var(&f.sparseRate, "sparse-rate", defaultSparseRate, "how strongly --sparse pushes; group pushes the least channels 16 times as much")
	fl.BoolVar(&f.noVal, "noval", false, "validate after the last epoch only")
}

// apply puts the flags into a recipe.
func (f *recipeFlags) apply(cfg *train.Config) error {
	cfg.SyncBN = f.syncBN
	cfg.SingleCls, cfg.ImageWeights, cfg.MultiScale, cfg.Rect, cfg.NoVal = f.singleCls, f.imageWeights, f.multiScale, f.rect, f.noVal
	switch {
	case !(f.smoothing >= 0 && f.smoothing <= 1):
		return fmt.Errorf("--label-smoothing %v: want 0 to 1", f.smoothing)
	case f.smoothing > 0:
		cfg.Hyp.LabelSmoothing = f.smoothing
	case f.rect && f.imageWeights:
		return errors.New("--rect and --image-weights are both given: one orders the pictures by shape, the other draws them")
	}
	var err error
	if cfg.Cache, err = cacheFolder(f.cache); err != nil {
		return err
	}
	if cfg.Freeze, err = parseFreeze(f.freeze); err != nil {
		return err
	}
	switch cfg.Optimizer = train.Optimizer(f.optimizer); cfg.Optimizer {
	case train.SGD, train.Adam, train.AdamW:
	default:
		return fmt.Errorf("--optimizer %q: want SGD, Adam or AdamW", f.optimizer)
	}
	return f.applySparse(cfg)
}

// cacheFolder is where --cache keeps decoded pictures; empty is memory.
func cacheFolder(s string) (string, error) {
	switch s {
	case "ram":
		return "", nil
	case "disk":
		dir, err := os.UserCacheDir()
		return filepath.Join(dir, "ultrafast", "pictures"), err
	}
	return "", fmt.Errorf("--cache %q: want ram or disk", s)
}

// openTraining opens the data of a recipe. Only process 0 of several validates.
func openTraining(ctx context.Context, out io.Writer, cfg train.Config) (*dataset.Data, error) {
	var o dataset.OpenOptions
	if cfg.Peers != nil && cfg.Peers.Rank() > 0 {
		o.Splits = []string{"train"}
	}
	data, err := openData(ctx, out, cfg.Data, o)
	if err != nil {
		return nil, err
	}
	if n := data.Shared(); n > 0 {
		fmt.Fprintf(out, "%d of %d validation pictures are training pictures too: the numbers will be too good\n", n, len(data.Val))
	}
	if !cfg.SingleCls {
		return data, nil
	}
	return data.Single(), nil
}

// parseFreeze reads layers: one number is how many of the first, several are their own.
func parseFreeze(s string) ([]int, error) {
	var layers []int
	for field := range strings.SplitSeq(s, ",") {
		n, err := strconv.Atoi(field)
		if err != nil || n < 0 || n > 1000 {
			return nil, fmt.Errorf("--freeze %q: want a number of layers such as 10, or layers such as 0,1,2", s)
		}
		layers = append(layers, n)
	}
	if len(layers) > 1 {
		return layers, nil
	}
	first := make([]int, layers[0])
	for i := range first {
		first[i] = i
	}
	return first, nil
}
