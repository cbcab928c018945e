package prune

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"ultrafast/graph"
)

// A Plan says which channels leave. It has one Cut for every group of the network it was
// made for, in the order of Groups, also for those that lose nothing.
type Plan struct {
	Cuts []Cut `json:"cuts" yaml:"cuts"`
}

// A Cut is what one group loses.
type Cut struct {
	Group string `json:"group" yaml:"group"`    // its first convolution: "model.4.cv1.conv"
	From  int    `json:"from" yaml:"from"`      // channels before
	Drop  []int  `json:"drop" yaml:"drop,flow"` // channels that leave, ascending
}

// A Target says how much to cut.
type Target struct {
	Keep  float64 // share of the parameters that may stay, above 0 and at most 1
	Floor int     // channels that every group keeps at least; 0 means a tenth, and at least 4
	Round int     // what a group keeps is rounded up to a multiple of it; 0 means 1
	Score Score

	Evidence *Evidence // for a Score that needs it: of this network
}

// New plans a cut of whole channels, those with the lowest score per parameter that goes
// with them first (the greedy knapsack: the most importance kept for the parameters that
// may stay), until Keep is met: it stops at the first channel with which graph.ParamCount is no
// more than Keep of what it was. A group narrower than its floor keeps all; none grows by
// rounding. Equal networks and targets give equal plans. Where the floors stop it short,
// the error tells the smallest share that can be reached.
func New(g *graph.Graph, t Target) (*Plan, error) {
	if !(t.Keep > 0 && t.Keep <= 1) {
		return nil, fmt.Errorf("prune: keep is %v, want a share above 0 and at most 1", t.Keep)
	}
	if t.Floor < 0 || t.Round < 0 {
		return nil, fmt.Errorf("prune: floor %d and round %d must not be negative", t.Floor, t.Round)
	}
	if err := checkData(g); err != nil {
		return nil, err
	}
	f, err := trace(g)
	if err != nil {
		return nil, err
	}
	groups := f.groups()
	f.fill(groups)
	scores, err := Scores(groups, t.Score, t.Evidence)
	if err != nil {
		return nil, err
	}

	// Within a group the order of leaving is settled, so a cut of the network is one
	// number: how many steps of one merged list are taken.
	type step struct {
		group int
		score float64
	}
	var steps []step
	orders := make([][]int, len(groups))
	for i, gr := range groups {
		orders[i] = gr.order(scores[i], t.floor(gr.Width()))
		for _, c := range orders[i] {
			steps = append(steps, step{i, scores[i][c] / gr.Channels[c].cost()})
		}
	}
	slices.SortStableFunc(steps, func(a, b step) int {
		switch {
		case a.score < b.score:
			return -1
		case a.score > b.score:
			return 1
		}
		return 0
	})
	plan := func(taken int) *Plan {
		out := make([]int, len(groups))
		for _, s := range steps[:taken] {
			out[s.group]++
		}
		p := &Plan{Cuts: make([]Cut, len(groups))}
		for i, gr := range groups {
			drop := append([]int{}, orders[i][:t.round(gr.Width(), out[i])]...)
			slices.Sort(drop)
			p.Cuts[i] = Cut{gr.Name, gr.Width(), drop}
		}
		return p
	}
	before := g.ParamCount()
	share := func(taken int) float64 {
		return float64(f.paramCount(f.gone(groups, plan(taken)))) / float64(before)
	}

	low, high := 0, len(steps) // share falls as steps are taken
	if least := share(high); least > t.Keep {
		return nil, fmt.Errorf("prune: keep %.4g is out of reach: the least that the floors allow is %.4f of the parameters", t.Keep, math.Ceil(least*1e4)/1e4)
	}
	for low < high {
		mid := (low + high) / 2
		if share(mid) <= t.Keep {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return plan(high), nil
}

// cost is the number of parameters that leave with the channel, as long as no other does.
func (c Channel) cost() float64 {
	sum := 0
	for _, m := range c.Members {
		sum += m.Tensor.Len() / m.Tensor.Shape[m.Axis]
	}
	return float64(sum)
}

// checkData tells a network from the mere description of one.
func checkData(g *graph.Graph) error {
	for _, p := range g.Params() {
		if p.Tensor().Data == nil {
			return fmt.Errorf("prune: %s has no numbers: load weights first", p.Name)
		}
	}
	return nil
}

func (t Target) floor(width int) int {
	floor := t.Floor
	if floor == 0 {
		floor = max(4, (width+9)/10)
	}
	return min(width, floor)
}

// round says how many of the channels that would leave really do.
func (t Target) round(width, leave int) int {
	m := max(1, t.Round)
	return width - min(width, (width-leave+m-1)/m*m)
}

// order lists channels by ascending score, as many as can leave one after the other with
// floor channels left in the group and one in every span.
func (g *Group) order(score []float64, floor int) []int {
	all := make([]int, g.Width())
	for c := range all {
		all[c] = c
	}
	slices.SortStableFunc(all, func(a, b int) int {
		switch {
		case score[a] < score[b]:
			return -1
		case score[a] > score[b]:
			return 1
		}
		return 0
	})
	in := make([][]int, g.Width()) // by channel: the spans it is in
	left := make([]int, len(g.spans))
	for s, span := range g.spans {
		left[s] = len(span)
		for _, c := range span {
			in[c] = append(in[c], s)
		}
	}
	var order []int
	for _, c := range all {
		if g.Width()-len(order) <= floor {
			break
		}
		if slices.ContainsFunc(in[c], func(s int) bool { return left[s] == 1 }) {
			continue
		}
		for _, s := range in[c] {
			left[s]--
		}
		order = append(order, c)
	}
	return order
}

// String is a table for people: every group, what it has and what it keeps.
func (p *Plan) String() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "before\tafter\tkept\t group\n")
	before, after := 0, 0
	row := func(name string, from, to int) {
		fmt.Fprintf(w, "%d\t%d\t%.0f %%\t %s\n", from, to, 100*float64(to)/float64(max(1, from)), name)
	}
	for _, c := range p.Cuts {
		to := c.From - len(c.Drop)
		row(c.Group, c.From, to)
		before += c.From
		after += to
	}
	row("all channels", before, after)
	w.Flush()
	return b.String()
}
