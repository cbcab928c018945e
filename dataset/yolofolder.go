package dataset

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// yamlSource is the data set of a data.yaml.
func yamlSource(file string, o OpenOptions) (*source, error) {
	d, err := readDescription(file)
	if err != nil {
		return nil, err
	}
	s := &source{path: file, format: "YOLO", names: d.names}
	for _, split := range splitNames {
		for _, p := range d.splits[split] {
			s.add(split, p.text, func(to []found) ([]found, error) {
				full, err := d.resolve(split, p)
				if err != nil {
					return nil, err
				}
				if o.within != "" && !below(o.within, full) {
					return nil, fmt.Errorf("%s:%d: %s: %s is outside the archive", file, p.line, split, quote(p.text))
				}
				return find(to, full)
			})
		}
		if places := d.splits[split]; len(places) > 0 {
			s.splits[split].where = fmt.Sprintf("%s:%d: %s", file, places[0].line, split)
		}
	}
	return s, nil
}

// yoloFolder recognises images/ beside labels/, or both within folders named after splits.
func yoloFolder(dir string, o OpenOptions) (*source, error) {
	s := &source{path: dir, format: "YOLO"}
	walks := func(path string) func([]found) ([]found, error) {
		return func(to []found) ([]found, error) { return walk(to, path, make(map[string]bool)) }
	}
	if images := folder(dir, "images"); images != "" && folder(dir, "labels") != "" {
		if err := s.bySplit(images, "images", walks); err != nil {
			return nil, err
		}
		return s, s.countClasses(dir, o)
	}
	subs, _, err := list(dir)
	if err != nil {
		return nil, err
	}
	for _, sub := range subs {
		images := folder(filepath.Join(dir, sub), "images")
		if split := splitOf(sub); split != "" && images != "" && folder(filepath.Join(dir, sub), "labels") != "" {
			s.add(split, sub+"/images", walks(images))
		}
	}
	if s.splits == nil {
		return nil, nil
	}
	return s, s.countClasses(dir, o)
}

// bySplit adds the folders in dir that are named after splits, or, where there are none,
// all of dir for training.
func (s *source) bySplit(dir, shown string, walks func(string) func([]found) ([]found, error)) error {
	subs, _, err := list(dir)
	if err != nil {
		return err
	}
	for _, sub := range subs {
		if split := splitOf(sub); split != "" {
			s.add(split, shown+"/"+sub, walks(filepath.Join(dir, sub)))
		}
	}
	if s.splits == nil {
		s.add("train", shown, walks(dir))
	}
	return nil
}

// countClasses names the classes of a YOLO data set without a data.yaml: as classes.txt
// says, in dir or in labels/, or else class0, class1 up to the highest in any label.
func (s *source) countClasses(dir string, o OpenOptions) error {
	names, err := readNames(dir, filepath.Join(dir, "labels"))
	if err != nil || names != nil {
		s.names = names
		return err
	}
	highest := 0
	for _, split := range splitNames {
		if s.splits[split] == nil {
			continue
		}
		all, err := s.splits[split].all()
		if err != nil {
			return err
		}
		for i, f := range all {
			if err := o.err(); err != nil {
				return err
			}
			o.progress("counting the classes of "+split, i+1, len(all))
			file, err := os.Open(labelPath(f.path))
			if err != nil {
				continue // read again, and reported, with its picture
			}
			for _, l := range readLabels("", file, maxClasses).labels {
				highest = max(highest, l.Class)
			}
			file.Close()
		}
	}
	for i := range highest + 1 {
		s.names = append(s.names, fmt.Sprintf("class%d", i))
	}
	return nil
}

// readNames reads the first classes.txt, a name a line, in one of the folders. Where there
// is none names is nil.
func readNames(dirs ...string) (names []string, err error) {
	for _, dir := range dirs {
		path := filepath.Join(dir, "classes.txt")
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		defer f.Close()
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			name := strings.TrimSpace(strings.TrimPrefix(lines.Text(), bom))
			if name == "" {
				continue
			}
			if len(names) == maxClasses {
				return nil, fmt.Errorf("%s: more than %d classes", path, maxClasses)
			}
			names = append(names, name)
		}
		if err := lines.Err(); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if names == nil {
			return nil, fmt.Errorf("%s: is empty, want the names of the classes, one a line", path)
		}
		return names, nil
	}
	return nil, nil
}
