package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"ultrafast/dataset"
	"ultrafast/graph"
	"ultrafast/report"
	"ultrafast/yolo"
)

type anchorsFlags struct {
	weights, data, img, method, out, project, name string
	n                                              int
	seed                                           uint64
	asJSON                                         bool
}

// Ways to fit anchors.
const (
	byStride = "stride"
	kMeans   = "kmeans"
)

func anchorsCommand() *cobra.Command {
	f := &anchorsFlags{}
	c := &cobra.Command{
		Use:   "anchors --data data.yaml",
		Short: "Fit anchors to the labels of a data set",
		Long: `Fit anchors to the training labels of a data set, as large as they are in the network's
input, and compare them with a model's. Nothing but a picture of both is written:
anchors.png below --project, or -o.

--method kmeans (the default) is YOLOv5's AutoAnchor, which deals out anchors by area
whatever the strides are, as many on each level. --method stride gives each level one to
three anchors of 2 to 16 strides, no more than it takes for 99 % of the labels to be
matched by one: a smaller head, which sees fewer matches and so learns more slowly.

BPR, the best possible recall, is the share of labels that an anchor matches: widths and
heights differ by a factor below 4. "labels" is the share that a level's anchors match,
"matches" the level's share of all matches: a level with next to none can be left out.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	fl := c.Flags()
	fl.StringVar(&f.data, "data", "", dataHelp+" (required)")
	fl.StringVar(&f.img, "img", "640", "network input: a side, or WIDTHxHEIGHT")
	fl.StringVar(&f.weights, "weights", "yolov5n", "model to compare with: a file, a YAML description or the name of a released one; its strides are taken")
	fl.StringVar(&f.method, "method", kMeans, kMeans+" or "+byStride)
	fl.IntVar(&f.n, "n", 0, "with --method kmeans, anchors of all levels; 0 means as many as the model has")
	fl.Uint64Var(&f.seed, "seed", 0, "of the search")
	fl.StringVarP(&f.out, "output", "o", "", "picture to write, a .png (default: anchors.png in the run folder)")
	fl.StringVar(&f.project, "project", "runs/anchors", "where run folders are made")
	fl.StringVar(&f.name, "name", "exp", "name of the run folder")
	fl.BoolVar(&f.asJSON, "json", false, "print JSON")
	must(c.MarkFlagRequired("data"))
	return c
}

func (f *anchorsFlags) run(c *cobra.Command) error {
	w, h, err := parseSize(f.img)
	if err != nil {
		return err
	}
	if err := f.check(); err != nil {
		return err
	}
	g, err := loadOrDescribe(f.weights)
	if err != nil {
		return err
	}
	n := g.Detect()
	if n == nil {
		return fmt.Errorf("%s: the model has no detection head", f.weights)
	}
	head := n.Op.(*graph.Detect)
	w, h, note := fitSize(g, w, h)
	if note != "" {
		fmt.Fprintln(c.ErrOrStderr(), note)
	}
	counts, err := f.counts(head)
	if err != nil {
		return err
	}
	data, err := openData(c.Context(), c.ErrOrStderr(), f.data, dataset.OpenOptions{Splits: []string{"train"}})
	if err != nil {
		return err
	}
	sizes := dataset.Sizes(data.Train, w, h)
	bar := newProgress(c.ErrOrStderr())
	defer bar.clear()
	search := yolo.AnchorSearch{Seed: f.seed, Progress: func(done, steps int) { bar.set("anchors", done, steps) }}
	var fitted [][][2]float32
	if f.method == byStride {
		fitted, err = search.ByStride(c.Context(), sizes, head.Strides)
	} else {
		fitted, err = search.KMeans(c.Context(), sizes, head.Strides, counts)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", f.data, err)
	}
	bar.clear()
	r := newAnchorsReport(f, sizes, w, h, len(data.Train), head, fitted)
	if err := f.draw(r, sizes); err != nil {
		return err
	}
	if f.asJSON {
		e := json.NewEncoder(c.OutOrStdout())
		e.SetIndent("", " ")
		return e.Encode(r)
	}
	return r.print(c.OutOrStdout())
}

func (f *anchorsFlags) check() error {
	switch {
	case f.method != byStride && f.method != kMeans:
		return fmt.Errorf("--method %q: want %s or %s", f.method, kMeans, byStride)
	case f.method == byStride && f.n != 0:
		return errors.New("--n: is for --method kmeans; --method stride takes no more anchors than it needs")
	case f.out == "":
		return nil
	case !strings.HasSuffix(f.out, ".png"):
		return fmt.Errorf("-o %s: want the name of a .png", f.out)
	}
	if _, err := os.Stat(f.out); err == nil {
		return fmt.Errorf("-o %s: is there already", f.out)
	}
	return checkOutput(f.out)
}

// counts is how many anchors k-means is to find for each level.
func (f *anchorsFlags) counts(head *graph.Detect) ([]int, error) {
	levels := len(head.Strides)
	counts := make([]int, levels)
	for l := range counts {
		counts[l] = len(head.Anchors[l])
		if f.n != 0 {
			counts[l] = f.n / levels
		}
	}
	if f.n != 0 && (f.n < levels || f.n > 20*levels || f.n%levels != 0) {
		return nil, fmt.Errorf("--n %d: want a multiple of the %d levels, at most 20 a level", f.n, levels)
	}
	return counts, nil
}

// draw writes the picture and notes where.
func (f *anchorsFlags) draw(r *anchorsReport, sizes [][2]float32) error {
	r.Picture = f.out
	if r.Picture == "" {
		dir, err := newRun(f.project, f.name)
		if err != nil {
			return err
		}
		r.Picture = filepath.Join(dir, "anchors.png")
	}
	levels := make([]report.AnchorLevel, len(r.Strides))
	for l, s := range r.Strides {
		levels[l] = report.AnchorLevel{Stride: s, Before: r.Before.Anchors[l], After: r.After.Anchors[l]}
	}
	title := fmt.Sprintf("%d labels at %dx%d, BPR %.4f before and %.4f after", r.Labels, r.Width, r.Height, r.Before.BPR, r.After.BPR)
	return report.Anchors(r.Picture, title, sizes, levels)
}

// An anchorsReport is what anchors prints. Sizes are in pixels of the network's input.
type anchorsReport struct {
	Width    int        `json:"width"`
	Height   int        `json:"height"`
	Pictures int        `json:"pictures"`
	Labels   int        `json:"labels"`
	Small    int        `json:"small"`   // labels with a side below 3 pixels
	Ignored  int        `json:"ignored"` // those with both below 2, to which no anchor is fitted
	Method   string     `json:"method"`
	Strides  []int      `json:"strides"`
	Before   anchorsFit `json:"before"`
	After    anchorsFit `json:"after"`
	Picture  string     `json:"picture"`
}

// An anchorsFit is a set of anchors by level, and how it fits all labels.
type anchorsFit struct {
	Source  string         `json:"source"`
	Anchors [][][2]float32 `json:"anchors"`
	yolo.AnchorScore
}

func newAnchorsReport(f *anchorsFlags, sizes [][2]float32, w, h, pictures int, head *graph.Detect, fitted [][][2]float32) *anchorsReport {
	for _, level := range fitted {
		for a := range level { // a tenth of a pixel is more than it takes, and fits on a line
			level[a] = [2]float32{tenth(level[a][0]), tenth(level[a][1])}
		}
	}
	usable, small := yolo.UsableSizes(sizes)
	fit := func(source string, anchors [][][2]float32) anchorsFit {
		return anchorsFit{source, anchors, yolo.ScoreAnchors(sizes, anchors, yolo.AnchorThreshold)}
	}
	return &anchorsReport{Width: w, Height: h, Pictures: pictures, Labels: len(sizes), Small: small, Ignored: len(sizes) - len(usable),
		Method: f.method, Strides: head.Strides, Before: fit(f.weights, head.Anchors), After: fit("fitted by "+f.method, fitted)}
}

func tenth(v float32) float32 { return float32(math.Round(float64(v)*10) / 10) }

func (r *anchorsReport) print(out io.Writer) error {
	fmt.Fprintf(out, "%d labels in %d pictures at %dx%d\n", r.Labels, r.Pictures, r.Width, r.Height)
	if r.Small > 0 {
		fmt.Fprintf(out, "%d have a side below 3 pixels, %d both sides below 2, to which no anchor is fitted\n", r.Small, r.Ignored)
	}
	for i, fit := range []anchorsFit{r.Before, r.After} {
		fmt.Fprintf(out, "\n%s: %s\n", []string{"before", "after"}[i], fit.Source)
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "stride\tlabels\tmatches\tanchors")
		for l, s := range r.Strides {
			fmt.Fprintf(w, "%d\t%.1f %%\t%.1f %%\t%s\n", s, 100*fit.Levels[l].Labels, 100*fit.Levels[l].Matches, anchorNames(fit.Anchors[l]))
		}
		if err := w.Flush(); err != nil {
			return err
		}
		fmt.Fprintf(out, "BPR %.4f, anchors that match a label %.2f, ratio %.3f mean and %.3f best, fitness %.4f\n", fit.BPR, fit.Above, fit.Mean, fit.Best, fit.Fitness)
	}
	fmt.Fprintf(out, "\nfor a model's YAML:\nanchors:\n")
	for _, level := range r.After.Anchors {
		flat := make([]string, 0, 2*len(level))
		for _, a := range level {
			flat = append(flat, fmt.Sprint(a[0]), fmt.Sprint(a[1]))
		}
		fmt.Fprintf(out, "  - [%s]\n", strings.Join(flat, ", "))
	}
	_, err := fmt.Fprintf(out, "\npicture %s\n", r.Picture)
	return err
}

func anchorNames(level [][2]float32) string {
	names := make([]string, len(level))
	for i, a := range level {
		names[i] = fmt.Sprintf("%vx%v", tenth(a[0]), tenth(a[1]))
	}
	return strings.Join(names, " ")
}
