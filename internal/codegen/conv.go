package codegen

import "fmt"

// Conv describes a convolution of one line: a row of the output, a part of one, or, where
// rows lie one after the other with only padding between them (see Line), many rows at
// once. Strides are in bytes.
//
// Arguments: 0 input at the first tap of the line's first output, 1 weights as Pack,
// PackPairs or PackQuads orders them, 2 biases or, with QuadsIn, what PackSums makes,
// 3 output, 4 what is added (with Add), 5 masks (with MaskLast, MaskAll).
type Conv struct {
	In, Out   int // channels
	Kernel    [2]int
	Stride    int // 1 or 2, along the line
	InRow     int // from one row of the kernel to the next
	InChannel int
	// Apart is not 0 where the even and odd rows of the input, and the even and odd columns,
	// lie that far apart (see Halves): so a stride of 2 is one of 1, and InRow is from one
	// even row to the next.
	Apart       [2]int
	Ahead       int // how far behind the tile lies what later calls read, to be fetched; 0: nowhere
	OutChannel  int
	AddChannel  int
	NextX       int // by tiles of AMX: from a line to the next
	NextOut     int
	NextAdd     int
	Add         bool // add the argument after the activation
	Act         Activation
	Line        Line
	Tile        Tile
	PairsIn     bool  // the input and the weights are pairs of bfloat16; In counts pairs
	PairsOut    bool  // the output and what is added are; Out is even, and so are tiles
	QuadsIn     bool  // the input and the weights are quads of bytes; In counts quads
	QuadsOut    bool  // the output and what is added are, too; Out and Tile.Out are multiples of four
	Wide        bool  // with QuadsIn, into float32: weights have 16 bits, the upper and lower eight of each of the output's channels as two of Out
	BytesIn     bool  // the input is quads of bytes and all else float32; In counts channels, four to a quad; 1x1
	Quant       Quant // with QuadsOut
	PixelsOuter bool  // all channels of one tile of pixels before the next
}

// A Line is the pixels that one call computes.
type Line struct {
	Vectors int
	Mask    Mask
	Last    int   // with MaskPart, how many lanes of the last vector are stored
	Far     bool  // without a mask: what is stored is large and not read soon, and vectors are aligned
	Pad     uint8 // what the bytes hold of lanes that a mask leaves out
}

// A Mask says which lanes of a line's vectors count.
type Mask int

const (
	MaskNone Mask = iota // all of them
	MaskLast             // the last vector's are and-ed with the argument's first mask
	MaskAll              // each vector's are and-ed with a mask of its own
	MaskPart             // only the first lanes of the last vector are stored
)

// store writes vector y of a line, the index'th of its tile, to memory. last says whether
// it is the last of the line; t is used up.
func (l Line) store(b *Builder, base reg, off int, y, t vec, index int, last bool) {
	m := b.isa
	mask := func(off int) {
		if l.Pad == 0 {
			m.andM(y, y, rMask, off)
			return
		}
		pad := b.consts.bytes(l.Pad)
		m.xorM(y, y, rConst, pad)
		m.andM(y, y, rMask, off)
		m.xorM(y, y, rConst, pad)
	}
	switch {
	case l.Mask == MaskAll:
		mask(index * constSize)
	case l.Mask == MaskLast && last:
		mask(0)
	case l.Mask == MaskPart && last:
		m.storeFirst(base, off, y, t, l.Last)
		return
	}
	if l.Far {
		m.storeFar(base, off, y)
		return
	}
	m.store(base, off, y)
}

// A Tile is how many sums a kernel keeps in registers: Out channels times Vectors.
type Tile struct{ Out, Vectors int }

// A segment is n parts of a range that have the same size, from start on.
type segment struct{ n, size, start int }

// balanced cuts total into parts of at most limit that differ by at most one.
func balanced(total, limit int) []segment {
	parts := (total + limit - 1) / limit
	size, larger := total/parts, total%parts
	var s []segment
	if larger > 0 {
		s = append(s, segment{larger, size + 1, 0})
	}
	if larger < parts {
		s = append(s, segment{parts - larger, size, larger * (size + 1)})
	}
	return s
}

// tiles cuts output channels into tiles. Where both numbers are even so are all tiles, as
// pairs of channels need it.
func tiles(out, limit int) []segment {
	if out%2 != 0 || limit%2 != 0 {
		return balanced(out, limit)
	}
	return multiples(out, limit, 2)
}

