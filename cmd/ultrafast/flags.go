package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ultrafast/graph"
	"ultrafast/yolo"
)

// yolov5Flag lets YOLOv5's longer names of a flag stand for ours.
func yolov5Flag(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	switch name {
	case "imgsz", "img-size":
		name = "img"
	case "batch-size":
		name = "batch"
	case "conf-thres":
		name = "conf"
	case "iou-thres":
		name = "iou"
	}
	return pflag.NormalizedName(name)
}

// noArgs refuses words that belong to no flag, which YOLOv5's lists leave behind.
func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%q belongs to no flag: lists are written with commas (--classes 0,2), sizes as 1280x800; see --help", args[0])
	}
	return nil
}

// maxSide is the side of a network's input that is taken for a mistake when exceeded.
const maxSide = 1 << 14

// parseSize reads a network input: "640" is a square, "1280x800" is width times height.
func parseSize(s string) (w, h int, err error) {
	ws, hs, two := strings.Cut(s, "x")
	if !two {
		hs = ws
	}
	w, errW := strconv.Atoi(ws)
	h, errH := strconv.Atoi(hs)
	if errW != nil || errH != nil || w < 8 || h < 8 || w > maxSide || h > maxSide {
		return 0, 0, fmt.Errorf("--img %q: want a side such as 640, or WIDTHxHEIGHT such as 1280x800, of 8 to %d pixels", s, maxSide)
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

func isYAML(name string) bool {
	return strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml")
}

// isModel reports whether a --cfg is a model, whose shape is taken.
func isModel(name string) bool {
	return strings.HasSuffix(name, ".safetensors") || strings.HasSuffix(name, ".pt")
}

// description reads a YAML file, or takes the name of a released model where there is no
// such file.
func description(name string) (*yolo.Config, error) {
	if !isYAML(name) {
		return yolo.Standard(name)
	}
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		if cfg, err := yolo.Standard(name); err == nil {
			return cfg, nil
		}
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	cfg, err := yolo.ParseConfig(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return cfg, nil
}

// checkOutput tells before the work, not after it, that the file of -o could not be written, or
// would take the place of one that the command reads.
func checkOutput(path string, reads ...string) error {
	for _, in := range reads {
		if sameFile(path, in) {
			return fmt.Errorf("-o %s: is a file that this command reads, and would be lost: choose another name", path)
		}
	}
	return checkWritten("-o", path)
}

// checkWritten is checkOutput for the file of another flag.
func checkWritten(flag, path string) error {
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		return fmt.Errorf("%s %s: is a folder, want the name of a file", flag, path)
	}
	dir := filepath.Dir(path)
	if st, err := os.Stat(dir); err != nil || !st.IsDir() {
		return fmt.Errorf("%s %s: there is no folder %s", flag, path, dir)
	}
	return nil
}

// sameName reports whether two names, which may be of files that are not there yet, are of one
// file in a folder that is.
func sameName(a, b string) bool {
	return sameFile(filepath.Dir(a), filepath.Dir(b)) && filepath.Base(a) == filepath.Base(b)
}

// sameFile reports whether two names are of one file that is there.
func sameFile(a, b string) bool {
	inA, errA := os.Stat(a)
	inB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(inA, inB)
}

// checkSmaller is checkOutput for what is made of a model, which must not take its place.
func checkSmaller(path, weights string, reads ...string) error {
	if sameFile(path, weights) {
		return fmt.Errorf("-o %s: is the model itself, which would be lost: choose another name", path)
	}
	return checkOutput(path, reads...)
}

// newRun makes the folder of a run: project/name, or name2, name3 … where it exists.
func newRun(project, name string) (string, error) {
	if name == "" || name == "." || name == ".." || name != filepath.Base(name) {
		return "", fmt.Errorf("--name %q: want the name of one folder; --project says where it is made", name)
	}
	if err := os.MkdirAll(filepath.Clean(project), 0o755); err != nil {
		return "", fmt.Errorf("--project %s: %w", project, err)
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
			return "", fmt.Errorf("--project %s: %w", project, err)
		}
	}
	return "", fmt.Errorf("%s: every run folder up to %s9999 exists", project, name)
}
