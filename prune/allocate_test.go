package prune_test

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"ultrafast/graph"
	"ultrafast/prune"
)

func TestParseLimits(t *testing.T) {
	for text, want := range map[string]prune.Limits{
		"latency=3ms":              {{Quantity: prune.Milliseconds, Most: 3}},
		"latency=2.5":              nil,
		"Latency = 3 MS":           {{Quantity: prune.Milliseconds, Most: 3}},
		"size=1.3":                 nil,
		"flops=1e9":                {{Quantity: prune.Operations, Most: 1e9}},
		"speedup=4x":               {{Quantity: prune.Milliseconds, Share: 0.25}},
		"speedup=0.5x":             nil,
		"params=0.33M":             {{Quantity: prune.Parameters, Most: 330000}},
		"params=330000":            {{Quantity: prune.Parameters, Most: 330000}},
		"size=1.3MB":               {{Quantity: prune.Bytes, Most: 1.3e6}},
		"flops=1.2G":               {{Quantity: prune.Operations, Most: 1.2e9}},
		"speedup=20x,params=0.33M": {{Quantity: prune.Milliseconds, Share: 0.05}, {Quantity: prune.Parameters, Most: 330000}},
		"params=1M, flops=1G":      {{Quantity: prune.Parameters, Most: 1e6}, {Quantity: prune.Operations, Most: 1e9}},
		"params=1M,params=2M":      nil,
		"speedup=2x,latency=3ms":   nil,
		"params=1M,":               nil,
		"flops=-1G":                nil,
		"flops=NaNG":               nil,
		"params=":                  nil,
		"":                         nil,
		"depth=3":                  nil,
	} {
		got, err := prune.ParseLimits(text)
		if (err == nil) != (want != nil) || !slices.Equal(got, want) {
			t.Errorf("%q is %+v, %v, want %+v", text, got, err, want)
		}
	}
}

// A stair is a clock whose layers take a millisecond for every eight channels that they make,
// begun or whole.
type stair struct{}

func (stair) Ms(g *graph.Graph, _, _ int) (float64, error) {
	ms := 0.0
	for _, n := range g.Nodes {
		if op, ok := n.Op.(*graph.Conv); ok {
			ms += math.Ceil(float64(op.Weight.Shape[0]) / 8)
		}
	}
	return ms, nil
}

func TestNewMeetsLimits(t *testing.T) {
	g := standard(t, "yolov5n")
	for _, s := range []prune.Limits{
		{{Quantity: prune.Parameters, Most: 5e5}}, {{Quantity: prune.Bytes, Most: 2e6}},
		{{Quantity: prune.Operations, Share: 0.3}}, {{Quantity: prune.Milliseconds, Share: 0.5}},
		{{Quantity: prune.Parameters, Most: 5e5}, {Quantity: prune.Operations, Share: 0.2}},
		{{Quantity: prune.Parameters, Most: 2e5}, {Quantity: prune.Operations, Share: 0.6}, {Quantity: prune.Milliseconds, Share: 0.9}},
	} {
		for _, round := range []int{1, 8} {
			t.Run(fmt.Sprint(s, round), func(t *testing.T) {
				p, err := prune.New(g, prune.Target{Limits: s, Clock: stair{}, Round: round, Width: 64, Height: 64, Blocks: true})
				if err != nil {
					t.Fatal(err)
				}
				small, err := p.Apply(g)
				if err != nil {
					t.Fatal(err)
				}
				before, err := prune.CostOf(g, stair{}, 64, 64)
				if err != nil {
					t.Fatal(err)
				}
				after, err := prune.CostOf(small, stair{}, 64, 64)
				if err != nil {
					t.Fatal(err)
				}
				if e := s.On(before).Excess(after); e > 1 || e < 0.93 {
					t.Errorf("%v of what is allowed is left, want 1 or little less", e)
				}
			})
		}
	}
}

// Against a clock that knows steps of eight only, channels leave by eights.
func TestNewCutsNothingThatSavesNothing(t *testing.T) {
	g := standard(t, "yolov5n")
	p, err := prune.New(g, prune.Target{Limits: prune.Limits{{Quantity: prune.Milliseconds, Share: 0.6}}, Clock: stair{}})
	if err != nil {
		t.Fatal(err)
	}
	odd := 0
	for _, c := range p.Cuts {
		if len(c.Drop)%8 != 0 {
			odd++
		}
	}
	if odd > 3 { // channels in several convolutions of other widths
		t.Errorf("%d of %d groups lose channels that save nothing:\n%v", odd, len(p.Cuts), p)
	}
}

