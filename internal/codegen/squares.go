package codegen

import "fmt"

// 3x3 convolutions by Winograd's algorithm along rows and columns at once, with the
// matrices of winograd.go on both sides. For squares of 4x4 outputs, with d what a square
// reads:
//
//	T = B^T d B    M_p = sum over channels of T_p * (G g G^T)_p    y = A^T M A
//
// At stride 1 that is F(4x4,3x3): 36 products instead of 144 for each pair of channels. At
// stride 2, where 5 planes of odd rows or columns stand beside 4 of even ones, it is 81, by
// 36 different weights.
//
// The lanes of vectors are squares: those of a row of squares, then of the next, with one
// lane between them that counts for nothing. So all that is done to squares is sums of
// whole vectors, whatever the width of the map.

// squareSide is how many rows and columns of output a square has.
const squareSide = WinogradRows

// A Strip is some rows of squares. Its vectors are cut into blocks of at most Block, which
// are multiplied together: in each plane of T lie the vectors of the first block, channel by
// channel, then those of the next.
type Strip struct {
	Stride        int // of the convolution, 1 or 2
	Rows, Columns int // of squares
	Block         int
}

// pitch is how many lanes there are from one row of squares to the next.
func (s Strip) pitch() int { return s.Columns + 1 }

// Vectors is how many vectors of that many lanes the strip fills.
func (s Strip) Vectors(lanes int) int { return (s.Rows*s.pitch() - 1 + lanes - 1) / lanes }

// Reads is how many rows of input the strip reads.
func (s Strip) Reads() int { return WinogradReads(s.Stride, squareSide*s.Rows) }

// Planes is how many planes T has.
func (s Strip) Planes() int { p := WinogradPlanes(s.Stride); return p * p }

// blocks cuts the vectors.
func (s Strip) blocks(lanes int) []segment { return balanced(s.Vectors(lanes), s.Block) }

// Starts returns where in a plane of T the blocks of the first and of the second size begin,
// in floats, for one of so many channels.
func (s Strip) Starts(channel, channels, lanes int) (first, second int) {
	blocks := s.blocks(lanes)
	first = channel * blocks[0].size * lanes
	if len(blocks) == 2 {
		second = (blocks[1].start*channels + channel*blocks[1].size) * lanes
	}
	return first, second
}

// OutPitch is how many floats lie between the rows of output of one row of squares and
// those of the next, in what Squares writes.
func (s Strip) OutPitch() int { return squareSide * s.pitch() }

func (s Strip) check() error {
	if s.Stride != 1 && s.Stride != 2 || s.Rows < 1 || s.Columns < 1 || s.Block < 1 {
		return fmt.Errorf("codegen: impossible %+v", s)
	}
	return nil
}

// Squares describes the multiplication of T by the weights and the way back to outputs.
// Row r of each row of squares, of all channels, follows row r of the one before: so rows
// of output lie OutPitch apart.
//
// Arguments: 0 T, 1 weights as PackSquares orders them, 2 biases, 3 output, 6 scratch
// memory of SquaresScratch bytes.
type Squares struct {
	Strip
	In, Out    int
	Plane      int // of T: from one plane to the next
	OutRow     int // of the output: from row r of the squares to row r+1
	OutChannel int
	Act        Activation
	TileOut    int // of output channels; a tile has the vectors of a block
}

// SquaresScratch is how many bytes the sums of a tile of so many output channels take.
func (t Target) SquaresScratch(s Strip, out int) int { return s.Planes() * out * s.Block * 4 * t.lanes }

