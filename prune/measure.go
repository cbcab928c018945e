package prune

import (
	"cmp"
	"context"
	"math"
	"slices"

	"ultrafast/graph"
)

// A Judge says what a network is worth that was cut: with its statistics measured anew, on
// the same pictures for all.
type Judge func(ctx context.Context, small *graph.Graph) (Worth, error)

// Ratios are those of a full Table.
var Ratios = []float64{.1, .2, .3, .4, .5, .6, .7, .8, .9}

// Measure fills a table of g with cuts by ratios, which are some of Ratios: it judges the
// uncut network, unless there is a Base already, and every cut that has no row yet, coarse
// ratios first. Of t Model, Size, Pictures and Score must be set. Cuts of a group that leave
// as many channels are judged once. clock may be nil; milliseconds, which take no judging, are
// told anew in all rows. done is told after every judgement, with how many there were and will
// be; it may write the table, and its error ends the work. evidence is for a Score that needs
// it. What a clock does not know is said before anything is judged.
//
// A cut is made with Apply, which computes what Mask does in less time.
func (t *Table) Measure(ctx context.Context, g *graph.Graph, ratios []float64, clock Clock, evidence *Evidence, judge Judge, done func(judged, all int) error) error {
	groups, err := Groups(g)
	if err != nil {
		return err
	}
	scores, err := Scores(groups, t.Score, evidence)
	if err != nil {
		return err
	}
	orders := make([][]int, len(groups))
	for i, gr := range groups {
		orders[i] = gr.order(scores[i], 1)
	}
	drop := func(i int, ratio float64) []int {
		n := int(math.Round(ratio * float64(groups[i].Width())))
		d := append([]int{}, orders[i][:min(n, len(orders[i]))]...)
		slices.Sort(d)
		return d
	}
	uncut := func() *Plan {
		p := &Plan{}
		for _, gr := range groups {
			p.Cuts = append(p.Cuts, Cut{gr.Name, gr.Width(), []int{}})
		}
		return p
	}
	ms := t.Cost.Ms
	cost := func(g *graph.Graph) (Cost, error) {
		c, err := CostOf(g, nil, t.Size, t.Size)
		if err == nil && clock != nil {
			w, h := t.timed()
			c.Ms, err = clock.Ms(g, w, h)
		}
		return c, err
	}
	if t.Cost, err = cost(g); err != nil {
		return err
	}
	if clock == nil { // what is known of a table that goes on stays
		t.Cost.Ms = ms
	}

	type job struct {
		row  Row
		plan *Plan
	}
	var jobs []job
	order := map[string]int{}
	widest := 0
	for i, gr := range groups {
		order[gr.Name] = len(order)
		widest += gr.Width()
		for _, ratio := range ratios {
			p := uncut()
			p.Cuts[i].Drop = drop(i, ratio)
			jobs = append(jobs, job{Row{Group: gr.Name, Ratio: ratio, From: gr.Width(), To: gr.Width() - len(p.Cuts[i].Drop)}, p})
		}
	}
	for _, b := range Blocks(g) {
		order[b.Name] = len(order)
		p := uncut()
		p.Blocks = []string{b.Name}
		jobs = append(jobs, job{Row{Group: b.Name, Ratio: 1, From: 1}, p})
	}
	order[AllGroups] = len(order)
	for _, ratio := range ratios {
		p, left := uncut(), 0
		for i := range groups {
			p.Cuts[i].Drop = drop(i, ratio)
			left += groups[i].Width() - len(p.Cuts[i].Drop)
		}
		jobs = append(jobs, job{Row{Group: AllGroups, Ratio: ratio, From: widest, To: left}, p})
	}
	known := func(r Row) *Row {
		for i := range t.Rows {
			if o := &t.Rows[i]; o.Group == r.Group && o.From == r.From && o.To == r.To {
				return o
			}
		}
		return nil
	}
	// Coarse first, so that a table that was stopped says something of every group.
	rank := func(ratio float64) int { return slices.Index([]float64{1, .5, .9, .7, .3, .8, .2, .6, .4, .1}, ratio) }
	slices.SortStableFunc(jobs, func(a, b job) int { return cmp.Compare(rank(a.row.Ratio), rank(b.row.Ratio)) })

	jobs = slices.DeleteFunc(jobs, func(j job) bool { return j.row.To == j.row.From })
	type cut struct {
		group string
		to    int
	}
	left := map[cut]bool{}
	for i := range jobs {
		j := &jobs[i]
		if known(j.row) == nil {
			left[cut{j.row.Group, j.row.To}] = true
		}
		small, err := j.plan.Apply(g)
		if err != nil {
			return err
		}
		c, err := cost(small)
		if err != nil {
			return err
		}
		j.row.Params, j.row.GFLOP = c.Params-t.Cost.Params, c.GFLOP-t.Cost.GFLOP
		if clock != nil {
			j.row.Ms = c.Ms - t.Cost.Ms
		}
	}
	judged, all := 0, len(left)
	if t.Base == (Worth{}) {
		if t.Base, err = judge(ctx, g); err != nil {
			return err
		}
	}
	for _, j := range jobs {
		row := j.row
		if at := slices.IndexFunc(t.Rows, func(r Row) bool { return r.Group == row.Group && r.Ratio == row.Ratio }); at >= 0 {
			if clock != nil { // another than the rows are of, perhaps
				t.Rows[at].Ms = row.Ms
			}
			continue
		}
		if k := known(row); k != nil {
			row.Change = k.Change
		} else {
			small, err := j.plan.Apply(g)
			if err != nil {
				return err
			}
			w, err := judge(ctx, small)
			if err != nil {
				return err
			}
			row.Change = w.minus(t.Base)
			judged++
		}
		t.Rows = append(t.Rows, row)
		slices.SortFunc(t.Rows, func(a, b Row) int {
			return cmp.Or(cmp.Compare(order[a.Group], order[b.Group]), cmp.Compare(a.Ratio, b.Ratio))
		})
		if err := done(judged, all); err != nil {
			return err
		}
	}
	return ctx.Err()
}
