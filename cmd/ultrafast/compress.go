package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"ultrafast"
	"ultrafast/compress"
	"ultrafast/dataset"
	"ultrafast/engine"
	"ultrafast/graph"
	"ultrafast/prune"
	"ultrafast/report"
	"ultrafast/train"
)

// compressFlags are those of train that a whole compression has too, and its own.
type compressFlags struct {
	trainFlags
	target, out, runtime string
	size, trainSize      string
	maxDrop              float64
	threads              int
	dryRun               bool
}

func compressCommand() *cobra.Command {
	f := &compressFlags{}
	c := &cobra.Command{
		Use:   "compress --weights MODEL --data DATA --target speedup=4 -o DIR",
		Short: "Make a model small and fast: the whole way, from a model and data to a report",
		Long: fmt.Sprintf(`Make a model as small or as fast as --target says: `+targetHelp+`.

Several limits, as in speedup=20x,params=0.33M, are all kept.

Without --weights, or where they do not know all classes of the data, a model is trained
first. Then: anchors that fit, levels without labels out, and rounds that each leave 60 %%
or more and train for a while, with the model that it began with as teacher. What a round cuts is
decided by a table of what cutting each group of channels costs, which is measured anew. A
round that loses too much - mAP50-95 by --max-drop points and a tenth of what that model has -
is trained on where it misses that by a quarter at most; else, and where that does not help, it is
tried once more with half the cut and twice the training, and then ends the rounds. At last
the whole recipe once more; where more than --max-drop points are missing after that, it steps
back a round and trains again. For comparison, as long, the same shape from scratch and a thin
YOLOv5n that is as small: the best of the three is handed out, and the report says which.
It is made in 8 bits too and, where these cost more than %v points, trained in them, with itself
in fp32 as teacher. The report compares fp32, bf16 where the processor has it, and int8.

DIR gets child.safetensors, child.onnx, child-int8.safetensors, child-int8.onnx, report.html,
report.json, commands.txt, log.txt and all that led there. Ctrl-C, or anything worse, loses the
epoch at work at most: the same command goes on, and so does ultrafast compress -o DIR alone.
See how far it is with ultrafast compress status DIR; --dry-run says before what it would do,
and how long that takes.`, compress.Int8Drop),
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	fl := c.Flags()
	fl.StringVar(&f.weights, "weights", "", "model to make small: .pt, .safetensors or .onnx, best with batch norms; empty trains one first")
	fl.StringVar(&f.cfg, "cfg", "", "without --weights, what the model is to be like that is trained first, as for train (default yolov5n)")
	fl.StringVar(&f.data, "data", "", dataHelp)
	fl.StringVar(&f.target, "target", "", "how small or fast: "+targetHelp)
	fl.Float64Var(&f.maxDrop, "max-drop", 1, "points of mAP50-95 that it may cost")
	fl.StringVar(&f.size, "img", "640", "network input on the device: a side, or WIDTHxHEIGHT")
	fl.StringVar(&f.trainSize, "train-img", "", "side of the squares that training and validation see (default the longer side of --img)")
	fl.IntVar(&f.epochs, "epochs", 100, "of a full training; a round has 5 % of that before its cut and 15 % after it, and controls as many as all before them")
	fl.IntVar(&f.batch, "batch", 16, "pictures a step")
	fl.StringVar(&f.hyp, "hyp", "", "hyper-parameters of the trainings, as for train")
	fl.StringVar(&f.precision, "precision", "", "what trainings multiply in: fp32, bf16 or fp16; empty is the default of the device")
	fl.StringVar(&f.device, "device", "cpu", "cpu, cuda or cuda:N; a run that goes on keeps its own")
	fl.Uint64Var(&f.seed, "seed", 0, "of initial weights, order and augmentation")
	fl.StringVar(&f.runtime, "runtime", "native", "what milliseconds are measured in: native, int8 (the same with networks in 8 bits), or ort (ONNX Runtime); or a latency table of another device, see latency")
	fl.IntVar(&f.threads, "threads", 0, "threads that milliseconds are measured with; 0 means all cores")
	fl.StringVarP(&f.out, "output", "o", "runs/compress/exp", "folder of the run; one that was begun goes on")
	fl.BoolVar(&f.dryRun, "dry-run", false, "print the plan and what it would take, and do nothing")
	c.AddCommand(compressStatusCommand())
	return c
}

func (f *compressFlags) run(c *cobra.Command) error {
	if err := onlyOne("compress", os.Getenv); err != nil {
		return err
	}
	out := c.OutOrStdout()
	was, err := compress.ReadState(f.out)
	begun := err == nil
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	job, err := f.job(c, was.Job, begun)
	if err != nil {
		return err
	}
	data, err := openData(c.Context(), out, job.Data, dataset.OpenOptions{})
	if begun && f.data == "" && missing(job.Data) {
		return fmt.Errorf("%w; if the data set was moved, --data says where it is now", err)
	}
	if err != nil {
		return err
	}
	if n := data.Shared(); n > 0 {
		fmt.Fprintf(out, "%d of %d validation pictures are training pictures too: the numbers will be too good\n", n, len(data.Val))
	}
	job.DataHash = compress.HashData(data)
	if begun && was.Device != "" && !c.Flags().Changed("device") && !compress.Finished(f.out, job) {
		f.device = was.Device
	}
	be, err := openBackend(f.device, 0, nil)
	if err != nil {
		return err
	}
	defer be.Close()
	precision, err := be.Precision(train.Precision(job.Precision))
	if err != nil {
		return err
	}
	job.Precision = string(precision)
	f.cfg, f.seed = job.Cfg, job.Seed
	o := compress.Options{Backend: be, Version: version, Processor: processor(), Device: f.device, Predictor: enginePredictor,
		Values: (&calibration{w: job.Size, h: job.Size}).runner,
		Model:  func() (*graph.Graph, error) { return f.first(job, data.Names) }, Progress: compressProgress(out)}
	o.Judge = func(ctx context.Context, lost func(error, int)) (*train.Judge, error) {
		return newJudge(ctx, be, data, job.Size, compressPictures, lost, out)
	}
	if o.Pictures, err = cacheFolder("disk"); err != nil {
		return err
	}
	if job.Weights == "" && missing(filepath.Join(f.out, "parent.safetensors")) { // which is what its description was for
		if o.Unsized, err = f.unsized(); err != nil {
			return err
		}
	}
	o.Benchmark = func(ctx context.Context, g *graph.Graph, precision string) ([]report.Time, string, error) {
		return benchmarkTimes(ctx, c.ErrOrStderr(), g, job, precision)
	}
	var d *device
	if f.dryRun || !compress.Finished(f.out, job) { // else there is nothing to measure
		if d, err = f.clock(c, job, &o); err != nil {
			return err
		}
	}
	if d != nil {
		defer d.Close()
	}
	o.BF16 = inBF16(d)
	o.Peer, _ = peerVersion(c.Context(), io.Discard) // the report says why where there is none
	if f.dryRun {
		e, err := compress.Plan(c.Context(), job, data, o)
		if err != nil {
			return err
		}
		return printPlan(out, job, e)
	}
	o.Log = slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{ReplaceAttr: dropTime}))
	fmt.Fprintf(out, "%s\n%d training and %d validation pictures, %d classes\nrun folder %s\n", be, len(data.Train), len(data.Val), len(data.Names), f.out)
	r, err := compress.Run(c.Context(), f.out, job, data, o)
	if err != nil {
		if errors.Is(err, context.Canceled) {
			return fmt.Errorf("go on with: ultrafast compress -o %s: %w", compress.Quote(f.out), err)
		}
		return err
	}
	if err := saveSkipped(f.out, data); err != nil {
		return err
	}
	printModels(out, r)
	printChoice(out, f.out, r)
	return nil
}

