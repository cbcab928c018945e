package prune

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"ultrafast/graph"
	"ultrafast/tensor"
)

// A Clock says how many milliseconds a network takes for one picture of w by h pixels. Its
// tensors may have no data.
type Clock interface {
	Ms(g *graph.Graph, w, h int) (float64, error)
}

// A Cost is what a network costs for one picture.
type Cost struct {
	Params int     `json:"parameters" yaml:"parameters"`
	Bytes  int64   `json:"bytes" yaml:"bytes"`               // of all tensors in fp32, as a checkpoint has them
	GFLOP  float64 `json:"gflop" yaml:"gflop"`               // of convolutions, two per multiply-accumulate
	Ms     float64 `json:"ms,omitempty" yaml:"ms,omitempty"` // 0 without a Clock
}

// CostOf returns what g costs for a picture of w by h pixels; clock may be nil.
func CostOf(g *graph.Graph, clock Clock, w, h int) (Cost, error) {
	c := Cost{Params: g.ParamCount()}
	var err error
	if c.GFLOP, err = g.GFLOP(w, h); err != nil {
		return Cost{}, err
	}
	for _, p := range g.Params() {
		c.Bytes += 4 * int64(p.Tensor().Len())
	}
	if clock != nil {
		c.Ms, err = clock.Ms(g, w, h)
	}
	return c, err
}

// description is a graph's structure without its numbers.
func description(g *graph.Graph) *graph.Graph {
	d := g.Clone()
	for _, p := range d.Params() {
		*p.At = &tensor.Tensor{Shape: p.Tensor().Shape}
	}
	return d
}

// A Quantity is one number of a Cost.
type Quantity string

const (
	Parameters   Quantity = "params"
	Bytes        Quantity = "size"
	Operations   Quantity = "flops"
	Milliseconds Quantity = "latency"
)

// Of returns the quantity: a number, bytes, FLOP or milliseconds.
func (q Quantity) Of(c Cost) float64 {
	switch q {
	case Parameters:
		return float64(c.Params)
	case Bytes:
		return float64(c.Bytes)
	case Operations:
		return 1e9 * c.GFLOP
	}
	return c.Ms
}

// Format writes a value of the quantity for people.
func (q Quantity) Format(v float64) string {
	switch q {
	case Parameters:
		return fmt.Sprintf("%.0f parameters", v)
	case Bytes:
		return fmt.Sprintf("%.4g MB", v/1e6)
	case Operations:
		return fmt.Sprintf("%.4g GFLOP", v/1e9)
	}
	return fmt.Sprintf("%.4g ms", v)
}

// A Limit bounds a quantity of the smaller network: to Most, or where Share is set to that
// share of what it was.
type Limit struct {
	Quantity Quantity `json:"quantity"`
	Most     float64  `json:"most"`            // number, bytes, FLOP or milliseconds
	Share    float64  `json:"share,omitempty"` // of the uncut network's
}

// ParseLimits reads latency=3ms, speedup=13x, params=0.33M, size=1.3MB or flops=1.2G, or
// several of them with commas between.
func ParseLimits(s string) (Limits, error) {
	var all Limits
	for text := range strings.SplitSeq(s, ",") {
		l, err := parseLimit(text)
		if err != nil {
			return nil, err
		}
		if all.Has(l.Quantity) {
			return nil, fmt.Errorf("target %q: says twice what may be left of one thing", s)
		}
		all = append(all, l)
	}
	return all, nil
}

func parseLimit(s string) (Limit, error) {
	bad := fmt.Errorf("target %q: want latency=3ms, speedup=13x, params=0.33M, size=1.3MB or flops=1.2G", s)
	name, value, ok := strings.Cut(strings.ToLower(strings.Join(strings.Fields(s), "")), "=")
	if !ok {
		return Limit{}, bad
	}
	units := map[string]map[string]float64{
		"latency": {"ms": 1, "s": 1000, "us": 1e-3, "µs": 1e-3},
		"speedup": {"x": 1, "": 1},
		"params":  {"": 1, "k": 1e3, "m": 1e6},
		"size":    {"b": 1, "kb": 1e3, "mb": 1e6, "kib": 1 << 10, "mib": 1 << 20},
		"flops":   {"": 1, "m": 1e6, "g": 1e9, "mflop": 1e6, "gflop": 1e9},
	}[name]
	at := len(strings.TrimRight(value, "abcdefghijklmnopqrstuvwxyzµ"))
	unit, known := units[value[at:]]
	v, err := strconv.ParseFloat(value[:at], 64)
	if err != nil || !known || !(v > 0 && v < 1e18) {
		return Limit{}, bad
	}
	if name == "speedup" {
		if v < 1 {
			return Limit{}, errors.New("target speedup: want 1x or more")
		}
		return Limit{Quantity: Milliseconds, Share: 1 / v}, nil
	}
	return Limit{Quantity: Quantity(name), Most: v * unit}, nil
}

