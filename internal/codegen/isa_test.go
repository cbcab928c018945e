package codegen

import (
	"math"
	"math/rand/v2"
	"testing"
)

// An opTest is an instruction on vectors, of which y may be changed, and memory, and what
// it does to a lane. NaN stands for anything.
type opTest struct {
	name  string
	write func(m isa, d, x, y vec, base reg, off int)
	plain func(x, y, z float32) float32
}

var opTests = []opTest{
	{"zero", func(m isa, d, x, y vec, base reg, off int) { m.zero(d) },
		func(x, y, z float32) float32 { return 0 }},
	{"copy", func(m isa, d, x, y vec, base reg, off int) { m.copy(d, y) },
		func(x, y, z float32) float32 { return y }},
	{"load", func(m isa, d, x, y vec, base reg, off int) { m.load(d, base, off) },
		func(x, y, z float32) float32 { return z }},
	{"addV", func(m isa, d, x, y vec, base reg, off int) { m.addV(d, x, y) },
		func(x, y, z float32) float32 { return x + y }},
	{"subV", func(m isa, d, x, y vec, base reg, off int) { m.subV(d, x, y) },
		func(x, y, z float32) float32 { return x - y }},
	{"mulV", func(m isa, d, x, y vec, base reg, off int) { m.mulV(d, x, y) },
		func(x, y, z float32) float32 { return x * y }},
	{"addM", func(m isa, d, x, y vec, base reg, off int) { m.addM(d, x, base, off) },
		func(x, y, z float32) float32 { return x + z }},
	{"mulM", func(m isa, d, x, y vec, base reg, off int) { m.mulM(d, x, base, off) },
		func(x, y, z float32) float32 { return x * z }},
	{"minM", func(m isa, d, x, y vec, base reg, off int) { m.minM(d, x, base, off) },
		func(x, y, z float32) float32 {
			if x < z {
				return x
			}
			return z
		}},
	{"maxM", func(m isa, d, x, y vec, base reg, off int) { m.maxM(d, x, base, off) },
		func(x, y, z float32) float32 {
			if x > z {
				return x
			}
			return z
		}},
	{"andM", func(m isa, d, x, y vec, base reg, off int) { m.andM(d, y, base, off) },
		func(x, y, z float32) float32 {
			return math.Float32frombits(math.Float32bits(y) & math.Float32bits(z))
		}},
	{"xorM", func(m isa, d, x, y vec, base reg, off int) { m.xorM(d, y, base, off) },
		func(x, y, z float32) float32 {
			return math.Float32frombits(math.Float32bits(y) ^ math.Float32bits(z))
		}},
	{"fmaM", func(m isa, d, x, y vec, base reg, off int) { m.copy(d, y); m.fmaM(d, x, base, off) },
		func(x, y, z float32) float32 { return fma(x, z, y) }},
	{"horner", func(m isa, d, x, y vec, base reg, off int) { m.copy(d, y); m.horner(d, x, base, off) },
		func(x, y, z float32) float32 { return fma(y, x, z) }},
	{"split", func(m isa, d, x, y vec, base reg, off int) { _, rest := m.split(y, d); m.copy(d, rest) },
		func(x, y, z float32) float32 { return y - float32(math.Floor(float64(y))) }},
	{"scale", func(m isa, d, x, y vec, base reg, off int) { whole, _ := m.split(y, d); m.scale(d, x, whole) },
		func(x, y, z float32) float32 {
			return x * float32(math.Ldexp(1, int(math.Floor(float64(y)))))
		}},
}

func fma(x, y, z float32) float32 { return float32(math.FMA(float64(x), float64(y), float64(z))) }

// offsets, in bytes, around all limits of the encodings.
var offsets = []int{0, 4, 64, 124, 128, 252, 256, 260, 1 << 12, 1<<13 + 4, 65520, 65536, 65540, 1<<20 - 4, 1 << 20, 1<<20 + 4, -4, -128, -132, -256, -260, -4096, -1 << 20, -1<<20 - 4}

// TestOperations has every operation with every offset in one kernel.
func TestOperations(t *testing.T) {
	eachTarget(t, func(t *testing.T, target Target, r *rand.Rand) {
		x, y := random(r, target.lanes), random(r, target.lanes)
		x[0] = nan
		for i := range y {
			y[i] *= 5
		}
		y[1], y[2] = 2.5, -3.5
		const middle = 1<<18 + 100
		z := random(r, 2*middle)
		out := filled(len(opTests)*len(offsets)*target.lanes, untouched)
		var call caller
		pass(&call, 0, x, 0)
		pass(&call, 1, y, 0)
		pass(&call, 2, z, middle)
		pass(&call, 3, out, 0)
		if !call.run(t, target, func(b *Builder) (Func, error) {
			return b.kernel("operations", false, func(m isa) {
				for i, r := range []reg{rX, rW, rBias, rOut} {
					m.arg(r, i)
				}
				for _, op := range opTests {
					for _, off := range offsets {
						m.load(0, rX, 0)
						m.load(1, rW, 0)
						op.write(m, 2, 0, 1, rBias, off)
						m.store(rOut, 0, 2)
						m.add(rOut, 4*target.lanes)
					}
				}
			})
		}) {
			return
		}
		for i, op := range opTests {
			for j, off := range offsets {
				for lane := range x {
					got := out[(i*len(offsets)+j)*target.lanes+lane]
					if want := op.plain(x[lane], y[lane], z[middle+off/4+lane]); want == want && got != want {
						t.Errorf("%s at %d, lane %d: %v, want %v", op.name, off, lane, got, want)
					}
				}
			}
		}
	})
}

