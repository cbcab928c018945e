package prune

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"ultrafast/graph"
)

// maxThreads is as many as a runtime takes.
const maxThreads = 1024

// A Profile is what a network took on a device: the least of several runs, in milliseconds.
type Profile struct {
	Ms    float64 // the whole network, undisturbed by the measuring of its steps
	Steps []StepMs
}

// A StepMs is what one of the runtime's steps took.
type StepMs struct {
	Node   string // a node that it computes, or "" where that is not known
	Kernel string // how, as the runtime calls it
	Ms     float64
}

// A Measurement says how a table is measured.
type Measurement struct {
	Width, Height int    // of the network's input
	Networks      int    // how many networks of random widths; 0 means 30
	Seed          uint64 // of the widths
	Progress      func(done, of int)
}

// passes is how often each network is measured, with all others in between, so that what
// disturbs the machine for a while does not stay in the table.
const passes = 3

// Measure makes a table of g's layers. They are measured where they are at work, in networks
// that are g with random numbers of channels: there a layer finds its input as far away as
// in the end. profile runs one of them on the device; it has g's names, and data if g has.
// Where ctx ends, the table so far is returned with ctx's error; it is nil if there is none.
func Measure(ctx context.Context, g *graph.Graph, m Measurement, profile func(*graph.Graph) (Profile, error)) (*Latency, error) {
	networks := cmp.Or(m.Networks, 30)
	t := &Latency{Width: m.Width, Height: m.Height}
	at := map[LatencyRow]int{} // of a row without its time, in t
	whole := map[int]float64{} // by network
	for k := range passes * networks {
		if ctx.Err() != nil {
			break
		}
		if m.Progress != nil {
			m.Progress(k, passes*networks)
		}
		i := k % networks
		net, err := m.network(g, i)
		if err != nil {
			return nil, err
		}
		p, err := profile(net)
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			return nil, err
		}
		rows, err := attribute(net, m.Width, m.Height, p.Steps)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			key := r
			key.Ms = 0
			if j, ok := at[key]; ok {
				t.Rows[j].Ms = min(t.Rows[j].Ms, r.Ms)
				continue
			}
			at[key] = len(t.Rows)
			t.Rows = append(t.Rows, r)
		}
		if ms, ok := whole[i]; !ok || p.Ms < ms {
			whole[i] = p.Ms
		}
	}
	if len(whole) == 0 {
		return nil, ctx.Err()
	}
	for i := range t.Rows {
		t.Rows[i].Ms = math.Round(t.Rows[i].Ms*1e5) / 1e5 // to 10 ns, which is for people
	}
	if err := t.calibrate(g, m, whole); err != nil {
		return nil, err
	}
	return t, ctx.Err()
}

// network returns the i'th network, of which the first is g itself.
func (m Measurement) network(g *graph.Graph, i int) (*graph.Graph, error) {
	if i == 0 {
		return g, nil
	}
	return Random(g, rand.New(rand.NewPCG(m.Seed, uint64(i))))
}

// calibrate sets Scale to the median of what whole networks took, over the table's sum.
func (l *Latency) calibrate(g *graph.Graph, m Measurement, whole map[int]float64) error {
	g = g.Clone()
	for _, p := range g.Params() {
		p.Tensor().Data = nil // networks have the same shape without
	}
	var scales []float64
	for i, ms := range whole {
		net, err := m.network(g, i)
		if err != nil {
			return err
		}
		sum, err := l.Ms(net, m.Width, m.Height)
		if err != nil {
			return err
		}
		scales = append(scales, ms/sum)
	}
	slices.Sort(scales)
	if l.Scale = scales[len(scales)/2]; !(l.Scale >= minScale && l.Scale <= maxScale) {
		return fmt.Errorf("prune: networks take %g of the sum of their layers' times: the device's profile does not name its layers", l.Scale)
	}
	return nil
}

// attribute gives each layer of a network the steps of its nodes. Steps before the first
// layer prepare its input.
func attribute(g *graph.Graph, w, h int, steps []StepMs) ([]LatencyRow, error) {
	all, at, err := layers(g, w, h)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, errors.New("prune: the network has no layers")
	}
	byName := make(map[string]int, len(g.Nodes))
	for n, i := range at {
		byName[n.Name] = i
	}
	rows := make([]LatencyRow, len(all))
	for i, l := range all {
		rows[i] = LatencyRow{Kind: l.kind, In: l.in, Out: l.out}
	}
	known := 0
	for _, s := range steps {
		i, ok := byName[s.Node]
		if ok {
			known++
		} else if g.Input().Name != s.Node {
			continue // Scale has to make up for it
		}
		rows[i].Ms += s.Ms
	}
	if known == 0 {
		return nil, fmt.Errorf("prune: none of the runtime's %d steps bears the name of a node", len(steps))
	}
	return rows, nil
}

// Random returns g with random numbers of channels, from a few to all of them, as a plan
// might leave; of the head, random anchors and classes.
func Random(g *graph.Graph, r *rand.Rand) (*graph.Graph, error) {
	if d := g.Detect(); d != nil {
		head := d.Op.(*graph.Detect)
		t := Trim{Classes: span(1 + r.IntN(head.Classes))}
		for _, a := range head.Anchors {
			t.Anchors = append(t.Anchors, span(1+r.IntN(len(a))))
		}
		if trimmed, err := t.Apply(g); err == nil { // else the head cannot be trimmed
			g = trimmed
		}
	}
	groups, err := Groups(g)
	if err != nil {
		return nil, err
	}
	p := &Plan{}
	share := 0.05 + 0.95*r.Float64()
	for _, gr := range groups {
		keep := int(float64(gr.Width()) * share * (0.4 + 1.2*r.Float64()))
		order := gr.order(make([]float64, gr.Width()), min(gr.Width(), max(keep, 2)))
		slices.Sort(order)
		p.Cuts = append(p.Cuts, Cut{gr.Name, gr.Width(), order})
	}
	return p.Apply(g)
}

func span(n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = i
	}
	return s
}