// multiples cuts out, a multiple of n, into parts of at most limit that are such, too.
func multiples(out, limit, n int) []segment {
	s := balanced(out/n, limit/n)
	for i := range s {
		s[i].size *= n
		s[i].start *= n
	}
	return s
}

// Conv writes a convolution.
func (b *Builder) Conv(c Conv) (Func, error) {
	if err := c.check(b.target); err != nil {
		return 0, err
	}
	return b.kernel(c, c.PairsIn || c.PairsOut, func(m isa) {
		lineArgs(m, c.Line, c.Add)
		m.arg(rW, 1)
		m.arg(rBias, 2)
		if c.Stride == 2 {
			m.pickLanes()
		}
		w := convWriter{b, m, c}
		if c.PixelsOuter {
			w.pixels(func(v int, last bool) {
				m.push(rOut, rRes, rW, rBias)
				w.channels(func(out int) { w.tile(out, v, last) })
				m.pop(rOut, rRes, rW, rBias)
			})
		} else {
			w.channels(func(out int) {
				m.push(rX, rOut, rRes, rMask)
				w.pixels(func(v int, last bool) { w.tile(out, v, last) })
				m.pop(rX, rOut, rRes, rMask)
			})
		}
	})
}

func (c *Conv) check(t Target) error {
	switch {
	case c.In < 1 || c.Out < 1 || c.Line.Vectors < 1 || c.Kernel[0] < 1 || c.Kernel[1] < 1 || c.Tile.Out < 1 || c.Tile.Vectors < 1:
		return fmt.Errorf("codegen: conv %+v: all sizes must be positive", *c)
	case c.Kernel[0]*c.Kernel[1] > MaxTaps:
		return fmt.Errorf("codegen: conv with %dx%d taps, at most %d can be unrolled", c.Kernel[0], c.Kernel[1], MaxTaps)
	case c.Stride != 1 && c.Stride != 2:
		return fmt.Errorf("codegen: conv with stride %d", c.Stride)
	case c.Apart != [2]int{} && c.Stride != 1:
		return fmt.Errorf("codegen: conv with stride %d over rows and columns that lie apart", c.Stride)
	case !c.fits(t):
		return fmt.Errorf("codegen: a tile of %d x %d sums does not fit the registers of %s", c.Tile.Out, c.Tile.Vectors, t)
	case c.NextX != 0 || c.NextOut != 0 || c.NextAdd != 0:
		return fmt.Errorf("codegen: conv %+v: lines one after the other are computed by tiles of AMX", *c)
	case c.QuadsIn && 4*c.In*c.Kernel[0]*c.Kernel[1] > MaxQuadProducts:
		return fmt.Errorf("codegen: a sum of %d products of bytes may overflow, at most %d do not", 4*c.In*c.Kernel[0]*c.Kernel[1], MaxQuadProducts)
	case c.QuadsIn && (c.PairsIn || c.PairsOut) || c.QuadsOut && !c.QuadsIn:
		return fmt.Errorf("codegen: conv from quads %v and pairs %v to quads %v and pairs %v", c.QuadsIn, c.PairsIn, c.QuadsOut, c.PairsOut)
	case c.BytesIn && (c.QuadsIn || c.PairsIn || c.PairsOut || c.In%4 != 0 || c.Kernel != [2]int{1, 1} || c.Stride != 1):
		return fmt.Errorf("codegen: conv %+v: bytes are taken by 1x1 convolutions of whole quads, with a stride of 1, into float32", *c)
	case c.Wide && (!c.QuadsIn || c.QuadsOut || c.Out%2 != 0 || c.Tile.Out%2 != 0):
		return fmt.Errorf("codegen: conv %+v: weights of 16 bits are those of a convolution of quads into float32, two channels and sums for each of the output's", *c)
	case c.Line.Pad != 0 && !c.QuadsOut:
		return fmt.Errorf("codegen: conv %+v: padding of bytes where there are none", *c)
	case c.QuadsOut && (c.Out%4 != 0 || c.Tile.Out%4 != 0 || c.Act.Kind != ""):
		return fmt.Errorf("codegen: quads of %d channels in tiles of %d with activation %q, which a table is for", c.Out, c.Tile.Out, c.Act.Kind)
	case !c.Act.known():
		return fmt.Errorf("codegen: activation %q", c.Act.Kind)
	case c.Line.Far && (c.Line.Mask != MaskNone || c.OutChannel%(4*t.lanes) != 0):
		return fmt.Errorf("codegen: conv %+v: stores past the caches take no masks and whole vectors", *c)
	case c.PairsOut && (c.Out%2 != 0 || c.Tile.Out%2 != 0):
		return fmt.Errorf("codegen: pairs of %d channels in tiles of %d", c.Out, c.Tile.Out)
	}
	return c.Quant.Add.check()
}

