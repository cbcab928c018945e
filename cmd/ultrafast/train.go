package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ultrafast"
	"ultrafast/dataset"
	"ultrafast/graph"
	"ultrafast/report"
	"ultrafast/train"
	"ultrafast/train/peers"
)

type trainFlags struct {
	weights, cfg, data, hyp, device, project, name, resume string
	precision                                              string
	img, epochs, batch, patience                           int
	seed                                                   uint64
	cosLR, noAutoAnchor, qat                               bool
	teacher, distill                                       string
	recipe                                                 recipeFlags
}

// latest is what --resume means without a folder.
const latest = "latest"

// autoBatch is what --batch is where memory decides.
const autoBatch = -1

// maxBatch is the --batch that is taken for a mistake when exceeded.
const maxBatch = 4096

func trainCommand() *cobra.Command {
	f := &trainFlags{}
	c := &cobra.Command{
		Use:   "train [--weights MODEL] [--cfg yolov5n|FILE.yaml] --data DATA",
		Short: "Train a model as YOLOv5 does",
		Long: fmt.Sprintf(`Train a model as YOLOv5 v7.0 does: a new one (--weights '' --cfg), the given one, pruned or
not (--weights), or a new one that takes from the given one every tensor whose name and
shape agree (both). A new one may take its shape from a pruned model, to see what training
that shape from scratch would give.

Where the data has other classes than the given model, its last convolutions are made anew:
what they know of boxes stays, and of the classes that have the same name.

Pictures that are broken, or whose labels are, are named and left out.

The run's folder holds opt.yaml, hyp.yaml, weights/best.safetensors, weights/last.safetensors
and YOLOv5's reports: results.csv and .png, an event file for TensorBoard, labels.png,
train_batch0.jpg and, of the best weights' validation, the curves, the confusion matrix and
pictures with what was found; skipped.txt where pictures were left out. A report that cannot be written is a warning. Ctrl-C, or anything worse, loses the epoch at work at most:
--resume goes on with the latest run below --project, --resume DIR with another.

With --teacher the model learns from another one as well, best from the one that it was cut
from. Widths may differ, and levels, anchors and classes that only one of them has are left
out. The teacher falls silent over the last tenth of the epochs.

With --qat a trained model learns to compute in 8 bits: its ranges are measured on %d training
pictures, as quantize does by mse, and it is then trained with all roundings in place: for %d
epochs and at a low learning rate where --epochs and --hyp say nothing else, with the float model
as its teacher (--teacher '' is none). Validation runs it in whole numbers, and the weights that
are saved are of 8 bits. For other ranges quantize first: a model that is in 8 bits keeps its own,
and learns so with --qat or without.

With --sparse the training prepares a cut: channels that matter little come to nothing. What
a cut would leave of the accuracy is told again and again while it goes on, and drawn in
sparsity.png.

Several processes, on one machine or many, share each batch where torchrun's variables are
set (torchrun --no-python ultrafast train ...; see docs/machines.md). --batch is over all of
them.`, qatPictures, qatEpochs),
		Args: func(c *cobra.Command, args []string) error {
			if f.resume == latest && len(args) == 1 { // --resume DIR, as YOLOv5 takes it
				f.resume = args[0]
				return nil
			}
			return noArgs(c, args)
		},
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	f.add(c)
	fl := c.Flags()
	fl.StringVar(&f.project, "project", "runs/train", "where run folders are made")
	fl.StringVar(&f.resume, "resume", "", "go on with a run that was stopped")
	fl.Lookup("resume").NoOptDefVal = latest
	fl.BoolVar(&f.qat, "qat", false, "turn the model of --weights into one of 8-bit numbers, and train it as that")
	return c
}

// add adds the flags that say how to train.
func (f *trainFlags) add(c *cobra.Command) {
	fl := c.Flags()
	fl.StringVar(&f.weights, "weights", "", "model to train on: .pt, .safetensors or .onnx; empty for a new one")
	fl.StringVar(&f.cfg, "cfg", "", "what a new model is to be like: yolov5n, s, m, l, x, a small one (see models), a YAML file, or a .safetensors or .pt whose shape is taken and whose weights are not")
	fl.StringVar(&f.data, "data", "", dataHelp)
	fl.IntVar(&f.img, "img", 640, "side of the network's input, a multiple of 32")
	fl.IntVar(&f.batch, "batch", 16, "pictures a step; -1 is as many as the memory of the device allows, up to 64")
	fl.IntVar(&f.epochs, "epochs", 100, "times through the data")
	fl.StringVar(&f.hyp, "hyp", "", "hyper-parameters: scratch-low, scratch-med, scratch-high, or a YAML file with YOLOv5's names; empty means scratch-low")
	fl.BoolVar(&f.cosLR, "cos-lr", false, "let the learning rate fall along a cosine")
	fl.IntVar(&f.patience, "patience", 100, "epochs without a better result before the run ends; 0 never ends it")
	fl.Uint64Var(&f.seed, "seed", 0, "of initial weights, order and augmentation")
	fl.StringVar(&f.precision, "precision", "", "what convolutions multiply in: fp32, bf16 where processor or GPU can, fp16 on GPUs; empty is the default of the device")
	fl.BoolVar(&f.noAutoAnchor, "noautoanchor", false, "keep the model's anchors; without it they are fitted to the labels where fewer than 98 % match one")
	fl.StringVar(&f.teacher, "teacher", "", "model to learn from beside the labels, such as the one that --weights was cut from: .pt, .safetensors or .onnx")
	fl.StringVar(&f.distill, "distill", "", fmt.Sprintf("what is learned from --teacher: pkd or cwd (maps of the neck), outputs, with weights if one likes (default %q)", train.DefaultTerms))
	f.recipe.add(c)
	fl.StringVar(&f.device, "device", "cpu", "cpu, cuda or cuda:N; a GPU needs a libtorch for CUDA, see engine build")
	fl.StringVar(&f.name, "name", "exp", "name of the run folder")
}

func (f *trainFlags) run(c *cobra.Command) error {
	where, err := readProcesses(os.Getenv)
	if err != nil {
		return err
	}
	var cfg train.Config
	switch {
	case f.resume == "":
		if err := f.applyQAT(c, where.rank == 0); err != nil {
			return err
		}
		if cfg, err = f.config(); err != nil {
			return err
		}
		if cfg.Batch == autoBatch && where.size > 1 {
			return fmt.Errorf("--batch -1 measures one process's memory: give a number, for all %d processes together", where.size)
		}
	case where.rank == 0:
		if cfg, err = f.resumed(); err != nil {
			return err
		}
	case f.data != "": // elsewhere on this machine than where the run was started
		if cfg.Data, err = filepath.Abs(f.data); err != nil {
			return err
		}
	}
	p, err := where.join(c)
	if err != nil {
		return err
	}
	if p == nil {
		return f.train(c, cfg, where, nil)
	}
	data := cfg.Data
	if cfg, err = cfg.Share(p); err == nil {
		if data != "" {
			cfg.Data = data // each its own
		}
		err = f.train(c, cfg, where, p)
	}
	p.Close(err)
	return err
}

// train trains anew or goes on, alone where p is nil.
func (f *trainFlags) train(c *cobra.Command, cfg train.Config, where processes, p *peers.Peers) error {
	leads := where.rank == 0
	where.share(&cfg)
	if err := sparsify(&cfg); err != nil { // the recipe of another process or of a run that goes on names it only
		return err
	}
	data, err := openTraining(c.Context(), c.OutOrStdout(), cfg)
	if err != nil {
		return err
	}
	var g *graph.Graph
	if f.resume == "" && leads {
		if g, err = f.model(c.OutOrStdout(), data.Names); err != nil {
			return err
		}
		if f.qat {
			if g, err = f.inEightBits(c, g, data.Train); err != nil {
				return err
			}
		}
	}
	if leads {
		if err := openTeacher(&cfg); err != nil {
			return err
		}
	}
	be, err := openBackend(where.device(f.device), where.workers(), p)
	if err != nil {
		return err
	}
	defer be.Close()
	if !leads {
		_, err := train.Run(c.Context(), be, nil, data, cfg)
		return err
	}
	if cfg.Batch == autoBatch {
		if cfg.Batch, err = train.AutoBatch(be, g, len(data.Train), cfg); err != nil {
			return err
		}
		fmt.Fprintf(c.OutOrStdout(), "batches of %d pictures\n", cfg.Batch)
	}
	if f.resume == "" {
		if cfg.Dir, err = newRun(f.project, f.name); err != nil {
			return err
		}
	}
	return runTraining(c.Context(), c.OutOrStdout(), be, g, data, cfg)
}

func (f *trainFlags) config() (train.Config, error) {
	cfg := train.Config{Epochs: f.epochs, Batch: f.batch, Size: f.img, Hyp: train.DefaultHyp(), CosLR: f.cosLR,
		Patience: f.patience, Seed: f.seed, Precision: train.Precision(f.precision), NoAutoAnchor: f.noAutoAnchor, Weights: f.weights, Cfg: f.cfg, Data: f.data}
	if cfg.Patience == 0 {
		cfg.Patience = -1
	}
	switch {
	case f.data == "":
		return cfg, errors.New("--data is missing: want a data set, such as a data.yaml")
	case f.epochs < 1 || f.batch < 1 && f.batch != autoBatch:
		return cfg, errors.New("--epochs and --batch: want at least 1, or --batch -1")
	case f.batch > maxBatch:
		return cfg, fmt.Errorf("--batch %d: want at most %d, or -1 for as many as memory allows", f.batch, maxBatch)
	case f.patience < 0:
		return cfg, fmt.Errorf("--patience %d: want 0 or more epochs; 0 never ends the run", f.patience)
	case f.precision != "" && !slices.Contains(train.Precisions, train.Precision(f.precision)):
		return cfg, fmt.Errorf("--precision %q: want one of %v", f.precision, train.Precisions)
	case f.img < dataset.Stride || f.img > maxSide || f.img%dataset.Stride != 0:
		return cfg, fmt.Errorf("--img %d: want a multiple of %d, at most %d", f.img, dataset.Stride, maxSide)
	}
	path, err := filepath.Abs(f.data)
	if err != nil {
		return cfg, err
	}
	cfg.Data = path // so that a run can be resumed from another folder
	if f.qat {
		cfg.Hyp = qatHyp()
	}
	if f.hyp != "" {
		if cfg.Hyp, err = train.OpenHyp(f.hyp); err != nil {
			return cfg, fmt.Errorf("--hyp %w", err)
		}
	}
	if cfg.FitAnchors, err = f.unsized(); err != nil {
		return cfg, err
	}
	if cfg.Distill, err = f.distillation(); err != nil {
		return cfg, err
	}
	return cfg, f.recipe.apply(&cfg)
}

// distillation is what --teacher and --distill say, without the teacher itself; nil is none.
func (f *trainFlags) distillation() (*train.Distill, error) {
	if f.teacher == "" {
		if f.distill != "" {
			return nil, errors.New("--distill says what is learned from a teacher: name one with --teacher")
		}
		return nil, nil
	}
	path, err := filepath.Abs(f.teacher) // so that a run can be resumed from another folder
	if err != nil {
		return nil, err
	}
	d := &train.Distill{Source: path}
	if err := d.Terms.UnmarshalText([]byte(f.distill)); err != nil {
		return nil, fmt.Errorf("--distill: %w", err)
	}
	return d, nil
}

// openTeacher reads the teacher of a recipe, if it has one.
func openTeacher(cfg *train.Config) error {
	if cfg.Distill == nil {
		return nil
	}
	d := *cfg.Distill
	var err error
	if d.Teacher, err = ultrafast.Load(d.Source); err != nil {
		return fmt.Errorf("the run's teacher: %w; --teacher says where it is", err)
	}
	cfg.Distill = &d
	return nil
}

// resumed is the recipe that the run to go on with was started with. --teacher says where its
// teacher is now.
func (f *trainFlags) resumed() (train.Config, error) {
	dir := strings.TrimSuffix(f.resume, filepath.Join("weights", "last.safetensors"))
	if f.resume == latest {
		var err error
		if dir, err = latestRun(f.project); err != nil {
			return train.Config{}, err
		}
	}
	cfg, err := train.ReadConfig(dir)
	if err != nil || cfg.Distill == nil || f.teacher == "" {
		return cfg, err
	}
	cfg.Distill.Source, err = filepath.Abs(f.teacher)
	return cfg, err
}

// latestRun finds the run below project that was at work last.
func latestRun(project string) (string, error) {
	runs, err := os.ReadDir(project)
	if err != nil && !os.IsNotExist(err) {
		return "", err
	}
	dir, when := "", time.Time{}
	for _, r := range runs {
		st, err := os.Stat(filepath.Join(project, r.Name(), "weights", "last.safetensors"))
		if err == nil && st.ModTime().After(when) {
			dir, when = filepath.Join(project, r.Name()), st.ModTime()
		}
	}
	if dir == "" {
		return "", fmt.Errorf("--resume: no run below %s has finished an epoch", project)
	}
	return dir, nil
}

// runTraining trains and says how it goes: a bar on a terminal, a line an epoch.
func runTraining(ctx context.Context, out io.Writer, be train.Backend, g *graph.Graph, data *dataset.Data, cfg train.Config) error {
	cfg.Log = slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{ReplaceAttr: dropTime}))
	fmt.Fprintf(out, "%s\n%d training and %d validation pictures, %d classes\n", be, len(data.Train), len(data.Val), len(data.Names))
	if g != nil {
		fmt.Fprintf(out, "model of %d parameters\n", g.ParamCount())
	}
	fmt.Fprintf(out, "run folder %s\n", cfg.Dir)
	if err := saveSkipped(cfg.Dir, data); err != nil {
		return err
	}
	cfg.Progress = trainingProgress(out)
	cfg.Predictor = enginePredictor
	reports := newReporter(cfg.Dir, data, cfg.Log)
	defer reports.close()
	reports.watch(&cfg)
	if cfg.Sparse != "" {
		g := gauge{ctx: ctx, out: out, be: be, data: data, dir: cfg.Dir, size: cfg.Size, score: sparseScore(cfg.Sparse), warn: reports.warn}
		g.watch(&cfg)
	}
	r, err := train.Run(ctx, be, g, data, cfg)
	if err != nil {
		dropRun(cfg.Dir)
		if _, missing := os.Stat(filepath.Join(cfg.Dir, "weights", "last.safetensors")); missing == nil && errors.Is(err, context.Canceled) {
			return fmt.Errorf("go on with: ultrafast train --resume %s: %w", cfg.Dir, err)
		}
		return err
	}
	fmt.Fprintf(out, "%d epochs done, the best was %d; what its weights find:\n", r.Epochs, r.BestEpoch)
	printReport(out, data.Names, r.Report)
	reports.end(r.Report)
	_, err = fmt.Fprintf(out, "best weights %s\nlast weights %s\npictures of the run %s\n", r.Best, r.Last, cfg.Dir)
	return err
}

