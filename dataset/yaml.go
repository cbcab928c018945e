package dataset

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// What is refused in a data.yaml, before memory or time is taken for it.
const (
	// The YAML library's time grows with the square of the keys in a map, and of the depth.
	// This much takes it a second; the names of 1200 classes are 50 kB.
	maxYAMLBytes = 128 << 10
	maxYAMLDepth = 100
	maxClasses   = 10_000
)

// A description is what a data.yaml says.
type description struct {
	file   string // its path
	path   place  // the key path
	splits map[string][]place
	names  []string
}

// A place is a path as written, and the line it was written in.
type place struct {
	text string
	line int
}

func readDescription(file string) (*description, error) {
	if st, err := os.Stat(file); err == nil && st.IsDir() {
		return nil, fmt.Errorf("%s: is a folder, want a data.yaml", file)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return parseDescription(file, f)
}

// parseDescription reads a data.yaml, which errors call file. No file that it names is
// looked at.
func parseDescription(file string, r io.Reader) (*description, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxYAMLBytes+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(data) > maxYAMLBytes {
		return nil, fmt.Errorf("%s: a data.yaml is at most %d kB", file, maxYAMLBytes>>10)
	}
	if line := tooDeep(data); line > 0 {
		return nil, fmt.Errorf("%s:%d: nested more than %d deep", file, line, maxYAMLDepth)
	}
	tree, err := parseYAML(data)
	if err != nil {
		return nil, fmt.Errorf("%s%w", file, err)
	}
	d := &description{file: file, splits: make(map[string][]place)}
	if err := d.read(tree); err != nil {
		return nil, fmt.Errorf("%s%w", file, err)
	}
	return d, nil
}

func (d *description) read(tree *ast.File) error {
	if len(tree.Docs) == 0 || tree.Docs[0].Body == nil {
		return errors.New(": the file is empty")
	}
	entries, ok := mapping(tree.Docs[0].Body)
	if !ok {
		return at(lineOf(tree.Docs[0].Body), "keys with values are wanted: train, val, nc, names")
	}
	var nc, names ast.Node
	for _, e := range entries {
		key, _ := scalar(e.Key)
		var err error
		switch key {
		case "path":
			d.path, err = placeOf(key, e.Value)
		case "train", "val", "test":
			d.splits[key], err = placesOf(key, e.Value)
		case "nc":
			nc = e.Value
		case "names":
			names = e.Value
		}
		if err != nil {
			return err
		}
	}
	return d.readClasses(nc, names)
}

func (d *description) readClasses(nc, names ast.Node) (err error) {
	n := -1
	if nc != nil {
		text, _ := scalar(nc)
		if n, err = strconv.Atoi(text); err != nil || n < 1 || n > maxClasses {
			return at(lineOf(nc), "nc is the number of classes, 1..%d", maxClasses)
		}
	}
	switch {
	case names == nil && nc == nil:
		return errors.New(": there are no names: give the names of the classes")
	case names == nil:
		for i := range n {
			d.names = append(d.names, fmt.Sprintf("class%d", i))
		}
		return nil
	}
	if d.names, err = namesOf(names); err != nil {
		return err
	}
	switch {
	case len(d.names) == 0:
		return at(lineOf(names), "names has no entries")
	case nc != nil && len(d.names) != n:
		return at(lineOf(names), "names has %d entries, but nc is %d", len(d.names), n)
	}
	return nil
}

// namesOf reads names: a list, or a map whose keys are 0..n-1 in any order.
func namesOf(n ast.Node) ([]string, error) {
	if seq, ok := n.(*ast.SequenceNode); ok {
		if len(seq.Values) > maxClasses {
			return nil, at(lineOf(n), "names has more than %d entries", maxClasses)
		}
		out := make([]string, len(seq.Values))
		for i, v := range seq.Values {
			var ok bool
			if out[i], ok = scalar(v); !ok {
				return nil, at(lineOf(v), "names: entry %d is not a name", i)
			}
		}
		return out, nil
	}
	entries, ok := mapping(n)
	if !ok || len(entries) > maxClasses {
		return nil, at(lineOf(n), "names is a list, or a map from class number to name")
	}
	out := make([]string, len(entries))
	set := make([]bool, len(entries))
	for _, e := range entries {
		text, _ := scalar(e.Key)
		i, err := strconv.Atoi(text)
		if err != nil || i < 0 || i >= len(out) || set[i] {
			return nil, at(lineOf(e), "names: class %s; the keys of %d names are 0..%d, each once",
				quote(text), len(out), len(out)-1)
		}
		if out[i], ok = scalar(e.Value); !ok {
			return nil, at(lineOf(e), "names: class %d has no name", i)
		}
		set[i] = true
	}
	return out, nil
}

func placesOf(key string, n ast.Node) ([]place, error) {
	if _, ok := n.(*ast.NullNode); ok {
		return nil, nil // "test:" with nothing behind it, as YOLOv5's own files have it
	}
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		p, err := placeOf(key, n)
		return []place{p}, err
	}
	var out []place
	for _, v := range seq.Values {
		p, err := placeOf(key, v)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

func placeOf(key string, n ast.Node) (place, error) {
	text, ok := scalar(n)
	if !ok || text == "" || strings.ContainsRune(text, 0) {
		return place{}, at(lineOf(n), "%s is a path, or for train, val and test a list of paths", key)
	}
	return place{text, lineOf(n)}, nil
}

// resolve returns the absolute path of an entry of a split, which exists. "../train" is
// also looked for as "train": files exported by annotation services have it so, and YOLOv5
// forgives it.
func (d *description) resolve(split string, p place) (string, error) {
	root := filepath.Dir(d.file)
	if d.path.text != "" {
		root = join(root, d.path.text)
		if _, err := os.Stat(root); err != nil {
			return "", fmt.Errorf("%s:%d: path: %s is not there", d.file, d.path.line, root)
		}
	}
	full := join(root, p.text)
	if _, err := os.Stat(full); err == nil {
		return full, nil
	}
	if rest, ok := strings.CutPrefix(filepath.ToSlash(p.text), "../"); ok {
		if inside := join(root, rest); exists(inside) {
			return inside, nil
		}
	}
	return "", fmt.Errorf("%s:%d: %s: %s is not there", d.file, p.line, split, full)
}

// join is filepath.Join, unless name is absolute already.
func join(dir, name string) string {
	name = filepath.FromSlash(name)
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(dir, name)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