// TestMoves has what moves lanes and parts of vectors, with every offset.
func TestMoves(t *testing.T) {
	eachTarget(t, func(t *testing.T, target Target, r *rand.Rand) {
		const middle = 1<<18 + 100
		lanes, size := target.lanes, 4*target.lanes
		x := random(r, 2*middle)
		out := filled(2*middle, untouched)
		want := newWanted(len(out))
		copied := filled(len(offsets)*9*lanes, untouched)
		var call caller
		pass(&call, 0, x, middle)
		pass(&call, 1, out, middle)
		pass(&call, 2, copied, 0)
		ran := call.run(t, target, func(b *Builder) (Func, error) {
			return b.kernel("moves", false, func(m isa) {
				m.arg(rX, 0)
				m.arg(rOut, 1)
				m.arg(rRes, 2)
				m.pickLanes()
				for i, off := range offsets {
					m.loadEven(0, rX, off)
					m.loadOdd(1, rX, off)
					m.spread(2, rX, off)
					m.load(3, rX, off)
					m.twice(4, 5, 3)
					m.load(6, rX, off+size)
					m.unzip(7, 8, 3, 6)
					m.zip(9, 10, 3, 6)
					for j, v := range []vec{0, 1, 2, 4, 5, 7, 8, 9, 10} {
						m.store(rRes, (9*i+j)*size, v)
					}
				}
				for i, off := range offsets {
					if i%2 == 0 { // others lie in between
						m.load(0, rX, off)
						n := 1 + i/2%lanes
						m.storeFirst(rOut, off, 0, 1, n)
						for lane := range n {
							want.set(middle+off/4+lane, float64(x[middle+off/4+lane]), 0)
						}
					}
				}
			})
		})
		if !ran {
			return
		}
		want.compare(t, out, "storeFirst")
		for i, off := range offsets {
			from, got := x[middle+off/4:], copied[9*i*lanes:]
			for l := range lanes {
				zipped := func(l int) float32 { return from[l/2+l%2*lanes] }
				for j, w := range []float32{from[2*l], from[2*l+1], from[0], from[l/2], from[lanes/2+l/2], from[2*l], from[2*l+1], zipped(l), zipped(lanes + l)} {
					if got[j*lanes+l] != w {
						t.Errorf("move %d at %d, lane %d: %v, want %v", j, off, l, got[j*lanes+l], w)
					}
				}
			}
		}
	})
}

// TestRegisters moves a base about, with loads far from it before and after each change.
func TestRegisters(t *testing.T) {
	const far = 1<<16 + 4
	eachTarget(t, func(t *testing.T, target Target, r *rand.Rand) {
		x, out := random(r, 1<<16), filled(100*target.lanes, untouched)
		var at []int // where the kernel has read
		var call caller
		pass(&call, 0, x, 0)
		pass(&call, 1, out, 0)
		pass(&call, 2, x, 1000)
		if !call.run(t, target, func(b *Builder) (Func, error) {
			return b.kernel("registers", false, func(m isa) {
				m.arg(rX, 0)
				m.arg(rOut, 1)
				read := func(i int) {
					m.load(0, rX, far)
					m.store(rOut, 0, 0)
					m.add(rOut, 4*target.lanes)
					at = append(at, i+far/4)
				}
				read(0)
				m.add(rX, 8)
				read(2)
				m.push(rX, rOut, rRes)
				m.add(rX, 400)
				m.load(0, rX, far)
				m.pop(rX, rOut, rRes)
				read(2)
				m.arg(rX, 2)
				read(1000)
				m.lea(rX, rX, -4000)
				read(0)
				m.move(rCurX, rX)
				m.add(rCurX, 40)
				m.move(rX, rCurX)
				read(10)
				m.loop(rCount, 3, func() {
					m.push(rCount)
					m.loop(rCount, 1, func() { read(10) })
					m.pop(rCount)
					m.add(rX, 80)
				})
				at = append(at, 30+far/4, 50+far/4) // by the other rounds
				read(70)
			})
		}) {
			return
		}
		for i, at := range at {
			if got, want := out[i*target.lanes], x[at]; got != want {
				t.Errorf("%d: %v, want %v from %d", i, got, want, at)
			}
		}
	})
}

// TestDivision allows 4 units in the last place.
func TestDivision(t *testing.T) {
	eachTarget(t, func(t *testing.T, target Target, r *rand.Rand) {
		x := filled(1<<14, 0)
		for i := range x {
			x[i] = float32(math.Ldexp(1+r.Float64(), r.IntN(240)-120))
			if i%2 == 1 {
				x[i] = -x[i]
			}
		}
		out := filled(len(x), untouched)
		var call caller
		pass(&call, 0, x, 0)
		pass(&call, 1, out, 0)
		if !call.run(t, target, func(b *Builder) (Func, error) {
			return b.kernel("division", false, func(m isa) {
				m.arg(rX, 0)
				m.arg(rOut, 1)
				m.load(3, rConst, b.consts.offset(3))
				m.loop(rCount, len(x)/target.lanes, func() {
					m.load(0, rX, 0)
					m.divV(1, 3, 0, 2)
					m.store(rOut, 0, 1)
					m.add(rX, 4*target.lanes)
					m.add(rOut, 4*target.lanes)
				})
			})
		}) {
			return
		}
		worst := 0.0
		for i, x := range x {
			want := 3 / float64(x)
			ulp := math.Abs(float64(math.Nextafter32(float32(want), float32(2*want))) - float64(float32(want)))
			d := math.Abs(float64(out[i])-want) / ulp
			if worst = max(worst, d); !(d <= 4) {
				t.Fatalf("3/%v = %v, off by %.2f units", x, out[i], d)
			}
		}
		t.Logf("off by %.2f units", worst)
	})
}
