package train

import (
	"strings"

	"ultrafast/box"
	"ultrafast/dataset"
)

// loader makes the epoch's batches.
func (r *run) loader() *dataset.Loader {
	if !r.c.ImageWeights {
		return r.train
	}
	return r.train.Weighted(r.pictureWeights())
}

// pictureWeights are YOLOv5 v7.0's --image-weights: a class counts by how rare its boxes are
// and how far from perfect it was in the last validation, (1-AP)² of it, and a picture by
// its boxes.
func (r *run) pictureWeights() []float64 {
	classes := dataset.ClassWeights(r.data.Train, r.head.Classes)
	for c, ap := range r.at.ap {
		classes[c] *= (1 - ap) * (1 - ap)
	}
	return dataset.PictureWeights(r.data.Train, classes)
}

// classAP returns the AP50-95 of every class; one without labels has the mean, as in
// YOLOv5.
func classAP(r box.Report, classes int) []float64 {
	ap := make([]float64, classes)
	for c := range ap {
		ap[c] = r.MAP5095
	}
	for _, c := range r.Classes {
		ap[c.Class] = c.AP5095
	}
	return ap
}

// seen names the pictures of batches for an error.
func (r *run) seen(items []int) string {
	paths := make([]string, len(items))
	for i, k := range items {
		paths[i] = r.data.Train[k].Path
	}
	text := "it saw " + strings.Join(paths, ", ")
	if r.c.Hyp.Mosaic > 0 && !r.c.Rect {
		text += ", and what mosaics put beside these"
	}
	return text
}
