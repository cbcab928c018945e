package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"ultrafast/train"
)

// recipeFlags are those flags of train that YOLOv5 has for single parts of the recipe.
type recipeFlags struct {
	optimizer, freeze string
}

func (f *recipeFlags) add(c *cobra.Command) {
	fl := c.Flags()
	fl.StringVar(&f.optimizer, "optimizer", "SGD", "SGD, Adam or AdamW; the last two want an lr0 of about 0.001")
	fl.StringVar(&f.freeze, "freeze", "0", "layers that do not learn: 10 is the first ten, 0,1,2 are those")
}

// apply puts the flags into a recipe.
func (f *recipeFlags) apply(cfg *train.Config) error {
	var err error
	if cfg.Freeze, err = parseFreeze(f.freeze); err != nil {
		return err
	}
	switch cfg.Optimizer = train.Optimizer(f.optimizer); cfg.Optimizer {
	case train.SGD, train.Adam, train.AdamW:
	default:
		return fmt.Errorf("--optimizer %q: want SGD, Adam or AdamW", f.optimizer)
	}
	return nil
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
