package codegen

import "fmt"

// Winograd's F(4,3) along the columns (Lavin and Gray, "Fast Algorithms for Convolutional
// Neural Networks", 2015): four rows of a 3x3 convolution of stride 1 cost 18 instead of
// 36 multiplications for each pair of channels and column. With d the six rows of input
// that they read and g the three rows of weights, row by row and for each column:
//
//	T = B^T d    M_j = sum over channels and columns of T_j * (G g)_j    y = A^T M
//
//	      | 4  0 -5  0  1  0|       | 1/4    0    0  |
//	      | 0 -4 -4  1  1  0|       |-1/6  -1/6  -1/6|           |1  1  1  1  1  0|
//	B^T = | 0  4 -4 -1  1  0|   G = |-1/6   1/6  -1/6|   A^T =   |0  1 -1  2 -2  0|
//	      | 0 -2 -1  2  1  0|       | 1/24 1/12  1/6 |           |0  1  1  4  4  0|
//	      | 0  2 -1 -2  1  0|       | 1/24 -1/12 1/6 |           |0  1 -1  8 -8  1|
//	      | 0  4  0 -5  0  1|       |  0     0    1  |
//
// The columns of a row are the lanes of vectors, so both transforms are sums of vectors.
// A group is four rows of output. The transformed rows of several groups may lie side by
// side, so that narrow maps fill the vectors too.

// WinogradPlanes is how many transformed rows a group has.
const WinogradPlanes = 6

// WinogradRows is how many rows of output a group has.
const WinogradRows = 4

var winogradG = [WinogradPlanes][3]float64{{1. / 4, 0, 0}, {-1. / 6, -1. / 6, -1. / 6}, {-1. / 6, 1. / 6, -1. / 6},
	{1. / 24, 1. / 12, 1. / 6}, {1. / 24, -1. / 12, 1. / 6}, {0, 0, 1}}

// WinogradInput describes the transformation of input rows into T. Column 0 of T is the
// column left of the map, which like the one right of it must hold zeros.
//
// Arguments: 0 input at the first row and column that the first group reads, 1 T.
type WinogradInput struct {
	Channels  int
	InRow     int
	InChannel int
	Vectors   int // of a row, the two columns of padding included
	Groups    int // side by side in T
	LastRows  int // of input that the last group has, up to 6; the others count as zeros
	Pitch     int // of T: from one group to the next,
	Channel   int // one channel to the next,
	Plane     int // and one plane to the next
}

// WinogradInput writes the input's transformation. Where groups lie side by side, the
// vectors of one may reach into the next, which is written later; behind the last group
// of a channel there has to be room for a vector.
func (b *Builder) WinogradInput(w WinogradInput) (Func, error) {
	if w.Channels < 1 || w.Vectors < 1 || w.Groups < 1 || w.LastRows < 1 || w.LastRows > WinogradPlanes {
		return 0, fmt.Errorf("codegen: impossible %+v", w)
	}
	return b.kernel(w, func(m isa) {
		m.arg(rConst, argConst)
		m.arg(rX, 0)
		m.arg(rOut, 1)
		m.loop(rTiles, w.Channels, func() {
			m.move(rCurX, rX)
			m.move(rCurW, rOut)
			if w.Groups > 1 {
				m.loop(rOuter, w.Groups-1, func() {
					for v := range w.Vectors {
						b.winogradColumn(w, WinogradPlanes, v*4*m.lanes())
					}
					m.add(rCurX, WinogradRows*w.InRow)
					m.add(rCurW, w.Pitch)
				})
			}
			for v := range w.Vectors {
				b.winogradColumn(w, w.LastRows, v*4*m.lanes())
			}
			m.add(rX, w.InChannel)
			m.add(rOut, w.Channel)
		})
		m.leave()
	})
}

