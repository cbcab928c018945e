package prune

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"ultrafast/graph"
)

// A Target says how much to cut.
type Target struct {
	Keep   float64 // share of the parameters that may stay, above 0 and at most 1; 0 where Limits are set
	Limits Limits  // of other quantities, or as numbers
	Floor  int     // channels that every group keeps at least; 0 means a tenth, and at least 4
	Round  int     // what a group keeps is rounded up to a multiple of it; 0 means 1
	Score  Score

	Evidence *Evidence // for a Score that needs it: of this network

	Width, Height int    // of the network's input; 0 is as the graph's input says
	Clock         Clock  // knows milliseconds; needed for a limit of Milliseconds only
	Table         *Table // what cuts were measured to cost in accuracy; nil goes by Score alone
	Blocks        bool   // whole blocks may leave too; with a Table, those that it has
}

// New plans a cut: the knapsack that keeps the most importance within the limit, filled
// greedily, in rounds that each take the network a part of the way (HALP, Shen et al.,
// NeurIPS 2022). In a round every channel has a price, and a saving, measured on the network
// as it is by then; those of the lowest price per saving leave. The price is its score over the
// share that its group still has, so that the knapsack's worth is the logarithm of what each
// group keeps: with the score alone, every other layer is cut to its floor and those between
// not at all. With a Table the price is the damage that was measured; scores decide where there is none.
//
// A Table also guards: no group is cut so far that, by itself, it makes the loss of boxes,
// objectness or classes grow by more than a share (PAGCP, Ye et al., TPAMI 2023). That is 5 %,
// doubled until the limit can be met and for as long as more mAP is thought to be left.
//
// The result is within the limit. A group narrower than its floor keeps all; none grows by
// rounding. Equal networks and targets give equal plans. A limit out of reach is an
// *UnreachableError.
func New(g *graph.Graph, t Target) (*Plan, error) {
	a, err := allocate(g, t)
	if err != nil {
		return nil, err
	}
	return a.plan(a.state), nil
}

// An UnreachableError is a target that cannot be met.
type UnreachableError struct {
	Quantity Quantity
	Most     float64 // what was asked for
	Least    float64 // what can be had
	Before   float64 // what the uncut network has
}

func (e *UnreachableError) Error() string {
	digits := 1e4 / e.Before // four decimals of the share, rounded up, so that it can be had
	return fmt.Sprintf("prune: %s is out of reach: the least that the floors allow is %.4f of what there was, %s of %s",
		e.Quantity.Format(e.Most), math.Ceil(e.Least*digits)/1e4, e.Quantity.Format(e.Least), e.Quantity.Format(e.Before))
}

// rounds are enough that savings, which shrink as neighbours do, are never far off.
const rounds = 20

// guards are shares by which a loss may grow; what cannot be met with the last is out of reach.
var guards = []float64{0.05, 0.1, 0.2, 0.4, 0.8, 1.6, math.Inf(1)}

// An allocator fills the knapsack.
type allocator struct {
	Target
	*accountant
	scores [][]float64
	orders [][]int     // by group: channels in the order in which they leave, down to the floor
	prices [][]float64 // of these
	caps   []int       // by group: how many the guard lets leave
	guard  float64     // 0 without a table
	before Cost
	state  state
}

// A state is how far the cut is.
type state struct {
	out    []int           // by group: of its order, how many leave before rounding
	blocks map[*Block]bool // that leave
}

func (s state) clone() state {
	c := state{slices.Clone(s.out), map[*Block]bool{}}
	for b := range s.blocks {
		c.blocks[b] = true
	}
	return c
}

// newAllocator checks a target and gathers what it needs, and cuts nothing.
func newAllocator(g *graph.Graph, t Target) (*allocator, error) {
	if t.Floor < 0 || t.Round < 0 {
		return nil, fmt.Errorf("prune: floor %d and round %d must not be negative", t.Floor, t.Round)
	}
	if err := checkData(g); err != nil {
		return nil, err
	}
	f, err := trace(description(g))
	if err != nil {
		return nil, err
	}
	in := g.Input().Op.(*graph.Input).Shape
	t.Height, t.Width = cmp.Or(t.Height, in[2]), cmp.Or(t.Width, in[3])
	groups, err := Groups(g)
	if err != nil {
		return nil, err
	}
	a := &allocator{Target: t}
	if a.accountant, err = newAccountant(f, groups, t.Clock, t.Width, t.Height); err != nil {
		return nil, err
	}
	if a.scores, err = Scores(groups, t.Score, t.Evidence); err != nil {
		return nil, err
	}
	if t.Table != nil {
		if err := t.Table.check(g); err != nil {
			return nil, err
		}
	}
	a.state = state{make([]int, len(groups)), map[*Block]bool{}}
	a.orders, a.prices = make([][]int, len(groups)), make([][]float64, len(groups))
	for i, gr := range groups {
		a.orders[i] = gr.order(a.scores[i], t.floor(gr.Width()))
		all, gone := 0.0, 0.0
		for _, s := range a.scores[i] {
			all += s
		}
		for _, c := range a.orders[i] {
			share := max(1e-6, 1-gone/max(1e-9, all))
			a.prices[i] = append(a.prices[i], a.scores[i][c]/share)
			gone += a.scores[i][c]
		}
	}
	if t.Table != nil {
		t.Table.reprice(a)
	}
	a.before, err = a.cost(a.plan(a.state), true)
	return a, err
}

