package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math/bits"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"ultrafast"
	"ultrafast/dataset"
	"ultrafast/engine"
	"ultrafast/graph"
	"ultrafast/safetensors"
)

type trimFlags struct {
	weights, data, img, out  string
	levels, classes, anchors string
	neck                     string
	threads                  int
	force, asJSON            bool
}

// automatic is what a choice of trim is where the labels decide.
const automatic = "auto"

func trimCommand() *cobra.Command {
	f := &trimFlags{}
	c := &cobra.Command{
		Use:   "trim --weights MODEL --data DATA -o FILE.safetensors",
		Short: "Take out of a model's head what the data does not use",
		Long: `Take out of a model's head what the training labels do not use: levels, classes,
anchors. What is left computes what it did before; nothing is trained. Do it before
pruning: it costs next to no accuracy.

--classes auto keeps the classes that have labels; a list has names or numbers. The labels
of the classes that go count no further.
--levels auto drops the levels that have less than 2 % of all matches of a label and an
anchor (by YOLOv5's rule, at the size of --img), with all layers that feed only them, but
none that 2 % of the labels, or all of a class, have their only match in. A list names
those to keep by their number: 3 is stride 8, 4 is 16, 5 is 32.
--anchors N keeps N anchors a level, those that lose the fewest labels, and auto as many
as it takes to lose none; without it all stay. Fewer anchors mean fewer matches to learn
from: train on after it.
--neck slim leaves out the way from fine levels back to coarse ones and makes one 1x1
convolution of each block of the neck. That is no mere trimming: the new convolutions have
to learn, and the model finds little until it is trained on.

It prints what each step saves and how many labels still have an anchor that matches them,
and refuses lists that take away what the labels use, but with --force.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	fl := c.Flags()
	fl.StringVar(&f.weights, "weights", "", "model: .pt, .safetensors or .onnx (required)")
	fl.StringVar(&f.data, "data", "", dataHelp+" (required)")
	fl.StringVar(&f.img, "img", "640", "network input that the model is for: a side, or WIDTHxHEIGHT")
	fl.StringVar(&f.levels, "levels", automatic, "levels to keep: "+automatic+", or numbers such as 3,4")
	fl.StringVar(&f.classes, "classes", automatic, "classes to keep: "+automatic+", or names or numbers")
	fl.StringVar(&f.anchors, "anchors", "", "anchors a level to keep: a number, or "+automatic+"; empty keeps all")
	fl.StringVar(&f.neck, "neck", "", "slim narrows the neck; empty keeps it")
	fl.IntVar(&f.threads, "threads", 0, "threads to measure with; 0 means all cores")
	fl.BoolVar(&f.force, "force", false, "take away what the labels use too")
	fl.BoolVar(&f.asJSON, "json", false, "print JSON")
	fl.StringVarP(&f.out, "output", "o", "", "file to write, a .safetensors (required)")
	for _, name := range []string{"weights", "data", "output"} {
		must(c.MarkFlagRequired(name))
	}
	return c
}

// A trimStep is a line of the table: a model and what made it of the one before.
type trimStep struct {
	What       string  `json:"what"`
	Parameters int     `json:"parameters"`
	GFLOP      float64 `json:"gflop"`
	Ms         float64 `json:"ms"`
	Labels     float64 `json:"labels"` // share of the training labels whose class there is and that an anchor matches
}

func (f *trimFlags) run(c *cobra.Command) error {
	w, h, err := parseSize(f.img)
	if err != nil {
		return err
	}
	if filepath.Ext(f.out) != ".safetensors" {
		return fmt.Errorf("-o %s: want a name that ends in .safetensors", f.out)
	}
	if err := checkSmaller(f.out, f.weights); err != nil {
		return err
	}
	g, err := ultrafast.Load(f.weights)
	if err != nil {
		return err
	}
	n := g.Detect()
	if n == nil {
		return fmt.Errorf("%s: the model has no detection head", f.weights)
	}
	if q := g.Quantized(); q != nil {
		return fmt.Errorf("%s: %s is quantised: trim the model before it is, and quantise what is left", f.weights, q.Name)
	}
	w, h, note := fitSize(g, w, h)
	if note != "" {
		fmt.Fprintln(c.ErrOrStderr(), note)
	}
	data, err := openData(c.Context(), c.ErrOrStderr(), f.data, dataset.OpenOptions{Splits: []string{"train"}})
	if err != nil {
		return err
	}
	t := newTrimmer(f, n.Op.(*graph.Detect), g.Names, data, w, h)
	trims, whats, err := t.choose()
	if err != nil {
		return err
	}
	var steps []trimStep
	var models []*graph.Graph
	for i, trim := range trims {
		m, err := trim.Apply(g)
		if err != nil {
			return fmt.Errorf("%s: %w", f.weights, err)
		}
		summary, err := summarize(m, w, h)
		if err != nil {
			return err
		}
		models = append(models, m)
		steps = append(steps, trimStep{What: whats[i], Parameters: summary.Parameters, GFLOP: summary.GFLOP, Labels: t.found(m, trim.Classes)})
	}
	ms, err := engineTimes(c, engine.FP32, f.threads, w, h, models...)
	if err != nil {
		return err
	}
	for i := range steps {
		steps[i].Ms = ms[i]
	}
	small := models[len(models)-1]
	if err := safetensors.Save(f.out, &safetensors.File{Graph: small}); err != nil {
		return err
	}
	if f.asJSON {
		e := json.NewEncoder(c.OutOrStdout())
		e.SetIndent("", " ")
		return e.Encode(map[string]any{"width": w, "height": h, "labels": t.all, "matches": t.matches(), "steps": steps, "output": f.out})
	}
	return printTrim(c.OutOrStdout(), steps, t, f.out)
}

func printTrim(out io.Writer, steps []trimStep, t *trimmer, file string) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\tparameters\tGFLOP\tms\tlabels with an anchor")
	for _, s := range steps {
		fmt.Fprintf(w, "%s\t%d\t%.2f\t%.2f\t%.2f %%\n", s.What, s.Parameters, s.GFLOP, s.Ms, 100*s.Labels)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "%d labels; of all matches with an anchor the levels have %s\nms of the engine in fp32\n%s\n", t.all, t.matches(), file)
	return err
}

// levelName is a level's number in YOLOv5's way: the logarithm of its stride.
func levelName(stride int) string { return fmt.Sprint(bits.Len(uint(stride)) - 1) }

func levelNames(strides []int, levels []int) string {
	names := make([]string, len(levels))
	for i, l := range levels {
		names[i] = levelName(strides[l])
	}
	return strings.Join(names, ",")
}
