package dataset

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// cocoFolder recognises annotations/instances_*.json, and _annotations.coco.json in dir or
// in folders named after splits.
func cocoFolder(dir string, o OpenOptions) (*source, error) {
	var files []string
	for _, pattern := range []string{"annotations/instances_*.json", "*/_annotations.coco.json", "_annotations.coco.json"} {
		more, err := filepath.Glob(filepath.Join(escapeGlob(dir), pattern))
		if err != nil {
			return nil, err
		}
		files = append(files, more...)
	}
	if len(files) == 0 {
		return nil, nil
	}
	return cocoSource(dir, dir, files, o)
}

var globEscaper = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)

func escapeGlob(dir string) string { return globEscaper.Replace(dir) }

// cocoSource reads COCO files, one a split. Their categories together are the classes, in
// the order of their ids.
func cocoSource(path, dir string, files []string, o OpenOptions) (*source, error) {
	s := &source{path: path, format: "COCO"}
	categories := make(map[int64]string)
	class := make(map[int64]int)
	for _, file := range files {
		f, err := openCOCO(file, o)
		if err != nil {
			return nil, err
		}
		for id, name := range f.categories {
			if was, ok := categories[id]; ok && was != name {
				return nil, fmt.Errorf("%s: category %d is %s here and %s in another file of the set", file, id, quote(name), quote(was))
			}
			categories[id] = name
		}
		if n := len(f.stray); n > 0 {
			s.notes = append(s.notes, Problem{Kind: Stray, Path: file,
				Reason: fmt.Sprintf("%d annotations are of images that are not in the file, such as annotation %d", n, slices.Min(f.stray))})
		}
		word := stem(file)
		if word == "_annotations.coco" {
			word = filepath.Base(filepath.Dir(file))
		}
		word = word[strings.LastIndex(word, "_")+1:]
		shown, err := filepath.Rel(dir, file)
		if err != nil {
			shown = file
		}
		s.add(orTrain(splitOf(word)), filepath.ToSlash(shown), func(to []found) ([]found, error) {
			return f.find(to, file, cocoPictures(f, file, word), class)
		})
	}
	ids := make([]int64, 0, len(categories))
	for id := range categories {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for i, id := range ids {
		class[id] = i
		s.names = append(s.names, categories[id])
	}
	return s, nil
}

// cocoPictures returns the folder that a file's pictures are in: the first of the usual
// ones that has one of them.
func cocoPictures(f *cocoFile, file, word string) string {
	dir := filepath.Dir(file)
	up := filepath.Dir(dir)
	for _, try := range []string{dir, filepath.Join(dir, word), filepath.Join(dir, "images"), filepath.Join(dir, "images", word),
		filepath.Join(up, "images", word), filepath.Join(up, word), filepath.Join(up, "images"), up} {
		for _, i := range f.images[:min(len(f.images), 50)] {
			if filepath.IsLocal(filepath.FromSlash(i.Name)) && exists(filepath.Join(try, filepath.FromSlash(i.Name))) {
				return try
			}
		}
	}
	return dir
}

func (f *cocoFile) find(to []found, file, dir string, class map[int64]int) ([]found, error) {
	for n := range f.images {
		i := &f.images[n]
		name := filepath.FromSlash(i.Name)
		if !filepath.IsLocal(name) || strings.ContainsRune(name, 0) {
			return nil, fmt.Errorf("%s: image %d: file_name %s is no path below the folder of the pictures", file, i.ID, quote(i.Name))
		}
		to = append(to, found{path: filepath.Join(dir, name), list: file, labelPath: file,
			read: func(w, h int) labelFile { return i.labels(file, w, h, class) }})
	}
	return to, nil
}
