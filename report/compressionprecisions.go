package report

import (
	"fmt"
	"slices"
	"strings"
)

// precisions is the table of what numbers of fewer bits cost and save.
func (c *Compression) precisions() section {
	s := section{ID: PartPrecisions, Title: "Fewer bits"}
	if len(c.Precisions) == 0 {
		s.Missing = []string{c.missing(PartPrecisions, "The result was measured in one precision alone.")}
		return s
	}
	s.Text = c.Int8.text()
	rows := c.Precisions[:min(len(c.Precisions), maxModels)]
	parent, kinds := rows[0], clocks(rows)
	before := (&Model{Accuracy: parent.Accuracy}).accuracy(map5095)
	t := table{Caption: "Parent and result by precision. Times are medians in milliseconds; faster is the engine than ONNX Runtime with the parent, with as many threads.",
		Head: []string{"", "file", "mAP50", "mAP50-95", "points, against the parent"}}
	for _, k := range kinds {
		t.Head = append(t.Head, k.String()+", ms")
	}
	for _, threads := range peers(parent) {
		t.Head = append(t.Head, "faster, "+inThreads(threads))
	}
	for _, v := range rows {
		m := Model{Accuracy: v.Accuracy, Times: v.Times}
		found := m.accuracy(map5095)
		cells := []cell{{Text: inBytes(v.Bytes)}, {Text: rate(m.accuracy(func(a *Accuracy) Number { return a.MAP50 }))}, {Text: rate(found)},
			{Text: signed(100*(found-before), "%.2f")}}
		for _, k := range kinds {
			cells = append(cells, cell{Text: digits(v.clocked(k))})
		}
		for _, threads := range peers(parent) {
			cells = append(cells, cell{Text: times(parent.clocked(timed{runtime: ONNXRuntime, threads: threads}), v.clocked(timed{runtime: Native, threads: threads})), Class: "change"})
		}
		t.add(v.Name+", "+v.Precision, cells...)
		if v.Missing != "" {
			s.Missing = append(s.Missing, clip(fmt.Sprintf("%s, %s: %s.", v.Name, v.Precision, strings.TrimSuffix(v.Missing, ".")), maxText))
		}
	}
	s.Tables = []table{t}
	return s
}

// clocked is the time of a variant in a runtime with that many threads, in its own precision.
func (v Variant) clocked(k timed) Number {
	k.precision = v.Precision
	return (&Model{Times: v.Times}).time(k)
}

// clocks are the runtimes and numbers of threads that any variant was timed in, precision aside.
func clocks(rows []Variant) []timed {
	var kinds []timed
	for _, v := range rows {
		for _, t := range v.Times {
			k := timed{runtime: t.Runtime, threads: t.Threads}
			if v.clocked(k).Known() && !slices.Contains(kinds, k) && len(kinds) < maxClocks {
				kinds = append(kinds, k)
			}
		}
	}
	return kinds
}

// peers are the numbers of threads that the parent was timed with in ONNX Runtime.
func peers(parent Variant) []int {
	var threads []int
	for _, k := range clocks([]Variant{parent}) {
		if k.runtime == ONNXRuntime {
			threads = append(threads, k.threads)
		}
	}
	return threads
}

// Bounds of the columns of times, and of the layers that the text names.
const (
	maxClocks = 12
	maxFloat  = 12
)

// text says what 8 bits cost, whether they were trained, and what is not in them.
func (q *Int8) text() string {
	if q == nil {
		return ""
	}
	best := q.Calibrated
	if q.Trained > best {
		best = q.Trained
	}
	text := fmt.Sprintf("In 8 bits mAP50-95 went from %s to %s (%s points).", rate(q.Child), rate(best), signed(100*(best-q.Child), "%.2f"))
	text += fmt.Sprintf(" The ranges of its values were measured on %s training pictures, by %s.", count(q.Pictures), clip(q.Method, maxName))
	switch {
	case q.Trained.Known() && q.Trained > q.Calibrated:
		text += fmt.Sprintf(" With these it reached %s; %s epochs of training in 8 bits, with itself in fp32 as teacher, brought the rest.", rate(q.Calibrated), count(q.Epochs))
	case q.Trained.Known():
		text += fmt.Sprintf(" %s epochs of training in 8 bits reached %s, which is no more, and are not used.", count(q.Epochs), rate(q.Trained))
	case q.Why != "":
		text += fmt.Sprintf(" It was not trained in them: %s.", clip(strings.TrimSuffix(q.Why, "."), maxText/2))
	}
	if n := len(q.Float); n > 0 {
		names := clipAll(q.Float[:min(n, maxFloat)])
		text += " In float stay " + strings.Join(names, ", ")
		if n > maxFloat {
			text += fmt.Sprintf(" and %d more", n-maxFloat)
		}
		text += "."
	}
	return clip(text, 2*maxText)
}