// Of gives the limit as a value, for a network that costs c before it is cut.
func (l Limit) Of(c Cost) float64 {
	if l.Share > 0 {
		return l.Share * l.Quantity.Of(c)
	}
	return l.Most
}

// Limits must all be kept. No two are of one quantity.
type Limits []Limit

// Has reports whether one of them is of the quantity.
func (ls Limits) Has(q Quantity) bool {
	return slices.ContainsFunc(ls, func(l Limit) bool { return l.Quantity == q })
}

// On returns them as values, without shares, for a network that costs c before it is cut.
func (ls Limits) On(c Cost) Limits {
	var all Limits
	for _, l := range ls {
		all = append(all, Limit{Quantity: l.Quantity, Most: l.Of(c)})
	}
	return all
}

// Kept returns limits of the same quantities that allow just what c has.
func (ls Limits) Kept(c Cost) Limits {
	var all Limits
	for _, l := range ls {
		all = append(all, Limit{Quantity: l.Quantity, Most: l.Quantity.Of(c)})
	}
	return all
}

// Excess is how many times what a limit allows c is, by the limit that it is farthest from; at
// most 1 means that it keeps all. Limits must have no shares.
func (ls Limits) Excess(c Cost) float64 {
	worst := 0.0
	for _, l := range ls {
		worst = max(worst, l.Quantity.Of(c)/l.Most)
	}
	return worst
}

// blend is Excess made smooth, so that a saving of any quantity that is not yet small beside the
// worst counts, the more the worse it is. It is never less than Excess.
func (ls Limits) blend(c Cost) float64 {
	const sharp = 8
	sum := 0.0
	for _, l := range ls {
		sum += math.Pow(l.Quantity.Of(c)/l.Most, sharp)
	}
	return math.Pow(sum, 1.0/sharp)
}

// String writes what they allow for people: "330000 parameters, 3 ms". Limits must have no
// shares.
func (ls Limits) String() string {
	var all []string
	for _, l := range ls {
		all = append(all, l.Quantity.Format(l.Most))
	}
	return strings.Join(all, ", ")
}

// An accountant knows what a network costs without parts of it.
type accountant struct {
	f      *flow
	groups []*Group
	blocks []*Block
	clock  Clock
	w, h   int
	area   []int // by node: how often its weights are used in one picture
}

func newAccountant(f *flow, groups []*Group, clock Clock, w, h int) (*accountant, error) {
	shapes, err := f.g.Shapes(1, h, w)
	if err != nil {
		return nil, err
	}
	a := &accountant{f: f, groups: groups, blocks: Blocks(f.g), clock: clock, w: w, h: h, area: make([]int, len(f.g.Nodes))}
	for i, n := range f.g.Nodes {
		switch n.Op.(type) {
		case *graph.Conv:
			a.area[i] = shapes[n][2] * shapes[n][3]
		case *graph.ConvTranspose:
			a.area[i] = shapes[n.In[0]][2] * shapes[n.In[0]][3]
		}
	}
	return a, nil
}

// cost is CostOf what a plan leaves. Milliseconds take longer than the rest, and are there
// only if timed is set.
func (a *accountant) cost(p *Plan, timed bool) (Cost, error) {
	gone := a.f.gone(a.groups, p)
	count := func(n *graph.Node) int {
		stay := 0
		for _, id := range a.f.out[n] {
			if !gone[id] {
				stay++
			}
		}
		return stay
	}
	removed := map[*graph.Node]bool{}
	for _, b := range a.blocks {
		if slices.Contains(p.Blocks, b.Name) {
			for n := range b.branch {
				removed[n] = true
			}
		}
	}
	var c Cost
	tensors := 0
	for i, n := range a.f.g.Nodes {
		if removed[n] {
			continue
		}
		weights, others := 0, 0
		switch op := n.Op.(type) {
		case *graph.Conv:
			w := op.Weight.Shape
			rows, columns := count(n), w[1]
			if op.Groups == 1 {
				columns = count(n.In[0])
			}
			weights = rows * columns * w[2] * w[3]
			if op.Bias != nil {
				others = rows
			}
		case *graph.ConvTranspose:
			w := op.Weight.Shape
			rows, columns := count(n.In[0]), w[1]
			if op.Groups == 1 {
				columns = count(n)
			}
			weights = rows * columns * w[2] * w[3]
			if op.Bias != nil {
				others = count(n)
			}
		case *graph.BatchNorm:
			others = 2 * count(n)
			tensors += others
		}
		c.Params += weights + others
		c.GFLOP += 2e-9 * float64(weights) * float64(a.area[i])
	}
	c.Bytes = 4 * int64(c.Params+tensors)
	if timed && a.clock != nil {
		small, err := a.f.sliced(gone, p)
		if err != nil {
			return Cost{}, err
		}
		if c.Ms, err = a.clock.Ms(small, a.w, a.h); err != nil {
			return Cost{}, err
		}
	}
	return c, nil
}
