package train

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"ultrafast/dataset"
	"ultrafast/graph"
	"ultrafast/tensor"
)

// A Device is a Backend whose networks live in a memory that is not the process's.
type Device interface {
	Backend
	// FreeMemory returns the bytes of it that nobody has.
	FreeMemory() (int64, error)
}

// AutoBatch returns how many pictures a batch may have: the largest power of two whose
// memory, extrapolated from steps of few pictures, is within YOLOv5's 80 % of what is
// available. That is what is free on a Device; elsewhere it is measured on the process, on
// Linux, and decoded pictures have half of it. It is at most the nominal batch, since a
// larger one would make fewer updates than the recipe's, and at most the pictures that
// there are.
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
	strides := d.Op.(*graph.Detect).Strides
	if c.Distill != nil {
		if err := c.Distill.check(); err != nil {
			return 0, err
		}
		if t := c.Distill.Teacher.Detect(); t != nil {
			strides = slices.Concat(strides, t.Op.(*graph.Detect).Strides)
		}
	}
	for _, s := range strides {
		side = (side + s - 1) / s * s
	}
	device, onDevice := be.(Device)
	var before int64
	var err error
	if onDevice {
		if before, err = device.FreeMemory(); err != nil {
			return 0, fmt.Errorf("train: measuring memory: %w", err)
		}
	}
	var teacher *distiller
	if c.Distill != nil {
		if teacher, err = newDistiller(be, g, c); err != nil {
			return 0, err
		}
		defer teacher.close()
		g = teacher.student
	}
	net, err := be.Load(g, c.load())
	if err != nil {
		return 0, err
	}
	defer net.Close()
	step := func(n int) error {
		x := tensor.New(n, 3, side, side)
		if teacher != nil {
			if err := teacher.see(x); err != nil {
				return err
			}
		}
		return net.Step(x, same)
	}
	var available, each float64
	if onDevice {
		available, each, err = deviceRoom(device, before, step)
	} else {
		available, each, err = processRoom(step)
		each += 3 * 3 * 4 * float64(side*side) // a step's input lies in the loader three times
	}
	if err != nil {
		return 0, fmt.Errorf("train: measuring memory: %w", err)
	}
	n := fitBatch(available, each, min(int(c.Hyp.NBS), pictures))
	c.Log.Info("batch by memory", "pictures", n, "megabytes each", int(each)>>20)
	return n, nil
}

// memoryShare is how much of the available memory a batch may take.
const memoryShare = 0.8

// processRoom returns the bytes that batches may take in the process, and a picture's.
func processRoom(step func(pictures int) error) (available, each float64, err error) {
	// What the process had before, as when the data set was opened, is not the peak of a
	// step. An old kernel cannot forget it.
	os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
	var peak [2]float64
	for i, n := range []int{2, 4} {
		if err := step(n); err != nil {
			return 0, 0, err
		}
		if peak[i], err = peakMemory(); err != nil {
			return 0, 0, err
		}
	}
	return memoryShare * float64(dataset.DefaultCache()), (peak[1] - peak[0]) / 2, nil
}

// deviceRoom is the same for a device that had so many bytes free before the network was
// loaded. libtorch keeps the memory of a smaller step beside that of a larger one, so one
// has to be much larger for the difference to say what a picture takes.
func deviceRoom(d Device, before int64, step func(pictures int) error) (available, each float64, err error) {
	const small = 2
	if err := step(small); err != nil {
		return 0, 0, err
	}
	first, err := d.FreeMemory()
	if err != nil {
		return 0, 0, err
	}
	large := 16
	for err = step(large); err != nil && large > 2*small; err = step(large) {
		large /= 2 // it did not fit, most likely
	}
	if err != nil {
		return 0, 0, err
	}
	second, err := d.FreeMemory()
	if err != nil {
		return 0, 0, err
	}
	each = float64(first-second) / float64(large-small)
	rest := float64(before-first) - small*each // weights, libraries, what others took since
	return memoryShare*float64(before) - rest, each, nil
}

// same is a loss whose gradients are the maps.
func same(maps []*tensor.Tensor) ([]*tensor.Tensor, error) { return maps, nil }

// fitBatch returns the largest power of two of pictures, up to limit, that fit.
func fitBatch(available, each float64, limit int) int {
	n := min(available/max(each, 1), float64(limit))
	return 1 << int(math.Log2(max(n, 1)))
}

// peakMemory is the most memory that the process has had since that was forgotten last, in
// bytes.
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