func allocate(g *graph.Graph, t Target) (*allocator, error) {
	a, err := newAllocator(g, t)
	if err != nil {
		return nil, err
	}
	switch {
	case len(t.Limits) > 0:
	case !(t.Keep > 0 && t.Keep <= 1):
		return nil, fmt.Errorf("prune: keep is %v, want a share above 0 and at most 1", t.Keep)
	default:
		a.Limits = Limits{{Quantity: Parameters, Share: t.Keep}}
	}
	if a.Limits.Has(Milliseconds) && t.Clock == nil {
		return nil, errors.New("prune: a target in milliseconds needs a table of latencies")
	}
	start := a.state
	a.Limits = a.Limits.On(a.before)
	if t.Table == nil {
		a.guardBy(math.Inf(1))
		return a, a.fill()
	}
	var best *allocator
	for _, guard := range guards {
		a.state = start.clone()
		a.guardBy(guard)
		err = a.fill()
		if unreachable := new(UnreachableError); errors.As(err, &unreachable) {
			continue
		}
		if err != nil {
			return nil, err
		}
		plan := a.plan(a.state)
		if best != nil && (t.Table.unmeasured(plan) > 0 || t.Table.wornBy(plan) <= t.Table.wornBy(best.plan(best.state))) {
			break
		}
		found := *a
		best = &found
	}
	if best == nil {
		return nil, err
	}
	return best, nil
}

