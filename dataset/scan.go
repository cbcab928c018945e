package dataset

import (
	"bufio"
	"errors"
	"fmt"
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
	path string
	list string
	line int
}

// scan finds the pictures of a split and reads their labels, on all cores.
func (d *description) scan(split string) ([]Item, error) {
	var all []found
	for _, p := range d.splits[split] {
		full, err := d.resolve(split, p)
		if err != nil {
			return nil, err
		}
		if all, err = find(all, full); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(all, func(a, b found) int { return strings.Compare(a.path, b.path) })
	all = slices.CompactFunc(all, func(a, b found) bool { return a.path == b.path })
	first := d.splits[split][0]
	if len(all) == 0 {
		return nil, fmt.Errorf("%s:%d: %s: no pictures (%s) in %s",
			d.file, first.line, split, strings.Join(extensions, " "), first.text)
	}
	items, err := readItems(all, len(d.names))
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(items, func(i Item) bool { return len(i.Labels) > 0 }) {
		return nil, fmt.Errorf("%s:%d: %s: no boxes for any of %d pictures; the labels of the first were looked for in %s",
			d.file, first.line, split, len(items), labelPath(items[0].Path))
	}
	return items, nil
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
		name := strings.TrimSpace(s.Text())
		switch {
		case name == "":
			continue
		case strings.ContainsRune(name, 0) || !isPicture(name):
			return nil, fmt.Errorf("%s:%d: %s is not a picture (%s)",
				path, line, quote(name), strings.Join(extensions, " "))
		case len(to) == maxPictures:
			return nil, fmt.Errorf("%s:%d: more than %d pictures", path, line, maxPictures)
		}
		to = append(to, found{join(filepath.Dir(path), name), path, line})
	}
	if err := s.Err(); errors.Is(err, bufio.ErrTooLong) {
		return nil, fmt.Errorf("%s:%d: a path is at most %d bytes", path, line+1, maxPathBytes)
	} else if err != nil {
		return nil, err
	}
	return to, nil
}

// readItems reads all headers and labels. Of several errors it returns the one of the
// first picture, and the number of the others.
func readItems(all []found, classes int) ([]Item, error) {
	items := make([]Item, len(all))
	errs := make([]error, len(all))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(all)); i = next.Add(1) - 1 {
				items[i], errs[i] = readItem(all[i], classes)
			}
		})
	}
	wg.Wait()
	var first error
	more := 0
	for _, err := range errs {
		switch {
		case err == nil:
		case first == nil:
			first = err
		default:
			more++
		}
	}
	switch {
	case more == 1:
		return nil, fmt.Errorf("%w; and 1 more bad file", first)
	case more > 1:
		return nil, fmt.Errorf("%w; and %d more bad files", first, more)
	}
	return items, first
}

func readItem(f found, classes int) (Item, error) {
	item := Item{Path: f.path}
	pic, err := os.Open(f.path)
	if err != nil {
		if f.list != "" {
			return item, fmt.Errorf("%s:%d: %w", f.list, f.line, err)
		}
		return item, err
	}
	item.W, item.H, err = picture.Size(pic)
	pic.Close()
	if err != nil {
		return item, fmt.Errorf("%s: %w", f.path, err)
	}
	if item.W < minSide || item.H < minSide {
		return item, fmt.Errorf("%s: %d x %d pixels, the least is %d x %d", f.path, item.W, item.H, minSide, minSide)
	}
	name := labelPath(f.path)
	text, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return item, nil
	}
	if err != nil {
		return item, err
	}
	defer text.Close()
	item.Labels, item.Duplicates, err = parseLabels(name, text, classes)
	return item, err
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
