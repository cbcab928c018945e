package compress

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"ultrafast/graph"
	"ultrafast/prune"
	"ultrafast/train"
)

// tableRatios are fewer than those of ultrafast sensitivity, since a table is measured in
// every round.
var tableRatios = []float64{.3, .6, .9}

// tableEvery is how many cuts are judged between two writings of the table.
const tableEvery = 20

// judgedPictures is about how many pictures a cut is judged with, those for its statistics
// among them.
const judgedPictures = 160

// tableCuts is how many cuts a table of g judges.
func tableCuts(g *graph.Graph) (int, error) {
	groups, err := prune.Groups(g)
	return len(tableRatios)*(len(groups)+1) + len(prune.Blocks(g)), err
}

// Worth makes a judge one that fills tables.
func Worth(j *train.Judge) prune.Judge {
	return func(ctx context.Context, g *graph.Graph) (prune.Worth, error) {
		v, err := j.Judge(ctx, g)
		return prune.Worth{MAP: v.Report.MAP5095, Box: v.Loss.Box, Obj: v.Loss.Obj, Cls: v.Loss.Cls}, err
	}
}

// theJudge makes the judge of the run, or returns it.
func (r *run) theJudge(ctx context.Context) (*train.Judge, error) {
	if r.judge != nil {
		return r.judge, nil
	}
	var err error
	r.judge, err = r.o.Judge(ctx, r.lost("table"))
	return r.judge, err
}

// table measures what cuts of the groups of a round's network cost, or goes on with that. A
// second attempt has the table of the first: their networks are the same.
func (r *run) table(ctx context.Context, v *Round, g *graph.Graph, evidence *prune.Evidence) (*prune.Table, error) {
	first := *v
	first.Attempt = 1
	file := filepath.Join(first.folder(), "table.csv")
	judge, err := r.theJudge(ctx)
	if err != nil {
		return nil, err
	}
	t := &prune.Table{Model: g.Fingerprint(), Size: r.job.Size, Pictures: judge.Pictures(), Score: prune.DefaultScore, Data: r.job.DataHash, Precision: string(judge.Precision())}
	if r.done(file) {
		old, err := r.readTable(file)
		if err != nil {
			return nil, err
		}
		if old.Model == t.Model && old.Size == t.Size && old.Pictures == t.Pictures && old.Score == t.Score && old.Data == t.Data && old.Precision == t.Precision {
			t.Base, t.Rows = old.Base, old.Rows
		}
	}
	save := func() error {
		var text bytes.Buffer
		if _, err := t.WriteTo(&text); err != nil {
			return err
		}
		return r.write(file, text.Bytes())
	}
	err = t.Measure(ctx, g, tableRatios, nil, evidence, Worth(judge), func(judged, all int) error {
		r.tell(Progress{Doing: v.Name() + ", table", Done: judged, Of: all})
		if judged%tableEvery == 0 {
			return save()
		}
		return nil
	})
	if err == nil || len(t.Rows) > 0 && t.Cost.Params > 0 { // what a stopped one has is kept
		err = errors.Join(err, save())
	}
	if err != nil {
		return nil, fmt.Errorf("pruning table: %w", err)
	}
	return r.readTable(file) // as one that goes on has it, to the last digit
}

func (r *run) readTable(file string) (*prune.Table, error) {
	f, err := os.Open(r.path(file))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t, err := prune.ReadTable(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.path(file), err)
	}
	return t, nil
}
