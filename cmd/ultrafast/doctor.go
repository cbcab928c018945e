package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"ultrafast/dataset/check"
)

type doctorFlags struct {
	img    string
	asJSON bool
}

func doctorCommand() *cobra.Command {
	f := &doctorFlags{}
	c := &cobra.Command{
		Use:   "doctor DATA",
		Short: "Find what is wrong with a data set",
		Long: `Read every picture and label of a data set and report, with the first few places:
missing and broken pictures, wrong labels, pictures that are there twice or in two splits,
byte for byte or nearly, classes without boxes, and boxes too small for the input.

DATA is what train takes as --data. The exit code is 1 if training would leave pictures
out or not begin, and 0 if all else is only odd. --json names every place.`,
		Args: oneData,
		RunE: func(c *cobra.Command, args []string) error { return f.run(c, args[0]) },
	}
	fl := c.Flags()
	fl.StringVar(&f.img, "img", "640", "network input that boxes have to be seen at: a side, or WIDTHxHEIGHT")
	fl.BoolVar(&f.asJSON, "json", false, "print JSON, with every place")
	return c
}

// oneData wants one argument, a data set.
func oneData(c *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("%s takes one DATA, %d are given; see --help", c.Name(), len(args))
	}
	return nil
}

func (f *doctorFlags) run(c *cobra.Command, path string) error {
	w, h, err := parseSize(f.img)
	if err != nil {
		return err
	}
	bar := newProgress(c.ErrOrStderr())
	r, err := check.Run(path, check.Options{Width: w, Height: h, Context: c.Context(), Progress: bar.phases()})
	bar.clear()
	if err != nil {
		return err
	}
	if f.asJSON {
		e := json.NewEncoder(c.OutOrStdout())
		e.SetIndent("", " ")
		err = e.Encode(r)
	} else {
		err = printCheck(c.OutOrStdout(), r)
	}
	if err == nil && r.Failed() {
		err = errors.New("the data set has errors: training would leave pictures out, or not begin")
	}
	return err
}

// maxExamples is how many places of a finding are printed.
const maxExamples = 5

func printCheck(out io.Writer, r *check.Report) error {
	fmt.Fprintln(out, r.Data)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	head := []any{"split"}
	rows := [][]any{{"pictures"}, {"left out"}, {"backgrounds"}}
	for i, name := range r.Names {
		rows = append(rows, []any{fmt.Sprintf("boxes of %d %s", i, name)})
	}
	for _, s := range r.Splits {
		head = append(head, s.Name)
		rows[0], rows[1], rows[2] = append(rows[0], s.Pictures), append(rows[1], s.Skipped), append(rows[2], s.Backgrounds)
		for i, n := range s.Boxes {
			rows[3+i] = append(rows[3+i], n)
		}
	}
	for _, row := range append([][]any{head}, rows...) {
		for _, v := range row {
			fmt.Fprintf(w, "%v\t", v)
		}
		fmt.Fprintln(w)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, f := range r.Findings {
		level := "warning"
		if f.Error {
			level = "ERROR"
		}
		fmt.Fprintf(out, "\n%s: %s: %d. %s\n", level, f.What, f.Count, f.Advice)
		for _, e := range f.Examples[:min(len(f.Examples), maxExamples)] {
			fmt.Fprintf(out, "  %s\n", e)
		}
		if more := f.Count - maxExamples; more > 0 {
			fmt.Fprintf(out, "  and %d more\n", more)
		}
	}
	if len(r.Findings) == 0 {
		fmt.Fprintln(out, "\nnothing is wrong")
	}
	return nil
}

// phases returns a function that shows one piece of work after the other.
func (p *progress) phases() func(what string, done, steps int) {
	now := ""
	return func(what string, done, steps int) {
		if what != now {
			p.clear()
			now = what
		}
		p.set(what, done, steps)
	}
}
