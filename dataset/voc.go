package dataset

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// What is refused in a VOC annotation.
const (
	maxXMLDepth  = 20
	maxNameBytes = 200
)

// A vocObject is an object of an annotation. Pascal counts pixels from 1, and the last one
// belongs to the box.
type vocObject struct {
	name      string
	line      int
	box       [4]float64 // xmin, ymin, xmax, ymax
	have      [4]bool
	difficult bool
}

// A vocFile is an annotation.
type vocFile struct {
	w, h    int // as the file says; 0 where it does not
	objects []vocObject
}

// parseVOC reads an annotation. The error begins with ":" and the line.
func parseVOC(r io.Reader) (*vocFile, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxLabelBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf(": %w", err)
	case len(data) > maxLabelBytes:
		return nil, fmt.Errorf(": an annotation is at most %d MB", maxLabelBytes>>20)
	}
	d := xml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(data, []byte(bom))))
	f := &vocFile{}
	var path []string
	var text []byte
	root := false
	for {
		token, err := d.Token()
		line, _ := d.InputPos()
		if err == io.EOF {
			break
		}
		if err != nil {
			text := err.Error()
			if e, ok := errors.AsType[*xml.SyntaxError](err); ok {
				text = e.Msg
			}
			return nil, at(line, "the XML is broken: %s", strings.Join(strings.Fields(text), " "))
		}
		switch token := token.(type) {
		case xml.StartElement:
			path, text = append(path, token.Name.Local), text[:0]
			switch {
			case len(path) > maxXMLDepth:
				return nil, at(line, "nested more than %d deep", maxXMLDepth)
			case path[0] != "annotation":
				return nil, at(line, "the element %s, want annotation, as in Pascal VOC", quote(path[0]))
			case len(path) == 2 && path[1] == "object":
				if len(f.objects) == maxLabels {
					return nil, at(line, "more than %d boxes in one picture", maxLabels)
				}
				f.objects = append(f.objects, vocObject{line: line})
			}
			root = true
		case xml.CharData:
			if len(text)+len(token) <= maxNameBytes+100 { // more is no number and no name
				text = append(text, token...)
			}
		case xml.EndElement:
			if err := f.set(path, strings.TrimSpace(string(text))); err != nil {
				return nil, at(line, "%w", err)
			}
			path, text = path[:len(path)-1], text[:0]
		}
	}
	if !root {
		return nil, errors.New(":1: the file is empty, want an annotation of Pascal VOC")
	}
	return f, nil
}

// set takes the text of the element at path. Objects have parts with boxes of their own,
// which lie deeper and do not count.
func (f *vocFile) set(path []string, text string) (err error) {
	var o *vocObject
	if len(f.objects) > 0 {
		o = &f.objects[len(f.objects)-1]
	}
	switch where := strings.Join(path[1:], "/"); where {
	case "size/width":
		f.w, _ = strconv.Atoi(text)
	case "size/height":
		f.h, _ = strconv.Atoi(text)
	case "object/name":
		if text == "" || len(text) > maxNameBytes {
			return fmt.Errorf("the name of an object has %d bytes, want 1 to %d", len(text), maxNameBytes)
		}
		o.name = text
	case "object/difficult":
		o.difficult = text == "1"
	case "object/bndbox/xmin", "object/bndbox/ymin", "object/bndbox/xmax", "object/bndbox/ymax":
		i := slices.Index([]string{"xmin", "ymin", "xmax", "ymax"}, path[3])
		if o.box[i], err = parseNumber(path[len(path)-1], text); err != nil {
			return err
		}
		o.have[i] = true
	}
	return nil
}

// labels makes fractions of a picture of w x h pixels out of an annotation. Objects marked
// difficult are left out, as YOLOv5's conversion of VOC does: they are what people were not
// sure of.
func (f *vocFile) labels(path string, w, h int, class map[string]int) (out labelFile) {
	if f.w > 0 && f.h > 0 && (f.w != w || f.h != h) {
		out.fail(path, 0, fmt.Errorf("is for a picture of %d x %d pixels, and the picture has %d x %d", f.w, f.h, w, h))
		return out
	}
	for _, o := range f.objects {
		if o.difficult {
			continue
		}
		n, ok := class[o.name]
		b := o.box
		switch {
		case o.name == "" || o.have != [4]bool{true, true, true, true}:
			out.fail(path, o.line, errors.New("the object lacks its name or one of xmin, ymin, xmax, ymax"))
		case !ok:
			out.fail(path, o.line, &kindError{WrongClass, fmt.Sprintf("class %s is not in classes.txt", quote(o.name))})
		case b[2] < b[0] || b[3] < b[1]:
			out.fail(path, o.line, fmt.Errorf("xmax or ymax is below xmin or ymin"))
		case b[0] > float64(w) || b[1] > float64(h) || b[2] < 0 || b[3] < 0:
			out.fail(path, o.line, &kindError{Outside, fmt.Sprintf("the box lies outside the picture of %d x %d pixels", w, h)})
		default:
			if !out.add(path, o.line, pixels(n, b[0]-1, b[1]-1, b[2], b[3], w, h)) {
				return out
			}
		}
	}
	return out
}

// pixels makes a label of edges in pixels, clipped to the picture.
func pixels(class int, x1, y1, x2, y2 float64, w, h int) Label {
	fw, fh := float64(w), float64(h)
	x1, x2 = min(max(x1, 0), fw), min(max(x2, 0), fw)
	y1, y2 = min(max(y1, 0), fh), min(max(y2, 0), fh)
	return Label{class, float32((x1 + x2) / 2 / fw), float32((y1 + y2) / 2 / fh), float32((x2 - x1) / fw), float32((y2 - y1) / fh)}
}
