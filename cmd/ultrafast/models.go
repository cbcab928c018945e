package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"ultrafast/engine"
	"ultrafast/yolo"
)

type modelsFlags struct {
	img     string
	classes int
	threads int
	asJSON  bool
}

func modelsCommand() *cobra.Command {
	f := &modelsFlags{}
	c := &cobra.Command{
		Use:   "models",
		Short: "List the small models that train --cfg knows, with size, GFLOP and milliseconds here",
		Long: `List the small models that train --cfg knows, with parameters, GFLOP at the input's size, and
the milliseconds that the engine takes for their network on this machine (the sum of its
steps' medians of ` + fmt.Sprint(profileRuns) + ` runs). All of them can be cut by prune.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	fl := c.Flags()
	fl.StringVar(&f.img, "img", "640", "network input: a side, or WIDTHxHEIGHT")
	fl.IntVar(&f.classes, "classes", 80, "number of classes")
	fl.IntVar(&f.threads, "threads", 0, "threads to run with; 0 means all cores")
	fl.BoolVar(&f.asJSON, "json", false, "print JSON")
	return c
}

// A modelRow is what the list says of a model.
type modelRow struct {
	Name       string  `json:"name"`
	Parameters int     `json:"parameters"`
	GFLOP      float64 `json:"gflop"`
	Ms         float64 `json:"ms"`
}

type modelList struct {
	Width   int        `json:"width"`
	Height  int        `json:"height"`
	Classes int        `json:"classes"`
	CPU     string     `json:"cpu"`
	Threads int        `json:"threads"`
	Models  []modelRow `json:"models"`
}

func (f *modelsFlags) run(c *cobra.Command) error {
	w, h, err := parseSize(f.img)
	if err != nil {
		return err
	}
	switch {
	case w%32 != 0 || h%32 != 0:
		return fmt.Errorf("--img %s: want multiples of 32", f.img)
	case f.classes < 1 || f.classes > 10000:
		return fmt.Errorf("--classes %d: want 1 to 10000", f.classes)
	case f.threads < 0 || f.threads > 1024:
		return fmt.Errorf("--threads %d: want 1 to 1024, or 0 for all cores", f.threads)
	}
	list := modelList{Width: w, Height: h, Classes: f.classes, Threads: f.threads}
	if list.Threads == 0 {
		list.Threads = runtime.GOMAXPROCS(0)
	}
	names := append([]string{"yolov5s", "yolov5n"}, yolo.Light...)
	p := newProgress(c.ErrOrStderr())
	for i, name := range names {
		p.set("measuring "+name, i, len(names))
		cfg, err := yolo.Standard(name)
		if err != nil {
			return err
		}
		cfg.Classes = f.classes
		g, err := yolo.New(cfg, nil, 0)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		summary, err := summarize(g, w, h)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		program, err := newProgramInfo(c.Context(), g, engine.Options{Batch: 1, Width: w, Height: h, Threads: list.Threads})
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		list.CPU = program.CPU
		list.Models = append(list.Models, modelRow{name, summary.Parameters, summary.GFLOP, program.Ms})
	}
	p.clear()
	if f.asJSON {
		e := json.NewEncoder(c.OutOrStdout())
		e.SetIndent("", " ")
		return e.Encode(list)
	}
	return list.print(c.OutOrStdout())
}

func (l *modelList) print(out io.Writer) error {
	fmt.Fprintf(out, "%dx%d, %d classes; engine for %s, %d threads, fp32\n\n", l.Width, l.Height, l.Classes, l.CPU, l.Threads)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "model\tparameters\tGFLOP\tms\t")
	for _, m := range l.Models {
		fmt.Fprintf(w, "%s\t%d\t%.2f\t%.2f\t\n", m.Name, m.Parameters, m.GFLOP, m.Ms)
	}
	return w.Flush()
}
