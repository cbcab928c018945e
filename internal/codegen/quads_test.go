package codegen

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"golang.org/x/sys/cpu"
)

// Kernels of quads are compared with Quant, byte by byte. As there is no byte that spoils a
// sum like NaN does, what they have no business to read is arbitrary.

// quadTargets are the targets, with all kinds of AVX-512, AVX2 and NEON.
func quadTargets() []Target {
	return append(slices.DeleteFunc(slices.Clone(targets), func(t Target) bool { return t.lanes < 16 }),
		Target{"avx512 without VNNI", 16, func() isa { return newAVX512(false, false) }, hasAVX512, nil, hasAVX512},
		Target{"avx512 without VBMI", 16, func() isa { return newAVX512(true, false) }, func() bool { return hasAVX512() && cpu.X86.HasAVX512VNNI }, nil, hasAVX512},
		Target{"avx512 with both", 16, func() isa { return newAVX512(true, true) }, func() bool { return hasAVX512() && cpu.X86.HasAVX512VNNI && cpu.X86.HasAVX512VBMI }, nil, hasAVX512},
		Target{"avx2 without VNNI", 8, func() isa { return newAVX2(false) }, hasAVX2, nil, hasAVX2},
		Target{"avx2", 8, func() isa { return newAVX2(true) }, func() bool { return hasAVX2() && cpu.X86.HasAVXVNNI }, nil, hasAVX2},
		Target{"neon without dot products", neonLanes, func() isa { return newNEON(false) }, hasNEON, nil, hasNEON},
		Target{"neon", neonLanes, func() isa { return newNEON(true) }, func() bool { return cpu.ARM64.HasASIMDDP }, nil, hasNEON})
}

// eachQuadTarget is eachTarget for these.
func eachQuadTarget(t *testing.T, test func(t *testing.T, target Target, r *rand.Rand)) {
	for _, target := range quadTargets() {
		t.Run(target.name, func(t *testing.T) { test(t, target, rand.New(rand.NewPCG(1, 2))) })
	}
}

// runQuads is run for a kernel of quads.
func (c *caller) runQuads(t *testing.T, target Target, write func(b *Builder) (Func, error)) bool {
	t.Helper()
	if !target.has() || target.Int8() {
		return c.run(t, target, write)
	}
	if _, err := write(NewBuilder(target)); err != nil {
		t.Fatal(err)
	}
	return false
}

// randomQuads returns n lanes of any bytes, those at the ends of their range often.
//
//go:noinline
func randomQuads(r *rand.Rand, n int) []float32 {
	s := make([]float32, n)
	for i := range s {
		var q [4]uint8
		for c := range q {
			switch q[c] = uint8(r.Uint32()); r.IntN(8) {
			case 0:
				q[c] = 0
			case 1:
				q[c] = 255
			}
		}
		s[i] = Quad(q)
	}
	return s
}

func randomTable(r *rand.Rand) *[256]uint8 {
	var t [256]uint8
	for i := range t {
		t[i] = uint8(r.Uint32())
	}
	return &t
}

// randomZero returns a zero point, the extreme ones often.
func randomZero(r *rand.Rand) uint8 { return []uint8{0, 255, 128, uint8(r.Uint32())}[r.IntN(4)] }

func randomQuant(r *rand.Rand) Quant {
	q := Quant{Zero: randomZero(r)}
	if r.IntN(2) == 0 {
		q.Table = randomTable(r)
	}
	scale := func() float32 {
		return []float32{1, 0.5, float32(r.Float64()), float32(r.ExpFloat64()), -3, 0}[r.IntN(6)]
	}
	q.Add = QuantAdd{randomZero(r), randomZero(r), scale(), scale(), randomZero(r)}
	return q
}

// A quadConv is a convolution of quads with what it takes.
type quadConv struct {
	Conv
	zeroX   uint8
	weights []int8
	m, b    []float32
}

