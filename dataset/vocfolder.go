package dataset

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A voc is a VOC data set at work: its source's finders share it.
type voc struct {
	dir   string
	class map[string]int
	pairs []vocPair
}

// A vocPair is a folder of pictures and the one of their annotations, maybe the same.
type vocPair struct{ pictures, annotations string }

// vocFolder recognises JPEGImages/ (or images/) beside Annotations/, with ImageSets/Main or
// without, and .xml files beside their pictures.
func vocFolder(dir string, o OpenOptions) (*source, error) {
	v := &voc{dir: dir}
	s := &source{path: dir, format: "Pascal VOC"}
	pictures := folder(dir, "JPEGImages", "images", "Images")
	annotations := folder(dir, "Annotations", "annotations")
	subs, _, err := list(dir)
	if err != nil {
		return nil, err
	}
	switch {
	case pictures != "" && annotations != "" && holds(annotations, ".xml"):
		pair := vocPair{pictures, annotations}
		v.pairs = []vocPair{pair}
		if err := v.imageSets(s, pair); err != nil {
			return nil, err
		}
		if s.splits == nil {
			err = s.bySplit(pictures, filepath.Base(pictures), func(at string) func([]found) ([]found, error) { return v.walk(at, pair) })
		}
	default:
		for _, sub := range subs {
			path := filepath.Join(dir, sub)
			if split := splitOf(sub); split != "" && holds(path, ".xml") {
				pair := vocPair{path, path}
				if a, p := folder(path, "Annotations", "annotations"), folder(path, "JPEGImages", "images"); a != "" && p != "" {
					pair = vocPair{p, a}
				}
				v.pairs = append(v.pairs, pair)
				s.add(split, sub, v.walk(pair.pictures, pair))
			}
		}
		if s.splits == nil && holdsFlat(dir, ".xml") {
			pair := vocPair{dir, dir}
			v.pairs = []vocPair{pair}
			s.add("train", filepath.Base(dir), v.walk(dir, pair))
		}
	}
	if err != nil || s.splits == nil {
		return nil, err
	}
	s.names, err = v.names(o)
	return s, err
}

func holdsFlat(dir, ext string) bool {
	_, files, err := list(dir)
	return err == nil && slices.ContainsFunc(files, func(name string) bool { return strings.EqualFold(filepath.Ext(name), ext) })
}

// names returns the classes: as classes.txt says, or those of all annotations in the order
// of the alphabet, which for Pascal's own twenty is the usual one.
func (v *voc) names(o OpenOptions) ([]string, error) {
	names, err := readNames(v.dir)
	if err != nil {
		return nil, err
	}
	if names == nil {
		if names, err = v.collect(o); err != nil {
			return nil, err
		}
	}
	v.class = make(map[string]int)
	for i, name := range names {
		v.class[name] = i
	}
	return names, nil
}

// collect reads every annotation for the names in it.
func (v *voc) collect(o OpenOptions) ([]string, error) {
	files, err := v.annotations()
	if err != nil {
		return nil, err
	}
	seen := make(map[string]bool)
	for i, path := range files {
		if err := o.err(); err != nil {
			return nil, err
		}
		o.progress("reading the names of classes", i+1, len(files))
		f, err := openVOC(path)
		if err != nil {
			continue // read again, and reported, with its picture
		}
		for _, object := range f.objects {
			if object.name != "" {
				seen[object.name] = true
			}
		}
		if len(seen) > maxClasses {
			return nil, fmt.Errorf("%s: more than %d classes", v.dir, maxClasses)
		}
	}
	if len(seen) == 0 {
		return nil, fmt.Errorf("%s: no annotation names a class", v.dir)
	}
	return slices.Sorted(maps.Keys(seen)), nil
}

