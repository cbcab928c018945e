// Package detect finds objects in pictures: letterbox, network, decoding, suppression.
package detect

import (
	"context"
	"errors"
	"fmt"
	"image"
	"runtime"
	"time"

	"ultrafast/box"
	"ultrafast/engine"
	"ultrafast/engine/tuned"
	"ultrafast/graph"
	"ultrafast/picture"
	"ultrafast/tensor"
	"ultrafast/yolo"
)

// Options says how to detect. Zero values are YOLOv5's: 640x640, confidence 0.25.
type Options struct {
	Width, Height int     // network input; multiples of the model's largest stride
	Conf          float32 // boxes must exceed it; 0 means 0.25
	NMS           box.NMSOptions
	CPU           string   // what Native compiles for, as in engine.Options
	Precision     string   // what Native computes in, also
	Compile       Compiler // nil means Native

	// Threads work on one picture, Sessions is how many pictures are worked on at once. If
	// both are 0, there are two sessions of as many threads as cores: while one of them
	// scales a picture, has a layer too small for all threads, or chooses boxes, the other
	// fills the cores. They get in each other's way little, as jobs are claimed and never
	// dealt, and a single caller has all cores. If one is 0, the product is the cores.
	Threads, Sessions int
}

// A Compiler prepares what yolo.Raw leaves of a model for pictures of Width×Height, one at
// a time. What it returns makes a Network each time it is called, by one goroutine at a
// time.
type Compiler func(raw *graph.Graph, o Options) (func() (Network, error), error)

// A Network computes a model's raw maps, which are valid until it runs again. It belongs to
// one goroutine at a time. An engine.Session is one.
type Network interface {
	// Run takes a picture as a tensor [1, 3, Height, Width] in 0..1.
	Run(x *tensor.Tensor) ([]*tensor.Tensor, error)
	// RunRGB takes it as 8-bit pixels [Height, Width, 3].
	RunRGB(pixels []uint8) ([]*tensor.Tensor, error)
}

// Native is the Compiler of package engine: one program for all networks, with the tuning
// that the user's cache folder has for it.
func Native(raw *graph.Graph, o Options) (func() (Network, error), error) {
	p, err := tuned.Compile(raw, o.Engine())
	if err != nil {
		return nil, err
	}
	return func() (Network, error) { return p.NewSession(), nil }, nil
}

// Engine returns what Native compiles with, but for the tuning.
func (o Options) Engine() engine.Options {
	return engine.Options{Batch: 1, Height: o.Height, Width: o.Width, Threads: o.Threads, CPU: o.CPU, Precision: o.Precision}
}

// A Detector finds objects with one model. Any number of goroutines may use it.
type Detector struct {
	o    Options
	head *graph.Detect
	pool *pool
}

// Times says how long the stages of one picture took.
type Times struct {
	Before  time.Duration // letterbox
	Network time.Duration
	After   time.Duration // decoding, suppression
}

// New prepares a model with a detection head. g is not changed and may be used on.
func New(g *graph.Graph, o Options) (*Detector, error) {
	raw, head, err := yolo.Raw(g)
	if err != nil {
		return nil, err
	}
	if err := o.fill(head); err != nil {
		return nil, err
	}
	if _, err := g.Shapes(1, o.Height, o.Width); err != nil { // the head's too, which raw has no more
		return nil, err
	}
	connect, err := o.Compile(raw, o)
	if err != nil {
		return nil, err
	}
	d := &Detector{o: o, head: head, pool: newPool(o, connect)}
	if err := d.pool.warm(); err != nil {
		return nil, err
	}
	return d, nil
}

