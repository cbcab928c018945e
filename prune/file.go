package prune

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"

	"ultrafast/graph"
)

// A File is a plan as it is written down, for a person to read and edit: how many channels
// each group keeps and which blocks leave, with what that saves and what it is thought to
// cost. Which channels leave follows from Order.
type File struct {
	Version string  `yaml:"ultrafast"` // "plan 1"
	Model   string  `yaml:"model"`     // the network's Fingerprint
	Target  string  `yaml:"target"`    // "latency=3ms"
	Width   int     `yaml:"width"`     // of the network's input
	Height  int     `yaml:"height"`
	Score   Score   `yaml:"score"`
	Guard   float64 `yaml:"guard,omitempty"` // share by which no group alone makes a loss grow
	// What the milliseconds are of, as the latency table says; "" and 0 where it does not, or there
	// is none.
	Machine   string            `yaml:"machine,omitempty"`
	Runtime   string            `yaml:"runtime,omitempty"`
	Precision string            `yaml:"precision,omitempty"`
	Threads   int               `yaml:"threads,omitempty"`
	Before    Estimate          `yaml:"before"` // the uncut network
	Estimate  Estimate          `yaml:"estimate"`
	Groups    []FileGroup       `yaml:"groups"`
	Blocks    []FileBlock       `yaml:"blocks,omitempty"`
	Order     map[string]string `yaml:"order"` // by group: its channels, numbers and spaces, in the order in which they leave

	remarks map[string]remark // what a person wrote into it as comments
	lines   map[string]int    // of width and height in what ReadFile has read; nil without it
}

// A FileGroup is what one group loses. Saves is what the network would cost more if the group
// kept all; MAP is the change that was measured of this cut alone, 0 without a table.
type FileGroup struct {
	Group string    `yaml:"group"`
	From  int       `yaml:"from"`
	To    int       `yaml:"to"`
	Kept  float64   `yaml:"kept,omitempty"` // share of the group's importance, by Score
	Saves FileSaves `yaml:"saves,flow"`
	MAP   float64   `yaml:"map50_95,omitempty"`
}

// FileSaves are differences of Costs.
type FileSaves struct {
	Params int     `yaml:"parameters"`
	GFLOP  float64 `yaml:"gflop"`
	Ms     float64 `yaml:"ms,omitempty"`
}

// A FileBlock is a block that can leave as a whole.
type FileBlock struct {
	Block  string    `yaml:"block"`
	Remove bool      `yaml:"remove"`
	Saves  FileSaves `yaml:"saves,flow"`
	MAP    float64   `yaml:"map50_95,omitempty"`
}

// Draft plans a cut as New does and writes it up. target is what the file calls it.
func Draft(g *graph.Graph, t Target, target string) (*File, error) {
	a, err := allocate(g, t)
	if err != nil {
		return nil, err
	}
	f := &File{Version: fileVersion, Model: g.Fingerprint(), Target: target, Width: a.Width, Height: a.Height,
		Score: cmp.Or(t.Score, L2), Order: map[string]string{}}
	if a.guard > 0 && !math.IsInf(a.guard, 1) {
		f.Guard = a.guard
	}
	plan := a.plan(a.state)
	for i, c := range plan.Cuts {
		f.Groups = append(f.Groups, FileGroup{Group: c.Group, From: c.From, To: c.From - len(c.Drop)})
		var order []string
		for _, c := range a.groups[i].order(a.scores[i], 1) {
			order = append(order, strconv.Itoa(c))
		}
		f.Order[c.Group] = strings.Join(order, " ")
	}
	for _, b := range a.blocks {
		f.Blocks = append(f.Blocks, FileBlock{Block: b.Name, Remove: slices.Contains(plan.Blocks, b.Name)})
	}
	return f, f.assess(a)
}

// Assess estimates again what the plan leaves, as after an edit. Of t the clock, the
// table and the evidence are used; without evidence for a Score that needs it, the groups'
// Kept is 0.
func (f *File) Assess(g *graph.Graph, t Target) error {
	if _, err := f.Plan(g); err != nil {
		return err
	}
	score := f.Score
	if score.NeedsEvidence() && t.Evidence == nil {
		score = L2
	}
	a, err := newAllocator(g, Target{Score: score, Evidence: t.Evidence, Width: f.Width, Height: f.Height, Clock: t.Clock, Table: t.Table})
	if err != nil {
		return err
	}
	if err := f.assess(a); err != nil {
		return err
	}
	if score != f.Score {
		for i := range f.Groups {
			f.Groups[i].Kept = 0
		}
	}
	return nil
}

