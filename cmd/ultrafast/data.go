package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"

	"ultrafast/dataset"
)

// dataHelp is what --data takes.
const dataHelp = "data set: data.yaml, a folder or archive of YOLO's, Pascal VOC's or COCO's layout, a COCO .json, or a list of pictures (.txt)"

// namedProblems is how many of the pictures that are left out are named on the screen.
const namedProblems = 5

// openData opens what --data names. It says on out what was recognised, and which pictures
// are left out.
func openData(ctx context.Context, out io.Writer, path string, o dataset.OpenOptions) (*dataset.Data, error) {
	bar := newProgress(out)
	o.Context, o.Progress = ctx, bar.phases()
	data, err := dataset.Open(path, o)
	bar.clear()
	if err != nil {
		if errors.Is(err, context.Canceled) {
			return nil, err
		}
		return nil, fmt.Errorf("--data %w", err)
	}
	fmt.Fprintln(out, "data", data.Describe())
	if n := data.Skipped(); n > 0 {
		fmt.Fprintf(out, "%d bad pictures are left out:\n", n)
		for _, p := range data.Problems[:min(len(data.Problems), namedProblems)] {
			fmt.Fprintf(out, "  %s\n", p)
		}
		if more := len(data.Problems) - namedProblems; more > 0 {
			fmt.Fprintf(out, "  and %d more; ultrafast doctor %s names all\n", more, path)
		}
	}
	printNotes(out, data.Notes)
	return data, nil
}

// warnLost tells on out, where bar may be at work, of pictures that can no longer be read: a
// Lost of dataset.LoaderOptions.
func warnLost(out io.Writer, bar *progress) func(err error, lost int) {
	return func(err error, lost int) {
		bar.clear()
		fmt.Fprintf(out, "warning: a picture can no longer be read and is left out, %d so far: %v\n", lost, err)
	}
}

// printNotes tells what is odd in the labels, a line for each sort with its first place.
func printNotes(out io.Writer, notes []dataset.Problem) {
	for _, p := range notes {
		if p.Kind == dataset.Stray {
			fmt.Fprintln(out, p)
		}
	}
	for _, k := range []struct {
		kind dataset.Kind
		text string
	}{
		{dataset.NoLabel, "pictures have no label file and count as background"},
		{dataset.ZeroArea, "boxes have no area: nothing can be learnt from them"},
		{dataset.DuplicateRow, "label rows are there twice: each box counts once"},
	} {
		n, first := 0, dataset.Problem{}
		for _, p := range notes {
			if p.Kind == k.kind {
				if n++; n == 1 {
					first = p
				}
			}
		}
		if n > 0 {
			where := first.Path
			if first.Line > 0 {
				where = fmt.Sprintf("%s:%d", where, first.Line)
			}
			fmt.Fprintf(out, "%d %s; the first: %s\n", n, k.text, where)
		}
	}
}

// skippedFile is where a run's folder names the pictures that were left out.
const skippedFile = "skipped.txt"

// saveSkipped writes the pictures that were left out to a run's folder, if there are any.
func saveSkipped(dir string, data *dataset.Data) error {
	if len(data.Problems) == 0 {
		return nil
	}
	var text strings.Builder
	for _, p := range data.Problems {
		fmt.Fprintf(&text, "%s: %s\n", p.Split, p)
	}
	return renameio.WriteFile(filepath.Join(dir, skippedFile), []byte(text.String()), 0o644)
}

// dropRun removes the folder of a run that never began.
func dropRun(dir string) {
	if _, err := os.Stat(filepath.Join(dir, "opt.yaml")); err != nil {
		os.Remove(filepath.Join(dir, skippedFile))
	}
	os.Remove(dir) // goes only if nothing was written to it
}

// newFolder tells before the work, not after it, that a folder could not be made.
func newFolder(path string) error {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("-o %s: is there already, want the name of a new folder", path)
	}
	if dir := filepath.Dir(filepath.Clean(path)); dir != "." {
		if st, err := os.Stat(dir); err != nil || !st.IsDir() {
			return fmt.Errorf("-o %s: there is no folder %s", path, dir)
		}
	}
	return nil
}
