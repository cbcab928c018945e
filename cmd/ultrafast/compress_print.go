package main

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"ultrafast/compress"
	"ultrafast/prune"
)

// compressProgress shows what a run is doing and how long it has to go in all, and an epoch
// a line.
func compressProgress(out io.Writer) func(compress.Progress) {
	bar := newProgress(out)
	doing := ""
	return func(p compress.Progress) {
		if p.Doing != doing {
			doing = p.Doing
			bar.clear()
		}
		left := ""
		if p.Left > 0 {
			left = fmt.Sprintf(", %s to the end of all", p.Left.Round(time.Second))
		}
		t := p.Training
		switch {
		case t == nil:
			bar.set(p.Doing+left, p.Done, p.Of)
		case t.Anchors:
			bar.set(p.Doing+", anchors"+left, t.Step, t.Steps)
		case t.Validated != nil:
			bar.clear()
			r, best := t.Validated.Report, ""
			if t.Best {
				best = " *"
			}
			fmt.Fprintf(out, "%s, epoch %d/%d: loss %.4f, mAP50 %.4f, mAP50-95 %.4f, %.1f pictures/s%s%s\n", p.Doing, t.Epoch, t.Epochs,
				t.Loss.Box+t.Loss.Obj+t.Loss.Cls, r.MAP50, r.MAP5095, t.PerSecond, left, best)
		default:
			what := fmt.Sprintf("%s, epoch %d/%d", p.Doing, t.Epoch, t.Epochs)
			if t.Validating {
				what += ", validation"
			}
			bar.set(what+left, t.Step, t.Steps)
		}
	}
}

