package train

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"ultrafast/dataset"
	"ultrafast/graph"
	"ultrafast/tensor"
)

// AutoBatch returns how many pictures a batch may have: the largest power of two whose
// memory, measured on steps of two and four pictures, is within YOLOv5's 80 % of what is
// available, decoded pictures having half of that. It is at most the nominal batch, since
// a larger one would make fewer updates than the recipe's, and at most the pictures that
// there are.
//
// YOLOv5 measures so on GPUs. This one measures the process, on Linux, and so is for
// backends that compute in it.
func AutoBatch(be Backend, g *graph.Graph, pictures int, c Config) (int, error) {
	c = c.withDefaults()
	side := c.Size
	if c.MultiScale {
		side = c.Size * 3 / 2
	}
	d := g.Detect()
	if d == nil {
		return 0, errors.New("train: the model has no detection head")
	}
	for _, s := range d.Op.(*graph.Detect).Strides {
		side = (side + s - 1) / s * s
	}
	net, err := be.Load(g, c.load())
	if err != nil {
		return 0, err
	}
	defer net.Close()
	var peak [2]float64
	for i, n := range []int{2, 4} {
		if err := net.Step(tensor.New(n, 3, side, side), same); err != nil {
			return 0, fmt.Errorf("train: measuring memory: %w", err)
		}
		if peak[i], err = peakMemory(); err != nil {
			return 0, fmt.Errorf("train: measuring memory: %w", err)
		}
	}
	// A step's input lies in the loader three times.
	each := (peak[1]-peak[0])/2 + 3*3*4*float64(side*side)
	n := fitBatch(0.8*float64(dataset.DefaultCache()), each, min(int(c.Hyp.NBS), pictures))
	c.Log.Info("batch by memory", "pictures", n, "megabytes each", int(each)>>20)
	return n, nil
}

// same is a loss whose gradients are the maps.
func same(maps []*tensor.Tensor) ([]*tensor.Tensor, error) { return maps, nil }

// fitBatch returns the largest power of two of pictures, up to limit, that fit.
func fitBatch(available, each float64, limit int) int {
	n := min(available/max(each, 1), float64(limit))
	return 1 << int(math.Log2(max(n, 1)))
}

// peakMemory is the most memory that the process has had, in bytes.
func peakMemory() (float64, error) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	_, after, found := strings.Cut(string(text), "VmHWM:")
	fields := strings.Fields(after)
	if !found || len(fields) == 0 {
		return 0, errors.New("/proc/self/status names no VmHWM")
	}
	kb, err := strconv.ParseFloat(fields[0], 64)
	return kb * 1024, err
}
