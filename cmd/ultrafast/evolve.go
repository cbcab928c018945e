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

	"github.com/goccy/go-yaml"
	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ultrafast/dataset"
	"ultrafast/report"
	"ultrafast/train"
)

type evolveFlags struct {
	trainFlags
	generations int
}

func evolveCommand() *cobra.Command {
	f := &evolveFlags{}
	c := &cobra.Command{
		Use:   "evolve --weights MODEL|'' [--cfg yolov5n|FILE.yaml] --data data.yaml [--generations 300]",
		Short: "Search for better hyper-parameters, as YOLOv5's --evolve does",
		Long: `Train again and again, each time by hyper-parameters bred from the fittest so far, as
YOLOv5's --evolve does: fitness is 0.1 mAP50 + 0.9 mAP50-95 of the best epoch. The first
generation trains by --hyp as it is.

The run's folder holds evolve.csv (fitness and hyper-parameters of every generation),
hyp_evolve.yaml (the fittest, for train --hyp), evolve.png, and the training at work.
Ctrl-C, or anything worse, loses an epoch at most: --resume DIR goes on.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	f.add(c)
	fl := c.Flags()
	fl.IntVar(&f.generations, "generations", 300, "trainings in all")
	fl.StringVar(&f.project, "project", "runs/evolve", "where run folders are made")
	fl.StringVar(&f.resume, "resume", "", "go on in this folder, with the flags that it was begun with")
	return c
}

// The files of an evolution.
const (
	trialsFile = "evolve.csv"
	bestHyp    = "hyp_evolve.yaml"
	evolvePlot = "evolve.png"
	evolveOpts = "evolve.yaml" // the flags that it was begun with
	trialDir   = "trial"       // the training at work
)

func (f *evolveFlags) run(c *cobra.Command) error {
	if err := onlyOne("evolve", os.Getenv); err != nil {
		return err
	}
	dir := f.resume
	if dir != "" {
		if err := recallFlags(c.Flags(), filepath.Join(dir, evolveOpts)); err != nil {
			return err
		}
	}
	cfg, err := f.config()
	if err != nil {
		return err
	}
	switch {
	case f.generations < 1 || f.generations > 100_000:
		return fmt.Errorf("--generations %d: want 1 to 100000", f.generations)
	case cfg.Batch == autoBatch:
		return errors.New("--batch -1: name a number, which has to be the same in all generations")
	}
	data, err := openTraining(c.Context(), c.OutOrStdout(), cfg)
	if err != nil {
		return err
	}
	if _, err := f.model(c.OutOrStdout(), data.Names); err != nil {
		return err
	}
	if dir == "" {
		if dir, err = newRun(f.project, f.name); err == nil {
			err = keepFlags(c.Flags(), filepath.Join(dir, evolveOpts))
		}
		if err != nil {
			return err
		}
	}
	trials, err := readTrials(filepath.Join(dir, trialsFile))
	if err != nil {
		return err
	}
	out := c.OutOrStdout()
	fmt.Fprintf(out, "run folder %s\n", dir)
	for len(trials) < f.generations {
		if len(trials) > 0 {
			cfg.Hyp = train.Evolve(trials, f.seed)
		}
		fmt.Fprintf(out, "generation %d/%d\n", len(trials)+1, f.generations)
		fitness, err := f.trial(c.Context(), out, data, cfg, filepath.Join(dir, trialDir))
		if err != nil {
			if errors.Is(err, context.Canceled) {
				return fmt.Errorf("go on with: ultrafast evolve --resume %s: %w", dir, err)
			}
			return fmt.Errorf("generation %d: %w", len(trials)+1, err)
		}
		trials = append(trials, train.Trial{Hyp: cfg.Hyp, Fitness: fitness})
		if err := keepTrials(dir, trials); err != nil {
			return err
		}
		if err := os.RemoveAll(filepath.Join(dir, trialDir)); err != nil {
			return err
		}
	}
	best := fittest(trials)
	_, err = fmt.Fprintf(out, "fittest: generation %d of %d, %.4f (the first: %.4f)\nhyper-parameters %s\nfigure %s\n",
		best+1, len(trials), trials[best].Fitness, trials[0].Fitness, filepath.Join(dir, bestHyp), filepath.Join(dir, evolvePlot))
	return err
}

// trial trains once in dir, or goes on with the training that was stopped there.
func (f *evolveFlags) trial(ctx context.Context, out io.Writer, data *dataset.Data, cfg train.Config, dir string) (float64, error) {
	be, err := openBackend(f.device, 0, nil)
	if err != nil {
		return 0, err
	}
	defer be.Close()
	if err := openTeacher(&cfg); err != nil {
		return 0, err
	}
	cfg.Dir, cfg.Progress, cfg.Predictor = dir, trainingProgress(out), enginePredictor
	if old, err := train.ReadConfig(dir); err == nil && old.Hyp == cfg.Hyp {
		old.Progress, old.Predictor, old.Distill, old.Penalty = cfg.Progress, cfg.Predictor, cfg.Distill, cfg.Penalty
		if r, err := train.Run(ctx, be, nil, data, old); err == nil || ctx.Err() != nil {
			return fitnessOf(r), err
		}
	}
	if err := os.RemoveAll(dir); err != nil { // finished but not noted, or not even begun
		return 0, err
	}
	g, err := f.model(io.Discard, data.Names)
	if err != nil {
		return 0, err
	}
	r, err := train.Run(ctx, be, g, data, cfg)
	return fitnessOf(r), err
}

func fittest(trials []train.Trial) (best int) {
	for i, t := range trials {
		if t.Fitness > trials[best].Fitness {
			best = i
		}
	}
	return best
}

func readTrials(path string) ([]train.Trial, error) {
	f, err := os.Open(path)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	trials, err := train.ReadTrials(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return trials, nil
}

// keepTrials writes what is known after a generation.
func keepTrials(dir string, trials []train.Trial) error {
	var b bytes.Buffer
	if err := train.WriteTrials(&b, trials); err != nil {
		return err
	}
	if err := renameio.WriteFile(filepath.Join(dir, trialsFile), b.Bytes(), 0o644); err != nil {
		return err
	}
	best := trials[fittest(trials)]
	if err := renameio.WriteFile(filepath.Join(dir, bestHyp), []byte(best.Hyp.String()), 0o644); err != nil {
		return err
	}
	names, values := train.Evolving(trials)
	fitness := make([]float64, len(trials))
	for i, t := range trials {
		fitness[i] = t.Fitness
	}
	return report.Evolution(filepath.Join(dir, evolvePlot), names, values, fitness)
}

// keepFlags writes the flags that were given, recallFlags sets those that are not given now.
func keepFlags(fl *pflag.FlagSet, path string) error {
	given := map[string]string{}
	fl.Visit(func(f *pflag.Flag) { given[f.Name] = f.Value.String() })
	text, err := yaml.Marshal(given)
	if err != nil {
		return err
	}
	return renameio.WriteFile(path, text, 0o644)
}

func recallFlags(fl *pflag.FlagSet, path string) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("--resume %s: is no run of evolve, for it has no %s; ultrafast train --resume goes on with one of train", filepath.Dir(path), evolveOpts)
	}
	if err != nil {
		return fmt.Errorf("--resume: %w", err)
	}
	given := map[string]string{}
	if err := yaml.Unmarshal(text, &given); err != nil {
		return fmt.Errorf("%s: not the flags of an evolution", path)
	}
	for name, value := range given {
		if name == "bf16" && value == "true" { // of before there was --precision
			name, value = "precision", "bf16"
		}
		f := fl.Lookup(name)
		if f == nil || f.Changed {
			continue
		}
		if err := fl.Set(name, value); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// fitnessOf is 0 without a result.
func fitnessOf(r *train.Result) float64 {
	if r == nil {
		return 0
	}
	return r.Fitness
}
