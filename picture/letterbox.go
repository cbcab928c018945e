package picture

import "math"

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
	scale := min(float64(h)/float64(p.H), float64(w)/float64(p.W))
	nw := max(1, int(math.RoundToEven(float64(p.W)*scale)))
	nh := max(1, int(math.RoundToEven(float64(p.H)*scale)))
	out, fit, left, top := canvas(nw, nh, w, h)
	p.resizeInto(out, left, top, nw, nh)
	fit.Scale, fit.W, fit.H = float32(scale), p.W, p.H
	return out, fit
}

// Pad is Letterbox without scaling: p, at most w x h, in the middle of grey 114.
func Pad(p *RGB, w, h int) (*RGB, Fit) {
	out, fit, left, top := canvas(p.W, p.H, w, h)
	p.resizeInto(out, left, top, p.W, p.H)
	fit.Scale, fit.W, fit.H = 1, p.W, p.H
	return out, fit
}

// canvas returns a grey w x h picture and where in it an nw x nh picture goes.
//
// Where the padding is odd, Pad's half pixel is kept although the picture lies on a whole
// one: YOLOv5 places labels like that in training, so a network's boxes are off by it too.
func canvas(nw, nh, w, h int) (out *RGB, fit Fit, left, top int) {
	padX, padY := float64(w-nw)/2, float64(h-nh)/2
	left, top = int(math.RoundToEven(padX-0.1)), int(math.RoundToEven(padY-0.1))
	out = New(w, h)
	if nw < w || nh < h {
		out.Pix[0] = Grey
		for n := 1; n < len(out.Pix); n *= 2 {
			copy(out.Pix[n:], out.Pix[:n])
		}
	}
	return out, Fit{PadX: float32(padX), PadY: float32(padY)}, left, top
}

// Back takes a box from network pixels to picture pixels and clips it to the picture.
func (f Fit) Back(x1, y1, x2, y2 float32) (float32, float32, float32, float32) {
	w, h := float32(f.W), float32(f.H)
	return clip((x1-f.PadX)/f.Scale, w), clip((y1-f.PadY)/f.Scale, h),
		clip((x2-f.PadX)/f.Scale, w), clip((y2-f.PadY)/f.Scale, h)
}

func clip(v, limit float32) float32 { return min(max(v, 0), limit) }
