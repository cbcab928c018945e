package codegen

import (
	"encoding/binary"
	"fmt"

	"ultrafast/internal/codegen/amd64"
)

// amxConv is the spec of a kernel that ConvAMX has written.
type amxConv Conv

// ConvAMX writes a convolution of stride 1 over pairs or quads by tiles of AMX. It computes
// what Conv does, but for the order of its sums, which those of quads do not depend on. The
// weights are ordered by PackAMX or PackAMXQuads; Tile is one
// of TilesAMX: 16 times the tiles of output channels, and vectors. Argument 6 is AMXScratch
// bytes, and 8 the number of lines that it computes, which are NextX, NextOut and NextAdd apart.
//
// Tiles are configured, used and released in the one call, for the thread may be another
// one in the next. Configuring them takes 100 ns on a Xeon, as long as half a line.
func (b *Builder) ConvAMX(c Conv) (Func, error) {
	if err := c.checkAMX(b.target); err != nil {
		return 0, err
	}
	return b.kernel(amxConv(c), c.PairsIn, func(m isa) {
		w := amxWriter{convWriter{b, m, c}, m.(*avx), c.amxPlan()}
		lineArgs(m, c.Line, c.Add)
		m.arg(rW, 1)
		m.arg(rBias, 2)
		m.arg(rScratch, 6)
		w.configure()
		m.arg(rCount, argRows)
		next := w.a.Here()
		m.push(rCount, rX, rOut, rRes, rW, rBias, rMask)
		w.line()
		m.pop(rCount, rX, rOut, rRes, rW, rBias, rMask)
		m.add(rX, c.NextX)
		m.add(rOut, c.NextOut)
		m.add(rRes, c.NextAdd)
		w.a.Dec(gprs[rCount])
		w.a.Jnz(next)
		w.a.Tilerelease()
	})
}

// line writes the loops over the blocks of one line.
func (w *amxWriter) line() {
	m := w.m
	if w.PixelsOuter {
		w.pixels(func(v int, last bool) {
			m.push(rOut, rRes, rW, rBias)
			w.channels(func(tiles, out int) { w.block(tiles, out, v, last) })
			m.pop(rOut, rRes, rW, rBias)
		})
		return
	}
	w.channels(func(tiles, out int) {
		m.push(rX, rOut, rRes, rMask)
		w.blocks(tiles, out)
		m.pop(rX, rOut, rRes, rMask)
	})
}

func (c *Conv) checkAMX(t Target) error {
	plain := *c
	plain.Tile = Tile{4, 1} // whatever fits registers
	plain.NextX, plain.NextOut, plain.NextAdd = 0, 0, 0
	switch {
	case !t.AMX():
		return fmt.Errorf("codegen: no tiles on %s", t)
	case !c.PairsIn && !c.QuadsIn || c.Stride != 1:
		return fmt.Errorf("codegen: tiles for a conv with stride %d, pairs %v, quads %v", c.Stride, c.PairsIn, c.QuadsIn)
	case !c.Tile.fitsAMX():
		return fmt.Errorf("codegen: %d x %d sums do not fit the tiles", c.Tile.Out, c.Tile.Vectors)
	}
	return plain.check(t)
}

// Registers that hold the bytes from one row to the next: of B, and of A. Those of C are
// in rCount.
const (
	rRowB = rCurX
	rRowA = rCurW
)

// An amxWriter writes the loops of one convolution by tiles.
type amxWriter struct {
	convWriter
	a *avx
	amxPlan
}

// most returns the most tiles A and B that a block has.
func (w *amxWriter) most() (a, b int) { return w.Tile.Out / tileRows, w.Tile.Vectors }

// The tiles that hold C number j for B of A number i in a block of v vectors, and A and B.
// Of these two, the kind of which there are more passes through what the others leave.
func (w *amxWriter) tileC(i, j, v int) amd64.Tile { return amd64.Tile(i*v + j) }

func (w *amxWriter) tileA(i int) amd64.Tile {
	a, b := w.most()
	if a > b {
		return amd64.Tile(a*b + b + i%(tileCount-a*b-b))
	}
	return amd64.Tile(a*b + i)
}

func (w *amxWriter) tileB(j int) amd64.Tile {
	a, b := w.most()
	if a > b {
		return amd64.Tile(a*b + j)
	}
	return amd64.Tile(a*b + a + j%(tileCount-a*b-a))
}

// configure shapes the tiles and loads the strides of their rows.
func (w *amxWriter) configure() {
	var config [64]byte
	config[0] = 1
	shape := func(t amd64.Tile, rows, bytes int) { config[16+2*t], config[48+t] = byte(bytes), byte(rows) }
	a, b := w.most()
	for i := range a {
		shape(w.tileA(i), w.rows, 4*w.depth)
		for j := range b {
			shape(w.tileC(i, j, b), w.rows, tileWidth)
			shape(w.tileB(j), w.depth, tileWidth)
		}
	}
	at64 := len(w.b.consts.data)
	w.b.consts.words(func(i int) uint32 { return binary.LittleEndian.Uint32(config[4*i:]) })
	w.a.Ldtilecfg(at(rConst, at64))
	w.a.MovRI(gprs[rRowA], tileWidth)
	w.a.MovRI(gprs[rRowB], int64(w.InChannel))
}