func newQuadConv(r *rand.Rand, c Conv) *quadConv {
	q := &quadConv{Conv: c, zeroX: randomZero(r), weights: make([]int8, c.Out*4*c.In*c.Kernel[0]*c.Kernel[1])}
	extreme, whole := r.IntN(4) == 0, r.IntN(2) == 0
	for i := range q.weights {
		if q.weights[i] = int8(r.IntN(255) - 127); extreme {
			q.weights[i] = int8(254*r.IntN(2) - 127)
		}
	}
	for range c.Out {
		// so that sums spread over the bytes, or not at all
		m := float32(r.Float64() / (75 * math.Sqrt(float64(4*c.In*c.Kernel[0]*c.Kernel[1]))))
		b := float32(100 * r.NormFloat64())
		switch i := r.IntN(10); {
		case i == 0 && whole:
			m = []float32{0.5, 1e-4, -m}[r.IntN(3)]
		case i == 0:
			m = []float32{1e30, 1, 1e-30, 0, -m}[r.IntN(5)]
		case i == 1 && whole:
			b = []float32{1e4, -1e4, 0.5, 0}[r.IntN(4)]
		case i == 1:
			b = []float32{1e30, -1e30, 0.5, 1 << 31, 0}[r.IntN(5)]
		case i == 2 && whole:
			m, b = 0.25, 0.5
		case i == 2:
			m, b = 0.5, 0 // often halfway
		}
		q.m, q.b = append(q.m, m), append(q.b, b)
	}
	q.Quant.Whole = c.QuadsOut && whole && Whole(q.m, q.b, len(q.weights)/c.Out)
	return q
}

// sum is the convolution's definition, for channel o where the first tap reads x[at].
func (c *quadConv) sum(x []float32, o, at int) (acc int32) {
	taps := c.Kernel[0] * c.Kernel[1]
	for i := range c.In {
		for tap := range taps {
			q := Unquad(x[at+(i*c.InChannel+c.tapAt(tap/c.Kernel[1], tap%c.Kernel[1]))/4])
			for ch, v := range q {
				acc += (int32(v) - int32(c.zeroX)) * int32(c.weights[((o*c.In+i)*4+ch)*taps+tap])
			}
		}
	}
	return acc
}

// randomQuadConv returns a convolution of so many quads and channels.
func randomQuadConv(r *rand.Rand, t Target, in, out int) Conv {
	c := randomConv(r, t)
	c.QuadsIn, c.QuadsOut = true, r.IntN(4) > 0
	line := c.InChannel
	for c.In, c.Out = in, out; c.QuadsOut && c.Out%4 != 0; {
		c.Out++
	}
	if c.InRow >= line { // rows of all channels, whose count is another one now
		c.InRow = c.In*c.InChannel + 4*rarely(r, 20)
	}
	if c.QuadsOut {
		c.Act, c.Quant = Activation{}, randomQuant(r)
		c.Line.Pad = randomZero(r)
	}
	if c.Wide = !c.QuadsOut && r.IntN(2) == 0; c.Wide {
		c.Out += c.Out % 2
	}
	if c.Stride == 1 && r.IntN(4) == 0 { // all memory counts as input, wherever the taps are
		c.Apart = [2]int{4 + 4*rarely(r, 300), 4 * rarely(r, 300)}
	}
	tiles := t.QuadTiles(c.Out, c.Line.Vectors, c.Kernel[0]*c.Kernel[1], c.Stride)
	tiles = slices.DeleteFunc(tiles, func(t Tile) bool { return c.Wide && t.Out%2 != 0 })
	c.Tile = tiles[r.IntN(len(tiles))]
	return c
}

func TestConvQuads(t *testing.T) {
	eachQuadTarget(t, func(t *testing.T, target Target, r *rand.Rand) {
		for range rounds() {
			testConvQuads(t, target, r, randomQuadConv(r, target, 1+r.IntN(6), 1+r.IntN(40)), false)
		}
	})
}

// TestConvQuadsShapes has those of YOLOv5, counts that fill no quad or vector included, with
// each of the first tiles of the model.
func TestConvQuadsShapes(t *testing.T) {
	eachQuadTarget(t, func(t *testing.T, target Target, r *rand.Rand) {
		for _, s := range []struct{ in, out, kernel, stride, vectors int }{
			{3, 16, 3, 1, 5}, {32, 128, 1, 1, 5}, {32, 128, 1, 1, 20}, {8, 16, 1, 1, 9}, {16, 32, 3, 1, 3}, {4, 32, 3, 2, 5},
			{8, 64, 3, 2, 3}, {1, 4, 3, 1, 1}, {5, 12, 1, 1, 3}, {64, 20, 1, 1, 2}, {16, 255, 1, 1, 2}, {6, 18, 1, 1, 1},
		} {
			tiles := target.QuadTiles(s.out, s.vectors, s.kernel*s.kernel, s.stride)
			for i, tile := range tiles[:min(3, len(tiles))] {
				c := Conv{In: s.in, Out: s.out, Kernel: [2]int{s.kernel, s.kernel}, Stride: s.stride, PixelsOuter: i%2 == 0,
					Line: Line{Vectors: s.vectors, Mask: MaskLast}, Tile: tile, QuadsIn: true}
				if c.QuadsOut = s.out%4 == 0; c.QuadsOut {
					c.Line.Pad = 114
					c.Quant = Quant{Zero: 90, Table: randomTable(r)}
				}
				c.InChannel = 4 * c.reads(target)
				c.InRow = s.in * c.InChannel
				c.OutChannel = 4 * s.vectors * target.lanes
				testConvQuads(t, target, r, c, false)
			}
		}
	})
}

