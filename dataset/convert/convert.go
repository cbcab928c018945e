// Package convert writes a data set in another layout: YOLO's, Pascal VOC's or COCO's.
package convert

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"ultrafast/dataset"
)

// Formats are what Write can write.
var Formats = []string{"yolo", "voc", "coco"}

// Options says what to write.
type Options struct {
	Format string // of Formats
	Dir    string // folder to make; what is there already is an error

	Context  context.Context                    // stops the work; nil never does
	Progress func(what string, done, steps int) // told how far it is; nil is silent
}

// A Result says what was done.
type Result struct {
	Pictures, Boxes int
	Linked, Copied  int // pictures, by how they came into the new folder
	Renamed         int // pictures whose name another one had
}

// An entry is a picture and its name in the new data set, without extension.
type entry struct {
	dataset.Item
	split, name string
}

func (e *entry) file() string { return e.name + strings.ToLower(filepath.Ext(e.Path)) }

// A writer writes to a folder that becomes the new data set when all is well.
type writer struct {
	dir     string
	names   []string
	splits  []string
	entries []entry
	result  Result
}

// A FolderError says why the new folder could not be made or filled.
type FolderError struct {
	Path string // of the folder, or of what was to be in it
	Err  error
}

func (e *FolderError) Error() string { return e.Path + ": " + e.Err.Error() }
func (e *FolderError) Unwrap() error { return e.Err }

// Write makes the folder, which is there in full or not at all. Pictures are hard links
// where the file system has them, which take no room and share what is changed in place,
// and copies elsewhere. Boxes keep 7 digits: YOLO's exactly what was read, those in pixels
// with four digits after the point, also for VOC, where whole pixels would cost precision.
// What YOLO does not know, such as outlines and objects marked difficult, stays behind. Errors
// are a *FolderError where they come of the folder and not of data.
func Write(data *dataset.Data, o Options) (r Result, err error) {
	if !slices.Contains(Formats, o.Format) {
		return r, fmt.Errorf("format %q: want one of %s", o.Format, strings.Join(Formats, ", "))
	}
	if _, err := os.Lstat(o.Dir); err == nil {
		return r, fmt.Errorf("%s is there already: name a new folder", o.Dir)
	}
	dir, err := os.MkdirTemp(filepath.Dir(filepath.Clean(o.Dir)), "."+filepath.Base(o.Dir)+"-")
	if err != nil {
		return r, &FolderError{o.Dir, reason(err)}
	}
	defer os.RemoveAll(dir) // once renamed it is no more
	defer func() { err = ofFolder(err, dir, o.Dir) }()
	w := &writer{dir: dir, names: data.Names}
	w.collect(data, o.Format == "voc")
	if len(w.entries) == 0 {
		return r, errors.New("there are no pictures to convert")
	}
	one, finish := map[string]func() (func(*entry) error, func() error){"yolo": w.yolo, "voc": w.voc, "coco": w.coco}[o.Format]()
	for i := range w.entries {
		if o.Context != nil && o.Context.Err() != nil {
			return r, o.Context.Err()
		}
		if err := one(&w.entries[i]); err != nil {
			return r, err
		}
		w.result.Pictures++
		w.result.Boxes += len(w.entries[i].Labels)
		if o.Progress != nil {
			o.Progress("converting", i+1, len(w.entries))
		}
	}
	if err := finish(); err != nil {
		return r, err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return r, err
	}
	if err := os.Rename(dir, o.Dir); err != nil {
		return r, err
	}
	return w.result, nil
}

// ofFolder names the new folder in an error that names the one which is to become it.
func ofFolder(err error, dir, becomes string) error {
	path := ""
	if e, ok := errors.AsType[*os.PathError](err); ok {
		path = e.Path
	} else if e, ok := errors.AsType[*os.LinkError](err); ok {
		path = e.Old
	}
	if inside, ok := strings.CutPrefix(path, dir); ok {
		return &FolderError{becomes + inside, reason(err)}
	}
	return err
}

// reason is an error without the path in it.
func reason(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return e.Err
	}
	return err
}

// collect gives every picture a name. Names differ within a split, and where all pictures
// share a folder among all; a picture that is in two splits is then one file.
func (w *writer) collect(data *dataset.Data, flat bool) {
	taken := make(map[string]string) // a name in lower case, for file systems that know no other
	for _, s := range []struct {
		name  string
		items []dataset.Item
	}{{"train", data.Train}, {"val", data.Val}, {"test", data.Test}} {
		if len(s.items) == 0 {
			continue
		}
		w.splits = append(w.splits, s.name)
		for _, item := range s.items {
			stem := strings.TrimSuffix(filepath.Base(item.Path), filepath.Ext(item.Path))
			name, within := stem, s.name+"/"
			if flat {
				within = ""
			}
			for n := 2; ; n++ {
				owner, ok := taken[within+strings.ToLower(name)]
				if !ok || owner == item.Path {
					break
				}
				name = stem + "-" + strconv.Itoa(n)
			}
			taken[within+strings.ToLower(name)] = item.Path
			if name != stem {
				w.result.Renamed++
			}
			w.entries = append(w.entries, entry{item, s.name, name})
		}
	}
}

// picture brings a picture to a place below the folder.
func (w *writer) picture(e *entry, place ...string) error {
	to := filepath.Join(w.dir, filepath.Join(place...))
	if _, err := os.Lstat(to); err == nil {
		return nil // in another split too
	}
	from, err := filepath.EvalSymlinks(e.Path) // a link to a link would break when one moves
	if err != nil {
		return err
	}
	if os.Link(from, to) == nil {
		w.result.Linked++
		return nil
	}
	w.result.Copied++
	return copyFile(from, to)
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if closed := out.Close(); err == nil {
		err = closed
	}
	return err
}

// write writes a text below the folder.
func (w *writer) write(text string, place ...string) error {
	return os.WriteFile(filepath.Join(w.dir, filepath.Join(place...)), []byte(text), 0o644)
}

func (w *writer) folders(names ...string) error {
	for _, name := range names {
		if err := os.MkdirAll(filepath.Join(w.dir, filepath.FromSlash(name)), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// edges returns a box in pixels, clipped to the picture.
func (e *entry) edges(l dataset.Label) (x1, y1, x2, y2 float64) {
	w, h := float64(e.W), float64(e.H)
	cx, cy, bw, bh := float64(l.CX)*w, float64(l.CY)*h, float64(l.W)*w, float64(l.H)*h
	return max(cx-bw/2, 0), max(cy-bh/2, 0), min(cx+bw/2, w), min(cy+bh/2, h)
}

// pixel writes a number of pixels, to the ten-thousandth.
func pixel(v float64) string {
	s := strings.TrimRight(strconv.FormatFloat(v, 'f', 4, 64), "0")
	return strings.TrimSuffix(s, ".")
}
