package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"ultrafast"
	"ultrafast/box"
	"ultrafast/dataset"
	"ultrafast/detect"
	"ultrafast/graph"
	"ultrafast/models/mask"
	"ultrafast/picture"
)

type detectFlags struct {
	weights, source, img string
	more                 []string // sources beside the first, as a shell makes them of a pattern
	conf, iou            float32
	maxDet               int
	classes              []int
	agnostic             bool
	saveTxt, saveConf    bool
	asJSON               bool
	project, name        string
	runtimeFlags
}

func detectCommand() *cobra.Command {
	f := &detectFlags{}
	c := &cobra.Command{
		Use:   "detect --source FILE|DIR|PATTERN|LIST.txt [--weights MODEL]",
		Short: "Find objects in pictures",
		Long: `Find objects in pictures and write annotated copies below runs/detect/exp.
Without --weights they are faces with and without masks: see models/mask.

The network's input is exactly --img: pictures are scaled to fit and the rest is
grey. Pictures that cannot be read are named and skipped; the exit code is then 1.`,
		Args: func(c *cobra.Command, args []string) error {
			for i, a := range args {
				if _, err := os.Stat(a); err != nil {
					return noArgs(c, args[i:])
				}
			}
			f.more = args
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	fl := c.Flags()
	fl.StringVar(&f.weights, "weights", "", "model: .pt, .safetensors or .onnx (default: the one for masks that is in this program)")
	fl.StringVar(&f.source, "source", "", "a picture, a folder of pictures, a pattern such as 'pictures/*.jpg', or a list of pictures (.txt, a path a line, from the list's folder) (required)")
	fl.StringVar(&f.img, "img", "640", "network input: a side, or WIDTHxHEIGHT")
	fl.Float32Var(&f.conf, "conf", 0.25, "confidence that boxes must exceed")
	fl.Float32Var(&f.iou, "iou", box.DefaultIoU, "overlap above which the less confident box goes")
	fl.IntVar(&f.maxDet, "max-det", 300, "boxes per picture, at most")
	fl.IntSliceVar(&f.classes, "classes", nil, "only these classes, by number: 0,2")
	fl.BoolVar(&f.agnostic, "agnostic-nms", false, "let boxes of different classes suppress each other")
	fl.BoolVar(&f.saveTxt, "save-txt", false, "write labels too: class cx cy w h, as fractions")
	fl.BoolVar(&f.saveConf, "save-conf", false, "with --save-txt, append the confidence")
	fl.BoolVar(&f.asJSON, "json", false, "print the boxes as JSON")
	f.addRuntime(fl)
	fl.StringVar(&f.project, "project", "runs/detect", "where run folders are made")
	fl.StringVar(&f.name, "name", "exp", "name of the run folder")
	must(c.MarkFlagRequired("source"))
	return c
}

// must panics on an error that only a mistake in this program can cause.
func must(err error) {
	if err != nil {
		panic("BUG: " + err.Error())
	}
}

func (f *detectFlags) check() error {
	switch {
	case !(f.conf > 0 && f.conf < 1):
		return fmt.Errorf("--conf %v: want above 0 and below 1", f.conf)
	case !(f.iou > 0 && f.iou <= 1):
		return fmt.Errorf("--iou %v: want above 0 and at most 1", f.iou)
	case f.maxDet < 1:
		return fmt.Errorf("--max-det %d: want at least 1", f.maxDet)
	case f.saveConf && !f.saveTxt:
		return errors.New("--save-conf adds to --save-txt, which is not given")
	}
	return nil
}

// modelOrOurs reads a model, or takes the one that is in this program where none is named,
// and returns what errors are to call it.
func modelOrOurs(path string) (*graph.Graph, string, error) {
	if path == "" {
		g, err := mask.Graph()
		return g, "models/mask", err
	}
	g, err := ultrafast.Load(path)
	return g, path, err
}

// found is one picture's result as --json prints it.
type found struct {
	Path   string      `json:"path"`
	Width  int         `json:"width"`
	Height int         `json:"height"`
	Boxes  []foundBox  `json:"boxes"`
	Ms     foundMillis `json:"ms"`
}

type foundBox struct {
	Class      int     `json:"class"`
	Name       string  `json:"name"`
	Confidence float32 `json:"confidence"`
	X1         float32 `json:"x1"`
	Y1         float32 `json:"y1"`
	X2         float32 `json:"x2"`
	Y2         float32 `json:"y2"`
}

type foundMillis struct {
	Before  float64 `json:"before"`
	Network float64 `json:"network"`
	After   float64 `json:"after"`
}

func (f *detectFlags) run(c *cobra.Command) error {
	w, h, err := parseSize(f.img)
	if err != nil {
		return err
	}
	if err := f.check(); err != nil {
		return err
	}
	g, name, err := modelOrOurs(f.weights)
	if err != nil {
		return err
	}
	w, h, note := fitSize(g, w, h)
	if note != "" {
		fmt.Fprintln(c.ErrOrStderr(), note)
	}
	r, err := f.openRuntime(c.Context(), c.ErrOrStderr())
	if err != nil {
		return err
	}
	defer func() {
		if c.Context().Err() == nil { // else a picture may be at work in it
			r.Close()
		}
	}()
	d, err := detect.New(g, detect.Options{Width: w, Height: h, Conf: f.conf, Precision: f.precision, Compile: r.Compile,
		NMS: box.NMSOptions{IoU: f.iou, Max: f.maxDet, Classes: f.classes, Agnostic: f.agnostic}})
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	defer func() {
		if c.Context().Err() == nil {
			d.Close()
		}
	}()
	files, err := f.pictures()
	if err != nil {
		return err
	}
	dir := "" // made with the first result, so that bad input leaves nothing behind
	stems, all, bad := resultNames(files), []found{}, 0
	start := time.Now()
	bar := newProgress(c.ErrOrStderr())
	defer func() { bar.clear() }()
	for i, file := range files {
		at := func() { bar.set("pictures", i, len(files)) }
		if f.asJSON {
			at()
		} else { // each picture has its line, and a bar only where it takes long
			bar = newProgress(c.ErrOrStderr())
			at = func() { bar.set("picture "+file, 0, 1) }
		}
		var p *picture.RGB
		var boxes []box.Box
		var times detect.Times
		var unread error
		err := interruptible(c.Context(), at, func() (err error) {
			if p, unread = picture.Open(file); unread == nil {
				boxes, times, err = d.Detect(c.Context(), p)
			}
			return err
		})
		if c.Context().Err() != nil {
			where := ""
			if dir != "" {
				where = ", results are in " + dir
			}
			return fmt.Errorf("%d of %d pictures done%s: %w", i, len(files), where, c.Context().Err())
		}
		if !f.asJSON || unread != nil {
			bar.hide()
		}
		switch {
		case unread != nil && len(files) == 1:
			return unread
		case unread != nil:
			bad++
			complain(c.ErrOrStderr(), unread.Error())
			continue
		case err != nil:
			return fmt.Errorf("%s: %w", file, err)
		}
		if dir == "" {
			if dir, err = newRun(f.project, f.name); err != nil {
				return err
			}
		}
		all = append(all, describe(file, p, boxes, g.Names, times))
		if err := f.save(dir, stems[i], p, boxes, g.Names); err != nil {
			return fmt.Errorf("results of %s: %w", file, err)
		}
		if !f.asJSON {
			eta := ""
			if left := len(files) - i - 1; left > 0 && time.Since(start) > 2*time.Second {
				eta = fmt.Sprintf("  (%s to go)", (time.Since(start) / time.Duration(i+1) * time.Duration(left)).Round(time.Second))
			}
			fmt.Fprintf(c.OutOrStdout(), "picture %d/%d %s: %dx%d %s, %.1f ms%s\n", i+1, len(files), file, p.W, p.H,
				tally(boxes, g.Names), millis(times.Before+times.Network+times.After), eta)
		}
	}
	if f.asJSON {
		e := json.NewEncoder(c.OutOrStdout())
		e.SetIndent("", " ")
		if err := e.Encode(map[string]any{"folder": dir, "img": [2]int{w, h}, "pictures": all}); err != nil {
			return err
		}
	} else if dir != "" {
		fmt.Fprintf(c.OutOrStdout(), "results are in %s\n", dir)
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d pictures could not be read", bad, len(files))
	}
	return nil
}

// pictures lists what the sources stand for.
func (f *detectFlags) pictures() (all []string, err error) {
	for _, source := range append([]string{f.source}, f.more...) {
		find := detect.Pictures
		if st, err := os.Stat(source); err == nil && !st.IsDir() && strings.EqualFold(filepath.Ext(source), ".txt") {
			find = dataset.ReadList
		}
		files, err := find(source)
		if err != nil {
			return nil, fmt.Errorf("--source %w", err)
		}
		all = append(all, files...)
	}
	return all, nil
}

// interruptible does what cannot be stopped, calls at each second meanwhile, and when ctx ends
// leaves it behind, for the end of the program.
func interruptible(ctx context.Context, at func(), work func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- work() }()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			at()
		}
	}
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func describe(file string, p *picture.RGB, boxes []box.Box, names []string, t detect.Times) found {
	r := found{Path: file, Width: p.W, Height: p.H, Boxes: []foundBox{},
		Ms: foundMillis{millis(t.Before), millis(t.Network), millis(t.After)}}
	for _, b := range boxes {
		r.Boxes = append(r.Boxes, foundBox{b.Class, detect.Name(names, b.Class), b.Conf, b.X1, b.Y1, b.X2, b.Y2})
	}
	return r
}