// assess fills in what the file says of its groups and blocks, and the estimate.
func (f *File) assess(a *allocator) error {
	plan, err := f.cuts(a.groups)
	if err != nil {
		return err
	}
	f.Before, f.Estimate = Estimate{Cost: a.before}, Estimate{}
	f.Machine, f.Runtime, f.Precision, f.Threads = "", "", "", 0
	if l, ok := a.Clock.(*Latency); ok {
		f.Machine, f.Runtime, f.Precision, f.Threads = l.Machine, l.Runtime, l.Precision, l.Threads
	}
	if f.Estimate.Cost, err = a.cost(plan, true); err != nil {
		return err
	}
	if t := a.Table; t != nil {
		f.Before.MAP, f.Before.Size, f.Before.Pictures = t.Base.MAP, t.Size, t.Pictures
		if f.Estimate.Unmeasured = t.unmeasured(plan); f.Estimate.Unmeasured == 0 {
			f.Estimate.MAP, f.Estimate.Low, f.Estimate.High = t.predict(plan)
		}
		f.Estimate.Size, f.Estimate.Pictures = t.Size, t.Pictures
	}
	saves := func(edit func(p *Plan)) (FileSaves, error) {
		p := &Plan{Cuts: slices.Clone(plan.Cuts), Blocks: slices.Clone(plan.Blocks)}
		edit(p)
		c, err := a.cost(p, true)
		d := f.Estimate.Cost
		return FileSaves{c.Params - d.Params, round4(c.GFLOP - d.GFLOP), round4(c.Ms - d.Ms)}, err
	}
	for i := range f.Groups {
		fg := &f.Groups[i]
		all, left := 0.0, 0.0
		for c, s := range a.scores[i] {
			if all += s; !slices.Contains(plan.Cuts[i].Drop, c) {
				left += s
			}
		}
		fg.Kept, fg.MAP, fg.Saves = 1, 0, FileSaves{}
		if all > 0 {
			fg.Kept = round4(left / all)
		}
		if fg.From == fg.To {
			continue
		}
		if a.Table != nil {
			fg.MAP = round4(a.Table.curve(fg.Group, func(r Row) float64 { return r.Change.MAP }).at(float64(fg.From - fg.To)))
		}
		if fg.Saves, err = saves(func(p *Plan) { p.Cuts[i].Drop = nil }); err != nil {
			return err
		}
	}
	for i := range f.Blocks {
		fb := &f.Blocks[i]
		if a.Table != nil {
			for _, r := range a.Table.Rows {
				if r.Group == fb.Block && r.Ratio == 1 {
					fb.MAP = round4(r.Change.MAP)
				}
			}
		}
		with, err := saves(func(p *Plan) {
			p.Blocks = slices.DeleteFunc(p.Blocks, func(s string) bool { return s == fb.Block })
		})
		if err != nil {
			return err
		}
		if !fb.Remove { // what it would save
			with, err = saves(func(p *Plan) { p.Blocks = append(p.Blocks, fb.Block) })
			with = FileSaves{-with.Params, -with.GFLOP, -with.Ms}
		}
		if fb.Saves = with; err != nil {
			return err
		}
	}
	return nil
}

func round4(v float64) float64 { return math.Round(1e4*v) / 1e4 }

// Plan returns the plan of the file for g, for whose weights it must have been made. The
// error names the first group, block or other thing in which they differ, the line of an input
// size that g cannot take, or the node that an edited order leaves without channels.
func (f *File) Plan(g *graph.Graph) (*Plan, error) {
	groups, err := Groups(g)
	if err != nil {
		return nil, err
	}
	p, err := f.cuts(groups)
	if err != nil {
		return nil, err
	}
	if _, err := p.blocks(g); err != nil {
		return nil, err
	}
	if f.Model != g.Fingerprint() {
		return nil, errors.New("prune: the plan was made for another network: its groups are alike, its weights or other layers are not; make a plan for this one")
	}
	if err := f.checkSize(g); err != nil {
		return nil, err
	}
	_, _, _, err = p.on(g)
	return p, err
}

