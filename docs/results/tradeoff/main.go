// Tradeoff measures models, accuracy and speed, and draws the one over the other:
//
//	go run ./docs/results/tradeoff -data data.yaml -img 640 -at 1280x800 -o mask-result.png "parent: YOLOv5s=s.safetensors" …
//
// Each argument is a series, a colon, a name and the file. The speed of all models is measured
// in turns, so that what else the machine does meets all; the first is what the others are
// compared with, in ONNX Runtime. A table in Markdown goes to the standard output.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"ultrafast/report"
)

// A network is one row.
type network struct {
	series, name, file string

	parameters     int
	gflop          float64
	map50, map5095 float64
	small          float64   // mAP50-95 of objects below 32 pixels
	native, ort    []float64 // milliseconds, one number a turn
}

type tool struct {
	program, data, img, at, tune string
	threads, turns               int
	seconds                      float64
}

func main() {
	var t tool
	flag.StringVar(&t.program, "ultrafast", "./ultrafast", "the program")
	flag.StringVar(&t.data, "data", "", "data set whose validation pictures are used")
	flag.StringVar(&t.img, "img", "640", "size at which accuracy is measured")
	flag.StringVar(&t.at, "at", "1280x800", "size at which time is measured")
	flag.IntVar(&t.threads, "threads", 2, "threads")
	flag.IntVar(&t.turns, "turns", 5, "turns; medians of them count")
	flag.Float64Var(&t.seconds, "seconds", 2, "for each model, runtime and turn")
	flag.StringVar(&t.tune, "tune", "", "tune the engine for each model first, for so long")
	out := flag.String("o", "tradeoff.png", "picture to write")
	flag.Parse()
	if err := t.run(*out, flag.Args()); err != nil {
		fmt.Fprintf(os.Stderr, "tradeoff: %v\n", err)
		os.Exit(1)
	}
}

func (t *tool) run(out string, args []string) error {
	var all []*network
	for _, arg := range args {
		label, file, ok := strings.Cut(arg, "=")
		series, name, ok2 := strings.Cut(label, ":")
		if !ok || !ok2 {
			return fmt.Errorf("%q: want series:name=file", arg)
		}
		all = append(all, &network{series: series, name: strings.TrimSpace(name), file: file})
	}
	for _, n := range all {
		if err := t.accuracy(n); err != nil {
			return err
		}
	}
	for turn := range t.turns {
		for _, n := range all {
			if err := t.time(n, turn == 0); err != nil {
				return err
			}
		}
	}
	var points []report.TradeoffPoint
	for _, n := range all {
		points = append(points, report.TradeoffPoint{Name: n.name, Series: n.series, Milliseconds: median(n.native), MAP: n.map5095})
	}
	if err := report.Tradeoff(out, "mAP50-95", points); err != nil {
		return err
	}
	t.table(all)
	return nil
}

// call runs a command of the program and reads its JSON.
func (t *tool) call(v any, args ...string) error {
	cmd := exec.Command(t.program, append(args, "--json")...)
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s %s: %w", t.program, strings.Join(args, " "), err)
	}
	return json.Unmarshal(text, v)
}

func (t *tool) accuracy(n *network) error {
	dir, err := os.MkdirTemp("", "tradeoff-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var v struct {
		MAP50   float64 `json:"map50"`
		MAP5095 float64 `json:"map50_95"`
		Sizes   map[string]struct {
			MAP5095 float64 `json:"map50_95"`
		} `json:"sizes"`
	}
	if err := t.call(&v, "val", "--weights", n.file, "--data", t.data, "--img", t.img, "--project", dir); err != nil {
		return err
	}
	n.map50, n.map5095, n.small = v.MAP50, v.MAP5095, v.Sizes["small"].MAP5095
	return nil
}

func (t *tool) time(n *network, first bool) error {
	args := []string{"benchmark", "--weights", n.file, "--img", t.at, "--threads", fmt.Sprint(t.threads), "--seconds", fmt.Sprint(t.seconds)}
	if first && t.tune != "" {
		args = append(args, "--tune="+t.tune)
	}
	var v struct {
		Parameters int     `json:"parameters"`
		GFLOP      float64 `json:"gflop"`
		Rows       []struct {
			Runtime string `json:"runtime"`
			Network struct {
				Median float64 `json:"median"`
			} `json:"network"`
		} `json:"rows"`
	}
	if err := t.call(&v, args...); err != nil {
		return err
	}
	n.parameters, n.gflop = v.Parameters, v.GFLOP
	for _, row := range v.Rows {
		if row.Runtime == "native" {
			n.native = append(n.native, row.Network.Median)
		} else {
			n.ort = append(n.ort, row.Network.Median)
		}
	}
	return nil
}

func median(all []float64) float64 {
	s := slices.Sorted(slices.Values(all))
	if len(s) == 0 {
		return 0
	}
	return s[len(s)/2]
}

func (t *tool) table(all []*network) {
	fmt.Printf("| | parameters | GFLOP at %s | mAP50 at %s | mAP50-95 | small: mAP50-95 | engine, ms | ONNX Runtime, ms | times as fast as the first in ONNX Runtime |\n|---|---|---|---|---|---|---|---|---|\n", t.at, t.img)
	for _, n := range all {
		native, ort := median(n.native), median(n.ort)
		fmt.Printf("| %s: %s | %d | %.2f | %.3f | %.3f | %.3f | %.2f | %.2f | %.1f |\n", n.series, n.name, n.parameters, n.gflop, n.map50, n.map5095, n.small, native, ort, median(all[0].ort)/native)
	}
}