// winogradColumn transforms one vector of columns of that many rows.
func (b *Builder) winogradColumn(w WinogradInput, rows, off int) {
	m := b.isa
	var d [WinogradPlanes]vec
	for i := range d {
		d[i] = vec(i)
		if i < rows {
			m.load(d[i], rCurX, i*w.InRow+off)
		} else {
			m.zero(d[i])
		}
	}
	const p, q, r, s, t vec = 6, 7, 8, 9, 10
	c := func(v float32) int { return b.consts.offset(v) }
	store := func(plane int, v vec) { m.store(rCurW, plane*w.Plane+off, v) }
	m.copy(p, d[4])
	m.fmaM(p, d[2], rConst, c(-4))
	m.copy(q, d[3])
	m.fmaM(q, d[1], rConst, c(-4))
	m.subV(r, d[4], d[2])
	m.subV(s, d[3], d[1])
	m.fmaM(d[4], d[2], rConst, c(-5))
	m.fmaM(d[4], d[0], rConst, c(4))
	store(0, d[4])
	m.addV(t, p, q)
	store(1, t)
	m.subV(p, p, q)
	store(2, p)
	m.copy(t, r)
	m.fmaM(t, s, rConst, c(2))
	store(3, t)
	m.fmaM(r, s, rConst, c(-2))
	store(4, r)
	m.fmaM(d[5], d[3], rConst, c(-5))
	m.fmaM(d[5], d[1], rConst, c(4))
	store(5, d[5])
}

// Winograd describes the multiplication of T by the weights and the way back to rows of
// output, activation and addition included.
//
// Arguments: 0 T at the line's first column, 1 weights as PackWinograd orders them,
// 2 biases, 3 output, 4 what is added (with Add), 5 masks (with MaskLast), 6 scratch
// memory of WinogradScratch bytes.
type Winograd struct {
	In, Out    int
	Channel    int // of T: from one channel to the next
	Plane      int // and one plane to the next
	Rows       int // of output, 1 to 4
	OutRow     int
	OutChannel int
	AddRow     int
	AddChannel int
	Add        bool
	Act        Activation
	Line       Line // without MaskAll
	Tile       Tile
}

// WinogradScratch is how many bytes a tile's sums take.
func (t Target) WinogradScratch(tile Tile) int {
	return WinogradPlanes * tile.Out * tile.Vectors * 4 * t.lanes
}

// Winograd writes the multiplication.
func (b *Builder) Winograd(w Winograd) (Func, error) {
	switch {
	case w.In < 1 || w.Out < 1 || w.Rows < 1 || w.Rows > WinogradRows || w.Line.Vectors < 1 || w.Line.Mask == MaskAll || !w.Act.known():
		return 0, fmt.Errorf("codegen: impossible %+v", w)
	case !b.target.Fits(w.Tile, 1):
		return 0, fmt.Errorf("codegen: a tile of %d x %d sums does not fit the registers of %s", w.Tile.Out, w.Tile.Vectors, b.target)
	}
	return b.kernel(w, func(m isa) {
		m.arg(rConst, argConst)
		m.arg(rX, 0)
		m.arg(rW, 1)
		m.arg(rBias, 2)
		m.arg(rOut, 3)
		if w.Add {
			m.arg(rRes, 4)
		}
		if w.Line.Mask == MaskLast {
			m.arg(rMask, 5)
		}
		m.arg(rScratch, 6)
		loops := convWriter{b, m, Conv{In: w.In, Out: w.Out, Kernel: [2]int{WinogradPlanes, 3}, Stride: 1, OutChannel: w.OutChannel,
			AddChannel: w.AddChannel, Add: w.Add, Line: w.Line, Tile: w.Tile}}
		loops.channels(func(o segment) {
			m.push(rX, rOut, rRes)
			loops.pixels(func(s segment, last bool) {
				b.winogradMultiply(w, o.size, s.size)
				b.winogradOutput(w, o.size, s.size, last)
			})
			m.pop(rX, rOut, rRes)
		})
		m.leave()
	})
}