// TestConvQuadsRoundsTwice has sums that would become others if their product and addition
// were rounded together.
func TestConvQuadsRoundsTwice(t *testing.T) {
	eachQuadTarget(t, func(t *testing.T, target Target, r *rand.Rand) {
		for range rounds() / 10 {
			c := Conv{In: 1, Out: 4, Kernel: [2]int{1, 1}, Stride: 1, Line: Line{Vectors: 1}, Tile: Tile{4, 1}, QuadsIn: true, QuadsOut: true}
			q := newQuadConv(r, c)
			q.zeroX, q.Quant.Whole = 0, false // and no sum is
			for i := range q.weights {
				q.weights[i] = int8(1 + r.IntN(127))
			}
			x := filled(target.lanes, Quad([4]uint8{uint8(r.Uint32()), uint8(r.Uint32()), 17, 200}))
			var want [4]uint8
			for o := range want {
				acc := q.sum(x, o, 0)
				for {
					m := float32(r.Float64() / 500)
					b := float32(float64(r.IntN(200)) + 0.5 - float64(acc)*float64(m))
					want[o] = c.Quant.Sum(acc, m, b)
					if once := fma(float32(acc), m, b); quantized(once, 0) != want[o] {
						q.m[o], q.b[o] = m, b
						break
					}
				}
			}
			out := filled(target.lanes, untouched)
			var call caller
			pass(&call, 0, x, 0)
			pass(&call, 1, target.PackQuads(q.weights, c.Out, c.In, 1, c.Tile), 0)
			pass(&call, 2, target.PackSums(q.Quant, q.weights, c.Out, q.zeroX, q.m, q.b), 0)
			pass(&call, 3, out, 0)
			if !call.runQuads(t, target, func(b *Builder) (Func, error) { return b.Conv(c) }) {
				return
			}
			if got := Unquad(out[0]); got != want {
				t.Fatalf("%s: %v, want %v", target, got, want)
			}
		}
	})
}

func TestImpossibleWide(t *testing.T) {
	for _, target := range quadTargets() {
		for name, change := range map[string]func(c *Conv){
			"input":        func(c *Conv) { c.QuadsIn = false },
			"output":       func(c *Conv) { c.QuadsOut = true },
			"odd channels": func(c *Conv) { c.Out = 5 },
			"odd tiles":    func(c *Conv) { c.Tile.Out = 1 },
			"bytes":        func(c *Conv) { c.BytesIn = true },
		} {
			c := Conv{In: 2, Out: 4, Kernel: [2]int{1, 1}, Stride: 1, InChannel: 4, OutChannel: 4, Line: Line{Vectors: 1}, Tile: Tile{2, 1}, QuadsIn: true, Wide: true}
			change(&c)
			if _, err := NewBuilder(target).Conv(c); err == nil {
				t.Errorf("%s: a convolution with weights of 16 bits is written: %s", target, name)
			}
		}
	}
}

func FuzzConvQuads(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		for _, target := range quadTargets() {
			r := rand.New(rand.NewPCG(seed, 0))
			testConvQuads(t, target, r, randomQuadConv(r, target, 1+r.IntN(70), 1+r.IntN(150)), false)
		}
	})
}