// printPlan prints what a run would do.
func printPlan(out io.Writer, j compress.Job, e *compress.Estimate) error {
	fmt.Fprintf(out, "target %s at %dx%d, at most %v points of mAP50-95 below the parent\n\n", j.Target, j.Width, j.Height, j.MaxDrop)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tparameters\tGFLOP\tMB\tms\t")
	for _, m := range []struct {
		what string
		prune.Cost
	}{{"now", e.Parent}, {"to be, about", e.Child}} {
		fmt.Fprintf(w, "%s\t%d\t%.3g\t%.2f\t%s\t\n", m.what, m.Params, m.GFLOP, float64(m.Bytes)/1e6, known(m.Ms))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	printNarrowed(out, e)
	fmt.Fprintln(w, "\ntraining\tepochs\tGFLOP\thours\t\t")
	for _, s := range e.Steps {
		epochs := ""
		if s.Epochs > 0 {
			epochs = fmt.Sprint(s.Epochs)
		}
		fmt.Fprintf(w, "%s\t%s\t%.3g\t%.2f\t\t\n", s.Name, epochs, s.GFLOP, s.Seconds/3600)
	}
	fmt.Fprintf(w, "all\t\t\t%.2f\t\t\n", e.Seconds/3600)
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nthe training in int8 is left out where 8 bits cost at most %v points\n", compress.Int8Drop)
	_, err := fmt.Fprintf(out, "MB of the tensors in fp32; ms of --runtime; hours at the pace measured just now: %.0f and %.0f pictures/s\n",
		1/max(e.Pace.Parent, 1e-9), 1/max(e.Pace.Child, 1e-9))
	return err
}

// printNarrowed prints what a cut to the target at once would take away.
func printNarrowed(out io.Writer, e *compress.Estimate) {
	if len(e.Groups)+len(e.Blocks) == 0 {
		return
	}
	fmt.Fprintln(out, "\ncut at once, by the norms of the weights; each round plans anew, by what it measures:")
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, g := range e.Groups {
		fmt.Fprintf(w, "%d\t%d\t %s\n", g.From, g.To, g.Group)
	}
	for _, b := range e.Blocks {
		fmt.Fprintf(w, "block\tgone\t %s\n", b)
	}
	w.Flush()
}

// known is a cell of milliseconds, empty where there are none.
func known(ms float64) string {
	if ms == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", ms)
}

func compressStatusCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "status DIR",
		Short: "Say how far a compression is",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("compress status takes the folder of one run, %d are given", len(args))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			r, err := compress.ReadResult(args[0])
			if err != nil {
				return err
			}
			if !asJSON {
				return printStatus(c.OutOrStdout(), args[0], r)
			}
			e := json.NewEncoder(c.OutOrStdout())
			e.SetIndent("", " ")
			return e.Encode(r)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func printStatus(out io.Writer, dir string, r *compress.Result) error {
	s := r.State
	fmt.Fprintf(out, "target %s at %dx%d, at most %v points of mAP50-95; begun %s\n", s.Job.Target, s.Job.Width, s.Job.Height, s.Job.MaxDrop, s.Started.Local().Format("2006-01-02 15:04"))
	doing := s.Doing
	if s.Epochs > 0 {
		doing += fmt.Sprintf(", %d of %d epochs", s.Epoch, s.Epochs)
	}
	left := ""
	if s.Left > 0 {
		left = ", about " + time.Duration(s.Left*1e9).Round(time.Second).String() + " to go in all"
	}
	switch {
	case r.Finished:
		fmt.Fprintln(out, "finished")
	case r.AtWork:
		fmt.Fprintf(out, "at work: %s%s\n", doing, left)
	default:
		fmt.Fprintf(out, "stopped: %s%s; go on with: ultrafast compress -o %s\n", doing, left, compress.Quote(dir))
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nstage\t\ttook")
	for _, e := range s.Stages {
		state := "begun"
		if e.Done {
			state = "done"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", e.Name, state, time.Duration(e.Seconds*1e9).Round(time.Second))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	printModels(out, r)
	printChoice(out, dir, r)
	return nil
}

// printChoice says what is handed out, if that is known, and where it lies.
func printChoice(out io.Writer, dir string, r *compress.Result) {
	if r.Choice == nil || !r.Finished {
		return
	}
	fmt.Fprintf(out, "%s is handed out: %s\n", r.Choice.Name, filepath.Join(dir, "child.safetensors"))
	for _, name := range []string{"child.onnx", "child-int8.safetensors", "child-int8.onnx", "report.html"} {
		if path := filepath.Join(dir, name); !missing(path) {
			fmt.Fprintln(out, path)
		}
	}
}

// printModels prints what is known of the networks of a run.
func printModels(out io.Writer, r *compress.Result) {
	if r.Parent == nil {
		return
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\n\tparameters\tGFLOP\tMB\tms\tmAP50\tmAP50-95\tdrop\t")
	row := func(what string, m *compress.Model) {
		if m == nil || m.Accuracy == nil {
			return
		}
		fmt.Fprintf(w, "%s\t%d\t%.3g\t%.2f\t%s\t%.3f\t%.3f\t%.2f\t\n", what, m.Params, m.GFLOP, float64(m.Bytes)/1e6, known(m.Milliseconds()),
			float64(m.Accuracy.MAP50), float64(m.Accuracy.MAP5095), 100*float64(r.Parent.Accuracy.MAP5095-m.Accuracy.MAP5095))
	}
	row("parent", r.Parent)
	for _, v := range r.Rounds {
		what := v.Name()
		if !v.Kept {
			what += ", rolled back"
		}
		row(what, v.Model)
	}
	row("final training", r.Final)
	row("from scratch", r.Scratch)
	row("thin YOLOv5n", r.Thin)
	row("the child in bf16", r.BF16)
	row("the child in int8", r.Int8)
	row("and trained in int8", r.Int8Trained)
	w.Flush()
	ms := "of the runtime"
	if r.State.Job.Table != "" {
		ms = "as the latency table predicts"
	}
	fmt.Fprintf(out, "MB of the tensors in fp32, in int8 as they are; ms %s; drop in points of mAP50-95\n", ms)
	for _, m := range []*compress.Model{r.BF16, r.Int8} {
		if m != nil && m.Missing != "" {
			fmt.Fprintf(out, "the child is not in all precisions: %s\n", m.Missing)
		}
	}
	if t := r.Int8Trained; t != nil && r.Int8 != nil && r.Int8.Accuracy != nil && t.Missing != "" {
		fmt.Fprintf(out, "it was not trained in int8: %s\n", t.Missing)
	}
	if idle := r.Parent.Idle(); idle != "" {
		fmt.Fprintln(out, idle)
	}
	if r.End != nil {
		fmt.Fprintf(out, "%s\n", r.End.Why)
	}
	if r.Choice != nil && !r.Choice.Within {
		fmt.Fprintf(out, "it is %.2f points below the parent, and %v were allowed\n", r.Choice.Drop, r.State.Job.MaxDrop)
	}
}
