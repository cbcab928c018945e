package picture

import (
	"image"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
)

// Grey is what YOLOv5 fills the rest of a letterbox with.
const Grey = 114

// A Fit says how a picture lies in a network's input.
type Fit struct {
	Scale      float32 // network pixels per picture pixel, the same along both axes
	PadX, PadY float32 // network pixels left of and above the picture
	W, H       int     // size of the picture
}

// Letterbox scales p, which has a pixel at least, so that it just fits w x h, keeping its
// aspect, enlarging it where there is room, and puts it in the middle of grey 114. Sizes
// round as in YOLOv5: halves of the scaled size to even, an odd row or column of padding
// goes below or right.
func Letterbox(p *RGB, w, h int) (*RGB, Fit) {
	out := New(w, h)
	return out, NewLetterboxer(w, h, 0).Letterbox(out.Pix, p)
}

// A Letterboxer letterboxes one picture after the other. It keeps its memory: as long as
// the pictures are of one size and one type, it takes no more. It belongs to one goroutine.
type Letterboxer struct {
	w, h    int
	s       scaling
	workers []worker

	// The picture at hand.
	dst  []uint8 // what is scaled goes here, in rows of 3*w bytes
	img  image.Image
	next atomic.Int32 // row that nobody has begun
	wait sync.WaitGroup
}

// A worker scales in a goroutine.
type worker struct {
	lines
	run func() // kept, since a closure takes memory
}

// NewLetterboxer prepares for inputs of w x h pixels, both at least 1, and works on them
// with so many goroutines; 0 means all cores.
func NewLetterboxer(w, h, threads int) *Letterboxer {
	if threads < 1 {
		threads = runtime.GOMAXPROCS(0)
	}
	l := &Letterboxer{w: w, h: h, workers: make([]worker, threads)}
	for i := range l.workers {
		l.workers[i].run = func() {
			defer l.wait.Done()
			l.work(&l.workers[i].lines)
		}
	}
	return l
}

// Letterbox does to img, which has a pixel at least, what the function of that name does,
// and writes the result to dst: R, G, B of each pixel, row by row; len(dst) is 3*w*h.
// Pictures that are not RGB become so as FromImage says, but only in the rows that count.
func (l *Letterboxer) Letterbox(dst []uint8, img image.Image) Fit {
	size := img.Bounds().Size()
	scale := min(float64(l.h)/float64(size.Y), float64(l.w)/float64(size.X))
	nw := max(1, int(math.RoundToEven(float64(size.X)*scale)))
	nh := max(1, int(math.RoundToEven(float64(size.Y)*scale)))
	fit, left, top := place(nw, nh, l.w, l.h)
	fit.Scale, fit.W, fit.H = float32(scale), size.X, size.Y

	surround(dst[:3*l.w*l.h], l.w, left, top, nw, nh)
	l.s.set(size.X, size.Y, nw, nh)
	l.dst, l.img = dst[3*(top*l.w+left):], img
	l.next.Store(0)
	const least = 1 << 16 // pixels that are worth a goroutine
	n := max(1, min(len(l.workers), nw*nh/least))
	l.wait.Add(n)
	for i := 1; i < n; i++ {
		go l.workers[i].run()
	}
	l.workers[0].run()
	l.wait.Wait()
	l.dst, l.img = nil, nil
	return fit
}

// work scales bands of rows until none is left.
func (l *Letterboxer) work(mem *lines) {
	const band = 32
	for {
		hi := int(l.next.Add(band))
		lo := hi - band
		if lo >= l.s.h {
			return
		}
		l.s.rows(l.dst, 3*l.w, l.img, lo, min(hi, l.s.h), mem)
	}
}

// surround fills what lies in pix, rows of w pixels, around the nw x nh rectangle at left
// and top.
func surround(pix []uint8, w, left, top, nw, nh int) {
	fill(pix[:3*w*top])
	fill(pix[3*w*(top+nh):])
	if nw == w {
		return
	}
	for y := top; y < top+nh; y++ {
		row := pix[3*w*y:][:3*w]
		fill(row[:3*left])
		fill(row[3*(left+nw):])
	}
}

func fill(s []uint8) {
	if len(s) > 0 {
		s[0] = Grey
		for n := 1; n < len(s); n *= 2 {
			copy(s[n:], s[:n])
		}
	}
}

// Pad is Letterbox without scaling: p, at most w x h, in the middle of grey 114.
func Pad(p *RGB, w, h int) (*RGB, Fit) {
	out := New(w, h)
	fit, left, top := place(p.W, p.H, w, h)
	fit.Scale, fit.W, fit.H = 1, p.W, p.H
	surround(out.Pix, w, left, top, p.W, p.H)
	for y := range p.H {
		copy(out.Pix[3*((top+y)*w+left):], p.Pix[3*p.W*y:][:3*p.W])
	}
	return out, fit
}

// place says where in a w x h picture an nw x nh picture goes.
//
// Where the padding is odd, Pad's half pixel is kept although the picture lies on a whole
// one: YOLOv5 places labels like that in training, so a network's boxes are off by it too.
func place(nw, nh, w, h int) (fit Fit, left, top int) {
	padX, padY := float64(w-nw)/2, float64(h-nh)/2
	left, top = int(math.RoundToEven(padX-0.1)), int(math.RoundToEven(padY-0.1))
	return Fit{PadX: float32(padX), PadY: float32(padY)}, left, top
}

// Back takes a box from network pixels to picture pixels and clips it to the picture.
func (f Fit) Back(x1, y1, x2, y2 float32) (float32, float32, float32, float32) {
	w, h := float32(f.W), float32(f.H)
	return clip((x1-f.PadX)/f.Scale, w), clip((y1-f.PadY)/f.Scale, h),
		clip((x2-f.PadX)/f.Scale, w), clip((y2-f.PadY)/f.Scale, h)
}

func clip(v, limit float32) float32 { return min(max(v, 0), limit) }
