package compress

import (
	"context"
	"errors"
	"fmt"
	"os"

	"ultrafast/prune"
	"ultrafast/report"
)

const bf16Name = "bf16"

// bf16 measures the child in bfloat16, which needs no other file: the engine rounds what it reads.
func (r *run) bf16(ctx context.Context) error {
	child, err := r.handed()
	if err != nil {
		return err
	}
	m := &Model{File: "child.safetensors", Epochs: child.Epochs}
	if r.o.BF16.Predictor == nil {
		m.Missing = r.o.BF16.Missing
		r.log("the child is not measured in bf16", "why", m.Missing)
		return r.writeJSON("bf16.json", m)
	}
	g, err := r.open(m.File)
	if err != nil {
		return err
	}
	if m.Cost, err = prune.CostOf(g, nil, r.job.Width, r.job.Height); err != nil {
		return err
	}
	if err := r.weigh(ctx, r.o.BF16, bf16Name, m, g); err != nil {
		return err
	}
	return r.writeJSON("bf16.json", m)
}

// handed is the model that is handed out.
func (r *run) handed() (*Model, error) {
	found, err := ReadResult(r.dir)
	if err != nil {
		return nil, err
	}
	m := found.Handed()
	if m == nil || m.Accuracy == nil {
		return nil, fmt.Errorf("%s: it does not say which network is handed out", r.path("choice.json"))
	}
	return m, nil
}

// precisions are the report's rows of the parent and of the child in every precision. The
// models are those that were measured in fp32.
func (r *run) precisions(ctx context.Context, found *Result, models []report.Model) ([]report.Variant, error) {
	var rows []report.Variant
	for _, m := range models {
		name := "the parent"
		switch {
		case m.HandedOut:
			name = "the child"
		case m.Role != report.Parent:
			continue
		}
		rows = append(rows, report.Variant{Name: name, Precision: "fp32", File: m.File, Bytes: m.Bytes, Accuracy: m.Accuracy, Times: m.Times})
	}
	for _, v := range []struct {
		precision, file string
		*Model
		here bool // it can be measured on this machine
	}{
		{"bf16", "child.safetensors", found.BF16, r.o.BF16.Predictor != nil}, {"int8", int8File, found.HandedInt8(), true},
	} {
		if v.Model == nil || v.Accuracy == nil {
			rows = append(rows, report.Variant{Name: "the child", Precision: v.precision, Missing: missingOf(v.precision, found)})
			continue
		}
		st, err := os.Stat(r.path(v.file))
		if err != nil {
			return nil, err
		}
		row := report.Variant{Name: "the child", Precision: v.precision, File: v.file, Bytes: st.Size(), Accuracy: v.Accuracy}
		if v.Measured > 0 {
			t := r.o.Runtime
			t.Precision, t.Milliseconds, t.Q1, t.Q3 = v.precision, report.Number(v.Measured), report.Unknown(), report.Unknown()
			row.Times = append(row.Times, t)
		}
		if v.here {
			if row.Times, row.Missing, err = r.benchmark(ctx, "the child in "+v.precision, v.file, v.precision, row.Times); err != nil {
				return nil, err
			}
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// missingOf says why the child was not measured in a precision.
func missingOf(precision string, found *Result) string {
	m := found.BF16
	if precision == "int8" {
		m = found.Int8
	}
	if m == nil {
		return "it was not measured"
	}
	return m.Missing
}

// reportInt8 is how the child came into 8 bits; nil where it did not.
func (r *run) reportInt8(found *Result) (*report.Int8, error) {
	if found.Int8 == nil || found.Int8.Accuracy == nil {
		return nil, nil
	}
	child := found.Handed()
	if child == nil {
		return nil, errors.New("no network is handed out")
	}
	ranges, err := r.readRanges()
	if err != nil {
		return nil, err
	}
	q, err := r.open(int8File)
	if err != nil {
		return nil, err
	}
	s := &report.Int8{Pictures: ranges.Pictures, Method: string(ranges.Method), Child: child.Accuracy.MAP5095,
		Calibrated: found.Int8.Accuracy.MAP5095, Trained: report.Unknown(), Float: inFloat(q)}
	if t := found.Int8Trained; t != nil {
		if s.Why = t.Missing; t.Accuracy != nil {
			s.Trained, s.Epochs = t.Accuracy.MAP5095, t.Epochs-found.Int8.Epochs
		}
	}
	return s, nil
}
