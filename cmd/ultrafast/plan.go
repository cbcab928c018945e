package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"ultrafast"
	"ultrafast/dataset"
	"ultrafast/graph"
	"ultrafast/prune"
)

type planFlags struct {
	weights, table, latency, data, target, img, score, out string
	floor, round                                           int
	asJSON                                                 bool
}

func planCommand() *cobra.Command {
	f := &planFlags{}
	c := &cobra.Command{
		Use:   "plan --weights MODEL --target latency=3ms -o plan.yaml",
		Short: "Plan a cut that meets a target, and estimate what it leaves",
		Long: `Plan which channels and blocks leave a model so that it meets a target, and keeps as much
as it can: latency=3ms, speedup=13x, params=0.33M, size=1.3MB (of the weights in fp32) or
flops=1.2G. The plan is a YAML file that you may edit; ultrafast plan check estimates it
anew, ultrafast prune --plan carries it out.

With the table of ultrafast sensitivity (--table) the cuts are those that cost the least
accuracy, no group alone makes a loss grow much, and the plan says what mAP50-95 will be
left before training. Without it the importance of channels decides alone.

Milliseconds come from a latency table (--latency). Where the target needs one and none is
given, this machine is measured, and the table lies beside the plan.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	fl := c.Flags()
	f.addInputs(c)
	fl.StringVar(&f.target, "target", "", "what to reach: latency=3ms, speedup=13x, params=0.33M, size=1.3MB or flops=1.2G (required)")
	fl.StringVar(&f.img, "img", "640", "network input: a side, or WIDTHxHEIGHT")
	fl.IntVar(&f.floor, "floor", 0, "channels that every group keeps; 0 means a tenth, at least 4")
	fl.IntVar(&f.round, "round", 8, "round kept channels up to a multiple: 8 or 16 suit kernels, 1 is exact")
	fl.StringVar(&f.score, "score", "", "what a channel's importance is: l2, gamma, taylor or fisher (default: the table's; without one "+string(prune.DefaultScore)+" with --data, else l2)")
	fl.StringVar(&f.data, "data", "", dataHelp+"; --score taylor and fisher need its training pictures, and so does a table by them")
	fl.StringVarP(&f.out, "output", "o", "", "file to write, .yaml (required)")
	must(c.MarkFlagRequired("target"))
	must(c.MarkFlagRequired("output"))
	c.AddCommand(planCheckCommand())
	return c
}

func (f *planFlags) addInputs(c *cobra.Command) {
	fl := c.Flags()
	fl.StringVar(&f.weights, "weights", "", "model that is to be cut: .pt, .safetensors or .onnx with batch norms (required)")
	fl.StringVar(&f.table, "table", "", "what ultrafast sensitivity wrote: its folder, or the CSV in it")
	fl.StringVar(&f.latency, "latency", "", "latency table of the device")
	fl.BoolVar(&f.asJSON, "json", false, "print JSON")
	must(c.MarkFlagRequired("weights"))
}

func planCheckCommand() *cobra.Command {
	f := &planFlags{}
	c := &cobra.Command{
		Use:   "check PLAN.yaml --weights MODEL",
		Short: "Estimate an edited plan anew, and write the estimate into it",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("plan check takes one PLAN.yaml, %d are given; see --help", len(args))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error { return f.check(c, args[0]) },
	}
	f.addInputs(c)
	return c
}

func (f *planFlags) run(c *cobra.Command) error {
	reads := []string{f.weights, f.table, f.latency, f.data}
	if f.data != "" { // may be a folder
		reads = append(reads, filepath.Join(f.data, "data.yaml"), filepath.Join(f.data, "data.yml"))
	}
	if err := checkOutput(f.out, reads...); err != nil {
		return err
	}
	if ext := filepath.Ext(f.out); ext != ".yaml" && ext != ".yml" {
		return fmt.Errorf("-o %s: want a name that ends in .yaml", f.out)
	}
	if !missing(f.out) {
		return fmt.Errorf("-o %s: is there already, and may be edited: choose another name, or remove it", f.out)
	}
	limits, err := prune.ParseLimits(f.target)
	switch {
	case err != nil:
		return fmt.Errorf("--%w", err)
	case f.score != "" && !slices.Contains(prune.AllScores, prune.Score(f.score)):
		return fmt.Errorf("--score %q: want one of %v", f.score, prune.AllScores)
	case f.floor < 0 || f.round < 0:
		return errors.New("--floor and --round: want 0 or more")
	}
	w, h, err := parseSize(f.img)
	if err != nil {
		return err
	}
	g, t, err := f.load()
	if err != nil {
		return err
	}
	noteFolded(c.ErrOrStderr(), g, f.weights)
	noteScore(c.ErrOrStderr(), t.Score, t.Table)
	w, h, note := fitSize(g, w, h)
	if note != "" {
		fmt.Fprintln(c.ErrOrStderr(), note)
	}
	if t.Table != nil && (t.Table.Size != w || t.Table.Size != h) {
		fmt.Fprintf(c.ErrOrStderr(), "the table was measured at %d x %d: its accuracy is taken for that at %d x %d too\n", t.Table.Size, t.Table.Size, w, h)
	}
	if limits.Has(prune.Milliseconds) && t.Clock == nil {
		if t.Clock, err = f.measureClock(c, g, w, h); err != nil {
			return err
		}
	}
	t.Limits, t.Floor, t.Round, t.Width, t.Height, t.Blocks = limits, f.floor, f.round, w, h, true
	if t.Score.NeedsEvidence() {
		first := t // a target out of reach is found before minutes of gradients
		first.Score, first.Table = prune.L2, nil
		var unreachable *prune.UnreachableError
		if _, err := prune.Draft(g, first, f.target); errors.As(err, &unreachable) {
			return fmt.Errorf("%s: %w", f.weights, err)
		}
		size := max(w, h)
		if t.Table != nil { // channels have to leave in the order in which they were judged
			size = t.Table.Size
		}
		if t.Evidence, err = f.gather(c, g, size); err != nil {
			return err
		}
	}
	plan, err := prune.Draft(g, t, f.target)
	if err != nil {
		return fmt.Errorf("%s: %w", f.weights, err)
	}
	if plan.Estimate.Params == plan.Before.Params {
		fmt.Fprintf(c.ErrOrStderr(), "the model meets %s as it is: nothing is cut\n", f.target)
	}
	if err := savePlan(f.out, plan); err != nil {
		return err
	}
	return f.print(c.OutOrStdout(), plan, f.out)
}

// latencyBeside is the latency table that belongs to a plan, where this machine was measured for it.
func latencyBeside(plan string) string {
	return strings.TrimSuffix(plan, filepath.Ext(plan)) + "-latency.csv"
}

// noteScore says so where a table was measured in another order of channels than the plan's.
func noteScore(out io.Writer, score prune.Score, t *prune.Table) {
	if t != nil && score != t.Score {
		fmt.Fprintf(out, "the table was measured by score %s, and this plan goes by %s: other channels leave, and what is said of mAP50-95 holds less\n", t.Score, score)
	}
}

// load opens the model and the tables.
func (f *planFlags) load() (*graph.Graph, prune.Target, error) {
	t := prune.Target{Score: prune.Score(f.score)}
	g, err := ultrafast.Load(f.weights)
	if err != nil {
		return nil, t, err
	}
	if t.Clock, err = openClock(f.latency); err != nil {
		return nil, t, err
	}
	if f.table != "" {
		if t.Table, _, err = openTable(f.table); err != nil {
			return nil, t, fmt.Errorf("--table: %w", err)
		}
		if t.Score == "" {
			t.Score = t.Table.Score
		}
	} else if t.Score == "" && f.data != "" {
		t.Score = prune.DefaultScore
	}
	return g, t, nil
}

// gather collects what a score of gradients needs.
func (f *planFlags) gather(c *cobra.Command, g *graph.Graph, size int) (*prune.Evidence, error) {
	if f.data == "" && f.score == "" && f.table != "" {
		return nil, fmt.Errorf("--table %s: its score (taylor or fisher) looks at training pictures: give --data, or --score l2", f.table)
	}
	if f.data == "" {
		return nil, errors.New("the scores taylor and fisher look at training pictures: give --data, or --score l2")
	}
	data, err := openData(c.Context(), c.ErrOrStderr(), f.data, dataset.OpenOptions{Splits: []string{"train"}})
	if err != nil {
		return nil, err
	}
	if data, err = matchClasses(c.ErrOrStderr(), g, f.weights, data, f.data); err != nil {
		return nil, err
	}
	be, err := openBackend("cpu", 0, nil)
	if err != nil {
		return nil, err
	}
	defer be.Close()
	return gather(c.Context(), be, g, data, size, evidencePictures, c.ErrOrStderr())
}

// measureClock makes a latency table of this machine beside the plan.
func (f *planFlags) measureClock(c *cobra.Command, g *graph.Graph, w, h int) (prune.Clock, error) {
	l := &latencyFlags{runtime: "native", networks: tableNetworks, provider: "cpu", out: latencyBeside(f.out)}
	if _, err := os.Stat(l.out); err == nil {
		return nil, fmt.Errorf("%s is there already: use it with --latency, or remove it to measure this machine anew", l.out)
	}
	fmt.Fprintf(c.ErrOrStderr(), "no --latency: measuring this machine, into %s\n", l.out)
	d, err := l.device(c, nil, w, h)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	bar := newProgress(c.ErrOrStderr())
	defer bar.clear()
	return l.measure(c.Context(), d, g, bar)
}

func (f *planFlags) check(c *cobra.Command, path string) error {
	plan, err := readPlan(path)
	if err != nil {
		return err
	}
	if beside := latencyBeside(path); f.latency == "" && !missing(beside) {
		f.latency = beside
	}
	g, t, err := f.load()
	if err != nil {
		return err
	}
	switch was := plan.Estimate; { // which would lose what is not estimated anew
	case t.Clock == nil && was.Ms > 0:
		return fmt.Errorf("%s: its estimate has milliseconds, so the latency table is needed: give --latency", path)
	case t.Table == nil && was.Pictures > 0:
		return fmt.Errorf("%s: its estimate has accuracy, so the pruning table is needed: give --table", path)
	}
	noteScore(c.ErrOrStderr(), plan.Score, t.Table)
	if err := plan.Assess(g, t); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := savePlan(path, plan); err != nil {
		return err
	}
	if limits, err := prune.ParseLimits(plan.Target); err == nil && (t.Clock != nil || !limits.Has(prune.Milliseconds)) {
		if limits = limits.On(plan.Before.Cost); limits.Excess(plan.Estimate.Cost) > 1 {
			fmt.Fprintf(c.ErrOrStderr(), "the target %s, at most %s, is not met now\n", plan.Target, limits)
		}
	}
	return f.print(c.OutOrStdout(), plan, path)
}

func readPlan(path string) (*prune.File, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	plan, err := prune.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return plan, nil
}

func savePlan(path string, plan *prune.File) error {
	var text bytes.Buffer
	if _, err := plan.WriteTo(&text); err != nil {
		return err
	}
	return renameio.WriteFile(path, text.Bytes(), 0o644)
}

// print tells what a plan does and is thought to leave.
func (f *planFlags) print(out io.Writer, p *prune.File, path string) error {
	if f.asJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", " ")
		return e.Encode(map[string]any{"plan": path, "target": p.Target, "width": p.Width, "height": p.Height, "before": p.Before, "estimate": p.Estimate})
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "before\tafter\tkept\t group\n")
	for _, g := range p.Groups {
		if g.From != g.To {
			kept := ""
			if g.Kept > 0 { // else there was no evidence for the score
				kept = fmt.Sprintf("%.0f %%", 100*g.Kept)
			}
			fmt.Fprintf(w, "%d\t%d\t%s\t %s\n", g.From, g.To, kept, g.Group)
		}
	}
	for _, b := range p.Blocks {
		if b.Remove {
			fmt.Fprintf(w, "block\tgone\t\t %s\n", b.Block)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	printCosts(out, p.Before.Cost, p.Estimate.Cost)
	if e := p.Estimate; e.MAP > 0 {
		fmt.Fprintf(out, "mAP50-95 after the cut and before training: about %.3f (%.3f to %.3f)\n", e.MAP, e.Low, e.High)
	} else if e.Unmeasured > 0 {
		fmt.Fprintf(out, "nothing is said of mAP50-95: %d of the groups and blocks that are cut are not in the table, which the same ultrafast sensitivity command completes\n", e.Unmeasured)
	}
	_, err := fmt.Fprintln(out, path)
	return err
}

// printCosts compares two networks.
func printCosts(out io.Writer, a, b prune.Cost) {
	fmt.Fprintf(out, "parameters %d -> %d (%.1fx), weights %.2f -> %.2f MB, GFLOP %.3f -> %.3f (%.1fx)", a.Params, b.Params,
		float64(a.Params)/float64(b.Params), float64(a.Bytes)/1e6, float64(b.Bytes)/1e6, a.GFLOP, b.GFLOP, a.GFLOP/b.GFLOP)
	if a.Ms > 0 && b.Ms > 0 {
		fmt.Fprintf(out, ", ms %.2f -> %.2f (%.1fx)", a.Ms, b.Ms, a.Ms/b.Ms)
	}
	fmt.Fprintln(out)
}
