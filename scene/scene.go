// Package scene draws pictures of people with and without face masks, as simple figures
// before cluttered backgrounds, with the boxes of the faces. They stand in for photographs
// where there are none: for the demonstration and for tests. The same seed draws the same.
package scene

import (
	"image/color"
	"math"
	"math/rand/v2"

	"ultrafast/picture"
)

// Names are the classes of a Face.
var Names = []string{"face", "mask"}

// A Face is what is to be found: a head from hairline to chin, its box in pixels.
type Face struct {
	Class          int // 0 without a mask, 1 with one
	X1, Y1, X2, Y2 float32
}

// Draw draws one scene of w×h pixels with one to six people, from far away (heads of a
// fourteenth of the width) to close (four tenths).
func Draw(rng *rand.Rand, w, h int) (*picture.RGB, []Face) {
	c := newCanvas(w, h)
	background(c, rng)
	var faces []Face
	for range 1 + rng.IntN(6) {
		// Sizes are uniform on a log scale: every doubling is as frequent as the next.
		head := float64(w) / 14 * math.Pow(5.6, rng.Float64())
		f := person(c, rng, head)
		if crowded(faces, f) || f.X2 <= f.X1 {
			c.drop()
			continue
		}
		c.flush() // painted only once it is known not to cover another face
		faces = append(faces, f)
	}
	return c.picture(rng), faces
}

// crowded reports whether a head would come too close to one that stands already.
func crowded(faces []Face, f Face) bool {
	for _, g := range faces {
		if f.X1 < g.X2 && g.X1 < f.X2 && f.Y1 < g.Y2+(g.Y2-g.Y1)/2 && g.Y1 < f.Y2+(f.Y2-f.Y1)*2 {
			return true
		}
	}
	return false
}

// background is a gradient with rectangles, discs, lines and head-like decoys on it.
func background(c *canvas, rng *rand.Rand) {
	c.gradient(anyColor(rng), anyColor(rng))
	w, h := float64(c.w), float64(c.h)
	for range 8 + rng.IntN(20) {
		x, y, s := rng.Float64()*w, rng.Float64()*h, w*(0.02+0.25*rng.Float64()*rng.Float64())
		paint := anyColor(rng)
		switch rng.IntN(5) {
		case 0:
			c.rect(x, y, s, s*(0.3+1.4*rng.Float64()), paint)
		case 1:
			c.ellipse(x, y, s/2, s/2*(0.5+rng.Float64()), rng.Float64()*math.Pi, paint)
		case 2:
			c.line(x, y, x+w*(rng.Float64()-0.5), y+h*(rng.Float64()-0.5), s/12, paint)
		case 3: // a ball of skin colour without a face
			c.ellipse(x, y, s/4, s/3.4, 0, skin(rng))
		case 4: // a mask on its own
			c.rect(x, y, s/3, s/5, clothColor(rng))
		}
	}
	c.flush()
}