// fill checks the options and puts what zero values stand for.
func (o *Options) fill(head *graph.Detect) error {
	if o.Width == 0 {
		o.Width = 640
	}
	if o.Height == 0 {
		o.Height = o.Width
	}
	stride := 1
	for _, s := range head.Strides {
		stride = max(stride, s)
	}
	if o.Width < 1 || o.Height < 1 || o.Width%stride != 0 || o.Height%stride != 0 {
		return fmt.Errorf("an input of %dx%d: want multiples of the model's stride %d", o.Width, o.Height, stride)
	}
	for _, c := range o.NMS.Classes {
		if c < 0 || c >= head.Classes {
			return fmt.Errorf("class %d: the model has classes 0 to %d", c, head.Classes-1)
		}
	}
	if o.Conf == 0 {
		o.Conf = 0.25
	}
	if o.Compile == nil {
		o.Compile = Native
	}
	if o.Threads < 0 || o.Threads > most || o.Sessions < 0 || o.Sessions > most {
		return fmt.Errorf("%d threads, %d sessions: want at most %d of each", o.Threads, o.Sessions, most)
	}
	cores := runtime.GOMAXPROCS(0)
	switch {
	case o.Threads == 0 && o.Sessions == 0:
		o.Threads, o.Sessions = cores, min(2, cores)
	case o.Threads == 0:
		o.Threads = max(1, cores/o.Sessions)
	case o.Sessions == 0:
		o.Sessions = max(1, cores/o.Threads)
	}
	return nil
}

// most is the number of threads or sessions that is taken for a mistake when exceeded.
const most = 1024

// Detect returns the objects in a picture, the most confident first, in the picture's own
// coordinates. While as many pictures as there are sessions are worked on it waits, until
// ctx is done; a picture that has been begun is finished.
//
// A picture without pixels, with more than picture.MaxPixels, or with less memory than its
// bounds say is an error. It must not change meanwhile, and its At must be safe for several
// goroutines.
func (d *Detector) Detect(ctx context.Context, img image.Image) ([]box.Box, Times, error) {
	if err := check(img); err != nil {
		return nil, Times{}, err
	}
	s, err := d.pool.take(ctx)
	if err != nil {
		return nil, Times{}, err
	}
	var whole *session // none after a panic, which a server may survive
	defer func() { d.pool.put(whole) }()
	found, t, err := d.detect(s, img)
	whole = s
	return found, t, err
}

// Close waits for the pictures that have been begun and gives the sessions' memory back.
// Whoever waits for one, or comes later, gets an error.
func (d *Detector) Close() error { return d.pool.close() }

func (d *Detector) detect(s *session, img image.Image) ([]box.Box, Times, error) {
	var t Times
	start := time.Now()
	fit := s.boxer.Letterbox(s.pixels, img)
	t.Before = time.Since(start)
	start = time.Now()
	maps, err := s.net.RunRGB(s.pixels)
	if err != nil {
		return nil, t, err
	}
	t.Network = time.Since(start)
	start = time.Now()
	found := box.NMS(yolo.Boxes(d.head, maps, yolo.BoxOptions{Conf: d.o.Conf})[0], d.o.NMS)
	left, top := float32(img.Bounds().Min.X), float32(img.Bounds().Min.Y)
	for i := range found {
		b := &found[i]
		b.X1, b.Y1, b.X2, b.Y2 = fit.Back(b.X1, b.Y1, b.X2, b.Y2)
		b.X1, b.Y1, b.X2, b.Y2 = b.X1+left, b.Y1+top, b.X2+left, b.Y2+top
	}
	t.After = time.Since(start)
	return found, t, nil
}

// check returns an error for a picture that cannot be worked on. The pixels at its corners
// tell whether its memory is as large as its bounds: helpers of ours that read beyond it
// would end the program.
func check(img image.Image) (err error) {
	if img == nil {
		return errors.New("there is no picture")
	}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the picture (%T) is not whole: %v", img, v)
		}
	}()
	b := img.Bounds()
	w, h := b.Dx(), b.Dy()
	switch {
	case b.Empty():
		return fmt.Errorf("a picture of %dx%d pixels", w, h)
	case w < 0 || h < 0 || w > picture.MaxPixels/h: // below 0, the difference has no int
		return fmt.Errorf("%v is more than %d million pixels", b, picture.MaxPixels/1_000_000)
	}
	for _, x := range []int{b.Min.X, b.Max.X - 1} {
		for _, y := range []int{b.Min.Y, b.Max.Y - 1} {
			if img.At(x, y) == nil {
				return fmt.Errorf("the picture (%T) has no colour at %d, %d", img, x, y)
			}
		}
	}
	return nil
}
