package main

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"

	"ultrafast/box"
	"ultrafast/dataset"
	"ultrafast/report"
	"ultrafast/train"
)

// trainBatches is of how many batches pictures are kept.
const trainBatches = 3

// A reporter draws what a training does into the run's folder. What cannot be written is a
// warning: no picture is worth an epoch.
type reporter struct {
	dir    string
	data   *dataset.Data
	log    *slog.Logger
	val    report.Validation
	events *report.Events
}

func newReporter(dir string, data *dataset.Data, log *slog.Logger) *reporter {
	return &reporter{dir: dir, data: data, log: log, val: report.Validation{Names: data.Names, Items: data.Val}}
}

// watch adds itself to a training.
func (r *reporter) watch(cfg *train.Config) {
	show := cfg.Progress
	cfg.Sees, cfg.Found = r.batch, r.val.Found
	cfg.Progress = func(p train.Progress) {
		if p.Validated != nil {
			r.epoch(p)
		}
		show(p)
	}
}

// warn tells of a report that could not be written.
func (r *reporter) warn(what string, err error) {
	if err != nil {
		r.log.Warn(what+" could not be written, the rest goes on", "error", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
}

// batch draws the first batches of a run, and the labels before them.
func (r *reporter) batch(epoch, step int, b *dataset.Batch) {
	if epoch > 0 || step >= trainBatches {
		return
	}
	if step == 0 {
		r.warn("labels.png", report.Labels(filepath.Join(r.dir, "labels.png"), r.data.Names, r.data.Train))
	}
	name := fmt.Sprintf("train_batch%d.jpg", step)
	r.warn(name, report.TrainBatch(filepath.Join(r.dir, name), r.data.Names, b))
}

// epoch writes an epoch's numbers for TensorBoard, under the names of results.csv.
func (r *reporter) epoch(p train.Progress) {
	if r.events == nil {
		var err error
		if r.events, err = report.CreateEvents(r.dir); err != nil {
			r.warn("TensorBoard's file", err)
			return
		}
	}
	var scalars []report.Scalar
	for i, v := range p.Results() {
		scalars = append(scalars, report.Scalar{Tag: train.Columns[1+i], Value: v})
	}
	if p.Loss.Distill > 0 { // YOLOv5 has no column for it
		scalars = append(scalars, report.Scalar{Tag: "train/distill_loss", Value: p.Loss.Distill})
	}
	r.warn("TensorBoard's file", r.events.Add(p.Epoch-1, scalars))
}

// end draws the curves of the run and what its last validation found.
func (r *reporter) end(last box.Report) {
	r.warn("results.png", drawResults(filepath.Join(r.dir, "results.csv"), filepath.Join(r.dir, "results.png")))
	r.warn("the pictures of the validation", r.val.Write(r.dir, last))
}

func (r *reporter) close() {
	if r.events != nil {
		r.warn("TensorBoard's file", r.events.Close())
	}
}
