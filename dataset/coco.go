package dataset

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
)

// What is refused in a COCO file.
const (
	maxCOCOBytes   = 8 << 30
	maxCOCOElement = 64 << 20 // one picture, annotation or category, or what else stands at the top
	maxCOCOBoxes   = 50_000_000
)

// A cocoFile is what of a COCO file counts.
type cocoFile struct {
	images     []cocoImage
	categories map[int64]string
	stray      []int64 // annotations of images that are not there
}

type cocoImage struct {
	ID    int64  `json:"id"`
	Name  string `json:"file_name"`
	W     int    `json:"width"`
	H     int    `json:"height"`
	boxes []cocoBox
}

type cocoBox struct {
	id, category int64
	box          [4]float32 // left, top, width, height in pixels
}

type cocoAnnotation struct {
	ID       int64     `json:"id"`
	Image    int64     `json:"image_id"`
	Category int64     `json:"category_id"`
	Box      []float64 `json:"bbox"`
	Crowd    int       `json:"iscrowd"`
}

// openCOCO reads a COCO file, saying how far it is.
func openCOCO(path string, o OpenOptions) (*cocoFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	parsed, err := parseCOCO(f, func(read int64) {
		o.progress("reading "+filepath.Base(path)+" (MB)", int(read>>20), int(st.Size()>>20)+1)
	})
	if err != nil {
		return nil, fmt.Errorf("%s%w", path, err)
	}
	return parsed, nil
}

// labels makes fractions of a picture of w x h pixels. Boxes are clipped to the picture.
func (i *cocoImage) labels(path string, w, h int, class map[int64]int) (out labelFile) {
	if i.W > 0 && i.H > 0 && (i.W != w || i.H != h) {
		out.fail(path, 0, fmt.Errorf("image %d is said to have %d x %d pixels, and has %d x %d", i.ID, i.W, i.H, w, h))
		return out
	}
	for _, b := range i.boxes {
		x, y, bw, bh := float64(b.box[0]), float64(b.box[1]), float64(b.box[2]), float64(b.box[3])
		n, ok := class[b.category]
		switch {
		case !ok:
			out.fail(path, 0, &kindError{WrongClass, fmt.Sprintf("annotation %d: category %d is not among the categories", b.id, b.category)})
		case bw < 0 || bh < 0 || math.IsInf(x, 0) || math.IsInf(y, 0):
			out.fail(path, 0, fmt.Errorf("annotation %d: bbox is not left, top, width, height", b.id))
		case x >= float64(w) || y >= float64(h) || x+bw < 0 || y+bh < 0:
			out.fail(path, 0, &kindError{Outside, fmt.Sprintf("annotation %d: the box lies outside the picture of %d x %d pixels", b.id, w, h)})
		default:
			if !out.add(path, 0, pixels(n, x, y, x+bw, y+bh, w, h)) {
				return out
			}
		}
	}
	return out
}