// missing reports whether a file is not there.
func missing(path string) bool {
	_, err := os.Stat(path)
	return err != nil
}

// job is what the flags ask for; those that are not given are the run's that goes on.
func (f *compressFlags) job(c *cobra.Command, was compress.Job, begun bool) (compress.Job, error) {
	given := func(name string) bool { return !begun || c.Flags().Changed(name) }
	j := was
	if changed := c.Flags().Changed; begun && changed("weights") != changed("cfg") { // one takes the place of the other
		switch {
		case f.weights != "":
			j.Cfg, j.CfgHash = "", ""
		case f.cfg != "":
			j.Weights, j.WeightsHash = "", ""
		}
	}
	var err error
	if given("weights") {
		if j.Weights, err = absolute(f.weights); err != nil {
			return j, err
		}
		if j.WeightsHash = ""; j.Weights != "" {
			if j.WeightsHash, err = compress.HashFile(j.Weights); err != nil {
				return j, fmt.Errorf("--weights: %w", err)
			}
		}
	}
	if given("cfg") {
		j.Cfg, j.CfgHash = f.cfg, ""
		if j.Weights != "" && j.Cfg != "" {
			return j, errors.New("--weights and --cfg are both given: a model is made small as it is, or trained from a description")
		}
		if j.Weights == "" {
			j.Cfg = cmp.Or(f.cfg, "yolov5n")
		}
		if (isYAML(j.Cfg) || isModel(j.Cfg)) && !missing(j.Cfg) { // else the name of a released model
			if j.Cfg, err = absolute(j.Cfg); err != nil {
				return j, err
			}
			if j.CfgHash, err = compress.HashFile(j.Cfg); err != nil {
				return j, fmt.Errorf("--cfg: %w", err)
			}
		}
	}
	if given("data") {
		if f.data == "" {
			return j, errors.New("--data is missing: want a data set, such as a data.yaml")
		}
		if j.Data, err = absolute(f.data); err != nil {
			return j, err
		}
	}
	if given("target") {
		if f.target == "" {
			return j, fmt.Errorf("--target is missing: want %s", targetHelp)
		}
		if _, err := prune.ParseLimits(f.target); err != nil {
			return j, fmt.Errorf("--%w", err)
		}
		j.Target = f.target
	}
	if given("img") {
		if j.Width, j.Height, err = f.input(c.ErrOrStderr(), "img", f.size); err != nil {
			return j, err
		}
	}
	if given("img") || given("train-img") {
		j.Size = max(j.Width, j.Height)
		if f.trainSize != "" {
			w, h, err := f.input(c.ErrOrStderr(), "train-img", f.trainSize)
			if err != nil {
				return j, err
			}
			if j.Size = w; w != h {
				return j, fmt.Errorf("--train-img %s: want one side", f.trainSize)
			}
		}
	}
	if given("hyp") {
		h := train.DefaultHyp()
		if f.hyp != "" {
			if h, err = train.OpenHyp(f.hyp); err != nil {
				return j, fmt.Errorf("--hyp %w", err)
			}
		}
		j.Hyp = h.String()
	}
	if given("precision") {
		if f.precision != "" && !slices.Contains(train.Precisions, train.Precision(f.precision)) {
			return j, fmt.Errorf("--precision %q: want one of %v", f.precision, train.Precisions)
		}
		j.Precision = f.precision
	}
	if given("runtime") {
		if j.Runtime, j.Table, j.TableHash = f.runtime, "", ""; !slices.Contains([]string{"native", engine.Int8, "ort"}, f.runtime) {
			j.Runtime = ""
			if j.Table, err = absolute(f.runtime); err != nil {
				return j, err
			}
			if j.TableHash, err = compress.HashFile(j.Table); err != nil {
				return j, fmt.Errorf("--runtime: want native, int8, ort, or a latency table: %w", err)
			}
		}
	}
	if given("threads") {
		j.Threads = f.threads
	}
	if given("max-drop") {
		j.MaxDrop = f.maxDrop
	}
	if given("epochs") {
		j.Epochs = f.epochs
	}
	if given("batch") {
		j.Batch = f.batch
	}
	if given("seed") {
		j.Seed = f.seed
	}
	switch {
	case j.Epochs < 1 || j.Batch < 1:
		return j, errors.New("--epochs and --batch: want at least 1")
	case j.Threads < 0 || j.Threads > 1024:
		return j, fmt.Errorf("--threads %d: want 1 to 1024, or 0 for all cores", j.Threads)
	case j.Table != "" && j.Threads != 0:
		return j, fmt.Errorf("--threads is for measuring: --runtime %s says its own", j.Table)
	case !(j.MaxDrop >= 0 && j.MaxDrop <= 100):
		return j, fmt.Errorf("--max-drop %v: want points of mAP50-95, 0 to 100", j.MaxDrop)
	}
	return j, nil
}

