package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ultrafast/dataset"
	"ultrafast/dataset/convert"
)

type convertFlags struct {
	to, out string
	asJSON  bool
}

func convertCommand() *cobra.Command {
	f := &convertFlags{}
	c := &cobra.Command{
		Use:   "convert DATA --to yolo|voc|coco -o DIR",
		Short: "Write a data set in YOLO's, Pascal VOC's or COCO's layout",
		Long: `Write a data set in YOLO's, Pascal VOC's or COCO's layout to a new folder, with its
splits and the order of its classes. DATA is what train takes as --data.

Pictures are hard links where the file system allows it (they share what is changed in
place), else copies. Boxes survive any number of conversions to a thousandth of a pixel; those
of YOLO to YOLO exactly. VOC's are written with digits after the point, since whole pixels
would cost precision. Boxes are cut at the picture's edge. Outlines, and objects that VOC
calls difficult or COCO a crowd, are not carried over; bad pictures are named and left out.`,
		Args: oneData,
		RunE: func(c *cobra.Command, args []string) error { return f.run(c, args[0]) },
	}
	fl := c.Flags()
	fl.StringVar(&f.to, "to", "", "layout: "+strings.Join(convert.Formats, ", ")+" (required)")
	fl.StringVarP(&f.out, "output", "o", "", "folder to make (required)")
	fl.BoolVar(&f.asJSON, "json", false, "print JSON")
	must(c.MarkFlagRequired("to"))
	must(c.MarkFlagRequired("output"))
	return c
}

func (f *convertFlags) run(c *cobra.Command, path string) error {
	if !slices.Contains(convert.Formats, f.to) {
		return fmt.Errorf("--to %q: want one of %s", f.to, strings.Join(convert.Formats, ", "))
	}
	if err := newFolder(f.out); err != nil {
		return err
	}
	data, err := openData(c.Context(), c.ErrOrStderr(), path, dataset.OpenOptions{Whole: true})
	if err != nil {
		return err
	}
	for _, p := range data.Problems {
		if p.Kind == dataset.BadSplit && len(map[string][]dataset.Item{"train": data.Train, "val": data.Val, "test": data.Test}[p.Split]) == 0 {
			return errors.New(p.Reason)
		}
	}
	bar := newProgress(c.ErrOrStderr())
	r, err := convert.Write(data, convert.Options{Format: f.to, Dir: f.out, Context: c.Context(), Progress: bar.set})
	bar.clear()
	if _, ok := errors.AsType[*convert.FolderError](err); ok {
		return fmt.Errorf("-o %w", err)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return f.print(c.OutOrStdout(), data, r)
}

func (f *convertFlags) print(out io.Writer, data *dataset.Data, r convert.Result) error {
	if f.asJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", " ")
		return e.Encode(map[string]any{"folder": f.out, "pictures": r.Pictures, "boxes": r.Boxes, "skipped": data.Skipped(),
			"linked": r.Linked, "copied": r.Copied, "renamed": r.Renamed})
	}
	_, err := fmt.Fprintf(out, "%s: %d pictures (%d hard links, %d copies, %d under a new name) with %d boxes of %d classes\n",
		f.out, r.Pictures, r.Linked, r.Copied, r.Renamed, r.Boxes, len(data.Names))
	return err
}
