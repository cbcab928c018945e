package prune

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"
)

// plainFit is nonNegative's twin: of all sets of terms the one whose least squares are all
// positive and leave the least.
func plainFit(a [4][4]float64, b [4]float64) (best [4]float64) {
	least := 0.0 // x'ax - 2b'x, which is 0 for x = 0
	for set := 1; set < 16; set++ {
		var at []int
		for i := range 4 {
			if set>>i&1 == 1 {
				at = append(at, i)
			}
		}
		n := len(at)
		m := make([][]float64, n)
		for r, i := range at {
			for _, j := range at {
				m[r] = append(m[r], a[i][j])
			}
			m[r] = append(m[r], b[i])
		}
		var x [4]float64
		ok := true
		for r := range n { // Gauss
			for k := range n {
				if k == r || m[r][r] == 0 {
					continue
				}
				f := m[k][r] / m[r][r]
				for c := range m[k] {
					m[k][c] -= f * m[r][c]
				}
			}
		}
		for r, i := range at {
			x[i] = m[r][n] / m[r][r]
			ok = ok && x[i] >= 0 && !math.IsInf(x[i], 0)
		}
		if v := objective(a, b, x); ok && v < least {
			least, best = v, x
		}
	}
	return best
}

func objective(a [4][4]float64, b, x [4]float64) float64 {
	v := 0.0
	for i := range 4 {
		v -= 2 * b[i] * x[i]
		for j := range 4 {
			v += a[i][j] * x[i] * x[j]
		}
	}
	return v
}

func TestNonNegative(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var a [4][4]float64
		var b [4]float64
		for range 4 + r.IntN(20) {
			x := [4]float64{r.Float64(), r.Float64(), r.Float64(), 1}
			y := 4*r.Float64() - x[r.IntN(4)] + x[r.IntN(4)]
			for i := range 4 {
				b[i] += x[i] * y
				for j := range 4 {
					a[i][j] += x[i] * x[j]
				}
			}
		}
		got, want := nonNegative(a, b), plainFit(a, b)
		g, w := objective(a, b, got), objective(a, b, want)
		if math.Abs(g-w) > 1e-5*math.Abs(w) {
			t.Fatalf("%v leaves %v, %v leaves %v", got, g, want, w)
		}
	}
}

// TestLaw checks a law at, between, and far beyond its rows.
func TestLaw(t *testing.T) {
	var rows []LatencyRow
	truth := func(in, out int) float64 { return 0.02 + 1e-3*float64(out) + 1e-5*float64(in*((out+7)/8*8)) }
	for _, in := range []int{8, 16, 32, 64, 128} {
		for _, out := range []int{8, 16, 32, 64, 128} {
			rows = append(rows, LatencyRow{In: in, Out: out, Ms: truth(in, out)})
		}
	}
	l := newLaw(true, rows)
	for _, r := range rows {
		if v := l.at(r.In, r.Out); math.Abs(v/r.Ms-1) > 1e-3 {
			t.Errorf("at %d, %d: %v, the row has %v", r.In, r.Out, v, r.Ms)
		}
	}
	for _, c := range []struct {
		in, out int
		off     float64
	}{{24, 24, 0.02}, {12, 100, 0.05}, {8, 512, 0.05}, {1024, 1024, 0.05}, {1, 1, 0.1}} {
		if v, want := l.at(c.in, c.out), truth(c.in, c.out); math.Abs(v/want-1) > c.off {
			t.Errorf("at %d, %d: %v, want %v", c.in, c.out, v, want)
		}
	}

	// A single row: time goes with the work, or with the channels where there is no product.
	one := []LatencyRow{{In: 16, Out: 16, Ms: 2}}
	if v := newLaw(true, one).at(32, 64); math.Abs(v-16) > 1e-9 {
		t.Errorf("eight times the work takes %v, want 16", v)
	}
	if v := newLaw(false, one).at(32, 32); math.Abs(v-4) > 1e-9 {
		t.Errorf("twice the channels take %v, want 4", v)
	}
	if v := newLaw(true, []LatencyRow{{In: 1, Out: 1}}).at(5, 5); v != 0 {
		t.Errorf("what is free takes %v", v)
	}
}

// FuzzReadLatency: what is read is in bounds, comes back the same, and predicts numbers.
func FuzzReadLatency(f *testing.F) {
	f.Add([]byte("# scale: 2\n# input: 64x64\n# threads: 2\nop,kernel,stride,groups,height,width,act,add,in,out,ms\nconv,3x3,2x2,1,64,64,silu,no,3,16,0.5\nconv,3x3,2x2,1,64,64,silu,no,3,8,0\nconcat,,,,8,8,none,no,4,4,0\n"))
	f.Add([]byte("\ufeffop, kernel, stride, groups, height, width, act, add, in, out, ms\r\nslice,axis1,2,,8,8,none,no,4,2,1e-3\r\nconv,5x5d2x2,1x1,depthwise,8,8,silu,yes,4,4,1e9\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := ReadLatency(bytes.NewReader(data))
		if err != nil {
			return
		}
		var first, second bytes.Buffer
		if err := l.Write(&first); err != nil {
			t.Fatal(err)
		}
		again, err := ReadLatency(bytes.NewReader(first.Bytes()))
		if err != nil {
			t.Fatalf("%v in what was written:\n%s", err, first.Bytes())
		}
		if err := again.Write(&second); err != nil || first.String() != second.String() {
			t.Fatalf("%s becomes %s, %v", first.Bytes(), second.Bytes(), err)
		}
		l.fit()
		for _, law := range l.laws {
			for _, c := range [][2]int{{1, 1}, {7, 300}, {maxChannels, maxChannels}} {
				if v := law.at(c[0], c[1]); !(v >= 0) || math.IsInf(v, 0) {
					t.Fatalf("%v channels take %v", c, v)
				}
			}
		}
	})
}
