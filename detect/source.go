package detect

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// extensions are what Pictures looks for in a folder or by a pattern. A file that is named alone is tried
// whatever it is called.
var extensions = []string{".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}

// Pictures lists what a source stands for: the file itself, the pictures directly in a folder, or
// those whose paths match a pattern of filepath.Match's, both in the order of their names.
func Pictures(source string) ([]string, error) {
	st, err := os.Stat(source)
	if errors.Is(err, fs.ErrNotExist) {
		switch {
		case isStream(source):
			return nil, fmt.Errorf("%q: cameras and streams are not read: want a picture, a folder or a pattern such as \"pictures/*.jpg\"", source)
		case strings.ContainsAny(source, `*?[`):
			return matching(source)
		}
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
		if !e.IsDir() && isPicture(e.Name()) {
			files = append(files, filepath.Join(source, e.Name()))
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: no pictures in this folder (looked for %s)", source, strings.Join(extensions, " "))
	}
	return files, nil
}

func isPicture(name string) bool {
	return slices.Contains(extensions, strings.ToLower(filepath.Ext(name)))
}

// isStream reports whether YOLOv5 would take a source for a camera's number or an address.
func isStream(source string) bool {
	_, err := strconv.ParseUint(source, 10, 32)
	return err == nil || strings.Contains(source, "://")
}

func matching(pattern string) (files []string, err error) {
	all, err := filepath.Glob(pattern)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", pattern, err)
	}
	for _, file := range all {
		if st, err := os.Stat(file); err == nil && !st.IsDir() && isPicture(file) {
			files = append(files, file)
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%q: no pictures match (looked for %s)", pattern, strings.Join(extensions, " "))
	}
	return files, nil
}
