package report

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"path/filepath"

	"ultrafast/picture"
)

// exampleSide is how long the longer side of a picture is on the page, in pixels.
const exampleSide = 480

// A shownPicture is a picture with two sets of boxes over it.
type shownPicture struct {
	ID, File string
	W, H     int
	Data     template.URL // the JPEG, which the second use refers to
	Sides    []pictureSide
}

// A pictureSide is what one model found.
type pictureSide struct {
	Title, Says string
	Labels      []shownBox // dashed
	Found       []shownBox
}

// A shownBox is a box in the pixels of the page's picture.
type shownBox struct {
	X, Y, W, H  float64
	Colour      template.CSS
	Text        string
	TextX, TagY float64
	TagW        float64
}

// examples are pictures with what the parent and the result found, side by side.
func (c *Compression) examples() section {
	s := section{ID: PartPictures, Title: "Pictures"}
	for i, e := range c.Pictures[:min(len(c.Pictures), maxShown)] {
		p, err := c.show(i, e)
		if err != nil {
			s.Missing = append(s.Missing, clip(fmt.Sprintf("%s is not shown: %v", e.File, err), maxText))
			continue
		}
		s.Pictures = append(s.Pictures, p)
	}
	if more := len(c.Pictures) - maxShown; more > 0 {
		s.Missing = append(s.Missing, fmt.Sprintf("%d more pictures are in report.json.", more))
	}
	if len(c.Pictures) == 0 {
		s.Missing = []string{c.missing(PartPictures, "No pictures were kept.")}
	}
	if len(s.Pictures) > 0 {
		s.Text = "Left the parent, right what is handed out. Solid and with confidence: found. Dashed: labelled."
	}
	return s
}

// show makes a picture for the page.
func (c *Compression) show(i int, e Example) (shownPicture, error) {
	img, err := picture.Open(e.File)
	if err != nil {
		return shownPicture{}, err
	}
	if img.W < 1 || img.H < 1 {
		return shownPicture{}, errors.New("it has no pixel")
	}
	scale := min(1, exampleSide/float64(max(img.W, img.H)))
	w, h := max(1, int(float64(img.W)*scale+0.5)), max(1, int(float64(img.H)*scale+0.5))
	data, err := smallJPEG(img.ResizeArea(w, h))
	if err != nil {
		return shownPicture{}, err
	}
	p := shownPicture{ID: fmt.Sprintf("picture%d", i), File: clip(filepath.Base(e.File), maxName), W: w, H: h,
		Data: template.URL("data:image/jpeg;base64," + base64.StdEncoding.EncodeToString(data))}
	labels := c.boxes(e.Labels, scale, w, h)
	for _, side := range []struct {
		title string
		found []ExampleBox
	}{{"parent", e.Parent}, {"result", e.Child}} {
		p.Sides = append(p.Sides, pictureSide{Title: side.title, Labels: labels, Found: c.boxes(side.found, scale, w, h),
			Says: fmt.Sprintf("%s: %d labelled, %d found by the %s", p.File, len(e.Labels), len(side.found), side.title)})
	}
	return p, nil
}

// smallJPEG is a picture's JPEG, of the best quality that the page has room for.
func smallJPEG(img *picture.RGB) ([]byte, error) {
	for {
		for _, quality := range []int{85, 70, 50, 30} {
			var b bytes.Buffer
			if err := img.EncodeJPEG(&b, quality); err != nil || b.Len() <= jpegBudget {
				return b.Bytes(), err
			}
		}
		img = img.ResizeArea(max(1, img.W/2), max(1, img.H/2))
	}
}

// boxes are those that a picture of w x h, scaled so, can show.
func (c *Compression) boxes(boxes []ExampleBox, scale float64, w, h int) []shownBox {
	var shown []shownBox
	for _, b := range boxes {
		if !b.X1.Known() || !b.Y1.Known() || !b.X2.Known() || !b.Y2.Known() || len(shown) >= maxBoxes {
			continue
		}
		within := func(v Number, most int) float64 { return tenth(max(0, min(float64(v)*scale, float64(most)))) }
		x1, y1, x2, y2 := within(b.X1, w), within(b.Y1, h), within(b.X2, w), within(b.Y2, h)
		if x2 <= x1 || y2 <= y1 {
			continue
		}
		k := picture.Color(max(b.Class, 0))
		s := shownBox{X: x1, Y: y1, W: tenth(x2 - x1), H: tenth(y2 - y1), Colour: template.CSS(fmt.Sprintf("#%02x%02x%02x", k.R, k.G, k.B))}
		s.Text = clip(className(c.Data.Classes, max(b.Class, 0)), 24)
		if b.Conf > 0 && b.Conf.Known() {
			s.Text += fmt.Sprintf(" %.2f", b.Conf)
		}
		s.TagW = tenth(6.2*float64(len([]rune(s.Text))) + 6)
		s.TextX, s.TagY = max(0, min(x1, float64(w)-s.TagW)), y1-14
		if s.TagY < 0 {
			s.TagY = y1
		}
		shown = append(shown, s)
	}
	return shown
}
