package compress

import (
	"fmt"
	"path/filepath"
	"strings"

	"ultrafast/dataset"
)

// picturesFile names the pictures that the run began with, by split, so that one that is
// gone can be named.
const picturesFile = "pictures.json"

func pathsOf(d *dataset.Data) map[string][]string {
	paths := map[string][]string{}
	for split, items := range map[string][]dataset.Item{"train": d.Train, "val": d.Val} {
		for _, item := range items {
			paths[split] = append(paths[split], item.Path)
		}
	}
	return paths
}

// mostGone is how many pictures that are gone are named.
const mostGone = 5

// gone names pictures that the run began with and that are missing or left out now; it is
// empty where there are none, or where that is not known.
func (r *run) gone() string {
	was, now := map[string][]string{}, pathsOf(r.data)
	if err := r.readJSON(picturesFile, &was); err != nil {
		return ""
	}
	var gone []string
	for _, split := range []string{"train", "val"} {
		here := map[string]bool{} // by name, as HashData counts them
		for _, path := range now[split] {
			here[filepath.Base(path)] = true
		}
		for _, path := range was[split] {
			if !here[filepath.Base(path)] {
				gone = append(gone, path)
			}
		}
	}
	if len(gone) == 0 {
		return ""
	}
	named := strings.Join(gone[:min(len(gone), mostGone)], ", ")
	if len(gone) > mostGone {
		named += " and others"
	}
	return fmt.Sprintf("%d pictures are missing or left out now, put them back: %s", len(gone), named)
}