// annotations lists the files.
func (v *voc) annotations() (files []string, err error) {
	for _, pair := range v.pairs {
		err := filepath.WalkDir(pair.annotations, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && strings.EqualFold(filepath.Ext(path), ".xml") && !strings.HasPrefix(d.Name(), ".") {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

func openVOC(path string) (*vocFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return parseVOC(f)
}

// walk finds the pictures in dir, which is within the pair's folder of pictures.
func (v *voc) walk(dir string, pair vocPair) func([]found) ([]found, error) {
	return func(to []found) ([]found, error) {
		n := len(to)
		to, err := walk(to, dir, make(map[string]bool))
		for i := n; err == nil && i < len(to); i++ {
			v.pair(&to[i], pair)
		}
		return to, err
	}
}

// pair says where a picture's labels are: at the same place below the annotations, or in
// them directly.
func (v *voc) pair(f *found, pair vocPair) {
	rel, err := filepath.Rel(pair.pictures, strings.TrimSuffix(f.path, filepath.Ext(f.path))+".xml")
	f.labelPath = filepath.Join(pair.annotations, rel)
	if flat := filepath.Join(pair.annotations, filepath.Base(rel)); err != nil || !exists(f.labelPath) && exists(flat) {
		f.labelPath = flat
	}
	path := f.labelPath
	f.read = func(w, h int) (out labelFile) {
		file, err := openVOC(path)
		if errors.Is(err, fs.ErrNotExist) {
			out.notes = append(out.notes, noLabel(path))
			return out
		}
		if err != nil {
			line, reason := splitLine(err.Error())
			out.bad = append(out.bad, Problem{Kind: Malformed, Path: path, Line: line, Reason: reason})
			return out
		}
		return file.labels(path, w, h, v.class)
	}
}

// splitLine takes ":12: text" apart.
func splitLine(text string) (int, string) {
	number, rest, ok := strings.Cut(strings.TrimPrefix(text, ":"), ": ")
	if line, err := strconv.Atoi(number); ok && err == nil {
		return line, rest
	}
	return 0, strings.TrimPrefix(text, ": ")
}

// imageSets adds the lists of ImageSets/Main, whose lines are names of pictures without
// extension. trainval counts where there is no train.
func (v *voc) imageSets(s *source, pair vocPair) error {
	dir := filepath.Join(v.dir, "ImageSets", "Main")
	for _, split := range splitNames {
		file := filepath.Join(dir, split+".txt")
		if split == "train" && !exists(file) {
			file = filepath.Join(dir, "trainval.txt")
		}
		if exists(file) {
			s.add(split, "ImageSets/Main/"+filepath.Base(file), func(to []found) ([]found, error) { return v.readSet(to, file, pair) })
		}
	}
	return nil
}

func (v *voc) readSet(to []found, file string, pair vocPair) ([]found, error) {
	pictures := make(map[string]string)
	all, err := walk(nil, pair.pictures, make(map[string]bool))
	if err != nil {
		return nil, err
	}
	for _, f := range all {
		rel, _ := filepath.Rel(pair.pictures, f.path)
		pictures[filepath.ToSlash(strings.TrimSuffix(rel, filepath.Ext(rel)))] = f.path
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, maxPathBytes)
	for line := 1; lines.Scan(); line++ {
		name := strings.TrimSpace(strings.TrimPrefix(lines.Text(), bom))
		if name == "" {
			continue
		}
		path, ok := pictures[name]
		if fields := strings.Fields(name); !ok && len(fields) == 2 { // a name, and whether the class is there
			path, ok = pictures[fields[0]]
		}
		if !ok {
			path = filepath.Join(pair.pictures, filepath.Base(filepath.FromSlash(strings.ReplaceAll(name, "\x00", "")))+".jpg") // reported as missing
		}
		if len(to) == maxPictures {
			return nil, fmt.Errorf("%s:%d: more than %d pictures", file, line, maxPictures)
		}
		found := found{path: path, list: file, line: line}
		v.pair(&found, pair)
		to = append(to, found)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return to, nil
}
