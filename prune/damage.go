package prune

import (
	"cmp"
	"math"
	"slices"
)

// A curve is a function of how many channels of a group have left, by its corners; it begins
// at 0, 0.
type curve []struct{ out, value float64 }

// at interpolates, and goes on as steeply as at the end beyond the last corner.
func (c curve) at(out float64) float64 {
	if len(c) < 2 {
		return 0
	}
	i := 1
	for i < len(c)-1 && out > c[i].out {
		i++
	}
	a, b := c[i-1], c[i]
	return a.value + (b.value-a.value)*(out-a.out)/(b.out-a.out)
}

// convex is the greatest convex function below: its slopes are prices in a fair order, and
// the noise of single points is gone.
func (c curve) convex() curve {
	var hull curve
	for _, p := range c {
		for len(hull) > 1 {
			a, b := hull[len(hull)-2], hull[len(hull)-1]
			if (b.value-a.value)*(p.out-b.out) < (p.value-b.value)*(b.out-a.out) {
				break
			}
			hull = hull[:len(hull)-1]
		}
		hull = append(hull, p)
	}
	return hull
}

// curve gathers a function of the rows of a group.
func (t *Table) curve(group string, value func(Row) float64) curve {
	c := make(curve, 1)
	for _, r := range t.Rows {
		if r.Group == group {
			c = append(c, struct{ out, value float64 }{float64(r.From - r.To), value(r)})
		}
	}
	slices.SortStableFunc(c, func(a, b struct{ out, value float64 }) int { return cmp.Compare(a.out, b.out) })
	return slices.CompactFunc(c, func(a, b struct{ out, value float64 }) bool { return a.out == b.out })
}

// damage is what a cut costs: the share of mAP50-95 that it loses and the share by which the
// losses grow. What a cut gains is noise and counts 0.
func (t *Table) damage(r Row) float64 {
	d := 0.0
	if t.Base.MAP > 0 {
		d -= r.Change.MAP / t.Base.MAP
	}
	if sum := t.Base.Box + t.Base.Obj + t.Base.Cls; sum > 0 {
		d += (r.Change.Box + r.Change.Obj + r.Change.Cls) / sum
	}
	return max(0, d)
}

// growth is by what share the loss grows that grows most.
func (t *Table) growth(r Row) float64 {
	worst := 0.0
	for _, l := range [][2]float64{{r.Change.Box, t.Base.Box}, {r.Change.Obj, t.Base.Obj}, {r.Change.Cls, t.Base.Cls}} {
		if l[1] > 0 {
			worst = max(worst, l[0]/l[1])
		}
	}
	return worst
}

// reprice makes the prices of channels the damage that their leaving was measured to do.
// Scores, made a thousandth of that, decide among those that do none.
func (t *Table) reprice(a *allocator) {
	mean, score := 0.0, 0.0
	for i, g := range a.groups {
		c := t.curve(g.Name, t.damage).convex()
		for k := range a.prices[i] {
			p := max(0, c.at(float64(k+1))-c.at(float64(k)))
			a.prices[i][k], mean, score = p, mean+p, score+a.scores[i][a.orders[i][k]]
		}
	}
	small := 1e-3 * max(1e-9, mean) / max(1e-300, score)
	for i := range a.groups {
		for k, c := range a.orders[i] {
			a.prices[i][k] += small * a.scores[i][c]
		}
	}
}

// allowed says how many of a group's channels, of at most so many, may leave under a guard.
// A group that was not measured stays, but for the last guard.
func (t *Table) allowed(g *Group, most int, guard float64) int {
	if math.IsInf(guard, 1) {
		return most
	}
	c := t.curve(g.Name, t.growth)
	n := 0
	for n < most && len(c) > 1 && c.at(float64(n+1)) <= guard {
		n++
	}
	return n
}

// blockPrice is the damage of a block's leaving, if it was measured and the guard lets it go.
func (t *Table) blockPrice(block string, guard float64) (float64, bool) {
	for _, r := range t.Rows {
		if r.Group == block && r.Ratio == 1 {
			return t.damage(r), t.growth(r) <= guard
		}
	}
	return 0, false
}

// An Estimate is what a network costs and is worth, as far as is known before it is there.
type Estimate struct {
	Cost `yaml:",inline"`
	// MAP is the mAP50-95 with statistics measured anew and before anything is trained, on
	// Pictures validation pictures at Size; it is thought to lie between Low and High. All are
	// 0 without a table.
	MAP  float64 `json:"map50_95,omitempty" yaml:"map50_95,omitempty"`
	Low  float64 `json:"low,omitempty" yaml:"low,omitempty"`
	High float64 `json:"high,omitempty" yaml:"high,omitempty"`
	// Unmeasured is how many groups and blocks lose something that the table has no row of, as one
	// that was not measured to its end: then nothing is said of MAP.
	Unmeasured int `json:"unmeasured,omitempty" yaml:"unmeasured,omitempty"`
	Size       int `json:"img,omitempty" yaml:"img,omitempty"`
	Pictures   int `json:"pictures,omitempty" yaml:"pictures,omitempty"`
}

// leastShare is of mAP: below it nothing is told apart.
const leastShare = 0.01

// worn is the logarithm of the share of mAP that a cut leaves.
func (t *Table) worn(r Row) float64 {
	return math.Log(max(leastShare, min(1, 1+r.Change.MAP/max(1e-9, t.Base.MAP))))
}

// wornBy sums over groups and blocks what a plan does to the logarithm of mAP, as though each
// cut multiplied it by a share of its own.
func (t *Table) wornBy(p *Plan) float64 {
	sum := 0.0
	for _, c := range p.Cuts {
		sum += t.curve(c.Group, t.worn).at(float64(len(c.Drop)))
	}
	for _, b := range p.Blocks {
		for _, r := range t.Rows {
			if r.Group == b && r.Ratio == 1 {
				sum += t.worn(r)
			}
		}
	}
	return sum
}

// unmeasured counts the groups and blocks that a plan cuts and that have no row.
func (t *Table) unmeasured(p *Plan) int {
	n := 0
	measured := func(name string) bool {
		return slices.ContainsFunc(t.Rows, func(r Row) bool { return r.Group == name })
	}
	for _, c := range p.Cuts {
		if len(c.Drop) > 0 && !measured(c.Group) {
			n++
		}
	}
	for _, b := range p.Blocks {
		if !measured(b) {
			n++
		}
	}
	return n
}

// Cuts made together do more harm than the product says: they meet, and a planner takes those
// whose harm was measured too low. Over 12 plans of two networks the logarithm came to be once
// to five times the sum, twice as the median (docs/results/plan.md).
const (
	leastHarm  = 1
	medianHarm = 2
	mostHarm   = 5
	noiseShare = 0.02 // of mAP: an allowance for the choice of pictures, not measured
)

// predict says what mAP a plan leaves, and a band.
func (t *Table) predict(p *Plan) (mid, low, high float64) {
	x := t.wornBy(p)
	mid = t.Base.MAP * math.Exp(medianHarm*x)
	low = t.Base.MAP * max(0, math.Exp(mostHarm*x)-noiseShare)
	high = min(1, t.Base.MAP*(math.Exp(leastHarm*x)+noiseShare))
	return mid, low, high
}