// testConvQuads compares one convolution, by tiles of AMX or by vectors.
func testConvQuads(t *testing.T, target Target, r *rand.Rand, c Conv, tiles bool) {
	t.Helper()
	line := newLineMask(r, c.Line, target.lanes)
	q := newQuadConv(r, c)
	c = q.Conv
	taps := c.Kernel[0] * c.Kernel[1]
	last := 0
	for tap := range taps {
		last = max(last, ((c.In-1)*c.InChannel+c.tapAt(tap/c.Kernel[1], tap%c.Kernel[1]))/4)
	}
	perOut := convWriter{Conv: c}.perLane()
	size := line.Vectors * target.lanes
	x := randomQuads(r, last+c.reads(target))
	packed := target.PackQuads(q.weights, c.Out, c.In, taps, c.Tile)
	if tiles {
		packed = c.PackAMXQuads(q.weights)
	}
	add := randomQuads(r, c.Out/perOut*c.AddChannel/4+size)
	if !c.QuadsOut {
		add = random(r, len(add))
	}
	out := floatsOf(aligned(4 * (c.Out/perOut*c.OutChannel/4 + size)))
	fill(out, untouched)
	var call caller
	pass(&call, 0, x, 0)
	pass(&call, 1, packed, 0)
	pass(&call, 2, target.PackSums(q.Quant, q.weights, c.Out, q.zeroX, q.m, q.b), 0)
	pass(&call, 3, out, 0)
	pass(&call, 4, add, 0)
	pass(&call, 6, filled(AMXScratch/4, nan), 0)
	call.args[argRows] = 1
	line.pass(&call)
	if !call.runQuads(t, target, func(b *Builder) (Func, error) {
		if tiles {
			return b.ConvAMX(c)
		}
		return b.Conv(c)
	}) {
		return
	}
	if !c.QuadsOut {
		q.compareFloats(t, &line, x, add, out)
		return
	}
	want := newWantedQuads(len(out))
	for o := 0; o < c.Out; o += 4 {
		line.writeQuads(want, o/4*c.OutChannel/4, func(p int) (y [4]uint8) {
			r := Unquad(add[o/4*c.AddChannel/4+p])
			for ch := range y {
				if y[ch] = c.Quant.Sum(q.sum(x, o+ch, p*c.Stride), q.m[o+ch], q.b[o+ch]); c.Add {
					y[ch] = c.Quant.Add.Sum(y[ch], r[ch])
				}
			}
			return y
		})
	}
	want.compare(t, out, fmt.Sprintf("%s, tiles %v, %+v", target, tiles, c))
}

// compareFloats checks what a convolution to float32 has written: before the activation and
// the addition that is exact, too.
func (q *quadConv) compareFloats(t *testing.T, line *lineMask, x, add, out []float32) {
	t.Helper()
	want := newWanted(len(out))
	each := convWriter{Conv: q.Conv}.perLane()
	for o := 0; o < q.Out; o += each {
		line.write(want, o/each*q.OutChannel/4, func(p int) (v, slack float64) {
			acc := q.sum(x, o, p*q.Stride)
			if q.Wide {
				acc = acc<<8 + q.sum(x, o+1, p*q.Stride)
			}
			y := float64(float32(float32(acc)*q.m[o]) + q.b[o])
			if q.Act.Kind == "" {
				if v = y; q.Add {
					v = float64(float32(y) + add[o/each*q.AddChannel/4+p])
				}
				return v, 0
			}
			if math.Abs(y) > 1e10 { // hard for an activation
				return 0, math.Inf(1)
			}
			v = plainActivation(q.Act, y)
			slack = 2e-6 * (1 + math.Abs(y))
			if q.Add {
				v += float64(add[o/each*q.AddChannel/4+p])
			}
			return v, slack + 1e-7*math.Abs(v)
		})
	}
	want.compare(t, out, q.Conv)
}

// wantedQuads is what memory of quads should hold, to the last bit.
type wantedQuads []float32

func newWantedQuads(n int) wantedQuads { return filled(n, untouched) }

// writeQuads is write for quads: what masks leave out is padding.
func (m *lineMask) writeQuads(w wantedQuads, first int, value func(pixel int) [4]uint8) {
	for i := range m.Vectors * m.lanes {
		switch {
		case m.Mask == MaskAll && m.masks[i/m.lanes*16+i%m.lanes] == 0, m.Mask == MaskLast && i >= m.width():
			w[first+i] = Quad([4]uint8{m.Pad, m.Pad, m.Pad, m.Pad})
		case i < m.width():
			w[first+i] = Quad(value(i))
		}
	}
}

func (w wantedQuads) compare(t *testing.T, got []float32, spec string) {
	t.Helper()
	for i := range w {
		if g, want := math.Float32bits(got[i]), math.Float32bits(w[i]); g != want {
			t.Fatalf("%s: [%d] = %v, want %v", spec, i, Unquad(got[i]), Unquad(w[i]))
		}
	}
}