// tally says "2 face, 1 mask", in the order of classes.
func tally(boxes []box.Box, names []string) string {
	count := map[int]int{}
	most := -1
	for _, b := range boxes {
		count[b.Class]++
		most = max(most, b.Class)
	}
	var parts []string
	for class := range most + 1 {
		if n := count[class]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, detect.Name(names, class)))
		}
	}
	if len(parts) == 0 {
		return "nothing found"
	}
	return strings.Join(parts, ", ")
}

// resultNames says what the results of each picture are called, without extension: as
// the picture, which keeps its own extension where another one would meet it (a.jpg and
// a.png give a and a.png).
func resultNames(files []string) []string {
	taken := map[string]bool{}
	names := make([]string, len(files))
	for i, file := range files {
		name := filepath.Base(file)
		if stem := strings.TrimSuffix(name, filepath.Ext(name)); stem != "" && !taken[stem] {
			name = stem
		}
		for taken[name] {
			name += "_"
		}
		names[i], taken[name] = name, true
	}
	return names
}

// save writes the annotated picture, which it draws on, and, where asked, the labels.
func (f *detectFlags) save(dir, stem string, p *picture.RGB, boxes []box.Box, names []string) error {
	if f.saveTxt {
		labels := filepath.Join(dir, "labels")
		if err := os.MkdirAll(labels, 0o755); err != nil {
			return err
		}
		var text strings.Builder
		w, h := float32(p.W), float32(p.H)
		for _, b := range boxes {
			fmt.Fprintf(&text, "%d %.6f %.6f %.6f %.6f", b.Class, (b.X1+b.X2)/2/w, (b.Y1+b.Y2)/2/h, (b.X2-b.X1)/w, (b.Y2-b.Y1)/h)
			if f.saveConf {
				fmt.Fprintf(&text, " %.6f", b.Conf)
			}
			text.WriteByte('\n')
		}
		if err := renameio.WriteFile(filepath.Join(labels, stem+".txt"), []byte(text.String()), 0o644); err != nil {
			return err
		}
	}
	detect.Draw(p, boxes, names)
	return p.SaveJPEG(filepath.Join(dir, stem+".jpg"), 95)
}
