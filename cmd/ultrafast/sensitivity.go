package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"ultrafast"
	"ultrafast/compress"
	"ultrafast/dataset"
	"ultrafast/graph"
	"ultrafast/prune"
	"ultrafast/report"
	"ultrafast/train"
)

type sensitivityFlags struct {
	weights, data, img, out, score, device, latency string
	pictures                                        int
}

func sensitivityCommand() *cobra.Command {
	f := &sensitivityFlags{}
	c := &cobra.Command{
		Use:   "sensitivity --weights MODEL --data DATA -o FOLDER",
		Short: "Measure what cutting each group of a model's channels costs in accuracy",
		Long: `Measure the pruning table of a model: for each group of channels, with a tenth to nine
tenths of them cut, the change of mAP50-95, of the losses of boxes, objectness and classes,
and what is saved in parameters, GFLOP and milliseconds. Whole blocks, and all groups at
once, are cut too. After each cut the statistics of the batch norms are measured anew, on
` + fmt.Sprint(judgeStatistics) + ` training pictures, and the network is validated on some pictures.

The folder gets sensitivity.csv, which ultrafast plan reads, and sensitivity.html, a page to
look at. Stopped, the same command goes on where it was. Milliseconds need a latency table,
and are for the input that it was measured with: ultrafast latency --weights MODEL
--img 1280x800 -o latency.csv measures one.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	fl := c.Flags()
	fl.StringVar(&f.weights, "weights", "", "model: .pt, .safetensors or .onnx with batch norms (required)")
	fl.StringVar(&f.data, "data", "", dataHelp+" (required)")
	fl.StringVar(&f.img, "img", "640", "side of the network's input")
	fl.StringVarP(&f.out, "output", "o", "", "folder of the table, made if need be (required)")
	fl.IntVar(&f.pictures, "pictures", validationPictures, "validation pictures to measure on, spread over the set")
	fl.StringVar(&f.score, "score", string(prune.DefaultScore), "by which importance channels leave: l2, gamma, taylor or fisher")
	fl.StringVar(&f.latency, "latency", "", "latency table of the device, for milliseconds")
	fl.StringVar(&f.device, "device", "cpu", "cpu, cuda or cuda:N")
	for _, name := range []string{"weights", "data", "output"} {
		must(c.MarkFlagRequired(name))
	}
	return c
}

// evidencePictures is how many training pictures' gradients make a score, as in ultrafast prune.
const evidencePictures = 800

// tableFile and pageFile are what a folder of a table holds.
const (
	tableFile = "sensitivity.csv"
	pageFile  = "sensitivity.html"
)

func (f *sensitivityFlags) run(c *cobra.Command) error {
	switch {
	case f.pictures < 1:
		return errors.New("--pictures: want at least 1")
	case !slices.Contains(prune.AllScores, prune.Score(f.score)):
		return fmt.Errorf("--score %q: want one of %v", f.score, prune.AllScores)
	}
	g, err := ultrafast.Load(f.weights)
	if err != nil {
		return err
	}
	noteFolded(c.ErrOrStderr(), g, f.weights)
	side, err := squareSide(g, f.img, c.ErrOrStderr())
	if err != nil {
		return err
	}
	clock, err := openClock(f.latency)
	if err != nil {
		return err
	}
	data, err := openData(c.Context(), c.ErrOrStderr(), f.data, dataset.OpenOptions{})
	if err != nil {
		return err
	}
	if data, err = matchClasses(c.ErrOrStderr(), g, f.weights, data, f.data); err != nil {
		return err
	}
	table := &prune.Table{Model: g.Fingerprint(), Size: side, Pictures: min(f.pictures, len(data.Val)), Score: prune.Score(f.score),
		Data: compress.HashData(data), Precision: judgePrecision()}
	if l, ok := clock.(*prune.Latency); ok && (l.Width != side || l.Height != side) { // milliseconds on the device
		table.Width, table.Height = l.Width, l.Height
	}
	if err := os.MkdirAll(f.out, 0o755); err != nil {
		return err
	}
	if err := f.resume(table, clock); err != nil {
		return err
	}
	be, err := openBackend(f.device, 0, nil)
	if err != nil {
		return err
	}
	defer be.Close()
	if err := f.measure(c.Context(), be, g, data, table, clock, c.ErrOrStderr()); err != nil {
		return err
	}
	if table.Base.MAP == 0 {
		fmt.Fprintln(c.ErrOrStderr(), "the uncut model finds nothing on these pictures: only the losses tell cuts apart")
	}
	if clock == nil {
		fmt.Fprintln(c.ErrOrStderr(), "no milliseconds in the table: --latency gives them")
	}
	if table.Width > 0 {
		fmt.Fprintf(c.ErrOrStderr(), "milliseconds are those at %dx%d, as the latency table has them\n", table.Width, table.Height)
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "%d rows, uncut mAP50-95 %.4f on %d pictures at %d in %s\n%s\n%s\n", len(table.Rows), table.Base.MAP, table.Pictures, table.Size, table.Precision,
		filepath.Join(f.out, tableFile), filepath.Join(f.out, pageFile))
	return err
}

// resume takes the rows that the folder has already into t.
func (f *sensitivityFlags) resume(t *prune.Table, clock prune.Clock) error {
	old, path, err := openTable(f.out)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case old.Model != t.Model:
		return fmt.Errorf("%s is the table of another model (%.8s, this is %.8s): choose another folder", path, old.Model, t.Model)
	case old.Size != t.Size || old.Pictures != t.Pictures || old.Score != t.Score:
		return fmt.Errorf("%s was begun with --img %d --pictures %d --score %s: go on with these, or choose another folder", path, old.Size, old.Pictures, old.Score)
	case old.Data == "":
		return fmt.Errorf("%s does not say on which data and in what precision it was measured: plan can use it, but its rows and new ones might not compare: choose another folder", path)
	case old.Data != t.Data:
		return fmt.Errorf("%s was measured on other pictures or labels than those of --data %s: choose another folder", path, f.data)
	case clock == nil && slices.ContainsFunc(old.Rows, func(r prune.Row) bool { return r.Ms != 0 }):
		return fmt.Errorf("%s has milliseconds: give the latency table again with --latency, or choose another folder", path)
	case old.Precision != t.Precision:
		return fmt.Errorf("%s was measured in %s, and this machine judges in %s: go on where it was begun, or choose another folder", path, old.Precision, t.Precision)
	}
	t.Base, t.Rows = old.Base, old.Rows
	return nil
}

// measure fills the table and keeps it on disk as it grows.
func (f *sensitivityFlags) measure(ctx context.Context, be train.Backend, g *graph.Graph, data *dataset.Data, t *prune.Table, clock prune.Clock, out io.Writer) error {
	j, err := newJudge(ctx, be, data, t.Size, f.pictures, nil, out)
	if err != nil {
		return err
	}
	var evidence *prune.Evidence
	if t.Score.NeedsEvidence() {
		if evidence, err = gather(ctx, be, g, data, t.Size, evidencePictures, out); err != nil {
			return err
		}
	}
	bar := newProgress(out)
	defer bar.clear()
	err = t.Measure(ctx, g, prune.Ratios, clock, evidence, compress.Worth(j), func(judged, all int) error {
		bar.set("cuts", judged, all)
		return f.save(t, judged%20 == 0 || judged == all)
	})
	if path := filepath.Join(f.out, tableFile); err != nil {
		if _, none := os.Stat(path); none != nil {
			return err
		}
		if ctx.Err() == nil {
			return fmt.Errorf("%s has %d rows, which stay: %w", path, len(t.Rows), err)
		}
		return fmt.Errorf("%s has %d rows, the same command goes on: %w", path, len(t.Rows), err)
	}
	return f.save(t, true)
}

func (f *sensitivityFlags) save(t *prune.Table, page bool) error {
	var text bytes.Buffer
	if _, err := t.WriteTo(&text); err != nil {
		return err
	}
	if err := renameio.WriteFile(filepath.Join(f.out, tableFile), text.Bytes(), 0o644); err != nil || !page {
		return err
	}
	text.Reset()
	if err := report.Sensitivity(&text, filepath.Base(f.weights), t); err != nil {
		return err
	}
	return renameio.WriteFile(filepath.Join(f.out, pageFile), text.Bytes(), 0o644)
}

// openTable reads a table, or the one in a folder.
func openTable(path string) (*prune.Table, string, error) {
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		path = filepath.Join(path, tableFile)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, path, err
	}
	defer file.Close()
	t, err := prune.ReadTable(file)
	if err != nil {
		return nil, path, fmt.Errorf("%s: %w", path, err)
	}
	return t, path, nil
}

// openClock reads a latency table; without a name there is none.
func openClock(path string) (prune.Clock, error) {
	if path == "" {
		return nil, nil
	}
	t, err := readLatency(path)
	if err != nil {
		return nil, fmt.Errorf("--latency: %w", err)
	}
	return t, nil
}

// squareSide is the side that --img names, fitted to the model.
func squareSide(g *graph.Graph, img string, out io.Writer) (int, error) {
	side, other, err := parseSize(img)
	switch {
	case err != nil:
		return 0, err
	case side != other:
		return 0, fmt.Errorf("--img %s: accuracy and statistics are measured on squares, want one side", img)
	}
	side, _, note := fitSize(g, side, side)
	if note != "" {
		fmt.Fprintln(out, note)
	}
	return side, nil
}
