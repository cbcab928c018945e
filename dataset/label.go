package dataset

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// What is refused in a label file, before memory is taken for it.
const (
	maxLabelBytes = 10 << 20
	maxLabels     = 100_000
)

// columns are the names of a row's columns, for errors.
var columns = [5]string{"class", "cx", "cy", "w", "h"}

// maxBad is how many wrong rows of one file are named.
const maxBad = 1000

// A labelFile is what a picture's label file holds.
type labelFile struct {
	labels     []Label
	lines      []int     // of each label
	duplicates int       // rows that were the same as another, and were left out
	bad        []Problem // what cannot be read; the picture is of no use then
	notes      []Problem // duplicates and boxes without an area
	polygons   bool      // some labels are the boxes of polygons
	seen       map[Label]bool
}

func (f *labelFile) fail(path string, line int, err error) {
	f.bad = append(f.bad, Problem{Kind: kindOf(err), Path: path, Line: line, Reason: err.Error()})
}

// add takes a box, unless it is there already, and reports whether there is room for more.
func (f *labelFile) add(path string, line int, l Label) bool {
	note := func(k Kind, reason string) {
		f.notes = append(f.notes, Problem{Kind: k, Path: path, Line: line, Reason: reason})
	}
	switch {
	case f.seen[l]:
		f.duplicates++
		note(DuplicateRow, "the same box stands above")
		return true
	case len(f.labels) == maxLabels:
		f.fail(path, line, fmt.Errorf("more than %d boxes in one picture", maxLabels))
		return false
	}
	if l.W == 0 || l.H == 0 {
		note(ZeroArea, "a box without width or height")
	}
	if f.seen == nil {
		f.seen = make(map[Label]bool)
	}
	f.seen[l] = true
	f.labels, f.lines = append(f.labels, l), append(f.lines, line)
	return true
}

// readLabels reads a label file, which problems call name. A row is either
//
//	class cx cy w h
//	class x y x y x y …       a polygon of three points or more, whose bounding box is the label
//
// with all but the class as fractions of the picture, 0..1. Blank lines and a byte order
// mark do not count. Rows that are the same box are kept once.
func readLabels(name string, r io.Reader, classes int) (out labelFile) {
	data, err := io.ReadAll(io.LimitReader(r, maxLabelBytes+1))
	if err == nil && len(data) > maxLabelBytes {
		err = fmt.Errorf("a label file is at most %d MB", maxLabelBytes>>20)
	}
	if err != nil {
		out.fail(name, 0, errors.New(reason(err)))
		return out
	}
	line := 0
	for text := range strings.Lines(strings.TrimPrefix(string(data), bom)) {
		line++
		fields := strings.Fields(text)
		if len(fields) == 0 {
			continue
		}
		l, err := parseLabel(fields, classes)
		if err != nil {
			if out.fail(name, line, err); len(out.bad) == maxBad {
				return out
			}
			continue
		}
		if !out.add(name, line, l) {
			return out
		}
		out.polygons = out.polygons || len(fields) > 5
	}
	return out
}

// bom is what some editors put before a text.
const bom = "\ufeff"

func parseLabel(fields []string, classes int) (Label, error) {
	n := len(fields)
	switch {
	case n == 5:
	case n < 7:
		return Label{}, fmt.Errorf("%d columns, a box has 5: class cx cy w h", n)
	case n%2 == 0:
		return Label{}, fmt.Errorf("%d columns, a polygon has the class and pairs of x and y", n)
	}
	class, err := parseClass(fields[0], classes)
	if err != nil {
		return Label{}, err
	}
	if n == 5 {
		var v [5]float32
		for i := 1; i < 5; i++ {
			if v[i], err = parseFraction(columns[i], fields[i]); err != nil {
				return Label{}, err
			}
		}
		return Label{class, v[1], v[2], v[3], v[4]}, nil
	}
	lo, hi := [2]float32{1, 1}, [2]float32{}
	for i, field := range fields[1:] {
		v, err := parseFraction([2]string{"x", "y"}[i%2], field)
		if err != nil {
			return Label{}, err
		}
		lo[i%2], hi[i%2] = min(lo[i%2], v), max(hi[i%2], v)
	}
	return Label{class, (lo[0] + hi[0]) / 2, (lo[1] + hi[1]) / 2, hi[0] - lo[0], hi[1] - lo[1]}, nil
}

// parseClass takes "3" and, because some tools write it so, "3.0".
func parseClass(s string, classes int) (int, error) {
	v, err := parseNumber("class", s)
	switch {
	case err != nil:
		return 0, err
	case v != math.Trunc(v):
		return 0, fmt.Errorf("class %s is not a whole number", s)
	case v < 0 || v >= float64(classes):
		return 0, &kindError{WrongClass, fmt.Sprintf("class %s, the data set has %s", s, describeClasses(classes))}
	}
	return int(v), nil
}

func describeClasses(n int) string {
	if n == 1 {
		return "1 class (0)"
	}
	return fmt.Sprintf("%d classes (0..%d)", n, n-1)
}

// parseFraction compares after rounding to float32, as YOLOv5 does: 1.00000001 is 1.
func parseFraction(column, s string) (float32, error) {
	v, err := parseNumber(column, s)
	f := float32(v)
	switch {
	case err != nil:
		return 0, err
	case f < 0:
		return 0, &kindError{Outside, fmt.Sprintf("%s %s is below 0", column, s)}
	case f > 1:
		return 0, &kindError{Outside, fmt.Sprintf("%s %s is above 1: coordinates are fractions of the picture", column, s)}
	}
	return f, nil
}

func parseNumber(column, s string) (float64, error) {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil && !math.IsInf(v, 0) { // out of range is infinite
		return 0, fmt.Errorf("%s %s is not a number", column, quote(s))
	}
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("%s %s is not finite", column, quote(s))
	}
	return v, nil
}

// quote shows text from a file, which may be anything and of any length, in an error.
func quote(s string) string {
	if len(s) > 40 {
		s = s[:40] + "…"
	}
	return strconv.Quote(s)
}