// guardBy sets how much a loss may grow by one group's cut, and how many channels that leaves
// to each.
func (a *allocator) guardBy(share float64) {
	a.caps = make([]int, len(a.groups))
	for i := range a.groups {
		a.caps[i] = len(a.orders[i])
		if a.Table != nil {
			a.guard = share
			a.caps[i] = a.Table.allowed(a.groups[i], a.caps[i], share)
		}
	}
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

func (a *allocator) plan(s state) *Plan {
	p := &Plan{Cuts: make([]Cut, len(a.groups))}
	for i, gr := range a.groups {
		drop := append([]int{}, a.orders[i][:a.round(gr.Width(), s.out[i])]...)
		slices.Sort(drop)
		p.Cuts[i] = Cut{gr.Name, gr.Width(), drop}
	}
	for _, b := range a.blocks {
		if s.blocks[b] {
			p.Blocks = append(p.Blocks, b.Name)
		}
	}
	return p
}

// spent is what a state costs of what the limits allow, in the measure of Limits.blend, which
// the limits keep where it is 1.
func (a *allocator) spent(s state) (float64, error) {
	c, err := a.cost(a.plan(s), a.Limits.Has(Milliseconds))
	return a.Limits.blend(c), err
}

// excess is the same in the measure of Limits.Excess.
func (a *allocator) excess(s state) (float64, error) {
	c, err := a.cost(a.plan(s), a.Limits.Has(Milliseconds))
	return a.Limits.Excess(c), err
}

// A step is a channel that may leave next of its group, or a block.
type step struct {
	group int // -1 for a block
	block *Block
	price float64 // per saving
}

// fill cuts down to the limits.
func (a *allocator) fill() error {
	if least, err := a.excess(a.state); err != nil || least <= 1 {
		return err
	}
	first, err := a.spent(a.state)
	if err != nil {
		return err
	}
	for r := 1; r <= rounds; r++ {
		// C_t = C_0^(1-t/k) C_k^(t/k)
		goal, measure := 1.0, a.excess
		if r < rounds {
			goal, measure = math.Exp(math.Log(first)*(1-float64(r)/rounds)), a.spent
		}
		now, err := measure(a.state)
		if err != nil {
			return err
		}
		if now <= goal {
			continue
		}
		steps, err := a.steps()
		if err != nil {
			return err
		}
		taken := func(n int) state {
			s := a.state.clone()
			for _, step := range steps[:n] {
				if step.block != nil {
					s.blocks[step.block] = true
				} else {
					s.out[step.group]++
				}
			}
			return s
		}
		low, high := 0, len(steps) // the cost falls as steps are taken
		least, err := measure(taken(high))
		if err != nil {
			return err
		}
		if least > goal {
			a.state = taken(high)
			if len(steps) > 0 && least < now {
				r-- // what cost nothing before may save now
				continue
			}
			e, err := a.excess(a.state)
			if err != nil {
				return err
			}
			if e > 1 {
				return a.unreachable()
			}
			break // the blend of several limits is above 1 where each is kept
		}
		for low < high {
			mid := (low + high) / 2
			spent, err := measure(taken(mid))
			if err != nil {
				return err
			}
			if spent <= goal {
				high = mid
			} else {
				low = mid + 1
			}
		}
		a.state = taken(high)
	}
	return a.giveBack()
}

// unreachable names the limit that the state, which is as small as can be, is farthest from.
func (a *allocator) unreachable() error {
	c, err := a.cost(a.plan(a.state), a.Limits.Has(Milliseconds))
	if err != nil {
		return err
	}
	worst := slices.MaxFunc(a.Limits, func(l, m Limit) int { return cmp.Compare(l.Quantity.Of(c)/l.Most, m.Quantity.Of(c)/m.Most) })
	return &UnreachableError{worst.Quantity, worst.Most, worst.Quantity.Of(c), worst.Quantity.Of(a.before)}
}

// chunk is how many channels are tried together to see what they save: kernels like eights.
const chunk = 8

// steps lists what can leave, lowest price per saving first. What saves nothing is not
// listed.
func (a *allocator) steps() ([]step, error) {
	now, err := a.spent(a.state)
	if err != nil {
		return nil, err
	}
	var steps []step
	for i, gr := range a.groups {
		rest := a.caps[i] - a.state.out[i]
		saved := 0.0
		n := max(chunk, a.Round)
		for ; rest > 0; n *= 2 { // latency falls in steps
			n = min(n, rest)
			s := a.state.clone()
			s.out[i] += n
			spent, err := a.spent(s)
			if err != nil {
				return nil, err
			}
			if saved = now - spent; saved > 0 || n == rest {
				break
			}
		}
		if !(saved > 0) {
			continue
		}
		// What is saved is shared out by parameters: channels of a group need not have as many.
		next := a.orders[i][a.state.out[i]:]
		mean := 0.0
		for _, c := range next[:n] {
			mean += gr.Channels[c].cost() / float64(n)
		}
		for k, c := range next[:rest] {
			each := saved / float64(n) * gr.Channels[c].cost() / mean
			steps = append(steps, step{group: i, price: a.prices[i][a.state.out[i]+k] / each})
		}
	}
	for _, b := range a.blocks {
		price, ok := a.blockPrice(b)
		if !a.Blocks || a.state.blocks[b] || !ok {
			continue
		}
		s := a.state.clone()
		s.blocks[b] = true
		spent, err := a.spent(s)
		if err != nil {
			return nil, err
		}
		if saved := now - spent; saved > 0 {
			steps = append(steps, step{group: -1, block: b, price: price / saved})
		}
	}
	slices.SortStableFunc(steps, func(a, b step) int { return cmp.Compare(a.price, b.price) })
	return steps, nil
}

// inside reports whether a group is made in a block alone.
func (b *Block) inside(g *Group) bool {
	for _, n := range g.Convs {
		if !slices.ContainsFunc(b.Convs, func(m *graph.Node) bool { return m.Name == n.Name }) {
			return false
		}
	}
	return true
}

// blockPrice is what a block is worth: what was measured of it, or else what its own channels
// are that have not left yet. False keeps it.
func (a *allocator) blockPrice(b *Block) (float64, bool) {
	if a.Table != nil {
		return a.Table.blockPrice(b.Name, a.guard)
	}
	// What it costs to cut a group down to a tenth of its importance is the integral of the
	// price, 1/share over the share: all its scores times ln(10 share).
	sum := 0.0
	for i, gr := range a.groups {
		if b.inside(gr) {
			all, gone := 0.0, 0.0
			for _, s := range a.scores[i] {
				all += s
			}
			for _, c := range a.orders[i][:a.state.out[i]] {
				gone += a.scores[i][c]
			}
			sum += all * max(0.1, math.Log(10*max(1e-6, 1-gone/max(1e-9, all))))
		}
	}
	return sum, sum > 0
}

// giveBack returns channels that need not have left, the dearest first: what rounding and the
// steps of latencies took along. Groups of a block that left are not cut as well.
func (a *allocator) giveBack() error {
	var by []int
	for i, gr := range a.groups {
		for b := range a.state.blocks {
			if b.inside(gr) {
				a.state.out[i] = 0
			}
		}
		if a.state.out[i] > 0 {
			by = append(by, i)
		}
	}
	last := func(i int) float64 { return a.prices[i][a.state.out[i]-1] }
	slices.SortStableFunc(by, func(i, j int) int { return cmp.Compare(last(j), last(i)) })
	for _, i := range by {
		low, high := 0, a.state.out[i] // the fewest that must leave
		for low < high {
			mid := (low + high) / 2
			s := a.state.clone()
			s.out[i] = mid
			excess, err := a.excess(s)
			if err != nil {
				return err
			}
			if excess <= 1 {
				high = mid
			} else {
				low = mid + 1
			}
		}
		a.state.out[i] = high
	}
	return nil
}
