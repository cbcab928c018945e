package main

import (
	"context"
	"image"
	"image/jpeg"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"ultrafast/engine"
	"ultrafast/ort"
	"ultrafast/safetensors"
	"ultrafast/scene"
	"ultrafast/yolo"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"ultrafast": func() { os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) },
		// scene DIR TRAIN VAL SIDE draws a data set.
		"scene": func() { os.Exit(drawScene(os.Args[1:])) },
		// picture FILE WIDTH HEIGHT writes a PNG or, by its name, a JPEG of stripes.
		"picture": func() { os.Exit(drawPicture(os.Args[1:])) },
		// model FILE WIDTH|YAML CLASS… writes an untrained YOLOv5n of a width, or what a file
		// describes; spoil FILE puts a NaN into one.
		"model": func() { os.Exit(writeModel(os.Args[1:])) },
		"spoil": func() { os.Exit(spoilModel(os.Args[1])) },
	})
}

func drawScene(args []string) int {
	var n [3]int
	for i := range n {
		v, err := strconv.Atoi(args[1+i])
		must(err)
		n[i] = v
	}
	_, err := scene.Write(args[0], scene.Set{Train: n[0], Val: n[1], Width: n[2], Height: n[2], Seed: 1})
	must(err)
	return 0
}

func drawPicture(args []string) int {
	w, err := strconv.Atoi(args[1])
	must(err)
	h, err := strconv.Atoi(args[2])
	must(err)
	p := image.NewGray(image.Rect(0, 0, w, h))
	for i := range p.Pix {
		p.Pix[i] = uint8(7 * i)
	}
	f, err := os.Create(args[0])
	must(err)
	if strings.HasSuffix(args[0], ".png") {
		must(png.Encode(f, p))
	} else {
		must(jpeg.Encode(f, p, nil))
	}
	must(f.Close())
	return 0
}

func writeModel(args []string) int {
	cfg, err := yolo.Standard("yolov5n")
	must(err)
	if isYAML(args[1]) {
		cfg, err = description(args[1])
	} else {
		cfg.Width, err = strconv.ParseFloat(args[1], 64)
	}
	must(err)
	g, err := yolo.New(cfg, args[2:], 1)
	must(err)
	must(safetensors.Save(args[0], &safetensors.File{Graph: g}))
	return 0
}

func spoilModel(path string) int {
	f, err := safetensors.Open(path)
	must(err)
	f.Graph.Params()[0].Tensor().Data[0] = float32(math.NaN())
	must(safetensors.Save(path, f))
	return 0
}

// TestScripts runs the command lines in testdata/script.
func TestScripts(t *testing.T) {
	shared, err := filepath.Abs(filepath.Join("..", "..", "..", "shared"))
	if err != nil {
		t.Fatal(err)
	}
	deps, err := filepath.Abs(filepath.Join("..", "..", ".deps")) // where ONNX Runtime is
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir() // where the bridge to libtorch is
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("SHARED", shared)
			e.Setenv("XDG_CACHE_HOME", cache)
			return os.Symlink(deps, filepath.Join(e.WorkDir, ".deps"))
		},
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "shared":
				_, err := os.Stat(shared)
				return err == nil, nil
			case "torch":
				return torchBuilt(), nil
			case "ort":
				return ortFound(), nil
			case "code": // whether the engine writes machine code here
				return engine.CPUs()[0] != engine.Generic, nil
			case "bf16":
				return canBF16(), nil
			case "amx":
				return slices.Contains(engine.CPUs(), "amx"), nil
			case "cuda": // whether ONNX Runtime could try
				path, err := ort.Find()
				if err != nil {
					return false, nil
				}
				_, err = os.Stat(filepath.Join(filepath.Dir(path), "libonnxruntime_providers_cuda.so"))
				return err == nil, nil
			}
			return false, nil
		},
	})
}

// ortFound reports whether ONNX Runtime's library is here.
func ortFound() bool {
	_, err := ort.Find()
	return err == nil
}
