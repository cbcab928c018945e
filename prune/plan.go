package prune

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"ultrafast/graph"
)

// A Plan says which channels leave. It has one Cut for every group of the network it was
// made for, in the order of Groups, also for those that lose nothing.
type Plan struct {
	Cuts   []Cut    `json:"cuts"`
	Blocks []string `json:"blocks,omitempty"` // those of Blocks that leave as a whole
}

// A Cut is what one group loses.
type Cut struct {
	Group string `json:"group"` // its first convolution: "model.4.cv1.conv"
	From  int    `json:"from"`  // channels before
	Drop  []int  `json:"drop"`  // channels that leave, ascending
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
	if len(p.Blocks) > 0 {
		fmt.Fprintf(&b, "blocks that leave: %s\n", strings.Join(p.Blocks, ", "))
	}
	return b.String()
}
