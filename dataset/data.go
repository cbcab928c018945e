// Package dataset reads pictures with boxes in YOLO layout, checks them, and makes the
// batches that a network is trained and validated with, augmented as in YOLOv5 v7.0.
package dataset

import (
	"fmt"
	"path/filepath"

	"ultrafast/box"
)

// Data is a data set: its classes and its pictures, sorted by path. What was not asked for
// in OpenOptions is nil.
type Data struct {
	Names            []string // of the classes, by number
	Train, Val, Test []Item
}

// An Item is one picture with its labels.
type Item struct {
	Path       string // absolute
	W, H       int    // pixels, upright (after EXIF orientation)
	Labels     []Label
	Duplicates int // identical rows of the label file, of which one was kept
}

// A Label is one box. The centre and the size are fractions of the picture, each 0..1; the
// box may reach beyond the picture's edge.
type Label struct {
	Class        int
	CX, CY, W, H float32
}

// OpenOptions says what of a data set is wanted.
type OpenOptions struct {
	Splits []string // of "train", "val" and "test"; nil is train and val
}

// Open reads a YOLOv5 data.yaml and scans the pictures and labels that it names.
//
// Of the file it reads path, train, val, test, nc and names, and leaves the rest. path is
// relative to the folder of the file, the splits are relative to path; each is a folder,
// searched with all below it, a list of pictures (.txt), or a list of those. names is a list or a
// map from class number; without names the classes are class0, class1 and so on.
//
// A picture's labels lie where YOLOv5 looks: the last /images/ of the path becomes
// /labels/ and the extension .txt. A picture without a label file, or with an empty one, is
// background. The error names the first file and line that is wrong, and says how many
// more bad files there are.
func Open(path string, o OpenOptions) (*Data, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	d, err := readDescription(path)
	if err != nil {
		return nil, err
	}
	data := &Data{Names: d.names}
	splits := o.Splits
	if splits == nil {
		splits = []string{"train", "val"}
	}
	for _, name := range splits {
		var to *[]Item
		switch name {
		case "train":
			to = &data.Train
		case "val":
			to = &data.Val
		case "test":
			to = &data.Test
		default:
			return nil, fmt.Errorf("split %q: there are train, val and test", name)
		}
		if len(d.splits[name]) == 0 {
			return nil, fmt.Errorf("%s: there is no %s: give the folder of its pictures", path, name)
		}
		if *to, err = d.scan(name); err != nil {
			return nil, err
		}
	}
	return data, nil
}

// Counts is what a list of items holds.
type Counts struct {
	Pictures    int
	Backgrounds int   // pictures without a box
	Boxes       []int // by class
	Duplicates  int   // identical label rows that were left out
}

// Count counts items, which are of this data set.
func (d *Data) Count(items []Item) Counts {
	c := Counts{Pictures: len(items), Boxes: make([]int, len(d.Names))}
	for _, item := range items {
		if len(item.Labels) == 0 {
			c.Backgrounds++
		}
		for _, l := range item.Labels {
			c.Boxes[l.Class]++
		}
		c.Duplicates += item.Duplicates
	}
	return c
}

// TruthOf returns an item's labels in pixels of its picture, clipped to it.
func TruthOf(item Item) []box.Truth {
	out := make([]box.Truth, len(item.Labels))
	w, h := float32(item.W), float32(item.H)
	for i, l := range item.Labels {
		out[i] = box.Truth{
			X1:    clamp((l.CX-l.W/2)*w, 0, w),
			Y1:    clamp((l.CY-l.H/2)*h, 0, h),
			X2:    clamp((l.CX+l.W/2)*w, 0, w),
			Y2:    clamp((l.CY+l.H/2)*h, 0, h),
			Class: l.Class,
		}
	}
	return out
}

func clamp(v, lo, hi float32) float32 { return min(max(v, lo), hi) }
