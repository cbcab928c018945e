package prune

import "math"

// How the time of a layer between and beyond measured channels follows from the rows of its
// kind. With x inputs and y outputs,
//
//	t(x, y) = f(x, y) * r(x, y)     f(x, y) = a xy + b x + c y + d,   a, b, c, d >= 0
//
// f fits the rows with the least squares of relative errors: work, reading, writing, and what
// there is always. Where no product can arise (depthwise convolutions and what is none),
// it is c y + d. r is the mean of the rows' ratios of measured time to f, each weighted with
//
//	1 / (log(x/x_i)^2 + log(y/y_i)^2 + near^2)^2
//
// (Shepard, ACM National Conference 1968): at a row that has no near neighbours it is that
// row's, between rows the nearest count, and far from all of them f remains, times their mean
// ratio. So rows may lie anywhere, and a single one will do: time then grows with work.

// near is the distance, as a logarithm of channels, within which rows count alike, so that
// noise is averaged. Of 0.02 to 0.35 it predicts rows that are left out about best, at 12 to
// 13 % of a layer's time on a busy machine; without r it were 17 %.
const near = 0.08

// A law is f and r of one kind.
type law struct {
	dense bool
	coef  [4]float64 // of terms
	rows  []known
}

// A known is a row as r wants it.
type known struct{ logIn, logOut, ratio float64 }

// terms are what f sums up. The first explains what several could.
func terms(dense bool, in, out int) [4]float64 {
	x, y := float64(in), float64(out)
	if !dense {
		return [4]float64{y, 1}
	}
	return [4]float64{x * y, x, y, 1}
}

func newLaw(dense bool, rows []LatencyRow) *law {
	l := &law{dense: dense}
	most := 0.0
	for _, r := range rows {
		most = max(most, r.Ms)
	}
	if most == 0 {
		return l
	}
	// Normal equations, in terms that are at most 1.
	var unit [4]float64
	for _, r := range rows {
		for i, v := range terms(dense, r.In, r.Out) {
			unit[i] = max(unit[i], v)
		}
	}
	var a [4][4]float64
	var b [4]float64
	for _, r := range rows {
		weight := 1 / max(r.Ms, most*1e-3) // what takes next to nothing must not count for all
		t := terms(dense, r.In, r.Out)
		for i := range t {
			t[i] *= weight / max(unit[i], 1)
		}
		for i := range t {
			b[i] += t[i] * r.Ms * weight
			for j := range t {
				a[i][j] += t[i] * t[j]
			}
		}
	}
	l.coef = nonNegative(a, b)
	for i := range l.coef {
		l.coef[i] /= max(unit[i], 1)
	}
	for _, r := range rows {
		l.rows = append(l.rows, known{math.Log(float64(r.In)), math.Log(float64(r.Out)), r.Ms / l.f(r.In, r.Out)})
	}
	return l
}

// nonNegative solves a x = b for the least squares with x >= 0, one number after the other
// until none changes.
func nonNegative(a [4][4]float64, b [4]float64) (x [4]float64) {
	for range 10000 {
		change := 0.0
		for i := range x {
			if a[i][i] == 0 {
				continue
			}
			rest := b[i]
			for j := range x {
				if j != i {
					rest -= a[i][j] * x[j]
				}
			}
			v := max(0, rest/a[i][i])
			change = max(change, math.Abs(v-x[i]))
			x[i] = v
		}
		if change < 1e-9 {
			break
		}
	}
	return x
}

func (l *law) f(in, out int) float64 {
	sum := 0.0
	for i, v := range terms(l.dense, in, out) {
		sum += l.coef[i] * v
	}
	return sum
}

// at is the time of a layer with that many channels, before Scale.
func (l *law) at(in, out int) float64 {
	if len(l.rows) == 0 {
		return 0
	}
	x, y := math.Log(float64(in)), math.Log(float64(out))
	ratio, sum := 0.0, 0.0
	for _, r := range l.rows {
		dx, dy := x-r.logIn, y-r.logOut
		d := dx*dx + dy*dy + near*near
		w := 1 / (d * d)
		ratio += w * r.ratio
		sum += w
	}
	return l.f(in, out) * ratio / sum
}