// checkSize refuses an input of which a level of g's head has no whole cells.
func (f *File) checkSize(g *graph.Graph) error {
	d := g.Detect()
	if d == nil {
		return nil
	}
	stride := slices.Max(d.Op.(*graph.Detect).Strides)
	for _, side := range []struct {
		key    string
		pixels int
	}{{"width", f.Width}, {"height", f.Height}} {
		if side.pixels%stride != 0 {
			where := "plan"
			if line := f.lines[side.key]; line > 0 {
				where = fmt.Sprintf("plan line %d", line)
			}
			return fmt.Errorf("%s: %s is %d, want a multiple of the model's stride %d", where, side.key, side.pixels, stride)
		}
	}
	return nil
}

// sizeLines finds the lines of width and height in a plan.
func sizeLines(text string) map[string]int {
	lines, at := map[string]int{}, 0
	for line := range strings.Lines(text) {
		at++
		if key, _, _ := strings.Cut(line, ":"); key == "width" || key == "height" {
			lines[key] = at
		}
	}
	return lines
}

// cuts turns the file into a plan for groups.
func (f *File) cuts(groups []*Group) (*Plan, error) {
	p := &Plan{}
	for i, fg := range f.Groups {
		if i >= len(groups) {
			break // check says so
		}
		if fg.Group != groups[i].Name || fg.From != groups[i].Width() {
			p.Cuts = append(p.Cuts, Cut{Group: fg.Group, From: fg.From})
			break // check says so
		}
		if fg.To < 1 || fg.To > fg.From {
			return nil, fmt.Errorf("plan: group %s keeps %d of %d: want 1 to %d", fg.Group, fg.To, fg.From, fg.From)
		}
		order := strings.Fields(f.Order[fg.Group])
		leave := fg.From - fg.To
		if leave > len(order) {
			return nil, fmt.Errorf("plan: group %s can keep no fewer than %d: its order lists %d channels that may leave", fg.Group, fg.From-len(order), len(order))
		}
		c := Cut{Group: fg.Group, From: fg.From, Drop: []int{}}
		for _, text := range order[:leave] {
			d, err := strconv.Atoi(text)
			if err != nil || d < 0 || d >= fg.From || slices.Contains(c.Drop, d) {
				return nil, fmt.Errorf("plan: the order of group %s has %.20q: want different channels below %d", fg.Group, text, fg.From)
			}
			c.Drop = append(c.Drop, d)
		}
		slices.Sort(c.Drop)
		p.Cuts = append(p.Cuts, c)
	}
	if err := p.check(groups); err != nil {
		return nil, err
	}
	if len(f.Groups) > len(groups) {
		return nil, fmt.Errorf("prune: there is no group %s here: the plan was made for another network", f.Groups[len(groups)].Group)
	}
	for _, b := range f.Blocks {
		if b.Remove {
			p.Blocks = append(p.Blocks, b.Block)
		}
	}
	return p, nil
}

const fileVersion = "plan 1"

const fileHelp = `# A plan for pruning. You may edit it:
#   to:      how many channels a group keeps. Those that leave are the first of its order.
#   remove:  true takes a whole block out, false keeps it.
# Then look what that comes to:      ultrafast plan check THIS --weights MODEL [--latency TABLE] [--table TABLE]
# and carry it out:                  ultrafast prune --plan THIS --weights MODEL --data DATA -o small.safetensors
# kept is the share of a group's importance that stays; saves is what the cut of this group
# alone saves in the small network; map50_95 is what this cut alone was measured to change.
# It fits one model, by the fingerprint of its weights.
`

const (
	guardHelp     = "# as it was planned, no group alone makes a loss grow by more than this share"
	machineHelp   = "# where the milliseconds were measured"
	precisionHelp = "# of the network whose milliseconds these are"
	orderHelp     = "# channels, those that leave first in front"
)