// fits reports whether the tile fits the registers.
func (c *Conv) fits(t Target) bool {
	if c.QuadsIn {
		return t.FitsQuads(c.Tile, c.Stride)
	}
	return t.Fits(c.Tile, c.Stride)
}

// MaxTaps is the most taps of a kernel that one convolution may have.
const MaxTaps = 49

// A convWriter writes the loops of one convolution.
type convWriter struct {
	b *Builder
	m isa
	Conv
}

// channels writes the loop over tiles of output channels and moves on to the next tile
// after each.
func (w convWriter) channels(tile func(out int)) {
	segments := tiles(w.Out, w.Tile.Out)
	if w.QuadsIn {
		segments = quadTiles(w.Out, w.Tile.Out)
	}
	for _, s := range segments {
		w.m.loop(rTiles, s.n, func() {
			tile(s.size)
			w.m.add(rOut, s.size/w.perLane()*w.OutChannel)
			if w.Add {
				w.m.add(rRes, s.size/w.perLane()*w.AddChannel)
			}
			w.m.add(rBias, s.size*w.biasBytes())
			w.m.add(rW, w.weights(s.size))
		})
	}
}

// perLane is how many channels of Out make a lane of the output.
func (w convWriter) perLane() int {
	switch {
	case w.QuadsOut:
		return 4
	case w.PairsOut, w.Wide:
		return 2
	}
	return 1
}

// biasBytes is how many bytes of argument 2 belong to an output channel.
func (w convWriter) biasBytes() int {
	if w.QuadsIn {
		return 4 * quantSums
	}
	return 4
}

// tapBytes returns the bytes of a tile's weights for one tap.
func (w convWriter) tapBytes(out int) int {
	n := 4 * roundUp(out, w.m.packing())
	if w.QuadsIn {
		n *= w.m.(quadISA).quadWeight()
	}
	return n
}

// weights returns the bytes of a tile's weights.
func (w convWriter) weights(out int) int {
	return w.In * w.Kernel[0] * w.Kernel[1] * w.tapBytes(out)
}

// pixelTiles are n tiles of v vectors. Where the line's last vector is special, so is its last
// tile, which is one of them then.
type pixelTiles struct {
	n, v int
	last bool
}

func (w convWriter) pixelTiles() (all []pixelTiles) {
	for _, s := range balanced(w.Line.Vectors, w.Tile.Vectors) {
		all = append(all, pixelTiles{s.n, s.size, false})
	}
	if w.Line.Mask == MaskLast || w.Line.Mask == MaskPart {
		end := &all[len(all)-1]
		if end.n--; end.n == 0 {
			end.n, end.last = 1, true
		} else {
			all = append(all, pixelTiles{1, end.v, true})
		}
	}
	return all
}

// past moves the output, and what goes with it, on by v vectors.
func (w convWriter) past(v int) {
	size := 4 * w.m.lanes()
	w.m.add(rOut, v*size)
	if w.Add {
		w.m.add(rRes, v*size)
	}
	if w.Line.Mask == MaskAll {
		w.m.add(rMask, v*constSize)
	}
}

// pixels writes the loop over tiles of v vectors.
func (w convWriter) pixels(tile func(v int, last bool)) {
	for _, t := range w.pixelTiles() {
		if t.last {
			tile(t.v, true)
			continue
		}
		w.m.loop(rOuter, t.n, func() {
			tile(t.v, false)
			w.m.add(rX, t.v*4*w.m.lanes()*w.Stride)
			w.past(t.v)
		})
	}
}

