package report

import (
	"fmt"
	"slices"
)

// A table has a row for each thing and a column for each number of it.
type table struct {
	Caption string
	Head    []string
	Rows    []row
	More    int  // rows that are only in report.json
	Folded  bool // shown when asked for
}

type row struct {
	Head  string
	Cells []cell
	Class string
}

// A cell has a text, or bars, or both.
type cell struct {
	Text, Class string
	Bars        []bar
}

// A bar is a part of a cell's width, in percent.
type bar struct {
	Class       string
	Y, Width, H float64
}

// Left tells whether column i begins at the left: words and bars.
func (t table) Left(i int) bool {
	if i == 0 || len(t.Rows) == 0 || i > len(t.Rows[len(t.Rows)-1].Cells) {
		return false
	}
	class := t.Rows[len(t.Rows)-1].Cells[i-1].Class
	return class == "text" || class == "bars"
}

// add appends a row, or counts it where the table is long enough.
func (t *table) add(head string, cells ...cell) {
	if len(t.Rows) >= maxRows {
		t.More++
		return
	}
	t.Rows = append(t.Rows, row{Head: clip(head, maxName), Cells: cells})
}

// known leaves out the columns in which nothing is known.
func (t table) known() table {
	for i := len(t.Head) - 1; i > 0; i-- {
		some := false
		for _, r := range t.Rows {
			c := r.Cells[i-1]
			some = some || c.Bars != nil || c.Text != "" && c.Text != unknown
		}
		if !some {
			t.Head = slices.Delete(t.Head, i, i+1)
			for k := range t.Rows {
				t.Rows[k].Cells = slices.Delete(t.Rows[k].Cells, i-1, i)
			}
		}
	}
	return t
}

// accuracyTables are average precision by size of the boxes and by class.
func (c *Compression) accuracyTables() section {
	s := section{ID: PartAccuracy, Title: "By size and by class"}
	var models []Model
	for _, m := range c.shown() {
		if m.Accuracy != nil {
			models = append(models, m)
		}
	}
	if len(models) == 0 {
		s.Missing = []string{c.missing(PartAccuracy, "No model was validated.")}
		return s
	}
	s.Text = "Average precision at IoU 0.5, and behind the stroke over IoU 0.5 to 0.95."
	bySize := table{Caption: "By size: small is below 32 pixels of the picture, large 96 and more, by the root of the area", Head: []string{"", "labels"}}
	byClass := table{Caption: "By class", Head: []string{"", "labels"}}
	for _, m := range models {
		bySize.Head, byClass.Head = append(bySize.Head, clip(m.Name, maxName)), append(byClass.Head, clip(m.Name, maxName))
	}
	both := func(a, b Number) cell { return cell{Text: rate(a) + " / " + rate(b)} }
	for _, of := range models[0].Accuracy.Sizes {
		cells := []cell{{Text: thousands(int64(of.Labels))}}
		for _, m := range models {
			found := both(Unknown(), Unknown())
			for _, v := range m.Accuracy.Sizes {
				if v.Size == of.Size {
					found = both(v.MAP50, v.MAP5095)
				}
			}
			cells = append(cells, found)
		}
		bySize.add(of.Size, cells...)
	}
	for _, of := range models[0].Accuracy.Classes {
		cells := []cell{{Text: thousands(int64(of.Labels))}}
		for _, m := range models {
			found := both(Unknown(), Unknown())
			for _, v := range m.Accuracy.Classes {
				if v.Class == of.Class {
					found = both(v.AP50, v.AP5095)
				}
			}
			cells = append(cells, found)
		}
		byClass.add(of.Name, cells...)
	}
	byClass.Folded = len(byClass.Rows) > 20
	for _, t := range []table{bySize, byClass} {
		if len(t.Rows) > 0 {
			s.Tables = append(s.Tables, t)
		}
	}
	return s
}

// plan is the network's outline before and after, and the groups in its order.
func (c *Compression) plan() section {
	s := section{ID: PartPlan, Title: "What was cut, layer by layer"}
	if len(c.Plan) == 0 {
		s.Missing = []string{c.missing(PartPlan, "There is no plan: no channels were cut.")}
		return s
	}
	s.Text = "Channels in network order: outlined the parent, solid what the pruned network has of them."
	s.Charts = []chart{c.outline()}
	t := table{Caption: "Groups of channels", Head: []string{"group", "kept and cut", "before", "after", "kept", "ms saved", "change of mAP50-95, alone"}, Folded: len(c.Plan) > 20}
	for _, p := range c.Plan {
		from, to := max(p.From, 0), min(max(p.To, 0), max(p.From, 0))
		kept, share := cell{Text: unknown}, 0.0
		if from > 0 {
			share = tenth(100 * float64(to) / float64(from))
			kept.Text = fmt.Sprintf("%.0f %%", share)
		}
		t.add(p.Group,
			cell{Class: "bars", Bars: []bar{{"gone", 2, 100, 8}, {"kept", 2, share, 8}}},
			cell{Text: thousands(int64(p.From))}, cell{Text: thousands(int64(p.To))}, kept, cell{Text: digits(p.Saved)}, cell{Text: signed(-p.Cost, "%.4f")})
	}
	s.Tables = []table{t.known()}
	return s
}

// layers is where the time goes.
func (c *Compression) layers() section {
	s := section{ID: PartLayers, Title: "Where the time goes"}
	if len(c.Layers.Rows) == 0 {
		s.Missing = []string{c.missing(PartLayers, "Layers were not timed one by one.")}
		return s
	}
	s.Text = fmt.Sprintf("Milliseconds of each layer, %s: outlined the parent, solid the result.", timed{c.Layers.Runtime, c.Layers.Threads, c.Layers.Precision})
	var parent, child, slowest Number
	for _, l := range c.Layers.Rows {
		for _, v := range []Number{positive(l.Parent), positive(l.Child)} {
			if v > slowest {
				slowest = v
			}
		}
		if l.Parent.Known() {
			parent += l.Parent
		}
		if l.Child.Known() {
			child += l.Child
		}
	}
	t := table{Caption: "Layers in network order", Head: []string{"layer", "time", "parent ms", "result ms", "faster", "kernel of the parent", "kernel of the result"}, Folded: len(c.Layers.Rows) > 20}
	width := func(v Number) float64 {
		if v = positive(v); !v.Known() {
			return 0
		}
		return tenth(float64(100 * v / slowest))
	}
	t.add("all", cell{}, cell{Text: digits(parent)}, cell{Text: digits(child)}, cell{Text: times(parent, child)}, cell{}, cell{})
	for _, l := range c.Layers.Rows {
		t.add(l.Name,
			cell{Class: "bars", Bars: []bar{{"before", 0, width(l.Parent), 5}, {"after", 7, width(l.Child), 5}}},
			cell{Text: digits(l.Parent)}, cell{Text: digits(l.Child)}, cell{Text: times(l.Parent, l.Child)},
			cell{Text: clip(l.ParentKernel, maxName), Class: "text"}, cell{Text: clip(l.ChildKernel, maxName), Class: "text"})
	}
	s.Tables = []table{t.known()}
	s.Charts = []chart{c.layerChart()}
	return s
}
