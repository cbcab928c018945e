package report

import (
	"errors"

	"ultrafast/box"
	"ultrafast/dataset"
)

// A Validation collects what a validation finds, for the pictures of it. It is for one
// goroutine.
type Validation struct {
	Names []string
	Items []dataset.Item

	seen      int // pictures
	confusion *box.Confusion
	first     []int // items of the first batch, without those lost
	found     [][]box.Box
}

// Found takes in a batch: the boxes of each picture, in its pixels, after NMS. After all
// pictures the next one begins another validation.
func (v *Validation) Found(b *dataset.Batch, found [][]box.Box) {
	if v.seen == 0 || v.seen >= len(v.Items) {
		v.seen, v.confusion = 0, box.NewConfusion(len(v.Names))
		v.first, v.found = nil, nil
	}
	begin := len(v.first) == 0
	for i, boxes := range found {
		if b.Lost[i] {
			continue
		}
		if begin && len(v.first) < sheetPictures {
			v.first, v.found = append(v.first, b.Items[i]), append(v.found, boxes)
		}
		v.confusion.Add(dataset.TruthOf(v.Items[b.Items[i]]), boxes)
	}
	v.seen += len(found)
}

// Write puts the pictures of the last validation into a folder, with their numbers: the
// curves of r, which is that validation's, the confusion matrix, and the first pictures
// with labels and with what was found. It does as much of this as it can.
func (v *Validation) Write(dir string, r box.Report) error {
	if v.seen == 0 {
		return nil
	}
	items := make([]dataset.Item, len(v.first))
	for i, k := range v.first {
		items[i] = v.Items[k]
	}
	return errors.Join(
		Metrics(dir, v.Names, r),
		Confusion(dir, v.Names, v.confusion),
		valBatch(dir, v.Names, items, v.found))
}