// drawResults draws a results.csv.
func drawResults(csv, png string) error {
	f, err := os.Open(csv)
	if err != nil {
		return err
	}
	defer f.Close()
	run, err := report.ReadRun("", f)
	if err == nil {
		err = report.Curves(png, run)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", csv, err)
	}
	return nil
}

// dropTime keeps log lines short; the run is on a screen or in a file with a date.
func dropTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// trainingProgress prints a line an epoch, and the progress in between.
func trainingProgress(out io.Writer) func(train.Progress) {
	bar := newProgress(out)
	head, distill := true, ""
	return func(p train.Progress) {
		if p.Anchors {
			bar.set("anchors", p.Step, p.Steps)
			return
		}
		if head {
			bar.clear()
			head = false
			if p.Loss.Distill > 0 {
				distill = fmt.Sprintf("%8s ", "distill")
			}
			fmt.Fprintf(out, "%9s %8s %8s %8s "+distill+"%9s %8s %8s %8s %8s %10s %6s %8s\n", "epoch", "box", "obj", "cls", "precision", "recall", "mAP50", "mAP50-95", "fitness", "pictures/s", "val s", "left")
		}
		if p.Validated == nil {
			what := fmt.Sprintf("epoch %d/%d box %.4f obj %.4f cls %.4f", p.Epoch, p.Epochs, p.Loss.Box, p.Loss.Obj, p.Loss.Cls)
			if distill != "" {
				what += fmt.Sprintf(" distill %.4f", p.Loss.Distill)
			}
			what += fmt.Sprintf(", %.1f pictures/s, %s to the last epoch", p.PerSecond, p.Left.Round(time.Second))
			if p.Validating {
				what = fmt.Sprintf("epoch %d/%d validation", p.Epoch, p.Epochs)
			}
			if p.Step == 1 {
				bar.clear()
			}
			bar.set(what, p.Step, p.Steps)
			return
		}
		bar.clear()
		r, best := p.Validated.Report, ""
		if p.Best {
			best = " *"
		}
		if distill != "" {
			distill = fmt.Sprintf("%8.4f ", p.Loss.Distill)
		}
		fmt.Fprintf(out, "%4d/%-4d %8.4f %8.4f %8.4f %s%9.3f %8.3f %8.4f %8.4f %8.4f %10.1f %6.1f %8s%s\n", p.Epoch, p.Epochs,
			p.Loss.Box, p.Loss.Obj, p.Loss.Cls, distill, r.Precision, r.Recall, r.MAP50, r.MAP5095, p.Fitness, p.PerSecond, p.ValTime.Seconds(), p.Left.Round(time.Second), best)
	}
}