// tile writes the sums of one tile: out channels of v vectors.
func (w convWriter) tile(out, v int, last bool) {
	m := w.m
	acc, x, free := w.b.registers(out*v, v)
	for o := range out {
		m.spread(acc[o*v], rBias, o*w.biasBytes())
		for j := 1; j < v; j++ {
			m.copy(acc[o*v+j], acc[o*v])
		}
	}
	m.move(rCurX, rX)
	m.move(rCurW, rW)
	taps := w.Kernel[0] * w.Kernel[1]
	step := w.tapBytes(out)
	tap := m.tap
	switch {
	case w.PairsIn:
		tap = m.(pairISA).tapPairs
	case w.QuadsIn:
		tap = m.(quadISA).tapQuads
	}
	ahead := func() {
		if w.Ahead != 0 {
			for j := range v * w.Stride {
				m.fetch(rCurX, w.Ahead+j*4*m.lanes())
			}
		}
	}
	if w.BytesIn {
		m.loop(rCount, w.In/4, func() {
			ahead()
			for i := range 4 {
				for j := range v {
					w.input(x[j], 0, 0, j)
					m.(quadISA).quadByte(x[j], x[j], i)
				}
				tap(acc, x, out, rCurW, i*step, free)
			}
			m.add(rCurX, w.InChannel)
			m.add(rCurW, 4*step)
		})
		w.store(acc, append(x, free...), out, v, last)
		return
	}
	m.loop(rCount, w.In, func() {
		ahead()
		for i := range taps {
			ky, kx := i/w.Kernel[1], i%w.Kernel[1]
			for j := range v {
				w.input(x[j], ky, kx, j)
			}
			tap(acc, x, out, rCurW, i*step, free)
		}
		m.add(rCurX, w.InChannel)
		m.add(rCurW, taps*step)
	})
	w.store(acc, append(x, free...), out, v, last)
}

// input loads vector j of the tile for row ky and column kx of the kernel.
func (w convWriter) input(d vec, ky, kx, j int) {
	size := 4 * w.m.lanes()
	switch off := ky*w.InRow + 4*(kx&^1) + 2*j*size; {
	case w.Apart != [2]int{}:
		w.m.load(d, rCurX, ky%2*w.Apart[0]+ky/2*w.InRow+kx%2*w.Apart[1]+4*(kx/2)+j*size)
	case w.Stride == 1:
		w.m.load(d, rCurX, ky*w.InRow+4*kx+j*size)
	case kx%2 == 0:
		w.m.loadEven(d, rCurX, off)
	default:
		w.m.loadOdd(d, rCurX, off)
	}
}

// store finishes the sums and writes them out. free are registers that it may use.
func (w convWriter) store(acc, free []vec, out, v int, last bool) {
	if w.QuadsOut {
		w.storeQuads(acc, free, out, v, last)
		return
	}
	m := w.m
	size := 4 * m.lanes()
	turn := 0
	temp := func() vec { turn++; return free[turn%len(free)] }
	for o := 0; o < out; o += w.perLane() {
		toRes, toOut := o/w.perLane()*w.AddChannel, o/w.perLane()*w.OutChannel
		for j := range v {
			y := acc[o*v+j]
			if w.Wide {
				m.(quadISA).addUpper(y, acc[(o+1)*v+j])
			}
			if w.QuadsIn {
				m.(quadISA).scaleQuads(y, temp(), rBias, 4*(quantSums*o+1), true)
			}
			if w.Act.Kind != "" {
				w.b.activate(w.Act, w.PairsOut, y, temp(), temp(), temp())
			}
			if w.PairsOut {
				hi := acc[(o+1)*v+j]
				if w.Act.Kind != "" {
					w.b.activate(w.Act, true, hi, temp(), temp(), temp())
				}
				if w.Add {
					addPairs(m.(pairISA), y, hi, temp(), temp(), rRes, toRes+j*size)
				}
				m.(pairISA).packPairs(y, y, hi, temp())
			} else if w.Add {
				m.addM(y, y, rRes, toRes+j*size)
			}
			w.Line.store(w.b, rOut, toOut+j*size, y, temp(), j, last && j == v-1)
		}
	}
}

// registers deals out the vector registers: sums, inputs, and the rest, at least one.
func (b *Builder) registers(sums, inputs int) (acc, x, free []vec) {
	all := make([]vec, b.isa.vectors())
	for i := range all {
		all[i] = vec(i)
	}
	return all[:sums], all[sums : sums+inputs : sums+inputs], all[sums+inputs:]
}

func roundUp(n, multiple int) int { return (n + multiple - 1) / multiple * multiple }
