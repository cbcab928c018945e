package dataset

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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

// An allowance is a reader that gives no more than it was allowed since the last element.
type allowance struct {
	r    io.Reader
	left int64
	read int64 // of the whole file
}

func (a *allowance) Read(p []byte) (int, error) {
	if a.left <= 0 {
		return 0, fmt.Errorf("one element is larger than %d MB", maxCOCOElement>>20)
	}
	n, err := a.r.Read(p[:min(int64(len(p)), a.left)])
	a.left, a.read = a.left-int64(n), a.read+int64(n)
	return n, err
}

// parseCOCO reads instances of COCO's format, element by element. Crowds are left out, as
// YOLOv5's conversion does: their boxes frame many objects.
func parseCOCO(r io.Reader, progress func(read int64)) (*cocoFile, error) {
	in := &allowance{r: skipBOM(io.LimitReader(r, maxCOCOBytes))}
	d := json.NewDecoder(in)
	f := &cocoFile{categories: make(map[int64]string)}
	boxes := make(map[int64][]cocoBox)
	n := 0
	element := func(v any) error {
		in.left = maxCOCOElement
		progress(in.read)
		return d.Decode(v)
	}
	in.left = maxCOCOElement
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, f.wrong(d, "an object with images, annotations and categories is wanted", err)
	}
	for d.More() {
		in.left = maxCOCOElement
		key, err := d.Token()
		if err != nil {
			return nil, f.wrong(d, "the JSON is broken", err)
		}
		if key != "images" && key != "annotations" && key != "categories" {
			var skip json.RawMessage
			if err := element(&skip); err != nil {
				return nil, f.wrong(d, "the JSON is broken", err)
			}
			continue
		}
		if t, err := d.Token(); err != nil || t != json.Delim('[') {
			return nil, f.wrong(d, fmt.Sprintf("%v is a list", key), err)
		}
		for d.More() {
			switch key {
			case "images":
				var i cocoImage
				if err = element(&i); err == nil && len(f.images) == maxPictures {
					err = fmt.Errorf("more than %d pictures", maxPictures)
				}
				f.images = append(f.images, i)
			case "categories":
				var c struct {
					ID   int64
					Name string
				}
				if err = element(&c); err == nil && len(f.categories) == maxClasses {
					err = fmt.Errorf("more than %d categories", maxClasses)
				}
				f.categories[c.ID] = c.Name
			case "annotations":
				var a cocoAnnotation
				if err = element(&a); err == nil {
					if n++; n > maxCOCOBoxes {
						err = fmt.Errorf("more than %d annotations", maxCOCOBoxes)
					}
				}
				if a.Crowd == 0 {
					b := cocoBox{id: a.ID, category: a.Category, box: [4]float32{0, 0, -1, -1}}
					if len(a.Box) == 4 {
						b.box = [4]float32{float32(a.Box[0]), float32(a.Box[1]), float32(a.Box[2]), float32(a.Box[3])}
					}
					boxes[a.Image] = append(boxes[a.Image], b)
				}
			}
			if err != nil {
				return nil, f.wrong(d, fmt.Sprintf("%v", key), err)
			}
		}
		if _, err := d.Token(); err != nil {
			return nil, f.wrong(d, "the JSON is broken", err)
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, f.wrong(d, "the JSON is broken", err)
	}
	for i := range f.images {
		f.images[i].boxes = boxes[f.images[i].ID]
	}
	switch {
	case len(f.images) == 0:
		return nil, errors.New(": there are no images in it: want COCO's instances, with images, annotations and categories")
	case len(f.categories) == 0:
		return nil, errors.New(": there are no categories in it: want COCO's instances, with images, annotations and categories")
	}
	return f, nil
}

func (f *cocoFile) wrong(d *json.Decoder, what string, err error) error {
	switch {
	case err == nil:
		return fmt.Errorf(": %s (at byte %d)", what, d.InputOffset())
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf(": the file ends too early (at byte %d)", d.InputOffset())
	}
	return fmt.Errorf(": %s: %w (at byte %d)", what, err, d.InputOffset())
}

// skipBOM passes over a byte order mark.
func skipBOM(r io.Reader) io.Reader {
	b := bufio.NewReaderSize(r, 1<<16)
	if head, _ := b.Peek(len(bom)); string(head) == bom {
		b.Discard(len(bom))
	}
	return b
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
