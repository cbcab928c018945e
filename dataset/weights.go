package dataset

import "slices"

// ClassWeights returns the inverse of each class's number of boxes as a share of their
// sum; a class without boxes counts as one with one (YOLOv5 v7.0, labels_to_class_weights).
func ClassWeights(items []Item, classes int) []float64 {
	weights := make([]float64, classes)
	for _, item := range items {
		for _, l := range item.Labels {
			weights[l.Class]++
		}
	}
	sum := 0.0
	for c, n := range weights {
		weights[c] = 1 / max(n, 1)
		sum += weights[c]
	}
	for c := range weights {
		weights[c] /= sum
	}
	return weights
}

// PictureWeights returns for each item the sum of its boxes' class weights
// (labels_to_image_weights).
func PictureWeights(items []Item, classes []float64) []float64 {
	weights := make([]float64, len(items))
	for i, item := range items {
		for _, l := range item.Labels {
			weights[i] += classes[l.Class]
		}
	}
	return weights
}

// Weighted returns a loader of the same pictures and in the same memory whose epochs draw
// as many pictures as there are, each with a probability that is proportional to its
// weight, again and again the same ones if need be. Where no weight is above 0 all are
// alike.
func (l *Loader) Weighted(weights []float64) *Loader {
	w := *l
	w.cumulated = make([]float64, len(weights))
	sum := 0.0
	for i, v := range weights {
		sum += v
		w.cumulated[i] = sum
	}
	if !(sum > 0) {
		for i := range w.cumulated {
			w.cumulated[i] = float64(i + 1)
		}
	}
	return &w
}

// drawn is the order of a weighted epoch.
func (l *Loader) drawn(epoch int) []int {
	rng := random(l.o.Seed, epoch, -1)
	order := make([]int, len(l.items))
	total := l.cumulated[len(order)-1]
	for i := range order {
		x := rng.Float64() * total
		k, _ := slices.BinarySearchFunc(l.cumulated, x, func(c, x float64) int {
			if c <= x {
				return -1
			}
			return 1
		})
		order[i] = min(k, len(order)-1)
	}
	return order
}
