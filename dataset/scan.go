package dataset

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"ultrafast/picture"
)

// What is refused in lists and folders of pictures.
const (
	maxPictures  = 10_000_000
	maxPathBytes = 4096
	minSide      = 10 // pixels; YOLOv5 has the same limit
)

// extensions are those of YOLOv5 that package picture reads; a file's content decides what
// it is.
var extensions = []string{".bmp", ".jpeg", ".jpg", ".mpo", ".png", ".tif", ".tiff", ".webp"}

func isPicture(path string) bool {
	return slices.Contains(extensions, strings.ToLower(filepath.Ext(path)))
}

// A found is a picture's path and, where a list named it, the list and the line.
type found struct {
	path      string
	list      string
	line      int
	labelPath string                   // "" for YOLO's place
	read      func(w, h int) labelFile // for a picture of that size; nil reads YOLO's label file
}

// find appends the pictures that path, a folder or a list, leads to.
func find(to []found, path string) ([]found, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return walk(to, path, make(map[string]bool))
	case strings.EqualFold(filepath.Ext(path), ".txt"):
		return readList(to, path)
	}
	return nil, fmt.Errorf("%s is neither a folder nor a list of pictures (.txt)", path)
}

// walk appends the pictures in dir and below. It follows links, each folder once, and
// passes over names that begin with a dot, as YOLOv5 does: some systems leave hidden
// companions of pictures that are none.
func walk(to []found, dir string, been map[string]bool) ([]found, error) {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil || been[real] {
		return to, err
	}
	been[real] = true
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		path := filepath.Join(dir, e.Name())
		isDir := e.IsDir()
		if e.Type()&fs.ModeSymlink != 0 {
			info, err := os.Stat(path)
			isDir = err == nil && info.IsDir() // a broken link to a picture is reported when it is read
		}
		switch {
		case isDir:
			if to, err = walk(to, path, been); err != nil {
				return nil, err
			}
		case isPicture(path):
			if len(to) == maxPictures {
				return nil, fmt.Errorf("%s: more than %d pictures", dir, maxPictures)
			}
			to = append(to, found{path: path})
		}
	}
	return to, nil
}

// ReadList returns the pictures that a text file names, one a line, relative to the folder of
// the list. Whether they are there it does not say. Errors name the file and the line.
func ReadList(path string) ([]string, error) {
	list, err := readList(nil, path)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s: names no pictures, want one a line", path)
	}
	pictures := make([]string, len(list))
	for i, f := range list {
		pictures[i] = f.path
	}
	return pictures, nil
}

// readList appends the pictures that a text file names, one a line, relative to the
// folder of the list.
func readList(to []found, path string) ([]found, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Buffer(nil, maxPathBytes)
	line := 0
	for s.Scan() {
		line++
		name := strings.TrimSpace(strings.TrimPrefix(s.Text(), bom))
		switch {
		case name == "":
			continue
		case strings.ContainsRune(name, 0) || !isPicture(name):
			return nil, fmt.Errorf("%s:%d: %s is not a picture (%s)",
				path, line, quote(name), strings.Join(extensions, " "))
		case len(to) == maxPictures:
			return nil, fmt.Errorf("%s:%d: more than %d pictures", path, line, maxPictures)
		}
		to = append(to, found{path: join(filepath.Dir(path), name), list: path, line: line})
	}
	if err := s.Err(); errors.Is(err, bufio.ErrTooLong) {
		return nil, fmt.Errorf("%s:%d: a path is at most %d bytes", path, line+1, maxPathBytes)
	} else if err != nil {
		return nil, err
	}
	return to, nil
}

// A reading is a picture with its labels, and what is wrong with them.
type reading struct {
	item       Item
	bad, notes []Problem
}

// readAll decodes all pictures and reads their labels, on all cores.
func readAll(all []found, split string, classes int, o OpenOptions) ([]reading, error) {
	out := make([]reading, len(all))
	var next, done atomic.Int64
	var said sync.Mutex
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(all)) && o.err() == nil; i = next.Add(1) - 1 {
				out[i] = readOne(all[i], split, classes, o)
				n := int(done.Add(1))
				if said.TryLock() { // one at a time, and nobody waits for it
					o.progress("checking "+split, n, len(all))
					said.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return out, o.err()
}

func readOne(f found, split string, classes int, o OpenOptions) (r reading) {
	r.item = Item{Path: f.path, LabelPath: f.labelPath}
	if f.labelPath == "" {
		r.item.LabelPath = labelPath(f.path)
	}
	labels := labelFile{}
	if p := readPicture(f, &r.item, split, o); p != nil {
		labels.bad = append(labels.bad, *p)
	} else if f.read != nil {
		labels = f.read(r.item.W, r.item.H)
	} else {
		labels = openLabels(r.item.LabelPath, classes)
	}
	r.item.Labels, r.item.Lines, r.item.Duplicates = labels.labels, labels.lines, labels.duplicates
	r.item.polygons = labels.polygons
	r.bad, r.notes = labels.bad, labels.notes
	for _, list := range [][]Problem{r.bad, r.notes} {
		for i := range list {
			list[i].Split, list[i].Picture = split, f.path
		}
	}
	return r
}

// readPicture decodes the whole picture: one that breaks off in the middle would
// otherwise be found hours later.
func readPicture(f found, item *Item, split string, o OpenOptions) *Problem {
	file, err := os.Open(f.path)
	if err != nil {
		if f.list != "" {
			return &Problem{Kind: Missing, Path: f.list, Line: f.line, Reason: err.Error()}
		}
		return &Problem{Kind: Missing, Path: f.path, Reason: reason(err)}
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, picture.MaxBytes+1))
	if err != nil {
		return &Problem{Kind: Missing, Path: f.path, Reason: reason(err)}
	}
	p, err := picture.Decode(bytes.NewReader(data))
	if err != nil {
		return &Problem{Kind: Corrupt, Path: f.path, Reason: err.Error()}
	}
	if item.W, item.H = p.W, p.H; p.W < minSide || p.H < minSide {
		return &Problem{Kind: Unfit, Path: f.path, Reason: fmt.Sprintf("%d x %d pixels, the least is %d x %d", p.W, p.H, minSide, minSide)}
	}
	if o.Look != nil {
		o.Look(split, f.path, data, p)
	}
	return nil
}

// reason is an error of the system without the paths, which are said elsewhere.
func reason(err error) string {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err.Error()
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return e.Err.Error()
	}
	return err.Error()
}

// openLabels reads YOLO's label file of a picture.
func openLabels(name string, classes int) (out labelFile) {
	text, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		out.notes = append(out.notes, noLabel(name))
		return out
	}
	if err != nil {
		out.bad = append(out.bad, Problem{Kind: Malformed, Path: name, Reason: reason(err)})
		return out
	}
	defer text.Close()
	return readLabels(name, text, classes)
}

func noLabel(path string) Problem {
	return Problem{Kind: NoLabel, Path: path, Reason: "is not there, the picture counts as background"}
}

// labelPath returns where the labels of a picture lie: the last folder called images is
// called labels, the extension is .txt.
func labelPath(path string) string {
	sep := string(filepath.Separator)
	images, labels := sep+"images"+sep, sep+"labels"+sep
	if i := strings.LastIndex(path, images); i >= 0 {
		path = path[:i] + labels + path[i+len(images):]
	}
	return strings.TrimSuffix(path, filepath.Ext(path)) + ".txt"
}
