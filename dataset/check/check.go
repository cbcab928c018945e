// Package check looks through a data set for what makes training fail or its numbers lie:
// bad files and labels, duplicates and leaks between the splits, classes without examples,
// boxes too small to be seen.
package check

import (
	"context"
	"slices"
	"sync"

	"ultrafast/dataset"
	"ultrafast/picture"
)

// Options says how to look.
type Options struct {
	Width, Height int // the network's input, for the sizes of boxes

	Context  context.Context                    // stops the check; nil never does
	Progress func(what string, done, steps int) // told how far it is; nil is silent
}

// A Report is what was found.
type Report struct {
	Data     string    `json:"data"` // what was recognised
	Names    []string  `json:"names"`
	Width    int       `json:"width"`
	Height   int       `json:"height"`
	Splits   []Split   `json:"splits"`
	Findings []Finding `json:"findings"` // what is an error first
}

// A Split is what one split holds that can be used.
type Split struct {
	Name        string `json:"name"`
	From        string `json:"from"`
	Pictures    int    `json:"pictures"`
	Skipped     int    `json:"skipped"` // pictures that are left out
	Backgrounds int    `json:"backgrounds"`
	Boxes       []int  `json:"boxes"` // by class
}

// A Finding is one sort of thing that is wrong.
type Finding struct {
	Error    bool     `json:"error"` // training fails, or leaves pictures out
	What     string   `json:"what"`
	Count    int      `json:"count"`
	Advice   string   `json:"advice"`
	Examples []string `json:"examples"` // all of them, with path and line
}

// Failed reports whether something is an error and not only odd.
func (r *Report) Failed() bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Error })
}

// A check is one at work.
type check struct {
	o      Options
	data   *dataset.Data
	splits []split
	report *Report

	mu    sync.Mutex
	looks map[string]look // by path
}

type split struct {
	name  string
	items []dataset.Item
}

// Run reads a data set, every picture of it, and reports. An error means that it could not
// even be recognised.
func Run(path string, o Options) (*Report, error) {
	c := &check{o: o, looks: make(map[string]look)}
	var err error
	c.data, err = dataset.Open(path, dataset.OpenOptions{Whole: true, Context: o.Context, Progress: o.Progress,
		Look: func(_, path string, file []byte, p *picture.RGB) {
			l := newLook(file, p)
			c.mu.Lock()
			c.looks[path] = l
			c.mu.Unlock()
		}})
	if err != nil {
		return nil, err
	}
	d := c.data
	for _, s := range []split{{"train", d.Train}, {"val", d.Val}, {"test", d.Test}} {
		if _, ok := d.From[s.name]; ok {
			c.splits = append(c.splits, s)
		}
	}
	c.report = &Report{Data: d.Describe(), Names: d.Names, Width: o.Width, Height: o.Height, Findings: []Finding{}}
	c.count()
	c.files()
	c.labels()
	if err := c.duplicates(); err != nil {
		return nil, err
	}
	c.classes()
	c.sizes()
	slices.SortStableFunc(c.report.Findings, func(a, b Finding) int {
		switch {
		case a.Error == b.Error:
			return 0
		case a.Error:
			return -1
		}
		return 1
	})
	return c.report, nil
}

// find adds a finding if there are examples of it.
func (c *check) find(isError bool, what, advice string, examples []string) {
	if len(examples) > 0 {
		c.report.Findings = append(c.report.Findings, Finding{isError, what, len(examples), advice, examples})
	}
}

func (c *check) count() {
	for _, s := range c.splits {
		n := c.data.Count(s.items)
		out := Split{Name: s.name, From: c.data.From[s.name], Pictures: n.Pictures, Backgrounds: n.Backgrounds, Boxes: n.Boxes}
		seen := make(map[string]bool)
		for _, p := range c.data.Problems {
			if p.Split == s.name && p.Picture != "" && !seen[p.Picture] {
				seen[p.Picture] = true
				out.Skipped++
			}
		}
		c.report.Splits = append(c.report.Splits, out)
	}
}

// files reports what reading found: what is left out, and what is odd.
func (c *check) files() {
	for _, name := range []string{"train", "val"} {
		if _, ok := c.data.From[name]; !ok {
			c.find(true, "there is no "+name, "training needs pictures to learn from and others to be measured on: give both, by folders or lists named train and val", []string{c.data.Describe()})
		}
	}
	for _, k := range []struct {
		kind    dataset.Kind
		isError bool
		advice  string
	}{
		{dataset.BadSplit, true, "see where its pictures and labels are looked for"},
		{dataset.Missing, true, "training leaves these out: bring them back, or take them off the list"},
		{dataset.Corrupt, true, "training leaves these out: fetch them again, scale down what is too large, or delete them"},
		{dataset.Unfit, true, "training leaves these out: delete them"},
		{dataset.Malformed, true, "training leaves the pictures out: mend the rows"},
		{dataset.WrongClass, true, "training leaves the pictures out: mend the rows, or the names of the classes"},
		{dataset.Outside, true, "training leaves the pictures out: a YOLO label has fractions of the picture, 0..1"},
		{dataset.NoLabel, false, "they count as background: right if nothing is in them"},
		{dataset.ZeroArea, false, "nothing can be learnt from them: delete the rows"},
		{dataset.Stray, false, "they are not used: are pictures missing in the file?"},
		{dataset.DuplicateRow, false, "each box counts once: delete the rows"},
	} {
		var examples []string
		for _, list := range [][]dataset.Problem{c.data.Problems, c.data.Notes} {
			for _, p := range list {
				if p.Kind == k.kind {
					examples = append(examples, p.String())
				}
			}
		}
		c.find(k.isError, string(k.kind), k.advice, examples)
	}
}