// Squares writes the multiplication.
func (b *Builder) Squares(w Squares) (Func, error) {
	tile := Tile{w.TileOut, w.Block}
	switch err := w.check(); {
	case err != nil:
		return 0, err
	case w.In < 1 || w.Out < 1 || !w.Act.known():
		return 0, fmt.Errorf("codegen: impossible %+v", w)
	case !b.target.Fits(tile, 1):
		return 0, fmt.Errorf("codegen: a tile of %d x %d sums does not fit the registers of %s", tile.Out, tile.Vectors, b.target)
	}
	return b.kernel(w, false, func(m isa) {
		m.arg(rX, 0)
		m.arg(rW, 1)
		m.arg(rBias, 2)
		m.arg(rOut, 3)
		m.arg(rScratch, 6)
		size := 4 * m.lanes()
		loops := convWriter{b, m, Conv{In: w.In, Kernel: [2]int{squareMatrices, 1}, Out: w.Out, OutChannel: w.OutChannel, Tile: tile}}
		loops.channels(func(out int) {
			m.push(rX, rOut)
			for _, s := range w.blocks(m.lanes()) {
				m.loop(rOuter, s.n, func() {
					b.squaresMultiply(w, out, s.size)
					b.squaresOutput(w, out, s.size)
					m.add(rX, w.In*s.size*size)
					m.add(rOut, squareSide*s.size*size)
				})
			}
			m.pop(rX, rOut)
		})
	})
}

// squareMatrices is how many different weights a pair of channels has: the even rows and
// columns of stride 2 share theirs.
const squareMatrices = 6 * 6

// squareMatrix is which of them plane (row, column) is multiplied by.
func squareMatrix(row, column int) int { return min(row, 5)*6 + min(column, 5) }

// squaresMultiply leaves the sums of one tile in scratch memory. The transformation back
// makes 1 of a 1 in plane (1, 1), for all outputs: there the biases come in.
func (b *Builder) squaresMultiply(w Squares, out, v int) {
	m := b.isa
	acc, x, free := b.registers(out*v, v)
	size := 4 * m.lanes()
	step := 4 * roundUp(out, m.packing())
	side := WinogradPlanes(w.Stride)
	for row := range side {
		for column := range side {
			for i, a := range acc {
				switch {
				case row != 1 || column != 1:
					m.zero(a)
				case i%v == 0:
					m.spread(a, rBias, 4*(i/v))
				default:
					m.copy(a, acc[i-1])
				}
			}
			plane := row*side + column
			m.lea(rCurX, rX, plane*w.Plane)
			m.lea(rCurW, rW, squareMatrix(row, column)*w.In*step)
			m.loop(rCount, w.In, func() {
				for j := range x {
					m.load(x[j], rCurX, j*size)
				}
				m.tap(acc, x, out, rCurW, 0, free)
				m.add(rCurX, v*size)
				m.add(rCurW, step)
			})
			for i, a := range acc {
				m.store(rScratch, (plane*len(acc)+i)*size, a)
			}
		}
	}
}

// PackSquares transforms the weights [Out, In, 3, 3] and orders them for Squares: as Pack
// does, with the matrices one after the other.
func (t Target) PackSquares(weights []float32, out, in, stride, tileOut int) []float32 {
	packing := t.isa().packing()
	segments := tiles(out, tileOut)
	size := 0
	for _, s := range segments {
		size += s.n * roundUp(s.size, packing) * squareMatrices * in
	}
	packed := make([]float32, size)
	to := packed
	g := [6][3]float64(winogradG(stride))
	for _, s := range segments {
		step := roundUp(s.size, packing)
		for n := range s.n {
			for channel := range in {
				for o := range s.size {
					w := (*[9]float32)(weights[((s.start+n*s.size+o)*in+channel)*9:])
					for i, u := range transformed(&g, w) {
						to[(i*in+channel)*step+o] = u
					}
				}
			}
			to = to[squareMatrices*in*step:]
		}
	}
	return packed
}

// transformed returns G w G^T, the matrices of a pair of channels.
func transformed(g *[6][3]float64, w *[9]float32) (u [squareMatrices]float32) {
	for i := range g {
		var line [3]float64
		for kx := range line {
			line[kx] = g[i][0]*float64(w[kx]) + g[i][1]*float64(w[3+kx]) + g[i][2]*float64(w[6+kx])
		}
		for j := range g {
			u[squareMatrix(i, j)] = float32(g[j][0]*line[0] + g[j][1]*line[1] + g[j][2]*line[2])
		}
	}
	return u
}
