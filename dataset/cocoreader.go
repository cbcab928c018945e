package dataset

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

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

// A cocoReader reads a COCO file element by element.
type cocoReader struct {
	in       *allowance
	d        *json.Decoder
	progress func(read int64)

	file        *cocoFile
	boxes       map[int64][]cocoBox // by picture
	annotations int
}

// parseCOCO reads instances of COCO's format. Crowds are left out, as YOLOv5's conversion
// does: their boxes frame many objects.
func parseCOCO(r io.Reader, progress func(read int64)) (*cocoFile, error) {
	in := &allowance{r: skipBOM(io.LimitReader(r, maxCOCOBytes)), left: maxCOCOElement}
	c := &cocoReader{in: in, d: json.NewDecoder(in), progress: progress,
		file: &cocoFile{categories: make(map[int64]string)}, boxes: make(map[int64][]cocoBox)}
	if err := c.token('{', "an object with images, annotations and categories is wanted"); err != nil {
		return nil, err
	}
	for c.d.More() {
		if err := c.entry(); err != nil {
			return nil, err
		}
	}
	if err := c.token('}', broken); err != nil {
		return nil, err
	}
	f := c.file
	for i := range f.images {
		f.images[i].boxes = c.boxes[f.images[i].ID]
	}
	for i := range f.images {
		delete(c.boxes, f.images[i].ID)
	}
	for _, boxes := range c.boxes {
		for _, b := range boxes {
			f.stray = append(f.stray, b.id)
		}
	}
	switch {
	case len(f.images) == 0:
		return nil, errors.New(": there are no images in it: want COCO's instances, with images, annotations and categories")
	case len(f.categories) == 0:
		return nil, errors.New(": there are no categories in it: want COCO's instances, with images, annotations and categories")
	}
	return f, nil
}

const broken = "the JSON is broken"

// token reads a bracket; what says what is wrong where another thing stands.
func (c *cocoReader) token(want json.Delim, what string) error {
	if t, err := c.d.Token(); err != nil || t != want {
		return c.wrong(what, err)
	}
	return nil
}

// entry reads a key of the file's object with its value.
func (c *cocoReader) entry() error {
	c.in.left = maxCOCOElement
	key, err := c.d.Token()
	if err != nil {
		return c.wrong(broken, err)
	}
	var element func() error
	switch key {
	case "images":
		element = c.image
	case "categories":
		element = c.category
	case "annotations":
		element = c.annotation
	default:
		var skip json.RawMessage
		if err := c.decode(&skip); err != nil {
			return c.wrong(broken, err)
		}
		return nil
	}
	if err := c.token('[', fmt.Sprintf("%v is a list", key)); err != nil {
		return err
	}
	for c.d.More() {
		if err := element(); err != nil {
			return c.wrong(fmt.Sprint(key), err)
		}
	}
	return c.token(']', broken)
}

// decode reads one element.
func (c *cocoReader) decode(v any) error {
	c.in.left = maxCOCOElement
	c.progress(c.in.read)
	return c.d.Decode(v)
}

func (c *cocoReader) image() error {
	var i cocoImage
	if err := c.decode(&i); err != nil {
		return err
	}
	if len(c.file.images) == maxPictures {
		return fmt.Errorf("more than %d pictures", maxPictures)
	}
	c.file.images = append(c.file.images, i)
	return nil
}

func (c *cocoReader) category() error {
	var v struct {
		ID   int64
		Name string
	}
	if err := c.decode(&v); err != nil {
		return err
	}
	if len(c.file.categories) == maxClasses {
		return fmt.Errorf("more than %d categories", maxClasses)
	}
	c.file.categories[v.ID] = v.Name
	return nil
}

func (c *cocoReader) annotation() error {
	var a cocoAnnotation
	if err := c.decode(&a); err != nil {
		return err
	}
	if c.annotations++; c.annotations > maxCOCOBoxes {
		return fmt.Errorf("more than %d annotations", maxCOCOBoxes)
	}
	if a.Crowd != 0 {
		return nil
	}
	b := cocoBox{id: a.ID, category: a.Category, box: [4]float32{0, 0, -1, -1}} // no box, which is told with its picture
	if len(a.Box) == 4 {
		b.box = [4]float32{float32(a.Box[0]), float32(a.Box[1]), float32(a.Box[2]), float32(a.Box[3])}
	}
	c.boxes[a.Image] = append(c.boxes[a.Image], b)
	return nil
}

// wrong says at which byte something is wrong; err may be nil.
func (c *cocoReader) wrong(what string, err error) error {
	switch {
	case err == nil:
		return fmt.Errorf(": %s (at byte %d)", what, c.d.InputOffset())
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf(": the file ends too early (at byte %d)", c.d.InputOffset())
	}
	return fmt.Errorf(": %s: %w (at byte %d)", what, err, c.d.InputOffset())
}

// skipBOM passes over a byte order mark.
func skipBOM(r io.Reader) io.Reader {
	b := bufio.NewReaderSize(r, 1<<16)
	if head, _ := b.Peek(len(bom)); string(head) == bom {
		b.Discard(len(bom))
	}
	return b
}
