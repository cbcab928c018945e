package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ultrafast/graph"
	"ultrafast/prune"
	"ultrafast/train"
)

// TestResume: a table is gone on with where its rows and new ones compare.
func TestResume(t *testing.T) {
	table := prune.Table{Model: "00ff", Size: 64, Pictures: 3, Score: prune.L2, Data: "d5", Precision: "bf16",
		Base: prune.Worth{MAP: 0.5}, Cost: prune.Cost{Params: 9}, Rows: []prune.Row{{Group: "a", Ratio: 0.5, From: 8, To: 4}}}
	for _, s := range []struct {
		name string
		edit func(*prune.Table)
		want string // empty goes on
	}{
		{"the same", func(*prune.Table) {}, ""},
		{"model", func(t *prune.Table) { t.Model = "11ff" }, "is the table of another model"},
		{"size", func(t *prune.Table) { t.Size = 96 }, "was begun with --img 96"},
		{"no data", func(t *prune.Table) { t.Data, t.Precision = "", "" }, "does not say on which data and in what precision"},
		{"data", func(t *prune.Table) { t.Data = "d6" }, "was measured on other pictures or labels than those of --data set"},
		{"no clock", func(t *prune.Table) { t.Rows = []prune.Row{{Group: "a", Ratio: 0.5, From: 4, To: 2, Ms: -1}} }, "has milliseconds: give the latency table again with --latency"},
		{"precision", func(t *prune.Table) { t.Precision = "fp32" }, "was measured in fp32, and this machine judges in bf16"},
	} {
		old, now := table, table
		s.edit(&old)
		now.Base, now.Rows = prune.Worth{}, nil
		var text bytes.Buffer
		old.WriteTo(&text)
		f := sensitivityFlags{out: t.TempDir(), data: "set"}
		if err := os.WriteFile(filepath.Join(f.out, tableFile), text.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		switch err := f.resume(&now, nil); {
		case s.want == "" && (err != nil || len(now.Rows) != 1 || now.Base != table.Base):
			t.Errorf("%s: error %v, %+v", s.name, err, now)
		case s.want != "" && (err == nil || !strings.Contains(err.Error(), s.want) || strings.Contains(err.Error(), "\n")):
			t.Errorf("%s: error %v, want one with %q", s.name, err, s.want)
		}
	}
}

// Who is stopped is told of the table where there is one.
func TestSensitivityStops(t *testing.T) {
	data := drawnData(t, 2, 1)
	g := thin(t)
	for _, rows := range []int{0, 2} {
		ctx, stop := context.WithCancel(t.Context())
		f := sensitivityFlags{out: t.TempDir(), pictures: 1}
		table := &prune.Table{Model: g.Fingerprint(), Size: 64, Pictures: 1, Score: prune.L2, Data: "d5", Precision: "fp32"}
		be := stopBackend{train.Drift(), func() {
			if len(table.Rows) == rows {
				stop()
			}
		}}
		err := f.measure(ctx, be, g, data, table, nil, io.Discard)
		_, none := os.Stat(filepath.Join(f.out, tableFile))
		if !errors.Is(err, context.Canceled) || (none == nil) != (rows > 0) || strings.Contains(err.Error(), tableFile+" has 2 rows, the same command goes on") != (rows > 0) {
			t.Errorf("stopped at %d rows: error %v, table %v", rows, err, none)
		}
	}
}

// A stopBackend calls judged for each network that is judged.
type stopBackend struct {
	train.Backend
	judged func()
}

func (b stopBackend) Load(g *graph.Graph, o train.LoadOptions) (train.Network, error) {
	b.judged()
	return b.Backend.Load(g, o)
}