func TestImpossibleQuads(t *testing.T) {
	good := Conv{In: 1, Out: 4, Kernel: [2]int{1, 1}, Stride: 1, Line: Line{Vectors: 1}, Tile: Tile{4, 1}, QuadsIn: true, QuadsOut: true}
	for _, target := range targets {
		for i, change := range []func(c *Conv){
			func(c *Conv) {},
			func(c *Conv) { c.Out = 6 },
			func(c *Conv) { c.Tile.Out = 2 },
			func(c *Conv) { c.Tile = Tile{8, 8} },
			func(c *Conv) { c.In = MaxQuadProducts/4 + 1 },
			func(c *Conv) { c.Act.Kind = "silu" },
			func(c *Conv) { c.QuadsIn = false },
			func(c *Conv) { c.PairsIn = true },
			func(c *Conv) { c.QuadsOut, c.PairsOut = false, true },
			func(c *Conv) { c.QuadsOut, c.Line.Pad = false, 1 },
			func(c *Conv) { c.Quant.Add.ScaleR = nan },
			func(c *Conv) { c.Line.Vectors = 0 },
		} {
			c := good
			change(&c)
			if _, err := NewBuilder(target).Conv(c); (err == nil) != (i == 0) {
				t.Errorf("%s, %d: %v", target, i, err)
			}
			if c.Tile = (Tile{16, 1}); i == 2 || i == 3 {
				continue
			}
			if _, err := NewBuilder(target).ConvAMX(c); (err == nil) != (i == 0 && target.AMX()) {
				t.Errorf("%s, %d by AMX: %v", target, i, err)
			}
		}
	}
}

// TestConvQuadsBounds has inputs, weights and outputs that end where memory does.
func TestConvQuadsBounds(t *testing.T) {
	for _, target := range quadTargets() {
		r := rand.New(rand.NewPCG(7, 8))
		for range rounds() / 10 {
			if c := randomQuadConv(r, target, 1+r.IntN(20), 1+r.IntN(40)); target.lanes < 16 || c.Line.Mask != MaskPart {
				testQuadBounds(t, target, c, false)
			}
			if c := randomAMXQuads(r, 1+r.IntN(40), 1+r.IntN(40)); target.AMX() && c.Line.Mask != MaskPart {
				testQuadBounds(t, target, c, true)
			}
		}
	}
}

func testQuadBounds(t *testing.T, target Target, c Conv, tiles bool) {
	t.Helper()
	width, taps := c.Line.Vectors*target.lanes, c.Kernel[0]*c.Kernel[1]
	last := 0
	for tap := range taps {
		at := c.tapAt(tap/c.Kernel[1], tap%c.Kernel[1])/4 + width
		if c.Stride == 2 { // every other lane of two vectors, from an even column on
			at = (tap/c.Kernel[1]*c.InRow)/4 + tap%c.Kernel[1]&^1 + 2*width
		}
		last = max(last, at)
	}
	perOut := 1
	if c.QuadsOut {
		perOut = 4
	}
	weights, m := make([]int8, c.Out*4*c.In*taps), make([]float32, c.Out)
	packed := target.PackQuads(weights, c.Out, c.In, taps, c.Tile)
	if tiles {
		packed = c.PackAMXQuads(weights)
	}
	sums := target.PackSums(c.Quant, weights, c.Out, 0, m, m)
	if c.Line.Mask == MaskPart {
		width += c.Line.Last - target.lanes
	}
	var call caller
	for i, size := range []int{(c.In-1)*c.InChannel/4 + last, len(packed), len(sums),
		(c.Out/perOut-1)*c.OutChannel/4 + width, (c.Out/perOut-1)*c.AddChannel/4 + c.Line.Vectors*target.lanes} {
		pass(&call, i, atEnd(t, size), 0)
	}
	pass(&call, 5, atEnd(t, tileRows*c.Line.Vectors), 0)
	pass(&call, 6, atEnd(t, AMXScratch/4), 0)
	call.args[argRows] = 1
	if c.Line.Far {
		pass(&call, 3, floatsOf(aligned(4*((c.Out/perOut-1)*c.OutChannel/4+width))), 0)
	}
	call.runQuads(t, target, func(b *Builder) (Func, error) {
		if tiles {
			return b.ConvAMX(c)
		}
		return b.Conv(c)
	})
}
