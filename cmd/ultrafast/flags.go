package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"ultrafast/graph"
	"ultrafast/yolo"
)

// parseSize reads a network input: "640" is a square, "1280x800" is width times height.
func parseSize(s string) (w, h int, err error) {
	ws, hs, two := strings.Cut(s, "x")
	if !two {
		hs = ws
	}
	w, errW := strconv.Atoi(ws)
	h, errH := strconv.Atoi(hs)
	if errW != nil || errH != nil || w < 8 || h < 8 || w > 1<<14 || h > 1<<14 {
		return 0, 0, fmt.Errorf("--img %q: want a side such as 640, or WIDTHxHEIGHT such as 1280x800, of 8 to %d pixels", s, 1<<14)
	}
	return w, h, nil
}

// fitSize rounds an input size up to a multiple of the model's largest stride, as every
// map must have whole cells. The note is empty where nothing changed.
func fitSize(g *graph.Graph, w, h int) (int, int, string) {
	stride := maxStride(g)
	fw, fh := (w+stride-1)/stride*stride, (h+stride-1)/stride*stride
	if fw == w && fh == h {
		return w, h, ""
	}
	return fw, fh, fmt.Sprintf("--img %dx%d is no multiple of the stride %d: using %dx%d", w, h, stride, fw, fh)
}

func maxStride(g *graph.Graph) int {
	stride := 1
	if d := g.Detect(); d != nil {
		for _, s := range d.Op.(*graph.Detect).Strides {
			stride = max(stride, s)
		}
	}
	return stride
}

func openConfig(path string) (*yolo.Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	cfg, err := yolo.ParseConfig(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return cfg, nil
}

// newRun makes the folder of a run: project/name, or name2, name3 … where it exists.
func newRun(project, name string) (string, error) {
	if err := os.MkdirAll(project, 0o755); err != nil {
		return "", err
	}
	for i := 1; i < 10000; i++ {
		dir := filepath.Join(project, name)
		if i > 1 {
			dir += strconv.Itoa(i)
		}
		switch err := os.Mkdir(dir, 0o755); {
		case err == nil:
			return dir, nil
		case !os.IsExist(err):
			return "", err
		}
	}
	return "", fmt.Errorf("%s: every run folder up to %s9999 exists", project, name)
}
