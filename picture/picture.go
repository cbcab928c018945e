// Package picture reads picture files, scales pictures for a network and draws what was
// found in them. It follows what OpenCV does with the same file, because YOLOv5's networks
// were trained on pictures that OpenCV read: orientation from EXIF, smooth chroma in JPEG,
// alpha dropped and not blended, the low byte of 16 bits dropped.
package picture

import (
	"image"
	"image/color"

	"ultrafast/internal/bands"
)

// RGB is a picture of 8-bit sRGB without alpha. It is an image.Image and a draw.Image.
type RGB struct {
	Pix  []uint8 // R, G, B of each pixel, row by row; len = 3*W*H
	W, H int
}

// New returns a black picture. w and h are at least 0; sizes that come from a file are
// checked by Decode first.
func New(w, h int) *RGB { return &RGB{Pix: make([]uint8, 3*w*h), W: w, H: h} }

// ColorModel is color.RGBAModel: At gives color.RGBA without transparency.
func (p *RGB) ColorModel() color.Model { return color.RGBAModel }

// Bounds begins at (0, 0).
func (p *RGB) Bounds() image.Rectangle { return image.Rect(0, 0, p.W, p.H) }

// At returns one pixel, and transparent black outside the picture.
func (p *RGB) At(x, y int) color.Color {
	if uint(x) >= uint(p.W) || uint(y) >= uint(p.H) {
		return color.RGBA{}
	}
	i := 3 * (y*p.W + x)
	return color.RGBA{p.Pix[i], p.Pix[i+1], p.Pix[i+2], 255}
}

// Set sets one pixel, dropping alpha. Outside the picture it does nothing.
func (p *RGB) Set(x, y int, c color.Color) {
	if uint(x) >= uint(p.W) || uint(y) >= uint(p.H) {
		return
	}
	v := color.RGBAModel.Convert(c).(color.RGBA)
	i := 3 * (y*p.W + x)
	p.Pix[i], p.Pix[i+1], p.Pix[i+2] = v.R, v.G, v.B
}

// FromImage copies any picture. Alpha is dropped and the colour under it kept, as
// cv2.imread does with IMREAD_COLOR: a transparent red pixel is red. Of 16 bits the high
// byte stays.
func FromImage(img image.Image) *RGB {
	b := img.Bounds()
	p := New(b.Dx(), b.Dy())
	bands.Do(p.H, p.W, func(lo, hi int) {
		for y := lo; y < hi; y++ {
			row := p.Pix[3*p.W*y : 3*p.W*(y+1)]
			copyRow(row, img, b.Min.X, b.Min.Y+y)
		}
	})
	return p
}

// copyRow fills row with the pixels of img from (x0, y) on.
func copyRow(row []uint8, img image.Image, x0, y int) {
	n := len(row) / 3
	switch img := img.(type) {
	case *RGB:
		copy(row, img.Pix[3*(y*img.W+x0):])
	case *image.Gray:
		for x, v := range img.Pix[img.PixOffset(x0, y):][:n] {
			row[3*x], row[3*x+1], row[3*x+2] = v, v, v
		}
	case *image.NRGBA:
		takeRGB(row, img.Pix[img.PixOffset(x0, y):])
	case *image.RGBA:
		if pix := img.Pix[img.PixOffset(x0, y):][:4*n]; opaque(pix) {
			takeRGB(row, pix)
			return
		}
		copyColors(row, img, x0, y)
	case *image.YCbCr:
		for x := range n {
			y, c := img.Y[img.YOffset(x0+x, y)], img.COffset(x0+x, y)
			row[3*x], row[3*x+1], row[3*x+2] = color.YCbCrToRGB(y, img.Cb[c], img.Cr[c])
		}
	case *image.CMYK:
		pix := img.Pix[img.PixOffset(x0, y):]
		for x := range n {
			k := 255 - int(pix[4*x+3])
			for c := range 3 {
				row[3*x+c] = uint8(k - int(pix[4*x+c])*k>>8) // as OpenCV rounds it
			}
		}
	case *image.Paletted:
		pix := img.Pix[img.PixOffset(x0, y):][:n]
		for x, v := range pix {
			if int(v) < len(img.Palette) {
				row[3*x], row[3*x+1], row[3*x+2] = straight(img.Palette[v])
			}
		}
	default:
		copyColors(row, img, x0, y)
	}
}

func takeRGB(row, rgba []uint8) {
	for i, j := 0, 0; i+2 < len(row); i, j = i+3, j+4 {
		s := rgba[j : j+4 : j+4]
		row[i], row[i+1], row[i+2] = s[0], s[1], s[2]
	}
}

func opaque(rgba []uint8) bool {
	for i := 3; i < len(rgba); i += 4 {
		if rgba[i] != 255 {
			return false
		}
	}
	return true
}

func copyColors(row []uint8, img image.Image, x0, y int) {
	for x := range len(row) / 3 {
		row[3*x], row[3*x+1], row[3*x+2] = straight(img.At(x0+x, y))
	}
}

// straight returns the colour without its alpha, also where that is 0.
func straight(c color.Color) (r, g, b uint8) {
	if c, ok := c.(color.NRGBA); ok {
		return c.R, c.G, c.B
	}
	v := color.NRGBA64Model.Convert(c).(color.NRGBA64)
	return uint8(v.R >> 8), uint8(v.G >> 8), uint8(v.B >> 8)
}

// rgba returns a copy in the form that the standard library is fast with.
func (p *RGB) rgba() *image.RGBA {
	out := image.NewRGBA(p.Bounds())
	for i, j := 0, 0; i < len(p.Pix); i, j = i+3, j+4 {
		out.Pix[j], out.Pix[j+1], out.Pix[j+2], out.Pix[j+3] = p.Pix[i], p.Pix[i+1], p.Pix[i+2], 255
	}
	return out
}

// CHW writes the picture to dst as three planes, R, G and B, each value in 0..1. That is
// [3, H, W] as networks take it; len(dst) is 3*W*H.
func (p *RGB) CHW(dst []float32) {
	plane := p.W * p.H
	r, g, b := dst[:plane], dst[plane:2*plane], dst[2*plane:3*plane]
	bands.Do(p.H, p.W, func(lo, hi int) {
		for i := lo * p.W; i < hi*p.W; i++ {
			s := p.Pix[3*i : 3*i+3 : 3*i+3]
			r[i], g[i], b[i] = unit[s[0]], unit[s[1]], unit[s[2]]
		}
	})
}

// unit[v] is v/255.
var unit = func() (t [256]float32) {
	for v := range t {
		t[v] = float32(v) / 255
	}
	return t
}()