// channels is convWriter's, with blocks of tiles, of which the last may have fewer channels.
func (w *amxWriter) channels(block func(tiles, out int)) {
	first := 0
	for _, s := range balanced(w.amxPlan.tiles, w.Tile.Out/tileRows) {
		out := s.size * w.rows
		last := min(out, w.Out-first-(s.n-1)*out)
		first += s.n * out
		loop := func(n, out int) {
			if n == 0 {
				return
			}
			w.m.loop(rTiles, n, func() {
				block(s.size, out)
				w.m.add(rOut, out/w.perLane()*w.OutChannel)
				if w.Add {
					w.m.add(rRes, out/w.perLane()*w.AddChannel)
				}
				w.m.add(rBias, out*w.biasBytes())
				w.m.add(rW, w.steps*w.stepBytes(s.size))
			})
		}
		if last == out {
			loop(s.n, out)
		} else {
			loop(s.n-1, out)
			loop(1, last)
		}
	}
}

// stepBytes is the bytes of A of one step of a block.
func (w *amxWriter) stepBytes(tiles int) int { return len(w.ranges) * tiles * w.rows * tileWidth }

// blocks writes out channels, in so many tiles, of a line. The products of a block come before
// what finishes the sums of the one before, and so do not wait for it.
func (w *amxWriter) blocks(tiles, out int) {
	m, size, blocks := w.m, 4*w.m.lanes(), w.pixelTiles()
	w.products(tiles, blocks[0].v)
	for i, b := range blocks {
		one := func(next int) {
			w.keep(tiles, b.v)
			m.add(rX, b.v*size)
			if next > 0 {
				w.products(tiles, next)
			}
			w.finish(out, b.v, b.last)
			w.past(b.v)
		}
		if b.n > 1 {
			m.loop(rOuter, b.n-1, func() { one(b.v) })
		}
		if i+1 < len(blocks) {
			one(blocks[i+1].v)
		} else {
			one(0)
		}
	}
}

// block writes out channels, in so many tiles, of v vectors.
func (w *amxWriter) block(tiles, out, v int, last bool) {
	w.products(tiles, v)
	w.keep(tiles, v)
	w.finish(out, v, last)
}

// products leaves the sums of a block in tiles.
func (w *amxWriter) products(tiles, v int) {
	m := w.m
	for i := range tiles * v {
		w.a.Tilezero(amd64.Tile(i))
	}
	step, bytes := w.depth*w.InChannel, w.stepBytes(tiles)
	if n := w.steps - 1; n > 0 {
		m.loop(rCount, n, func() {
			w.step(tiles, v)
			m.add(rX, step)
			m.add(rW, bytes)
		})
		m.add(rX, w.start(n)*w.InChannel-n*step)
	}
	w.step(tiles, v)
	m.add(rX, -w.start(w.steps-1)*w.InChannel)
	m.add(rW, -(w.steps-1)*bytes)
}

// keep stores the sums of a block: the scratch memory then has, channel by channel, v vectors.
func (w *amxWriter) keep(tiles, v int) {
	w.a.MovRI(gprs[rCount], int64(v*tileWidth))
	for i := range tiles {
		for j := range v {
			w.a.Tilestore(at(rScratch, (i*w.rows*v+j)*tileWidth).Plus(gprs[rCount], 1), w.tileC(i, j, v))
		}
	}
}

// step writes the products of one step of all ranges.
func (w *amxWriter) step(tiles, v int) {
	a, b := w.most()
	for r, from := range w.ranges {
		loadA := func(i int) {
			w.a.Tileload(w.tileA(i), at(rW, (r*tiles+i)*w.rows*tileWidth).Plus(gprs[rRowA], 1))
		}
		loadB := func(j int) { w.a.Tileload(w.tileB(j), at(rX, from+j*tileWidth).Plus(gprs[rRowB], 1)) }
		product := func(i, j int) {
			c, x, y := w.tileC(i, j, v), w.tileA(i), w.tileB(j)
			if w.QuadsIn {
				w.a.Tdpbsud(c, x, y)
			} else {
				w.a.Tdpbf16ps(c, x, y)
			}
		}
		if a > b {
			for j := range v {
				loadB(j)
			}
			for i := range tiles {
				loadA(i)
				for j := range v {
					product(i, j)
				}
			}
			continue
		}
		for i := range tiles {
			loadA(i)
		}
		for j := range v {
			loadB(j)
			for i := range tiles {
				product(i, j)
			}
		}
	}
}

// finish takes the sums of out channels from the scratch memory and writes them out.
func (w *amxWriter) finish(out, v int, last bool) {
	m, each := w.m, w.perLane()
	acc, _, free := w.b.registers(each*v, 0)
	move := func(n int) { // on by n times each channels
		m.add(rScratch, n*each*v*tileWidth)
		m.add(rBias, n*each*w.biasBytes())
		m.add(rOut, n*w.OutChannel)
		if w.Add {
			m.add(rRes, n*w.AddChannel)
		}
	}
	m.loop(rCount, out/each, func() {
		m.push(rCount)
		for o := range each {
			m.spread(free[0], rBias, o*w.biasBytes())
			add := m.addM
			if w.QuadsIn {
				add = m.(quadISA).addIntM
			}
			for j := range v {
				add(acc[o*v+j], free[0], rScratch, (o*v+j)*tileWidth)
			}
		}
		w.store(acc, free, each, v, last)
		m.pop(rCount)
		move(1)
	})
	move(-out / each)
}
