package report

import (
	"fmt"
	"html/template"
	"maps"
	"slices"
)

func newPage(c *Compression) page {
	p := page{Title: clip(c.Title, maxText), Verdict: clip(c.Verdict, maxText), CSS: template.CSS(pageCSS),
		Facts: c.facts(), Figures: c.bigFigures(), Notes: clipAll(c.Notes)}
	if p.Title == "" {
		p.Title = "A compression"
	}
	if parent, result := c.find(Parent), c.result(); parent != nil && result != nil {
		p.Compared = fmt.Sprintf("%s (%s) to %s (%s)", clip(parent.Name, maxName), roleOf(*parent), clip(result.Name, maxName), roleOf(*result))
	}
	p.Sections = []section{c.beforeAfter(), c.precisions(), c.accuracyTables(), c.comparison(), c.rounds(), c.plan(), c.layers(), c.learning(), c.examples(), c.commands()}
	return p
}

// facts are what every number of the page depends on.
func (c *Compression) facts() []string {
	var f []string
	if c.Input.Width > 0 && c.Input.Height > 0 {
		f = append(f, fmt.Sprintf("times at an input of %d × %d", c.Input.Width, c.Input.Height))
	}
	if s := c.Input.Validated; s > 0 {
		f = append(f, fmt.Sprintf("accuracy on squares of %d", s))
	}
	if t := c.Target; t.Limits != "" {
		said := func(kept bool) string {
			if kept {
				return "kept"
			}
			return "not kept"
		}
		f = append(f, fmt.Sprintf("target %s: %s; at most %v points of mAP50-95 lost: %s", clip(t.Limits, maxName), said(t.Reached), t.MaxDrop, said(t.Within)))
	}
	if c.Data.File != "" {
		f = append(f, fmt.Sprintf("%s: %s pictures to train on, %s to validate, %s classes", clip(c.Data.File, maxName), count(c.Data.Train), count(c.Data.Val), count(len(c.Data.Classes))))
	}
	if c.Machine.Processor != "" {
		f = append(f, fmt.Sprintf("%s, %s cores", clip(c.Machine.Processor, maxName), count(c.Machine.Cores)))
	}
	if c.Created != "" {
		f = append(f, clip(c.Created, maxName))
	}
	return f
}

// missing is why a part is not there: as the compression says, or else as stands here.
func (c *Compression) missing(part, otherwise string) string {
	if why := c.Missing[part]; why != "" {
		return clip(why, maxText)
	}
	return otherwise
}

func (c *Compression) shown() []Model { return c.Models[:min(len(c.Models), maxModels)] }

// roleOf is how the page calls a model.
func roleOf(m Model) string {
	role := clip(m.Role, maxName)
	if m.HandedOut {
		role += ", handed out"
	}
	return role
}