// The plain twin: of all plans that meet the limit, tried one by one, the best keeps hardly
// more than the planner's.
func TestNewIsNearlyTheBest(t *testing.T) {
	g := parse(t, `
		a = conv x w=f32[9,3,3,3] pad=1
		aa = silu a
		b = conv aa w=f32[7,9,3,3] pad=1
		ba = silu b
		c = conv ba w=f32[8,7,1,1]
		ca = silu c
		d = conv ca w=f32[2,8,1,1]
		output d`)
	groups, err := prune.Groups(g)
	if err != nil {
		t.Fatal(err)
	}
	scores, err := prune.Scores(groups, prune.L2, nil)
	if err != nil {
		t.Fatal(err)
	}
	kept := func(cuts []prune.Cut) float64 { // what the planner makes large: logarithms of shares
		sum := 0.0
		for i, c := range cuts {
			all, stay := 0.0, 0.0
			for k, s := range scores[i] {
				if all += s; !slices.Contains(c.Drop, k) {
					stay += s
				}
			}
			sum += all * math.Log(stay/all)
		}
		return sum
	}
	for _, keep := range []float64{0.8, 0.6, 0.4, 0.25} {
		best := math.Inf(-1)
		p := uncut(t, g)
		orders := make([][]int, len(groups))
		for i, s := range scores {
			orders[i] = span(0, len(s))
			slices.SortFunc(orders[i], func(a, b int) int { return int(math.Copysign(1, s[a]-s[b])) })
		}
		for a := range 9 {
			for b := range 7 {
				for c := range 8 {
					for i, n := range []int{a, b, c} {
						p.Cuts[i].Drop = slices.Sorted(slices.Values(orders[i][:n]))
					}
					if left(t, p, g) <= keep {
						best = max(best, kept(p.Cuts))
					}
				}
			}
		}
		got, err := prune.New(g, prune.Target{Keep: keep, Floor: 1})
		if err != nil {
			t.Fatal(err)
		}
		if k := kept(got.Cuts); k < 1.15*best {
			t.Errorf("keep %v: the planner keeps %v, the best plan %v", keep, k, best)
		}
	}
}

// exampleTable is a table of the network in which cuts of one group cost dear, those of the
// others nothing.
func exampleTable(t *testing.T, g *graph.Graph, dear string) *prune.Table {
	t.Helper()
	groups, err := prune.Groups(g)
	if err != nil {
		t.Fatal(err)
	}
	table := &prune.Table{Model: g.Fingerprint(), Size: 64, Pictures: 10, Score: prune.L2,
		Base: prune.Worth{MAP: 0.5, Box: 0.05, Obj: 0.02, Cls: 0.01}, Cost: prune.Cost{Params: g.ParamCount(), Bytes: 1, GFLOP: 1}}
	for _, gr := range groups {
		for _, ratio := range prune.Ratios {
			leave := int(ratio * float64(gr.Width()))
			if leave == 0 {
				continue
			}
			r := prune.Row{Group: gr.Name, Ratio: ratio, From: gr.Width(), To: gr.Width() - leave, Params: -leave}
			if gr.Name == dear {
				r.Change = prune.Worth{MAP: -0.5 * ratio, Box: 0.05 * ratio}
			} else {
				r.Change = prune.Worth{MAP: -0.001 * ratio * ratio, Box: 0.0001 * ratio * ratio}
			}
			table.Rows = append(table.Rows, r)
		}
	}
	for _, ratio := range prune.Ratios {
		table.Rows = append(table.Rows, prune.Row{Group: prune.AllGroups, Ratio: ratio, From: 100, To: 100 - int(100*ratio), Change: prune.Worth{MAP: -0.49 * ratio}})
	}
	return table
}

