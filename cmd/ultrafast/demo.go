package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"ultrafast/box"
	"ultrafast/dataset"
	"ultrafast/detect"
	"ultrafast/engine"
	"ultrafast/graph"
	"ultrafast/onnx"
	"ultrafast/picture"
	"ultrafast/prune"
	"ultrafast/safetensors"
	"ultrafast/scene"
	"ultrafast/train"
	"ultrafast/yolo"
)

// The demonstration's numbers are chosen for two cores and five minutes.
const (
	demoSide     = 192
	demoPictures = 640
	demoVal      = 128
	demoEpochs   = 16
	demoTune     = 10
	demoKeep     = 0.48
	demoBatch    = 8
)

func demoCommand() *cobra.Command {
	var weights, project, name, device string
	var seed uint64
	c := &cobra.Command{
		Use:   "demo",
		Short: "Show the whole walk on drawn pictures, in a few minutes",
		Long: `Draw pictures of people with and without masks, train a model on them, cut it to less
than half its parameters, fine-tune it, export it, detect with it, and print what each step
cost and kept. It begins with the detector of masks in photographs that is in this program
(models/mask), which knows nothing of drawings. Everything lands in one folder below --project.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			g, what, err := modelOrOurs(weights)
			if err != nil {
				return err
			}
			be, err := openBackend(device, 0, nil)
			if err != nil {
				return err
			}
			defer be.Close()
			dir, err := newRun(project, name)
			if err != nil {
				return err
			}
			d := &demo{dir: dir, out: c.OutOrStdout(), be: be, seed: seed}
			return d.run(c.Context(), g, what)
		},
	}
	c.Flags().StringVar(&weights, "weights", "", "model to begin with: .pt, .safetensors or .onnx (default: the one for masks that is in this program)")
	c.Flags().StringVar(&project, "project", "runs/demo", "where run folders are made")
	c.Flags().StringVar(&name, "name", "exp", "name of the run folder")
	c.Flags().StringVar(&device, "device", "cpu", "cpu, cuda or cuda:N")
	c.Flags().Uint64Var(&seed, "seed", 1, "of pictures, weights and order")
	return c
}

type demo struct {
	dir  string
	out  io.Writer
	be   train.Backend
	seed uint64
	data *dataset.Data
	rows []demoRow
}

// A demoRow is one line of the closing table.
type demoRow struct {
	what       string
	parameters int
	megabytes  float64 // of the ONNX
	ms         float64 // a picture, in the engine, on all cores
	report     box.Report
}

func (d *demo) run(ctx context.Context, g *graph.Graph, what string) error {
	start := time.Now()
	fmt.Fprintf(d.out, "1. drawing %d pictures of %dx%d below %s\n", demoPictures+demoVal, demoSide, demoSide, d.dir)
	path, err := scene.Write(filepath.Join(d.dir, "data"), scene.Set{Train: demoPictures, Val: demoVal, Width: demoSide, Height: demoSide, Seed: d.seed})
	if err != nil {
		return err
	}
	if d.data, err = dataset.Open(path, dataset.OpenOptions{}); err != nil {
		return err
	}
	if g, err = d.train(ctx, g, what); err != nil {
		return err
	}
	small, err := d.cut(ctx, g)
	if err != nil {
		return err
	}
	if small, err = d.tune(ctx, small); err != nil {
		return err
	}
	if err := d.detect(ctx, small); err != nil {
		return err
	}
	return d.table(time.Since(start))
}

// train trains a model that comes from other pictures.
func (d *demo) train(ctx context.Context, g *graph.Graph, what string) (*graph.Graph, error) {
	g, _, err := yolo.SetClasses(g, d.data.Names, d.seed)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	fmt.Fprintf(d.out, "\n2. training %s on them for %d epochs\n", what, demoEpochs)
	if err := d.measure(ctx, "as it comes", g); err != nil {
		return nil, err
	}
	return d.runTraining(ctx, "before the cut", "train", g, d.config(demoEpochs, 0.04))
}

// config is YOLOv5's recipe made for a short run: an update after every batch of 8, where
// YOLOv5 waits for 64 pictures; a rate to go with that, as the loss is a sum over the
// pictures of an update (0.08 would make them as large as YOLOv5's); and a class loss that tells two
// classes apart before the run is over.
func (d *demo) config(epochs int, rate float64) train.Config {
	h := train.DefaultHyp()
	h.NBS, h.LR0, h.Cls, h.WarmupEpochs = demoBatch, rate, 2.5, 1
	return train.Config{Epochs: epochs, Batch: demoBatch, Size: demoSide, Hyp: h, Seed: d.seed}
}

func (d *demo) runTraining(ctx context.Context, what, folder string, g *graph.Graph, cfg train.Config) (*graph.Graph, error) {
	cfg.Dir = filepath.Join(d.dir, folder)
	cfg.Progress, cfg.Predictor = trainingProgress(d.out), enginePredictor
	r, err := train.Run(ctx, d.be, g, d.data, cfg)
	if err != nil {
		return nil, err
	}
	f, err := safetensors.Open(r.Best)
	if err != nil {
		return nil, err
	}
	return f.Graph, d.measure(ctx, what, f.Graph)
}

func (d *demo) cut(ctx context.Context, g *graph.Graph) (*graph.Graph, error) {
	fmt.Fprintf(d.out, "\n3. cutting to %.0f %% of the parameters\n", 100*demoKeep)
	plan, err := prune.New(g, prune.Target{Keep: demoKeep})
	if err != nil {
		return nil, err
	}
	small, err := plan.Apply(g)
	if err != nil {
		return nil, err
	}
	if small, err = recalibrate(ctx, d.be, small, d.data, demoSide, 16, demoPictures, d.out); err != nil {
		return nil, err
	}
	return small, d.measure(ctx, "after the cut", small)
}

// tune trains what the cut left, at a lower rate and without the warm-up's high rate for
// biases: the weights are nearly right already.
func (d *demo) tune(ctx context.Context, g *graph.Graph) (*graph.Graph, error) {
	fmt.Fprintf(d.out, "\n4. fine-tuning for %d epochs\n", demoTune)
	cfg := d.config(demoTune, 0.01)
	cfg.Hyp.WarmupBiasLR = cfg.Hyp.LR0
	g, err := d.runTraining(ctx, "fine-tuned", "tune", g, cfg)
	if err != nil {
		return nil, err
	}
	out := filepath.Join(d.dir, "small.onnx")
	size, err := onnx.Save(out, g, exportOptions(1, demoSide, demoSide))
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(d.out, "\n5. exported %s, %.2f MB\n", out, float64(size)/1e6)
	return g, nil
}

// measure adds a row to the table.
func (d *demo) measure(ctx context.Context, what string, g *graph.Graph) error {
	p, head, err := newPredictor(g, detect.Native, engine.FP32)
	if err != nil {
		return err
	}
	v, err := train.Validate(ctx, p.predict, head, d.data.Val, train.ValOptions{Size: demoSide})
	if err != nil {
		return err
	}
	tmp := filepath.Join(d.dir, "measured.onnx")
	size, err := onnx.Save(tmp, g, exportOptions(1, demoSide, demoSide))
	if err != nil {
		return err
	}
	d.rows = append(d.rows, demoRow{what, g.ParamCount(), float64(size) / 1e6, v.Speed.Inference, v.Report})
	fmt.Fprintf(d.out, "%s: %d parameters, mAP50 %.3f, mAP50-95 %.3f\n", what, g.ParamCount(), v.Report.MAP50, v.Report.MAP5095)
	return os.Remove(tmp)
}

// detect marks what the small model finds in a few validation pictures.
func (d *demo) detect(ctx context.Context, g *graph.Graph) error {
	det, err := detect.New(g, detect.Options{Width: demoSide, Height: demoSide})
	if err != nil {
		return err
	}
	dir := filepath.Join(d.dir, "detect")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	fmt.Fprintf(d.out, "\n6. detecting, annotated pictures in %s\n", dir)
	for _, item := range d.data.Val[:min(6, len(d.data.Val))] {
		p, err := picture.Open(item.Path)
		if err != nil {
			return err
		}
		found, _, err := det.Detect(ctx, p)
		if err != nil {
			return err
		}
		base := filepath.Base(item.Path)
		fmt.Fprintf(d.out, "   %s: %s (labelled: %d)\n", base, tally(found, g.Names), len(item.Labels))
		detect.Draw(p, found, g.Names)
		if err := p.SaveJPEG(filepath.Join(dir, base), 95); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) table(took time.Duration) error {
	fmt.Fprintln(d.out)
	w := tabwriter.NewWriter(d.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tparameters\tMB\tms\tmAP50\tmAP50-95\t")
	for _, r := range d.rows {
		fmt.Fprintf(w, "%s\t%d\t%.2f\t%.1f\t%.3f\t%.3f\t\n", r.what, r.parameters, r.megabytes, r.ms, r.report.MAP50, r.report.MAP5095)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(d.out, "\n%d validation pictures of %dx%d; MB of the ONNX in fp32; ms a picture for the network\nin this program on all cores; IoU 0.5 and 0.5 to 0.95. It took %s.\n", len(d.data.Val), demoSide, demoSide, took.Round(time.Second))
	return err
}
