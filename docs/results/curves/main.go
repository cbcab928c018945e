// Curves draws the training runs of a result into one picture:
//
//	go run ./docs/results/curves -o docs/results/mask.png dense=runs/train/base/results.csv …
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"

	"ultrafast/report"
)

func main() {
	out := flag.String("o", "curves.png", "picture to write")
	flag.Parse()
	var runs []report.Run
	for _, arg := range flag.Args() {
		name, path, ok := strings.Cut(arg, "=")
		if !ok {
			name, path = "", arg
		}
		run, err := read(name, path)
		if err != nil {
			fmt.Fprintf(os.Stderr, "curves: %s: %v\n", path, err)
			os.Exit(1)
		}
		runs = append(runs, run)
	}
	if err := report.Curves(*out, runs...); err != nil {
		fmt.Fprintf(os.Stderr, "curves: %v\n", err)
		os.Exit(1)
	}
}

func read(name, path string) (report.Run, error) {
	f, err := os.Open(path)
	if err != nil {
		return report.Run{}, err
	}
	defer f.Close()
	return report.ReadRun(name, f)
}