// absolute lets a run go on from another folder.
func absolute(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	return filepath.Abs(path)
}

// input is the size that a flag gives, in whole cells of the coarsest map that a model has.
func (f *compressFlags) input(out io.Writer, flag, size string) (w, h int, err error) {
	if w, h, err = parseSize(size); err != nil {
		return 0, 0, err
	}
	fw, fh := (w+dataset.Stride-1)/dataset.Stride*dataset.Stride, (h+dataset.Stride-1)/dataset.Stride*dataset.Stride
	if fw != w || fh != h {
		fmt.Fprintf(out, "--%s %s is no multiple of %d: using %dx%d\n", flag, size, dataset.Stride, fw, fh)
	}
	return fw, fh, nil
}

// first is the model that a run begins with.
func (f *compressFlags) first(j compress.Job, names []string) (*graph.Graph, error) {
	if j.Weights != "" {
		if err := unchanged(j.Weights, j.WeightsHash, "model"); err != nil {
			return nil, err
		}
		return ultrafast.Load(j.Weights)
	}
	if j.CfgHash != "" {
		if err := unchanged(j.Cfg, j.CfgHash, "description"); err != nil {
			return nil, err
		}
	}
	return f.newModel(names)
}

// unchanged is an error where a file is not what a run was started with.
func unchanged(path, hash, what string) error {
	now, err := compress.HashFile(path)
	if err == nil && now != hash {
		err = fmt.Errorf("%s is another %s than the run was started with", path, what)
	}
	return err
}

