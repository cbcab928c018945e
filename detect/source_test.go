package detect

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestPictures(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b c.JPG", "a.png", "ü.WebP", "notes.txt", ".hidden"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"folder.jpg", "none"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Pictures(dir)
	want := []string{filepath.Join(dir, "a.png"), filepath.Join(dir, "b c.JPG"), filepath.Join(dir, "ü.WebP")}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	for pattern, want := range map[string][]string{"*.[jJ]*": want[1:2], "*": want, "?.png": want[:1]} {
		if got, err := Pictures(filepath.Join(dir, pattern)); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v, want %q", pattern, got, err, want)
		}
	}
	one := filepath.Join(dir, "notes.txt")
	if got, err := Pictures(one); err != nil || !slices.Equal(got, []string{one}) {
		t.Errorf("a file named alone gives %q, %v", got, err)
	}
	for source, want := range map[string]string{
		"": `"": no such file`, filepath.Join(dir, "*.txt"): "no pictures match", "[": "syntax error in pattern",
		"0": `"0": cameras and streams are not read`, "rtsp://camera/1": "cameras and streams", "https://x.org/a.jpg": "cameras and streams",
		filepath.Join(dir, "gone"): "no such file", filepath.Join(dir, "none"): "no pictures in this folder",
		filepath.Join(one, "x"): "not a directory",
	} {
		if _, err := Pictures(source); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error with %q", source, err, want)
		}
	}
}