// person draws shoulders and head, the head's width being given, and returns the face.
func person(c *canvas, rng *rand.Rand, head float64) Face {
	rx, ry := head/2, head/2*(1.2+0.2*rng.Float64())
	x := rng.Float64() * float64(c.w)
	y := ry + rng.Float64()*(float64(c.h)-1.5*ry)
	tilt := (rng.Float64() - 0.5) * 0.4
	turn := (rng.Float64() - 0.5) * 0.5 * rx // how far the features sit off the middle
	tone, hair := skin(rng), hairColor(rng)

	c.polygon(anyColor(rng), x-2.1*rx, y+3.6*ry, x-1.7*rx, y+1.5*ry, x-0.4*rx, y+1.1*ry, x+0.4*rx, y+1.1*ry, x+1.7*rx, y+1.5*ry, x+2.1*rx, y+3.6*ry)
	c.rect(x, y+ry, 0.8*rx, 0.8*ry, shade(tone, 0.8))
	at := func(u, v float64) (float64, float64) { // face coordinates, ±1 at the outline
		px, py := u*rx, v*ry
		return x + px*math.Cos(tilt) - py*math.Sin(tilt), y + px*math.Sin(tilt) + py*math.Cos(tilt)
	}
	hx, hy := at(0, -0.22)
	c.ellipse(hx, hy, rx*1.12, ry*1.0, tilt, hair)
	c.ellipse(x, y, rx, ry, tilt, tone)
	fx, fy := at(0, -0.85)
	c.ellipse(fx, fy, rx*0.8, ry*0.28, tilt, hair)
	for _, side := range []float64{-1, 1} {
		ex, ey := at(side*0.38+turn/rx, -0.18)
		c.ellipse(ex, ey, rx*0.17, ry*0.085, tilt, color.RGBA{245, 245, 245, 255})
		c.ellipse(ex, ey, rx*0.075, ry*0.08, tilt, color.RGBA{25, 20, 20, 255})
		bx, by := at(side*0.38+turn/rx, -0.36)
		c.ellipse(bx, by, rx*0.2, ry*0.035, tilt, hair)
	}
	f := Face{}
	if rng.IntN(2) == 1 {
		f.Class = 1
		wornMask(c, rng, at, turn/rx)
	} else {
		bareFace(c, rng, at, turn/rx, rx, ry, tilt, tone)
	}
	// The outline of a tilted ellipse, cut by the picture.
	dx := math.Hypot(rx*math.Cos(tilt), ry*math.Sin(tilt))
	dy := math.Hypot(rx*math.Sin(tilt), ry*math.Cos(tilt))
	f.X1, f.X2 = clip(x-dx, c.w), clip(x+dx, c.w)
	f.Y1, f.Y2 = clip(y-dy, c.h), clip(y+dy, c.h)
	if float64(f.X2-f.X1) < dx || float64(f.Y2-f.Y1) < dy { // less than half is seen
		return Face{}
	}
	return f
}

func clip(v float64, most int) float32 { return float32(min(max(v, 0), float64(most))) }

// wornMask covers nose, mouth and chin, with straps to the ears.
func wornMask(c *canvas, rng *rand.Rand, at func(u, v float64) (float64, float64), turn float64) {
	cloth := clothColor(rng)
	var outline []float64
	for _, p := range [][2]float64{{-0.85, 0.12}, {-0.3, 0.05}, {turn, 0}, {0.3, 0.05}, {0.85, 0.12}, {0.72, 0.68}, {0.35, 0.98}, {-0.35, 0.98}, {-0.72, 0.68}} {
		px, py := at(p[0], p[1])
		outline = append(outline, px, py)
	}
	ax, ay := at(-1, -0.1)
	bx, by := at(-0.8, 0.2)
	width := math.Hypot(outline[0]-outline[8], outline[1]-outline[9]) / 25
	c.line(ax, ay, bx, by, width, cloth)
	ax, ay = at(1, -0.1)
	bx, by = at(0.8, 0.2)
	c.line(ax, ay, bx, by, width, cloth)
	c.polygon(cloth, outline...)
	for _, v := range []float64{0.35, 0.55, 0.75} { // folds
		ax, ay = at(-0.55, v)
		bx, by = at(0.55, v)
		c.line(ax, ay, bx, by, width/1.5, shade(cloth, 0.85))
	}
}

// bareFace has a nose and a mouth, and now and then a beard or a mask below the chin.
func bareFace(c *canvas, rng *rand.Rand, at func(u, v float64) (float64, float64), turn, rx, ry, tilt float64, tone color.RGBA) {
	if rng.IntN(5) == 0 {
		x, y := at(0, 0.72)
		c.ellipse(x, y, rx*0.62, ry*0.3, tilt, hairColor(rng))
	}
	ax, ay := at(turn, 0)
	bx, by := at(turn*1.3, 0.25)
	c.line(ax, ay, bx, by, rx*0.14, shade(tone, 0.78))
	mx, my := at(turn, 0.52)
	c.ellipse(mx, my, rx*(0.2+0.2*rng.Float64()), ry*(0.04+0.09*rng.Float64()), tilt, color.RGBA{150, uint8(40 + rng.IntN(40)), 60, 255})
	if rng.IntN(6) == 0 { // worn wrongly: it does not count
		x, y := at(0, 1.05)
		c.ellipse(x, y, rx*0.6, ry*0.16, tilt, clothColor(rng))
	}
}