// clock makes what tells milliseconds: a table, or the device that it returns.
func (f *compressFlags) clock(c *cobra.Command, j compress.Job, o *compress.Options) (*device, error) {
	if j.Table != "" {
		if err := unchanged(j.Table, j.TableHash, "latency table"); err != nil {
			return nil, err
		}
		t, err := readLatency(j.Table)
		if err != nil {
			return nil, err
		}
		o.Latency = t
		o.Runtime = report.Time{Runtime: cmp.Or(t.Runtime, j.Table) + ", as its table predicts", Threads: t.Threads, Precision: cmp.Or(t.Precision, "fp32")}
		return nil, nil
	}
	l := &latencyFlags{runtime: j.Runtime, threads: j.Threads, provider: "cpu"}
	if j.Runtime == engine.Int8 {
		l.runtime, l.precision = "native", engine.Int8
	}
	d, err := l.device(c, nil, j.Width, j.Height)
	if err != nil {
		return nil, err
	}
	o.Profile = d.profile
	o.Clock = d.describe()
	o.Runtime = report.Time{Runtime: runtimeName(d.name), Threads: d.o.Threads, Precision: d.precision()}
	return d, nil
}

// compressPictures are validation pictures that cuts are compared on: few, as a table is
// measured in every round.
const compressPictures = 100

// targetHelp says how --target is written.
const targetHelp = "latency=3ms, speedup=13x, params=0.33M, size=1.3MB or flops=1.2G"
