// Bench measures the standard models with ultrafast benchmark and writes the table:
//
//	go run ./docs/results/bench -ultrafast ./ultrafast -o docs/results/bench.md
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"

	"ultrafast/prune"
	"ultrafast/safetensors"
	"ultrafast/yolo"
)

// A model is a row or more of the table.
type model struct {
	name string
	args []string // of ultrafast benchmark
}

// odd is the name of the cut network's file, in the folder that the commands run in.
const odd = "odd.safetensors"

var models = []model{
	{"yolov5n", []string{"--cfg", "yolov5n", "--img", "640"}},
	{"yolov5n", []string{"--cfg", "yolov5n", "--img", "1280x800"}},
	{"yolov5s", []string{"--cfg", "yolov5s", "--img", "1280x800"}},
	{"yolov5n, every layer cut to an odd number of channels", []string{"--cfg", odd, "--img", "1280x800"}},
	{"yolov5 of width 0.1", []string{"--cfg", "yolov5n", "--width", "0.1", "--img", "1280x800"}},
}

func main() {
	program := flag.String("ultrafast", "./ultrafast", "the program")
	out := flag.String("o", "bench.md", "file to write")
	seconds := flag.Float64("seconds", 10, "time to measure for, for each runtime and number of threads")
	precision := flag.String("precision", "fp32", "what is computed in: fp32, or fp32,bf16,int8")
	flag.Parse()
	if err := run(*program, *out, *precision, *seconds); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

func run(program, out, precision string, seconds float64) error {
	dir, err := os.MkdirTemp("", "ultrafast-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	interrupted := make(chan os.Signal, 1) // Ctrl-C reaches the program too, which then ends with an error
	signal.Notify(interrupted, os.Interrupt)
	if err := writeOdd(filepath.Join(dir, odd)); err != nil {
		return err
	}
	var reports []report
	for i, m := range models {
		fmt.Fprintf(os.Stderr, "%d/%d: %s %s\n", i+1, len(models), m.name, strings.Join(m.args, " "))
		r, err := measure(program, dir, precision, seconds, m)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		reports = append(reports, r)
	}
	return renameio.WriteFile(out, []byte(page(reports, precision, seconds)), 0o644)
}

func measure(program, dir, precision string, seconds float64, m model) (report, error) {
	args := []string{"benchmark", "--json", "--profile", "--precision", precision, "--seconds", fmt.Sprint(seconds)}
	for _, a := range m.args {
		if a == odd {
			a = filepath.Join(dir, odd)
		}
		args = append(args, a)
	}
	cmd := exec.Command(program, args...)
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	if err != nil {
		return report{}, err
	}
	var r report
	return r, json.Unmarshal(text, &r)
}

// writeOdd writes a yolov5n that is like what a cut leaves: every group of channels, but
// the outputs, keeps an odd number, 0.57 of what it had, which comes to about 4 GFLOP at
// 1280x800. Its weights are random, and the benchmark does not read them.
func writeOdd(path string) error {
	cfg, err := yolo.Standard("yolov5n")
	if err != nil {
		return err
	}
	g, err := yolo.New(cfg, nil, 0)
	if err != nil {
		return err
	}
	groups, err := prune.Groups(g)
	if err != nil {
		return err
	}
	plan := &prune.Plan{}
	for _, group := range groups {
		width := group.Width()
		leave := width - (57*width/100 | 1)
		cut := prune.Cut{Group: group.Name, From: width}
		for c := range width { // spread evenly
			if (c+1)*leave/width > c*leave/width {
				cut.Drop = append(cut.Drop, c)
			}
		}
		plan.Cuts = append(plan.Cuts, cut)
	}
	small, err := plan.Apply(g)
	if err != nil {
		return err
	}
	return safetensors.Save(path, &safetensors.File{Graph: small})
}
