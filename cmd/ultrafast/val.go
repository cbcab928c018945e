package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"ultrafast"
	"ultrafast/box"
	"ultrafast/dataset"
	"ultrafast/detect"
	"ultrafast/report"
	"ultrafast/train"
)

type valFlags struct {
	weights, data, split, img string
	project, name             string
	batch                     int
	conf, iou                 float32
	rect, asJSON              bool
	runtimeFlags
}

func valCommand() *cobra.Command {
	f := &valFlags{}
	c := &cobra.Command{
		Use:   "val --weights MODEL --data DATA",
		Short: "Measure a model's accuracy as YOLOv5 does",
		Long: `Measure precision, recall and average precision on labelled pictures, with YOLOv5's
definitions, for each class and for small (below 32 pixels), medium (below 96) and
large objects, and the time that each stage takes. Pictures that are broken, or whose
labels are, are named and left out. A new folder below --project gets the
curves, the confusion matrix and pictures with labels and with what was found.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	fl := c.Flags()
	fl.StringVar(&f.weights, "weights", "", "model: .pt, .safetensors or .onnx (required)")
	fl.StringVar(&f.data, "data", "", dataHelp+" (required)")
	fl.StringVar(&f.split, "task", "val", "split to measure on: train, val or test")
	fl.StringVar(&f.img, "img", "640", "longer side of the network's input")
	fl.IntVar(&f.batch, "batch", 32, "with --rect, pictures that share a shape")
	fl.BoolVar(&f.rect, "rect", false, "pad pictures only as far as their batch needs, as YOLOv5 does, instead of to a square")
	fl.Float32Var(&f.conf, "conf", 0.001, "confidence that candidates must exceed")
	fl.Float32Var(&f.iou, "iou", 0.6, "overlap above which the less confident box goes")
	fl.BoolVar(&f.asJSON, "json", false, "print JSON")
	fl.StringVar(&f.project, "project", "runs/val", "where folders for the pictures are made")
	fl.StringVar(&f.name, "name", "exp", "name of the folder for the pictures")
	f.addRuntime(fl)
	must(c.MarkFlagRequired("weights"))
	must(c.MarkFlagRequired("data"))
	return c
}

func (f *valFlags) run(c *cobra.Command) error {
	side, other, err := parseSize(f.img)
	switch {
	case err != nil:
		return err
	case side != other:
		return fmt.Errorf("--img %s: validation takes the longer side alone; --rect pads less", f.img)
	case f.batch < 1:
		return errors.New("--batch: want at least 1")
	case !(f.conf > 0 && f.conf < 1) || !(f.iou > 0 && f.iou <= 1):
		return errors.New("--conf and --iou: want above 0 and at most 1")
	}
	g, err := ultrafast.Load(f.weights)
	if err != nil {
		return err
	}
	r, err := f.openRuntime(c.Context(), c.ErrOrStderr())
	if err != nil {
		return err
	}
	defer r.Close()
	p, head, err := newPredictor(g, r.Compile, f.precision)
	if err != nil {
		return fmt.Errorf("%s: %w", f.weights, err)
	}
	data, err := openData(c.Context(), c.ErrOrStderr(), f.data, dataset.OpenOptions{Splits: []string{f.split}})
	if err != nil {
		return err
	}
	if data, err = matchClasses(c.ErrOrStderr(), g, f.weights, data, f.data); err != nil {
		return err
	}
	items := map[string][]dataset.Item{"train": data.Train, "val": data.Val, "test": data.Test}[f.split]
	side, _, note := fitSize(g, side, side)
	if note != "" {
		fmt.Fprintln(c.ErrOrStderr(), note)
	}
	bar := newProgress(c.ErrOrStderr())
	defer bar.clear()
	pictures := report.Validation{Names: data.Names, Items: items}
	v, err := train.Validate(c.Context(), p.predict, head, items, train.ValOptions{Size: side, Batch: f.batch, Rect: f.rect,
		Conf: f.conf, IoU: f.iou, Lost: warnLost(c.ErrOrStderr(), bar), Found: pictures.Found, Progress: func(done, batches int) { bar.set("validation", done, batches) }})
	if err != nil {
		return err
	}
	bar.clear()
	f.draw(c.ErrOrStderr(), &pictures, v.Report)
	if f.asJSON {
		e := json.NewEncoder(c.OutOrStdout())
		e.SetIndent("", " ")
		out := reportJSON(data.Names, v)
		out["skipped"] = data.Skipped()
		return e.Encode(out)
	}
	printReport(c.OutOrStdout(), data.Names, v.Report)
	_, err = fmt.Fprintf(c.OutOrStdout(), "milliseconds a picture: load %.1f, network %.1f, decoding and NMS %.1f (input %d, rect %v, IoU %.2f)\n",
		v.Speed.Load, v.Speed.Inference, v.Speed.NMS, side, f.rect, f.iou)
	return err
}

// draw makes the folder of pictures. The measured numbers are more than they: what cannot
// be written is a warning.
func (f *valFlags) draw(out io.Writer, pictures *report.Validation, r box.Report) {
	dir, err := newRun(f.project, f.name)
	if err == nil {
		fmt.Fprintf(out, "pictures in %s\n", dir)
		err = pictures.Write(dir, r)
	}
	if err != nil {
		fmt.Fprintf(out, "warning: the pictures could not all be written: %v\n", err)
	}
}

// printReport prints YOLOv5's table and the averages by object size.
func printReport(out io.Writer, names []string, r box.Report) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "class\tlabels\tprecision\trecall\tF1\tmAP50\tmAP50-95\t")
	fmt.Fprintf(w, "all\t%d\t%.3f\t%.3f\t%.3f\t%.4f\t%.4f\t\n", r.Labels, r.Precision, r.Recall, r.F1, r.MAP50, r.MAP5095)
	for _, c := range r.Classes {
		fmt.Fprintf(w, "%s\t%d\t%.3f\t%.3f\t%.3f\t%.4f\t%.4f\t\n", detect.Name(names, c.Class), c.Labels, c.Precision, c.Recall, c.F1, c.AP50, c.AP5095)
	}
	for size, name := range sizeNames {
		s := r.Sizes[size]
		fmt.Fprintf(w, "%s\t%d\t\t\t\t%.4f\t%.4f\t\n", name, s.Labels, s.MAP50, s.MAP5095)
	}
	w.Flush()
	fmt.Fprintf(out, "precision, recall and F1 are at confidence %.3f, where the mean F1 is best; %d pictures\n", r.Confidence, r.Pictures)
}

// sizeNames are by the root of a box's area in pixels of the picture.
var sizeNames = [...]string{box.Small: "small < 32 px", box.Medium: "medium < 96 px", box.Large: "large"}

func reportJSON(names []string, v train.Validation) map[string]any {
	r := v.Report
	var classes []map[string]any
	for _, c := range r.Classes {
		classes = append(classes, map[string]any{"class": c.Class, "name": detect.Name(names, c.Class), "labels": c.Labels,
			"precision": c.Precision, "recall": c.Recall, "f1": c.F1, "ap": c.AP, "map50": c.AP50, "map50_95": c.AP5095})
	}
	sizes := map[string]any{}
	for size, name := range []string{box.Small: "small", box.Medium: "medium", box.Large: "large"} {
		s := r.Sizes[size]
		sizes[name] = map[string]any{"labels": s.Labels, "map50": s.MAP50, "map50_95": s.MAP5095}
	}
	return map[string]any{"pictures": r.Pictures, "labels": r.Labels, "precision": r.Precision, "recall": r.Recall, "f1": r.F1,
		"map50": r.MAP50, "map50_95": r.MAP5095, "confidence": r.Confidence, "classes": classes, "sizes": sizes,
		"ms": map[string]float64{"load": v.Speed.Load, "network": v.Speed.Inference, "nms": v.Speed.NMS}}
}
