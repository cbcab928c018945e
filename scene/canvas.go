package scene

import (
	"image"
	"image/color"
	"math"
	"math/rand/v2"

	"golang.org/x/image/vector"

	"ultrafast/picture"
)

// A canvas collects shapes and paints them, with smooth edges, when it is flushed.
type canvas struct {
	w, h   int
	img    *image.RGBA
	raster *vector.Rasterizer
	todo   []shape
}

// A shape is a closed outline x, y, x, y … of one colour.
type shape struct {
	outline []float64
	paint   color.RGBA
}

func newCanvas(w, h int) *canvas {
	return &canvas{w: w, h: h, img: image.NewRGBA(image.Rect(0, 0, w, h)), raster: vector.NewRasterizer(w, h)}
}

// flush paints what has been collected; drop forgets it instead.
func (c *canvas) flush() {
	for _, s := range c.todo {
		c.paint(s)
	}
	c.drop()
}

// paint fills one shape. Only the rectangle around it is rasterised: most are small.
func (c *canvas) paint(s shape) {
	x0, y0, x1, y1 := s.outline[0], s.outline[1], s.outline[0], s.outline[1]
	for i := 2; i+1 < len(s.outline); i += 2 {
		x0, x1 = min(x0, s.outline[i]), max(x1, s.outline[i])
		y0, y1 = min(y0, s.outline[i+1]), max(y1, s.outline[i+1])
	}
	r := image.Rect(int(math.Floor(x0)), int(math.Floor(y0)), int(math.Ceil(x1)), int(math.Ceil(y1))).Intersect(c.img.Bounds())
	if r.Empty() {
		return
	}
	c.raster.Reset(r.Dx(), r.Dy())
	at := func(i int) (float32, float32) {
		return float32(s.outline[i] - float64(r.Min.X)), float32(s.outline[i+1] - float64(r.Min.Y))
	}
	c.raster.MoveTo(at(0))
	for i := 2; i+1 < len(s.outline); i += 2 {
		c.raster.LineTo(at(i))
	}
	c.raster.ClosePath()
	c.raster.Draw(c.img, r, image.NewUniform(s.paint), image.Point{})
}

func (c *canvas) drop() { c.todo = c.todo[:0] }

func (c *canvas) polygon(paint color.RGBA, outline ...float64) {
	c.todo = append(c.todo, shape{outline, paint})
}

// rect is centred at x, y.
func (c *canvas) rect(x, y, w, h float64, paint color.RGBA) {
	c.polygon(paint, x-w/2, y-h/2, x+w/2, y-h/2, x+w/2, y+h/2, x-w/2, y+h/2)
}

func (c *canvas) ellipse(x, y, rx, ry, tilt float64, paint color.RGBA) {
	const corners = 32
	outline := make([]float64, 0, 2*corners)
	sin, cos := math.Sincos(tilt)
	for i := range corners {
		s, k := math.Sincos(2 * math.Pi * float64(i) / corners)
		px, py := rx*k, ry*s
		outline = append(outline, x+px*cos-py*sin, y+px*sin+py*cos)
	}
	c.polygon(paint, outline...)
}

func (c *canvas) line(x1, y1, x2, y2, width float64, paint color.RGBA) {
	length := math.Hypot(x2-x1, y2-y1)
	if length == 0 {
		return
	}
	nx, ny := -(y2-y1)/length*width/2, (x2-x1)/length*width/2
	c.polygon(paint, x1+nx, y1+ny, x2+nx, y2+ny, x2-nx, y2-ny, x1-nx, y1-ny)
}

// gradient fills everything from the top's colour to the bottom's.
func (c *canvas) gradient(top, bottom color.RGBA) {
	for y := range c.h {
		t := float64(y) / float64(c.h)
		mix := func(a, b uint8) uint8 { return uint8(float64(a)*(1-t) + float64(b)*t) }
		row := color.RGBA{mix(top.R, bottom.R), mix(top.G, bottom.G), mix(top.B, bottom.B), 255}
		for x := range c.w {
			c.img.SetRGBA(x, y, row)
		}
	}
}

// picture adds light and sensor noise.
func (c *canvas) picture(rng *rand.Rand) *picture.RGB {
	p := picture.FromImage(c.img)
	gain, noise := 0.6+0.5*rng.Float64(), 2+8*rng.Float64()
	for i, v := range p.Pix {
		p.Pix[i] = uint8(min(max(float64(v)*gain+rng.NormFloat64()*noise, 0), 255))
	}
	return p
}

func anyColor(rng *rand.Rand) color.RGBA {
	return color.RGBA{uint8(rng.IntN(256)), uint8(rng.IntN(256)), uint8(rng.IntN(256)), 255}
}

// skin goes from pale to dark.
func skin(rng *rand.Rand) color.RGBA {
	return shade(color.RGBA{245, 205, 175, 255}, 0.35+0.65*rng.Float64())
}

func hairColor(rng *rand.Rand) color.RGBA {
	tones := []color.RGBA{{30, 25, 25, 255}, {80, 55, 35, 255}, {150, 110, 60, 255}, {120, 120, 120, 255}, {200, 195, 190, 255}}
	return shade(tones[rng.IntN(len(tones))], 0.7+0.3*rng.Float64())
}

// clothColor is what masks are made of: blue, white, black, green, now and then anything.
func clothColor(rng *rand.Rand) color.RGBA {
	cloths := []color.RGBA{{110, 170, 215, 255}, {235, 240, 240, 255}, {35, 35, 40, 255}, {120, 190, 160, 255}}
	if i := rng.IntN(5); i < len(cloths) {
		return shade(cloths[i], 0.85+0.15*rng.Float64())
	}
	return anyColor(rng)
}

func shade(c color.RGBA, by float64) color.RGBA {
	return color.RGBA{uint8(float64(c.R) * by), uint8(float64(c.G) * by), uint8(float64(c.B) * by), 255}
}
