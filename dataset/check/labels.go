package check

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// labels finds label files that belong to no picture.
func (c *check) labels() {
	known := make(map[string]bool)
	for _, s := range c.splits {
		for _, i := range s.items {
			known[i.LabelPath] = true
		}
	}
	pictures := make(map[string]bool) // those left out have labels too
	for _, p := range c.data.Problems {
		known[p.Path] = true
		pictures[stem(p.Picture)] = true
	}
	dirs := make(map[string]string) // a folder of labels, and their extension
	for path := range known {
		if ext := strings.ToLower(filepath.Ext(path)); ext == ".txt" || ext == ".xml" {
			dirs[filepath.Dir(path)] = ext
		}
	}
	lists := []string{"classes.txt", "train.txt", "val.txt", "test.txt"}
	var lone []string
	for dir, ext := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // it need not be there: its pictures are backgrounds
		}
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			if e.IsDir() || strings.HasPrefix(e.Name(), ".") || !strings.EqualFold(filepath.Ext(path), ext) ||
				known[path] || pictures[stem(path)] || slices.Contains(lists, e.Name()) {
				continue
			}
			lone = append(lone, path)
		}
	}
	slices.Sort(lone)
	c.find(false, "label file without a picture", "is its picture missing, or in no split?", lone)
}

func stem(path string) string {
	return strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
}

// imbalance is how many times rarer than the most frequent class one is named for.
const imbalance = 50

// classes finds classes that training or validation has no examples of, and rare ones.
func (c *check) classes() {
	for _, s := range c.report.Splits {
		if s.Name == "test" || s.Pictures == 0 {
			continue
		}
		var none, rare []string
		most := slices.Max(s.Boxes)
		for class, n := range s.Boxes {
			name := fmt.Sprintf("%d %s", class, c.data.Names[class])
			switch {
			case n == 0:
				none = append(none, name)
			case n*imbalance < most:
				rare = append(rare, fmt.Sprintf("%s: %d, the most frequent has %d", name, n, most))
			}
		}
		advice := "they cannot be learnt"
		if s.Name == "val" {
			advice = "their precision is not measured, and mAP is the mean of the others"
		}
		c.find(false, "class without a box in "+s.Name, advice, none)
		if s.Name == "train" {
			c.find(false, fmt.Sprintf("class %d times rarer than another in train", imbalance), "gather more pictures of them", rare)
		}
	}
}

// sizes finds boxes that are next to nothing once a picture is scaled to the input.
func (c *check) sizes() {
	const gone, small = 2, 8 // pixels
	var under2, under8 []string
	for _, s := range c.splits {
		for _, i := range s.items {
			scale := min(float64(c.o.Width)/float64(i.W), float64(c.o.Height)/float64(i.H))
			for n, l := range i.Labels {
				w, h := float64(l.W)*float64(i.W)*scale, float64(l.H)*float64(i.H)*scale
				if min(w, h) == 0 || min(w, h) >= small {
					continue
				}
				place := i.Path // a COCO file has no lines worth naming
				if i.Lines[n] > 0 {
					place = fmt.Sprintf("%s:%d", i.LabelPath, i.Lines[n])
				}
				text := fmt.Sprintf("%s: %s %.1f x %.1f pixels", place, c.data.Names[l.Class], w, h)
				if min(w, h) < gone {
					under2 = append(under2, text)
				} else {
					under8 = append(under8, text)
				}
			}
		}
	}
	at := fmt.Sprintf("at %dx%d", c.o.Width, c.o.Height)
	c.find(false, fmt.Sprintf("box thinner than %d pixels %s", gone, at), "training drops them, validation counts them as missed: a larger --img, or no label", under2)
	c.find(false, fmt.Sprintf("box of %d to %d pixels %s", gone, small, at), "smaller than a cell of the finest grid, and hard to find: a larger --img helps", under8)
}