func TestNewGoesByTheTable(t *testing.T) {
	g := standard(t, "yolov5n")
	const dear = "model.7.conv" // the widest
	table := exampleTable(t, g, dear)
	dropped := func(p *prune.Plan) int {
		for _, c := range p.Cuts {
			if c.Group == dear {
				return len(c.Drop)
			}
		}
		t.Fatal("no such group")
		return 0
	}
	for _, keep := range []float64{0.5, 0.02} { // the second needs the guard off
		target := prune.Target{Keep: keep, Table: table, Floor: 4}
		p, err := prune.New(g, target)
		if err != nil {
			t.Fatal(err)
		}
		target.Table = nil
		q, err := prune.New(g, target)
		if err != nil {
			t.Fatal(err)
		}
		if got := dropped(p); keep == 0.5 && got > 12 || got > dropped(q) {
			t.Errorf("keep %v: %d channels leave %s, %d without the table", keep, got, dear, dropped(q))
		}
	}
	f, err := prune.Draft(g, prune.Target{Keep: 0.5, Table: table}, "half")
	if err != nil {
		t.Fatal(err)
	}
	if e := f.Estimate; !(0 < e.MAP && e.Low <= e.MAP && e.MAP <= e.High && e.High <= 0.52) || f.Guard != 0.05 {
		t.Errorf("the estimate is %+v, guard %v", e, f.Guard)
	}
	other := g.Clone()
	other.Params()[0].Tensor().Data[0]++
	if _, err := prune.New(other, prune.Target{Keep: 0.5, Table: table}); err == nil || !strings.Contains(err.Error(), "another network") {
		t.Errorf("a table of other weights: %v", err)
	}
}

func TestUnreachableTellsTheBest(t *testing.T) {
	g := standard(t, "yolov5n")
	for _, l := range []prune.Limit{
		{Quantity: prune.Parameters, Most: 10}, {Quantity: prune.Bytes, Most: 10},
		{Quantity: prune.Operations, Most: 10}, {Quantity: prune.Milliseconds, Most: 1},
	} {
		target := prune.Target{Limits: prune.Limits{l}, Clock: stair{}, Round: 8, Blocks: true, Width: 64, Height: 64}
		_, err := prune.New(g, target)
		var e *prune.UnreachableError
		if !errors.As(err, &e) || !strings.Contains(err.Error(), "the least that the floors allow") {
			t.Fatalf("%+v: %v", l, err)
		}
		target.Limits[0].Most = e.Least
		if _, err := prune.New(g, target); err != nil {
			t.Errorf("what the error tells is not reached: %v", err)
		}
	}
	// Several limits that each can just be kept can be kept together.
	small, err := prune.New(g, prune.Target{Limits: prune.Limits{{Quantity: prune.Parameters, Most: 10}}, Floor: 24})
	var least *prune.UnreachableError
	if !errors.As(err, &least) {
		t.Fatalf("%v, %v", small, err)
	}
	var both prune.Limits
	for _, q := range []prune.Quantity{prune.Parameters, prune.Bytes, prune.Operations} {
		_, err := prune.New(g, prune.Target{Limits: prune.Limits{{Quantity: q, Most: 10}}, Floor: 24})
		if !errors.As(err, &least) {
			t.Fatal(err)
		}
		both = append(both, prune.Limit{Quantity: q, Most: 1.01 * least.Least})
	}
	if _, err := prune.New(g, prune.Target{Limits: both, Floor: 24}); err != nil {
		t.Errorf("limits 1 %% above the least: %v", err)
	}
	if _, err := prune.New(g, prune.Target{Limits: prune.Limits{{Quantity: prune.Milliseconds, Most: 3}}}); err == nil || !strings.Contains(err.Error(), "table of latencies") {
		t.Errorf("milliseconds without a clock: %v", err)
	}
}

func TestDraftIsNew(t *testing.T) {
	g := standard(t, "yolov5n")
	target := prune.Target{Keep: 0.3, Round: 8, Blocks: true}
	p, err := prune.New(g, target)
	if err != nil {
		t.Fatal(err)
	}
	f, err := prune.Draft(g, target, "params")
	if err != nil {
		t.Fatal(err)
	}
	q, err := f.Plan(g)
	if err != nil || !reflect.DeepEqual(p, q) {
		t.Errorf("the file says another plan: %v\n%v\n%v", err, p, q)
	}
}
