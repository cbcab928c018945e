package picture

import (
	"image"
	"image/color"
	"image/draw"
	"math"
	"sync"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gomedium"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

// palette is what classes are drawn in. Neighbours are far apart in hue, and each stands
// out against skin, sky and street alike.
var palette = [...]color.RGBA{
	{230, 57, 70, 255}, {29, 143, 225, 255}, {244, 162, 24, 255}, {46, 178, 92, 255},
	{155, 81, 224, 255}, {0, 181, 173, 255}, {240, 98, 178, 255}, {141, 153, 30, 255},
	{94, 96, 206, 255}, {214, 110, 40, 255}, {10, 126, 140, 255}, {199, 0, 110, 255},
	{112, 193, 60, 255}, {73, 110, 160, 255}, {176, 124, 90, 255}, {255, 200, 50, 255},
}

// Color returns the colour of a class. They repeat after 16.
func Color(class int) color.RGBA {
	n := len(palette)
	return palette[(class%n+n)%n]
}

// DrawBox draws a box and, where label is not empty, the label on a field of the same
// colour above it, or inside where there is no room above. Corners are in pixels and may
// lie outside the picture. Lines and letters grow with the picture, so that they can be
// read when it is shown as a whole.
func (p *RGB) DrawBox(x1, y1, x2, y2 float32, label string, c color.RGBA) {
	side := float64(p.W+p.H) / 2
	line := max(2, int(math.Round(side*0.003)))
	p.DrawRect(x1, y1, x2, y2, line, c)
	if label != "" {
		p.DrawLabel(x1-float32(line)/2, y1, label, max(12, side*0.022), c)
	}
}

// DrawRect draws the outline of a rectangle, its lines thickness pixels wide and centred
// on the edges.
func (p *RGB) DrawRect(x1, y1, x2, y2 float32, thickness int, c color.RGBA) {
	out := image.Rect(pixel(x1), pixel(y1), pixel(x2), pixel(y2)).Inset(-thickness / 2)
	in := out.Inset(thickness)
	if in.Empty() {
		p.fill(out, c)
		return
	}
	p.fill(image.Rect(out.Min.X, out.Min.Y, out.Max.X, in.Min.Y), c)
	p.fill(image.Rect(out.Min.X, in.Max.Y, out.Max.X, out.Max.Y), c)
	p.fill(image.Rect(out.Min.X, in.Min.Y, in.Min.X, in.Max.Y), c)
	p.fill(image.Rect(in.Max.X, in.Min.Y, out.Max.X, in.Max.Y), c)
}

// DrawLabel writes text on a field of colour c, whose lower left corner is at (x, y), or
// its upper left corner where the field would leave the picture at the top. It is moved
// left where it would leave it at the right. size is the font's size in pixels. Letters
// that the font (Go Medium: Latin, Greek, Cyrillic) does not have are shown as boxes.
func (p *RGB) DrawLabel(x, y float32, text string, size float64, c color.RGBA) {
	f, err := typeface()
	if err != nil {
		panic("BUG: picture: the built-in font: " + err.Error())
	}
	face, err := opentype.NewFace(f, &opentype.FaceOptions{Size: size, DPI: 72})
	if err != nil {
		panic("BUG: picture: the built-in font: " + err.Error())
	}
	defer face.Close()
	m := face.Metrics()
	ascent, height := m.Ascent.Ceil(), (m.Ascent + m.Descent).Ceil()
	margin := max(1, height/6)
	width := font.MeasureString(face, text).Ceil() + 2*margin

	left := max(0, min(pixel(x), p.W-width))
	top := pixel(y) - height
	if top < 0 {
		top = max(0, pixel(y))
	}
	p.fill(image.Rect(left, top, left+width, top+height), c)
	d := font.Drawer{Dst: p, Src: image.NewUniform(ink(c)), Face: face,
		Dot: fixed.P(left+margin, top+ascent)}
	d.DrawString(text)
}

// typeface is the font, parsed once.
var typeface = sync.OnceValues(func() (*opentype.Font, error) { return opentype.Parse(gomedium.TTF) })

// ink is white on dark colours and black on light ones.
func ink(c color.RGBA) color.RGBA {
	if 299*int(c.R)+587*int(c.G)+114*int(c.B) > 150*1000 {
		return color.RGBA{0, 0, 0, 255}
	}
	return color.RGBA{255, 255, 255, 255}
}

// fill paints a rectangle, as much of it as lies in the picture.
func (p *RGB) fill(r image.Rectangle, c color.RGBA) {
	r = r.Intersect(p.Bounds())
	for y := r.Min.Y; y < r.Max.Y; y++ {
		row := p.Pix[3*(y*p.W+r.Min.X) : 3*(y*p.W+r.Max.X)]
		for i := 0; i < len(row); i += 3 {
			row[i], row[i+1], row[i+2] = c.R, c.G, c.B
		}
	}
}

// pixel rounds a coordinate. What is far outside any picture stays in the range of an
// int, and what is not a number is 0: a network may give either.
func pixel(v float32) int {
	if v != v {
		return 0
	}
	return int(math.Round(float64(min(max(v, -1e6), 1e6))))
}

var _ draw.Image = (*RGB)(nil)