// beforeAfter is the table of whole networks, a measure to a row.
func (c *Compression) beforeAfter() section {
	s := section{ID: "models", Title: "Before and after"}
	if len(c.Models) == 0 {
		s.Missing = []string{"No model was measured."}
		return s
	}
	models, parent, result := c.shown(), c.find(Parent), c.result()
	t := table{Caption: "The networks. Times are medians of a picture through the network, in milliseconds; behind them the quartiles.", Head: []string{""}}
	roles := row{Head: "role"}
	for _, m := range models {
		t.Head = append(t.Head, clip(m.Name, maxName))
		roles.Cells = append(roles.Cells, cell{Text: roleOf(m)})
	}
	t.Head = append(t.Head, "parent to result")
	roles.Cells = append(roles.Cells, cell{})
	t.Rows = append(t.Rows, roles)
	add := func(head string, of func(m *Model) (Number, string), change func(before, after Number) string) {
		r, some := row{Head: head}, false
		for i := range models {
			v, text := of(&models[i])
			some = some || v.Known()
			r.Cells = append(r.Cells, cell{Text: text})
		}
		if !some {
			return
		}
		ratio := unknown
		if parent != nil && result != nil {
			before, _ := of(parent)
			after, _ := of(result)
			ratio = change(before, after)
		}
		r.Cells = append(r.Cells, cell{Text: ratio, Class: "change"})
		t.Rows = append(t.Rows, r)
	}
	add("file", func(m *Model) (Number, string) { return positive(m.Bytes), inBytes(m.Bytes) }, times)
	add("parameters", func(m *Model) (Number, string) { return positive(m.Parameters), count(m.Parameters) }, times)
	add("GFLOP", func(m *Model) (Number, string) { return positive(m.GFLOP), digits(positive(m.GFLOP)) }, times)
	for _, kind := range c.timings() {
		add(kind.String()+", ms", func(m *Model) (Number, string) { return m.time(kind), m.timeText(kind) }, times)
	}
	points := func(before, after Number) string { return signed(100*(after-before), "%.1f points") }
	for _, measure := range []struct {
		name string
		of   func(*Accuracy) Number
	}{
		{"mAP50", func(a *Accuracy) Number { return a.MAP50 }},
		{"mAP50-95", map5095},
		{"precision", func(a *Accuracy) Number { return a.Precision }},
		{"recall", func(a *Accuracy) Number { return a.Recall }},
	} {
		add(measure.name, func(m *Model) (Number, string) { v := m.accuracy(measure.of); return v, rate(v) }, points)
	}
	files := row{Head: "kept as"}
	for _, m := range models {
		files.Cells = append(files.Cells, cell{Text: clip(m.File, maxName), Class: "file"})
	}
	files.Cells = append(files.Cells, cell{})
	t.Rows = append(t.Rows, files)
	s.Tables = []table{t}
	s.Missing = c.missingMeasures()
	return s
}

// missingMeasures says what the table of networks would like to have.
func (c *Compression) missingMeasures() []string {
	var lines []string
	kinds := c.timings()
	if len(kinds) == 0 {
		lines = append(lines, c.missing(PartTimes, "No times were measured."))
	} else if !slices.ContainsFunc(kinds, func(t timed) bool { return t.runtime != kinds[0].runtime }) {
		lines = append(lines, c.missing(PartRuntime, "No other runtime was measured beside this one."))
	}
	if c.find(Control) == nil {
		lines = append(lines, c.missing(PartControls, "No control was trained: what the cutting was worth, beside training a small network as long, is not known."))
	}
	return lines
}

// timings are the kinds of time that any model has.
func (c *Compression) timings() []timed {
	var kinds []timed
	for _, m := range c.shown() {
		for _, t := range m.Times {
			if !slices.Contains(kinds, t.as()) && positive(t.Milliseconds).Known() && len(kinds) < maxLines {
				kinds = append(kinds, t.as())
			}
		}
	}
	return kinds
}

// timeText is the model's time of that kind, with its quartiles where they are known.
func (m *Model) timeText(kind timed) string {
	text := digits(m.time(kind))
	for _, t := range m.Times {
		if t.as() == kind && positive(t.Q1).Known() && positive(t.Q3).Known() {
			return text + " (" + digits(t.Q1) + " to " + digits(t.Q3) + ")"
		}
	}
	return text
}

// commands are what makes it again, and with what it was made.
func (c *Compression) commands() section {
	s := section{ID: PartCommands, Title: "How it was made", Commands: clipAll(c.Commands)}
	if len(s.Commands) == 0 {
		s.Missing = []string{c.missing(PartCommands, "The commands were not kept.")}
	}
	t := table{Caption: "With what", Head: []string{"", "version"}}
	for _, name := range slices.Sorted(maps.Keys(c.Machine.Versions)) {
		t.add(name, cell{Text: clip(c.Machine.Versions[name], maxName), Class: "text"})
	}
	if c.Machine.System != "" {
		t.add("system", cell{Text: clip(c.Machine.System, maxName), Class: "text"})
	}
	if len(t.Rows) > 0 {
		s.Tables = []table{t}
	}
	return s
}
