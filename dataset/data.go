// Package dataset reads pictures with boxes, as YOLO, Pascal VOC or COCO keep them, checks
// them, and makes the batches that a network is trained and validated with, augmented as in YOLOv5 v7.0.
package dataset

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"ultrafast/box"
	"ultrafast/picture"
)

// Data is a data set: its classes and its pictures, sorted by path. What was not asked for
// in OpenOptions is nil.
type Data struct {
	Names            []string // of the classes, by number
	Train, Val, Test []Item

	Format   string            // what it was recognised as: YOLO, Pascal VOC or COCO
	From     map[string]string // by split: the folders, lists or files that its pictures come from
	Problems []Problem         // why pictures were left out; by split, in the order of the pictures
	Notes    []Problem         // what is odd, and was kept
}

// An Item is one picture with its labels.
type Item struct {
	Path       string // absolute
	W, H       int    // pixels, upright (after EXIF orientation)
	Labels     []Label
	LabelPath  string // file that its labels come from, which need not be there
	Lines      []int  // of each label, in LabelPath; 0 where there are no lines
	Duplicates int    // identical rows of the label file, of which one was kept

	polygons bool // LabelPath is YOLO's, and has polygons, whose boxes are among Labels
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

	// Whole asks for every split that there is, instead of Splits, even without pictures or
	// boxes: that is among the Problems then, and not an error.
	Whole bool

	Context  context.Context                    // stops the reading; nil never does
	Progress func(what string, done, steps int) // told how far the reading is; nil is silent

	// Look is shown every picture that could be decoded, with its file, by several
	// goroutines at once; nil is blind.
	Look func(split, path string, file []byte, p *picture.RGB)

	within string // folder that a data.yaml must not lead out of; empty is any
}

func (o OpenOptions) progress(what string, done, steps int) {
	if o.Progress != nil {
		o.Progress(what, done, steps)
	}
}

func (o OpenOptions) err() error {
	if o.Context == nil {
		return nil
	}
	return o.Context.Err()
}

// Open reads a data set: pictures and labels of YOLO, Pascal VOC or COCO. path is one of
//
//   - a YOLOv5 data.yaml;
//   - a folder of YOLO's, images/ beside labels/, or both in folders train/, val/, test/;
//   - one of VOC's, JPEGImages/ beside Annotations/, split by ImageSets/Main, or .xml files
//     beside their pictures;
//   - one of COCO's, with annotations/instances_*.json, or _annotations.coco.json in the
//     folders of the splits;
//   - a COCO .json file, or a list of pictures (.txt) with YOLO's labels;
//   - such a folder in a .zip, .tar or .tar.gz, which is unpacked once, to the user's cache.
//
// Splits go by the names of folders, lists and files; pictures that no split claims are
// for training. Of a data.yaml path, train, val, test, nc and names are read. path is
// relative to the folder of the file, the splits are relative to path; each is a folder,
// searched with all below it, a list of pictures (.txt), or a list of those. names is a list or a
// map from class number; without names the classes are class0, class1 and so on. Classes of
// VOC are those of classes.txt, or else in the order of the alphabet; those of COCO are in
// the order of the categories' ids.
//
// A picture's YOLO labels lie where YOLOv5 looks: the last /images/ of the path becomes
// /labels/ and the extension .txt. A picture without a label file, or with an empty one, is
// background.
//
// Every picture is decoded. One that is broken, or whose labels are, is left out, and
// Problems says why. A split without a picture left, or without a box that has an area, is
// an error.
func Open(path string, o OpenOptions) (*Data, error) {
	for _, name := range o.Splits {
		if !slices.Contains(splitNames, name) {
			return nil, fmt.Errorf("split %q: there are train, val and test", name)
		}
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	s, err := recognise(path, o)
	if err != nil {
		return nil, err
	}
	data := &Data{Names: s.names, Format: s.format, Notes: s.notes, From: make(map[string]string)}
	for name, p := range s.splits {
		data.From[name] = strings.Join(p.from, ", ")
	}
	splits := o.Splits
	switch {
	case o.Whole:
		splits = slices.DeleteFunc(slices.Clone(splitNames), func(name string) bool { return s.splits[name] == nil })
	case splits == nil:
		splits = []string{"train", "val"}
	}
	for _, name := range splits {
		to := map[string]*[]Item{"train": &data.Train, "val": &data.Val, "test": &data.Test}[name]
		*to, err = s.read(name, data, o)
		switch {
		case o.err() != nil:
			return nil, o.err()
		case err != nil && !o.Whole:
			return nil, err
		case err != nil:
			data.Problems = append(data.Problems, Problem{Kind: BadSplit, Split: name, Reason: err.Error()})
		}
	}
	return data, nil
}

// read reads a split's pictures, and adds what is wrong with them to data. With an error
// come the pictures that there are.
func (s *source) read(name string, data *Data, o OpenOptions) ([]Item, error) {
	p := s.splits[name]
	switch {
	case p == nil && (strings.HasSuffix(s.path, ".yaml") || strings.HasSuffix(s.path, ".yml")):
		return nil, fmt.Errorf("%s: there is no %s: give the folder of its pictures", s.path, name)
	case p == nil:
		return nil, fmt.Errorf("%s: there is no %s: this is %s; set pictures apart for %s", s.path, name, data.Describe(), name)
	}
	all, err := p.all()
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: no pictures (%s) in %s: put some there, or name another place", p.where, strings.Join(extensions, " "), strings.Join(p.from, ", "))
	}
	readings, err := readAll(all, name, len(s.names), o)
	if err != nil {
		return nil, err
	}
	var items []Item
	boxes, before := false, len(data.Problems)
	for _, r := range readings {
		data.Problems = append(data.Problems, r.bad...)
		data.Notes = append(data.Notes, r.notes...)
		if len(r.bad) == 0 {
			items = append(items, r.item)
			boxes = boxes || slices.ContainsFunc(r.item.Labels, func(l Label) bool { return l.W > 0 && l.H > 0 })
		}
	}
	switch {
	case len(items) == 0:
		return nil, fmt.Errorf("%s: none of %d pictures can be used; the first: %s", p.where, len(all), data.Problems[before])
	case !boxes:
		return items, fmt.Errorf("%s: no boxes for any of %d pictures; the labels of the first were looked for in %s: put some there",
			p.where, len(items), items[0].LabelPath)
	}
	return items, nil
}

// Describe says in one line what was recognised and where the splits come from.
func (d *Data) Describe() string {
	var parts []string
	for _, name := range splitNames {
		if from, ok := d.From[name]; ok {
			parts = append(parts, name+" from "+from)
		}
	}
	return d.Format + ": " + strings.Join(parts, "; ")
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

// Shared returns how many pictures of val are in train too: what was learnt by heart is
// found again, whatever the network is worth.
func (d *Data) Shared() int {
	train := make(map[string]bool, len(d.Train))
	for i := range d.Train {
		train[d.Train[i].Path] = true
	}
	n := 0
	for i := range d.Val {
		if train[d.Val[i].Path] {
			n++
		}
	}
	return n
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
