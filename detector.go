package ultrafast

import (
	"context"
	"fmt"
	"image"
	"math"
	"slices"

	"ultrafast/box"
	"ultrafast/detect"
)

// Options says how to detect. The zero value does it as YOLOv5 does.
type Options struct {
	// Width and Height are the size that pictures are scaled to, keeping their aspect; the
	// rest is grey. Both must be multiples of the model's largest stride, which is 32 or 64.
	// A Width of 0 means 640, a Height of 0 means Width.
	Width, Height int

	Conf     float32 // the confidence that boxes must exceed, below 1; 0 means 0.25
	IoU      float32 // the overlap above which the less confident box goes, at most 1; 0 means 0.45
	MaxDet   int     // boxes in a picture, at most; 0 means 300
	Classes  []int   // only these classes, by number; empty means all
	Agnostic bool    // boxes of different classes suppress each other too

	// CPU is what machine code is written for: amx, avx512, avx2 or neon, or generic for none.
	// Empty means the best that this machine can run.
	CPU string

	// Threads is how many threads work on one picture, Sessions how many pictures are worked
	// on at once; who comes later waits. If both are 0, two pictures are worked on at once by
	// as many threads as there are cores (GOMAXPROCS) each: a single caller has all cores,
	// and of several callers one's picture is scaled or its boxes are chosen while another's
	// fills the cores. More sessions would only share the same cores among more pictures, each
	// of which would take the longer. If one is 0, it is chosen such that all threads together
	// are as many as the cores. With one thread each, pictures take longest, but no thread
	// waits for another in layers too small for many.
	//
	// A session is made when it is needed and kept until Close. It takes memory, tens of
	// megabytes for small models.
	Threads, Sessions int
}

// A Box is an object in a picture.
type Box struct {
	Class int     // number, from 0
	Name  string  // of the class; its number if the model has no name for it
	Conf  float32 // confidence, above Options.Conf and at most 1

	// The edges, in the coordinates of the picture and within its bounds, in pixels and parts
	// of them: a box around all of a picture is its bounds.
	X1, Y1, X2, Y2 float32
}

// Rect is the smallest rectangle of whole pixels that holds the box.
func (b Box) Rect() image.Rectangle {
	down := func(v float32) int { return int(math.Floor(float64(v))) }
	up := func(v float32) int { return int(math.Ceil(float64(v))) }
	return image.Rect(down(b.X1), down(b.Y1), up(b.X2), up(b.Y2))
}

// A Detector finds objects with one model. Any number of goroutines may use it.
type Detector struct {
	detector *detect.Detector
	names    []string
}

// Open reads a model, as Load does, and prepares it. The model must have a YOLOv5's head.
// Errors name the file.
func Open(path string, o Options) (*Detector, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	g, err := Load(path)
	if err != nil {
		return nil, err
	}
	d, err := detect.New(g, detect.Options{
		Width: o.Width, Height: o.Height, Conf: o.Conf,
		NMS: box.NMSOptions{IoU: o.IoU, Max: o.MaxDet, Classes: slices.Clone(o.Classes), Agnostic: o.Agnostic},
		CPU: o.CPU, Threads: o.Threads, Sessions: o.Sessions,
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &Detector{d, g.Names}, nil
}

func (o *Options) check() error {
	switch {
	case o.Conf != 0 && !(o.Conf > 0 && o.Conf < 1):
		return fmt.Errorf("Options.Conf is %v: want above 0 and below 1, or 0 for 0.25", o.Conf)
	case o.IoU != 0 && !(o.IoU > 0 && o.IoU <= 1):
		return fmt.Errorf("Options.IoU is %v: want above 0 and at most 1, or 0 for 0.45", o.IoU)
	case o.MaxDet < 0:
		return fmt.Errorf("Options.MaxDet is %d: want at least 1, or 0 for 300", o.MaxDet)
	}
	return nil
}

// Detect returns the objects in a picture, the most confident first; the slice is the
// caller's. It waits while Options.Sessions pictures are worked on, and gives up with ctx's
// error when ctx is done before its turn; a picture that has been begun is finished.
//
// Any image.Image will do. *image.RGBA, NRGBA, Gray, YCbCr, CMYK and Paletted are read
// fastest. Alpha is dropped and the colour under it counts, of 16 bits the high byte does, as
// where YOLOv5's pictures are read. The picture is only read, from several goroutines, and
// must not change meanwhile. One that is nil, has no pixels or more than 100 million, or less
// memory than its bounds need is an error. image.Decode leaves pictures as the camera held
// them; package picture's Open turns them as their EXIF data says.
func (d *Detector) Detect(ctx context.Context, img image.Image) ([]Box, error) {
	found, _, err := d.detector.Detect(ctx, img)
	if err != nil {
		return nil, err
	}
	boxes := make([]Box, len(found))
	for i, b := range found {
		boxes[i] = Box{b.Class, detect.Name(d.names, b.Class), b.Conf, b.X1, b.Y1, b.X2, b.Y2}
	}
	return boxes, nil
}

// Close gives the memory back, when the pictures that have been begun are finished. Detect
// then returns an error, also to those who wait.
func (d *Detector) Close() error { return d.detector.Close() }
