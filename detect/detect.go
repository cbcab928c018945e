// Package detect finds objects in pictures: letterbox, network, decoding, suppression.
package detect

import (
	"time"

	"ultrafast/box"
	"ultrafast/engine"
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
	Threads       int      // 0 means all cores
	Compile       Compiler // nil means Native
}

// A Compiler prepares what yolo.Raw leaves of a model for one picture of Width×Height.
type Compiler func(raw *graph.Graph, o Options) (Network, error)

// A Network computes a model's raw maps for a picture [1, 3, Height, Width] in 0..1. They
// are valid until the next Run. An engine.Session is one, and an ort.Session.
type Network interface {
	Run(x *tensor.Tensor) ([]*tensor.Tensor, error)
}

// Native is the Compiler of package engine.
func Native(raw *graph.Graph, o Options) (Network, error) {
	p, err := engine.Compile(raw, engine.Options{Batch: 1, Height: o.Height, Width: o.Width, Threads: o.Threads})
	if err != nil {
		return nil, err
	}
	return p.NewSession(), nil
}

// A Detector finds objects with one model. It belongs to one goroutine.
type Detector struct {
	o     Options
	head  *graph.Detect
	net   Network
	boxer *picture.Letterboxer
	boxed *picture.RGB
	input *tensor.Tensor
}

// Times says how long the stages of one picture took.
type Times struct {
	Before  time.Duration // letterbox
	Network time.Duration
	After   time.Duration // decoding, suppression
}

// New prepares a model with a detection head. g is not changed and may be used on.
func New(g *graph.Graph, o Options) (*Detector, error) {
	if o.Width == 0 {
		o.Width = 640
	}
	if o.Height == 0 {
		o.Height = o.Width
	}
	if o.Conf == 0 {
		o.Conf = 0.25
	}
	if o.Compile == nil {
		o.Compile = Native
	}
	raw, head, err := yolo.Raw(g)
	if err != nil {
		return nil, err
	}
	net, err := o.Compile(raw, o)
	if err != nil {
		return nil, err
	}
	return &Detector{
		o: o, head: head, net: net,
		boxer: picture.NewLetterboxer(o.Width, o.Height, o.Threads), boxed: picture.New(o.Width, o.Height),
		input: tensor.New(1, 3, o.Height, o.Width),
	}, nil
}

// Detect returns the objects in a picture, the most confident first, in its pixels.
func (d *Detector) Detect(p *picture.RGB) ([]box.Box, Times, error) {
	var t Times
	start := time.Now()
	fit := d.boxer.Letterbox(d.boxed.Pix, p)
	d.boxed.CHW(d.input.Data)
	t.Before = time.Since(start)
	start = time.Now()
	maps, err := d.net.Run(d.input)
	if err != nil {
		return nil, t, err
	}
	t.Network = time.Since(start)
	start = time.Now()
	found := box.NMS(yolo.Boxes(d.head, maps, yolo.BoxOptions{Conf: d.o.Conf})[0], d.o.NMS)
	for i := range found {
		b := &found[i]
		b.X1, b.Y1, b.X2, b.Y2 = fit.Back(b.X1, b.Y1, b.X2, b.Y2)
	}
	t.After = time.Since(start)
	return found, t, nil
}
