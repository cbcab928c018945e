package codegen

import "fmt"

// 3x3 convolutions by Winograd's algorithm along the columns (Lavin and Gray, "Fast
// Algorithms for Convolutional Neural Networks", 2015). With d the rows of input that a
// group of four rows of output reads, and g the three rows of weights, for each column of
// the kernel:
//
//	T = B^T d    M_j = sum over channels and columns of T_j * (G g)_j    y = A^T M
//
// At stride 1 that is F(4,3), with the points 0, 1, -1, 2, -2 and infinity: six planes M
// instead of twelve products for each pair of channels, column and four rows.
//
//	      | 4  0 -5  0  1  0|       | 1/4    0    0  |
//	      | 0 -4 -4  1  1  0|       |-1/6  -1/6  -1/6|           |1  1  1  1  1  0|
//	B^T = | 0  4 -4 -1  1  0|   G = |-1/6   1/6  -1/6|   A^T =   |0  1 -1  2 -2  0|
//	      | 0 -2 -1  2  1  0|       | 1/24 1/12  1/6 |           |0  1  1  4  4  0|
//	      | 0  2 -1 -2  1  0|       | 1/24 -1/12 1/6 |           |0  1 -1  8 -8  1|
//	      | 0  4  0 -5  0  1|       |  0     0    1  |
//
// At stride 2 output row y reads the odd rows u = 2y-1 and 2y+1 of the input by g_0 and
// g_2, and the even row 2y by g_1. The odd rows are a filter of two taps, F(4,2) with the
// points 0, 1, -1, 2 and infinity; the even rows stay as they are: nine planes, of which
// the last four are those of the even rows.
//
//	      |2 -1 -2  1  0|       | 1/2   0 |
//	      |0 -2 -1  1  0|       |-1/2 -1/2|           |1  1  1  1  0|
//	B^T = |0  2 -3  1  0|   G = |-1/6  1/6|   A^T =   |0  1 -1  2  0|
//	      |0 -1  0  1  0|       | 1/6  1/3|           |0  1  1  4  0|
//	      |0  2 -1 -2  1|       |  0    1 |           |0  1 -1  8  1|
//
// The columns of a row are the lanes of vectors, so both transformations are sums of
// vectors. The transformed rows of several groups may lie side by side, so that narrow
// maps fill the vectors too. At stride 2 even and odd columns lie apart, which spares the
// multiplication all shuffling.

// WinogradRows is how many rows of output a group has.
const WinogradRows = 4

// WinogradPlanes is how many transformed rows a group has.
func WinogradPlanes(stride int) int { return len(winogradG(stride)) }

// WinogradReads is how many rows of input that many rows of output read.
func WinogradReads(stride, rows int) int { return (rows-1)*stride + 3 }

// winogradG is the matrix G, in the rows of a 3x3 kernel.
func winogradG(stride int) [][3]float64 {
	if stride == 1 {
		return [][3]float64{{1. / 4, 0, 0}, {-1. / 6, -1. / 6, -1. / 6}, {-1. / 6, 1. / 6, -1. / 6},
			{1. / 24, 1. / 12, 1. / 6}, {1. / 24, -1. / 12, 1. / 6}, {0, 0, 1}}
	}
	return [][3]float64{{1. / 2, 0, 0}, {-1. / 2, 0, -1. / 2}, {-1. / 6, 0, 1. / 6}, {1. / 6, 0, 1. / 3}, {0, 0, 1},
		{0, 1, 0}, {0, 1, 0}, {0, 1, 0}, {0, 1, 0}}
}

// Winograd describes the multiplication of T by the weights and the way back to rows of
// output, activation and addition included.
//
// Arguments: 0 T at the line's first column, 1 weights as PackWinograd orders them,
// 2 biases, 3 output, 4 what is added (with Add), 5 masks (with MaskLast), 6 scratch
// memory of WinogradScratch bytes.
type Winograd struct {
	In, Out    int
	Stride     int
	Channel    int // of T: from one channel to the next,
	Plane      int // one plane to the next,
	Even       int // and from the odd columns to the even ones, at stride 2
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
func (t Target) WinogradScratch(stride int, tile Tile) int {
	return WinogradPlanes(stride) * tile.Out * tile.Vectors * 4 * t.lanes
}

// Winograd writes the multiplication.
func (b *Builder) Winograd(w Winograd) (Func, error) {
	switch {
	case w.In < 1 || w.Out < 1 || w.Rows < 1 || w.Rows > WinogradRows || w.Line.Vectors < 1 || w.Line.Mask == MaskAll,
		w.Stride != 1 && w.Stride != 2, !w.Act.known():
		return 0, fmt.Errorf("codegen: impossible %+v", w)
	case !b.target.Fits(w.Tile, 1):
		return 0, fmt.Errorf("codegen: a tile of %d x %d sums does not fit the registers of %s", w.Tile.Out, w.Tile.Vectors, b.target)
	}
	return b.kernel(w, false, func(m isa) {
		lineArgs(m, w.Line, w.Add)
		m.arg(rW, 1)
		m.arg(rBias, 2)
		m.arg(rScratch, 6)
		loops := convWriter{b, m, Conv{In: w.In, Out: w.Out, Kernel: [2]int{WinogradPlanes(w.Stride), 3}, Stride: 1,
			OutChannel: w.OutChannel, AddChannel: w.AddChannel, Add: w.Add, Line: w.Line, Tile: w.Tile}}
		loops.channels(func(out int) {
			m.push(rX, rOut, rRes)
			loops.pixels(func(v int, last bool) {
				b.winogradMultiply(w, out, v)
				b.winogradOutput(w, out, v, last)
			})
			m.pop(rX, rOut, rRes)
		})
	})
}

// winogradMultiply leaves the sums of one tile in scratch memory.
func (b *Builder) winogradMultiply(w Winograd, out, v int) {
	m := b.isa
	acc, x, free := b.registers(out*v, v)
	size := 4 * m.lanes()
	step := 4 * roundUp(out, m.packing())
	columns := [3]int{0, 4, 8}
	if w.Stride == 2 {
		columns = [3]int{0, w.Even, 4}
	}
	m.move(rCurX, rX)
	m.move(rCurW, rW)
	for plane := range WinogradPlanes(w.Stride) {
		for _, a := range acc {
			m.zero(a)
		}
		m.loop(rCount, w.In, func() {
			for kx, column := range columns {
				for j := range x {
					m.load(x[j], rCurX, column+j*size)
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

// PackWinograd transforms the weights [Out, In, 3, 3] and orders them for Winograd: as Pack
// does, with the planes one after the other.
func (t Target) PackWinograd(weights []float32, out, in, stride int, tile Tile) []float32 {
	g := winogradG(stride)
	planes := make([]float32, out*len(g)*in*3)
	for o := range out {
		to := planes[o*len(g)*in*3:]
		for channel := range in {
			w := weights[(o*in+channel)*9:][:9]
			for kx := range 3 {
				top, middle, bottom := float64(w[kx]), float64(w[3+kx]), float64(w[6+kx])
				for plane, g := range g {
					to[(plane*in+channel)*3+kx] = float32(g[0]*top + g[1]*middle + g[2]*bottom)
				}
			}
		}
	}
	return t.Pack(planes, out, len(g)*in, 3, tile)
}
