package detect

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// extensions are what Pictures looks for in a folder. A file that is named alone is tried
// whatever it is called.
var extensions = []string{".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}

// Pictures lists what a source stands for: the file itself, or the pictures directly in a
// folder in the order of their names.
func Pictures(source string) ([]string, error) {
	st, err := os.Stat(source)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%q: no such file or folder", source)
	}
	if err != nil {
		return nil, err
	}
	if !st.IsDir() {
		return []string{source}, nil
	}
	entries, err := os.ReadDir(source)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		if !e.IsDir() && slices.Contains(extensions, strings.ToLower(filepath.Ext(e.Name()))) {
			files = append(files, filepath.Join(source, e.Name()))
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: no pictures in this folder (looked for %s)", source, strings.Join(extensions, " "))
	}
	return files, nil
}