// winogradMultiply leaves the sums of one tile in scratch memory.
func (b *Builder) winogradMultiply(w Winograd, out, v int) {
	m := b.isa
	acc, x, free := b.registers(out*v, v)
	size := 4 * m.lanes()
	step := 4 * roundUp(out, m.packing())
	m.move(rCurX, rX)
	m.move(rCurW, rW)
	for plane := range WinogradPlanes {
		for _, a := range acc {
			m.zero(a)
		}
		m.loop(rCount, w.In, func() {
			for kx := range 3 {
				for j := range x {
					m.load(x[j], rCurX, 4*kx+j*size)
				}
				m.tap(acc, x, out, rCurW, kx*step, free)
			}
			m.add(rCurX, w.Channel)
			m.add(rCurW, 3*step)
		})
		m.add(rCurX, w.Plane-w.In*w.Channel)
		for i, a := range acc {
			m.store(rScratch, (plane*len(acc)+i)*size, a)
		}
	}
}

// winogradOutput turns the sums of one tile into rows of output.
func (b *Builder) winogradOutput(w Winograd, out, v int, last bool) {
	m := b.isa
	size := 4 * m.lanes()
	const m1, m2, m3, m4, y0, y3, sum1, dif1, sum2, dif2, bias vec = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
	const t, p, q vec = 11, 12, 13
	c := func(v float32) int { return b.consts.offset(v) }
	for o := range out {
		m.spread(bias, rBias, 4*o)
		for j := range v {
			from := func(plane int) int { return (plane*out*v + o*v + j) * size }
			m.load(m1, rScratch, from(1))
			m.load(m2, rScratch, from(2))
			m.load(m3, rScratch, from(3))
			m.load(m4, rScratch, from(4))
			m.addV(sum1, m1, m2)
			m.subV(dif1, m1, m2)
			m.addV(sum2, m3, m4)
			m.subV(dif2, m3, m4)
			m.addM(y0, bias, rScratch, from(0))
			m.addV(y0, y0, sum1)
			m.addV(y0, y0, sum2)
			m.addM(y3, bias, rScratch, from(5))
			m.addV(y3, y3, dif1)
			m.fmaM(y3, dif2, rConst, c(8))
			m.addV(dif1, dif1, bias)
			m.fmaM(dif1, dif2, rConst, c(2))
			m.addV(sum1, sum1, bias)
			m.fmaM(sum1, sum2, rConst, c(4))
			for r, y := range []vec{y0, dif1, sum1, y3}[:w.Rows] {
				if w.Act.Kind != "" {
					b.activate(w.Act, y, t, p, q)
				}
				if w.Add {
					m.addM(y, y, rRes, r*w.AddRow+o*w.AddChannel+j*size)
				}
				to := r*w.OutRow + o*w.OutChannel + j*size
				switch special := last && j == v-1; {
				case special && w.Line.Mask == MaskPart:
					m.storeFirst(rOut, to, y, t, w.Line.Last)
					continue
				case special && w.Line.Mask == MaskLast:
					m.andM(y, y, rMask, 0)
				}
				m.store(rOut, to, y)
			}
		}
	}
}

// PackWinograd transforms the weights [Out, In, 3, 3] and orders them for Winograd.
func (t Target) PackWinograd(weights []float32, out, in int, tile Tile) []float32 {
	packing := t.isa().packing()
	var packed []float32
	for _, s := range balanced(out, tile.Out) {
		for n := range s.n {
			first := s.start + n*s.size
			for _, g := range winogradG {
				for i := range in * 3 {
					channel, kx := i/3, i%3
					for o := range roundUp(s.size, packing) {
						sum := 0.0
						for ky := range 3 {
							if o < s.size {
								sum += g[ky] * float64(weights[(((first+o)*in+channel)*3+ky)*3+kx])
							}
						}
						packed = append(packed, float32(sum))
					}
				}
			}
		}
	}
	return packed
}