// WriteTo writes the file as YAML, with comments that say how to edit it, and with those that
// were in what ReadFile has read.
func (f *File) WriteTo(w io.Writer) (int64, error) {
	var b strings.Builder
	b.WriteString(fileHelp)
	flow := func(v any) string {
		text, err := yaml.MarshalWithOptions(v, yaml.Flow(true))
		if err != nil {
			panic(err) // plain structs
		}
		return strings.TrimSpace(string(text))
	}
	fmt.Fprintf(&b, "ultrafast: %s\nmodel: %q\ntarget: %q\nwidth: %d\nheight: %d\nscore: %s\n", f.Version, f.Model, f.Target, f.Width, f.Height, f.Score)
	if f.Guard > 0 {
		fmt.Fprintf(&b, "guard: %v %s\n", f.Guard, guardHelp)
	}
	if f.Machine != "" {
		fmt.Fprintf(&b, "machine: %q %s\n", f.Machine, machineHelp)
	}
	if f.Runtime != "" {
		fmt.Fprintf(&b, "runtime: %q\n", f.Runtime)
	}
	if f.Precision != "" {
		fmt.Fprintf(&b, "precision: %q %s\n", f.Precision, precisionHelp)
	}
	if f.Threads > 0 {
		fmt.Fprintf(&b, "threads: %d\n", f.Threads)
	}
	fmt.Fprintf(&b, "before: %s\nestimate: %s\ngroups:\n", flow(f.Before), flow(f.Estimate))
	for _, g := range f.Groups {
		fmt.Fprintf(&b, "  - %s\n", flow(g))
	}
	if len(f.Blocks) > 0 {
		b.WriteString("blocks:\n")
	}
	for _, k := range f.Blocks {
		fmt.Fprintf(&b, "  - %s\n", flow(k))
	}
	fmt.Fprintf(&b, "order: %s\n", orderHelp)
	for _, g := range f.Groups {
		fmt.Fprintf(&b, "  %q: %q\n", g.Group, f.Order[g.Group]) // 0x10 and ~ are names too
	}
	n, err := io.WriteString(w, withRemarks(b.String(), f.remarks))
	return int64(n), err
}

// Bounds of a plan: the library takes long over what is large or deep.
const (
	maxFile  = 1 << 20
	maxDepth = 200
)

// deep reports whether lists and maps lie in each other as they do in no plan.
func deep(text string) bool {
	open := 0
	for line := range strings.Lines(text) {
		content, _ := splitComment(line)
		count := func(s string) int { return strings.Count(content, s) }
		open = max(0, open+count("[")+count("{")-count("]")-count("}"))
		if max(open, count("-"), count("?")) > maxDepth {
			return true
		}
	}
	return false
}

// ReadFile reads a plan. The error names the line: what is no YAML, an unknown key, a value
// that is none. Whether it fits a network says Plan.
func ReadFile(r io.Reader) (f *File, err error) {
	defer func() { // a hostile file must not take the program down through a library
		if p := recover(); p != nil {
			f, err = nil, fmt.Errorf("plan: not readable as YAML: %v", p)
		}
	}()
	text, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("plan: more than %d bytes", maxFile)
	}
	if deep(string(text)) {
		return nil, errors.New("plan: lists and maps within each other, as in no plan")
	}
	if err := wholeNumbers(text); err != nil {
		return nil, err
	}
	f = &File{remarks: remarks(string(text)), lines: sizeLines(string(text))}
	if err := yaml.UnmarshalWithOptions(text, f, yaml.Strict()); err != nil {
		var y yaml.Error
		if errors.As(err, &y) && y.GetToken() != nil {
			return nil, fmt.Errorf("plan line %d: %.120s", y.GetToken().Position.Line, y.GetMessage())
		}
		return nil, fmt.Errorf("plan: %.120s", err)
	}
	switch {
	case f.Version != fileVersion:
		return nil, fmt.Errorf("plan: begins with ultrafast: %.20q, want %q", f.Version, fileVersion)
	case f.Estimate.Size < 0 || f.Estimate.Size > 1<<14 || f.Estimate.Pictures < 0:
		return nil, fmt.Errorf("plan: an estimate for %d pictures of %d pixels", f.Estimate.Pictures, f.Estimate.Size)
	case f.Threads < 0 || f.Threads > maxThreads:
		return nil, fmt.Errorf("plan: threads: %d: want 1 to %d", f.Threads, maxThreads)
	case f.Width < 1 || f.Height < 1 || f.Width > 1<<14 || f.Height > 1<<14:
		return nil, fmt.Errorf("plan: input of %d x %d pixels", f.Width, f.Height)
	}
	return f, nil
}
