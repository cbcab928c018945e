package report

import (
	"fmt"
	"math"
	"path/filepath"

	"ultrafast/box"
	"ultrafast/dataset"
	"ultrafast/picture"
)

// A sheet shows up to sheetPictures pictures side by side, in a square of at most
// sheetSide pixels.
const (
	sheetPictures = 16
	sheetSide     = 1920
	sheetQuality  = 90
)

// A sheet is pictures with boxes, in rows.
type sheet struct {
	p            *picture.RGB
	across, cell int
	next         int
}

func newSheet(pictures int) *sheet {
	across := int(math.Ceil(math.Sqrt(float64(pictures))))
	s := &sheet{across: across, cell: min(640, sheetSide/across)}
	s.p = picture.New(s.cell*across, s.cell*((pictures+across-1)/across))
	for i := range s.p.Pix {
		s.p.Pix[i] = 255
	}
	return s
}

// add puts a picture on the sheet. Its boxes are in its own pixels; those with a confidence
// show it.
func (s *sheet) add(img *picture.RGB, names []string, boxes []box.Box) {
	small, fit := picture.Letterbox(img, s.cell, s.cell)
	for _, b := range boxes {
		label := className(names, b.Class)
		if b.Conf > 0 {
			label += fmt.Sprintf(" %.1f", b.Conf)
		}
		x := func(v float32) float32 { return v*fit.Scale + fit.PadX }
		y := func(v float32) float32 { return v*fit.Scale + fit.PadY }
		small.DrawBox(x(b.X1), y(b.Y1), x(b.X2), y(b.Y2), label, picture.Color(b.Class))
	}
	const gap = 1
	left, top := s.next%s.across*s.cell, s.next/s.across*s.cell
	for r := gap; r < s.cell-gap; r++ {
		copy(s.p.Pix[3*((top+r)*s.p.W+left+gap):][:3*(s.cell-2*gap)], small.Pix[3*(r*s.cell+gap):])
	}
	s.next++
}

func (s *sheet) save(path string) error { return s.p.SaveJPEG(path, sheetQuality) }

// TrainBatch writes what a network is trained on: the first pictures of a batch, varied as
// they are, with the boxes to be found.
func TrainBatch(path string, names []string, b *dataset.Batch) error {
	n, h, w := min(b.X.Shape[0], sheetPictures), b.X.Shape[2], b.X.Shape[3]
	s := newSheet(n)
	for i := range n {
		img, plane := picture.New(w, h), w*h
		for c, values := range [][]float32{b.X.Data[3*i*plane:][:plane], b.X.Data[(3*i+1)*plane:][:plane], b.X.Data[(3*i+2)*plane:][:plane]} {
			for k, v := range values {
				img.Pix[3*k+c] = uint8(v*255 + 0.5)
			}
		}
		var boxes []box.Box
		for _, t := range b.Targets {
			if t.Image == i {
				x, y, bw, bh := t.CX*float32(w), t.CY*float32(h), t.W*float32(w), t.H*float32(h)
				boxes = append(boxes, box.Box{X1: x - bw/2, Y1: y - bh/2, X2: x + bw/2, Y2: y + bh/2, Class: t.Class})
			}
		}
		s.add(img, names, boxes)
	}
	return s.save(path)
}

// valBatch writes the labels of pictures and what was found in them, above ConfusionConf,
// as val_batch0_labels.jpg and val_batch0_pred.jpg.
func valBatch(dir string, names []string, items []dataset.Item, found [][]box.Box) error {
	labels, pred := newSheet(len(items)), newSheet(len(items))
	for i, item := range items {
		img, err := picture.Open(item.Path)
		if err != nil {
			return err
		}
		var truth, sure []box.Box
		for _, t := range dataset.TruthOf(item) {
			truth = append(truth, box.Box{X1: t.X1, Y1: t.Y1, X2: t.X2, Y2: t.Y2, Class: t.Class})
		}
		for _, b := range found[i] {
			if b.Conf > box.ConfusionConf {
				sure = append(sure, b)
			}
		}
		labels.add(img, names, truth)
		pred.add(img, names, sure)
	}
	if err := labels.save(filepath.Join(dir, "val_batch0_labels.jpg")); err != nil {
		return err
	}
	return pred.save(filepath.Join(dir, "val_batch0_pred.jpg"))
}
