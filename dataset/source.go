package dataset

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// accepted ends the error for what is not recognised.
const accepted = `want one of
a data.yaml;
a folder of YOLO's (images/ and labels/, or train/images and train/labels, with or without data.yaml),
of Pascal VOC's (JPEGImages/ and Annotations/, or .xml files beside the pictures, with or without ImageSets/Main),
or of COCO's (annotations/instances_*.json, or train/_annotations.coco.json);
a COCO .json file; a list of pictures (.txt);
or one of these folders as .zip, .tar or .tar.gz`

// A source is a data set that is recognised and not yet read.
type source struct {
	path   string // what errors begin with
	format string // YOLO, Pascal VOC or COCO
	names  []string
	splits map[string]*part
	notes  []Problem // what is odd in the files that were recognised
}

// A part is where a split's pictures come from.
type part struct {
	where string   // what errors begin with
	from  []string // as people know it: a folder or a list
	find  []func([]found) ([]found, error)
}

// add makes pictures part of a split.
func (s *source) add(split, from string, find func([]found) ([]found, error)) {
	p := s.splits[split]
	if p == nil {
		p = &part{where: s.path + ": " + split}
		if s.splits == nil {
			s.splits = make(map[string]*part)
		}
		s.splits[split] = p
	}
	p.from = append(p.from, from)
	p.find = append(p.find, find)
}

// all finds the pictures of a part, sorted by path, each once.
func (p *part) all() (all []found, err error) {
	for _, find := range p.find {
		if all, err = find(all); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(all, func(a, b found) int { return strings.Compare(a.path, b.path) })
	return slices.CompactFunc(all, func(a, b found) bool { return a.path == b.path }), nil
}

// splitNames are the splits, in the order in which they are told.
var splitNames = []string{"train", "val", "test"}

var splitPattern = regexp.MustCompile(`(?i)^(?:(train)(?:ing)?|(val)(?:id(?:ation)?)?|(test)(?:ing)?)[-_]?\d*$`)

// splitOf returns the split that a folder or file without extension is named after, such as
// valid or train2017, and "" for none.
func splitOf(name string) string {
	m := splitPattern.FindStringSubmatch(name)
	if m == nil {
		return ""
	}
	return strings.ToLower(m[1] + m[2] + m[3])
}

// recognise tells what path holds.
func recognise(path string, o OpenOptions) (*source, error) {
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: there is no such file or folder", path)
	case err != nil:
		return nil, fmt.Errorf("%s: %s", path, reason(err))
	}
	st, err := f.Stat()
	f.Close()
	if err != nil {
		return nil, err
	}
	switch ext := strings.ToLower(filepath.Ext(path)); {
	case st.IsDir():
		return recogniseFolder(path, o)
	case ext == ".json":
		return cocoSource(path, filepath.Dir(path), []string{path}, o)
	case ext == ".txt":
		s := &source{path: path, format: "YOLO"}
		s.add(orTrain(splitOf(stem(path))), filepath.Base(path), func(to []found) ([]found, error) { return readList(to, path) })
		return s, s.countClasses(filepath.Dir(path), o)
	case isArchive(path):
		dir, err := unpack(path, o)
		if err != nil {
			return nil, err
		}
		o.within = dir
		s, err := recogniseFolder(dir, o)
		if err != nil {
			return nil, inArchive(err, dir, path)
		}
		s.confine(dir, path)
		return s, nil
	case ext == ".yaml" || ext == ".yml":
		return yamlSource(path, o)
	}
	return nil, fmt.Errorf("%s: is no data set: %s", path, accepted)
}

// orTrain makes pictures that no split claims training pictures.
func orTrain(split string) string {
	if split == "" {
		return "train"
	}
	return split
}

// recogniseFolder tells what a folder holds, or the only folder in it.
func recogniseFolder(dir string, o OpenOptions) (*source, error) {
	top := dir
	for range 5 {
		for _, name := range []string{"data.yaml", "data.yml"} {
			if file := filepath.Join(dir, name); exists(file) {
				return yamlSource(file, o)
			}
		}
		for _, try := range []func(string, OpenOptions) (*source, error){cocoFolder, vocFolder, yoloFolder} {
			if s, err := try(dir, o); s != nil || err != nil {
				return s, err
			}
		}
		subs, files, err := list(dir)
		if err != nil {
			return nil, err
		}
		if len(subs) != 1 || slices.ContainsFunc(files, isPicture) {
			break
		}
		dir = filepath.Join(dir, subs[0])
	}
	return nil, fmt.Errorf("%s: no data set is recognised in this folder: %s", top, accepted)
}

// list returns the names of the folders and of the files in dir that are not hidden.
func list(dir string) (folders, files []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		st, err := os.Stat(filepath.Join(dir, e.Name()))
		switch {
		case strings.HasPrefix(e.Name(), ".") || e.Name() == "__MACOSX" || err != nil:
		case st.IsDir():
			folders = append(folders, e.Name())
		default:
			files = append(files, e.Name())
		}
	}
	return folders, files, nil
}

// confine makes pictures outside dir, to which an archive was unpacked, an error: it may say
// anything in its lists.
func (s *source) confine(dir, archive string) {
	for _, p := range s.splits {
		p.where = strings.ReplaceAll(p.where, dir, archive)
		for i, find := range p.find {
			p.find[i] = func(to []found) ([]found, error) {
				n := len(to)
				to, err := find(to)
				if err != nil {
					return nil, inArchive(err, dir, archive)
				}
				for _, f := range to[n:] {
					if !below(dir, f.path) {
						return nil, fmt.Errorf("%s: %s is named, which is outside the archive", archive, quote(f.path))
					}
				}
				return to, nil
			}
		}
	}
}

// inArchive names an archive where an error names the folder it was unpacked to.
func inArchive(err error, dir, archive string) error {
	return errors.New(strings.ReplaceAll(err.Error(), dir, archive))
}

// below reports whether path is dir or below it.
func below(dir, path string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

func stem(path string) string {
	return strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
}

// folder returns the path of the first of names that is a folder in dir, or "".
func folder(dir string, names ...string) string {
	for _, name := range names {
		path := filepath.Join(dir, name)
		if st, err := os.Stat(path); err == nil && st.IsDir() {
			return path
		}
	}
	return ""
}

// holds reports whether a folder, or one in it, has a file with the extension.
func holds(dir, ext string) bool {
	folders, files, err := list(dir)
	if err != nil {
		return false
	}
	has := func(name string) bool { return strings.EqualFold(filepath.Ext(name), ext) }
	if slices.ContainsFunc(files, has) {
		return true
	}
	return slices.ContainsFunc(folders, func(name string) bool {
		_, files, err := list(filepath.Join(dir, name))
		return err == nil && slices.ContainsFunc(files, has)
	})
}
