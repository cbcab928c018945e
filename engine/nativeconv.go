package engine

import (
	"slices"
	"unsafe"

	"ultrafast/graph"
	"ultrafast/internal/codegen"
)

// A convolution as machine code sees it: some weights over a place, written to another.
type nativeConv struct {
	name         string
	macs         int64
	done         *graph.Node // whose value this is
	weight, bias []float32   // [groups*out, in, kernel], [groups*out]; of quads, whole numbers, and b of codegen.Quant
	scale        []float32   // of quads, m of codegen.Quant, else nil
	quant        codegen.Quant
	in, out      int // channels of one group
	groups       int
	kernel       [2]int
	stride       [2]int
	pad          [2]int
	act          codegen.Activation
	x, y         place
	rows         *splitter // where x comes from row by row, or nil
	halves       *halver   // or in rows whose even and odd columns are apart, or nil
	apart        [2]int    // from x's even rows and columns to the odd ones; 0 where they are not parted
	add          *place    // what is added after the activation, or nil
	far          bool      // whether the result is large and only the caller of Run reads it
	bytes        bool      // whether x is quads and all else float32
	wide         bool      // whether weights have 16 bits, and out counts two for each channel (codegen.Conv.Wide)
}

func newNativeConv(n *graph.Node, op *graph.Conv, shapes map[*graph.Node]graph.Shape) *nativeConv {
	w := op.Weight.Shape
	k := &nativeConv{name: n.Name, macs: n.MACs(shapes), weight: op.Weight.Data, in: w[1], out: w[0] / op.Groups, groups: op.Groups,
		kernel: [2]int{w[2], w[3]}, stride: op.Stride, pad: op.Pad, bias: make([]float32, w[0])}
	if op.Bias != nil {
		copy(k.bias, op.Bias.Data)
	}
	return k
}

// nativeConv appends the steps of a convolution by machine code, and of the activation and the
// addition that follow it.
func (c *compiler) nativeConv(n *graph.Node, op *graph.Conv) error {
	k := newNativeConv(n, op, c.shapes)
	last := n
	if _, ok := c.grids.conv(n); ok {
		if err := c.intoQuads(k, n, op, nil); err != nil {
			return err
		}
	}
	if a := c.follower(n); a != nil {
		k.act = nativeActivation(a.Op.(*graph.Activation))
		last = a
	}
	var err error
	if sum, other := c.sum(last); sum != nil {
		c.taken[last] = true
		p, err := c.source(other)
		if err != nil {
			return err
		}
		k.add, last = &p, sum
	}
	if err := c.input(k, n, op); err != nil {
		return err
	}
	c.taken[n] = true
	if c.pairs && len(c.users[last]) == 0 && k.add == nil {
		delete(c.slots, last) // what only the caller of Run sees is float32
	}
	if c.straight(k, last) {
		v := c.newValue(c.shapes[last])
		k.y, c.value[last] = plainPlace(v, c.shapes[last], c.target.Lanes()), v
		k.far = 4*tensorLen(c.shapes[last]) > farSize
	} else {
		if k.y, err = c.place(last); err != nil {
			return err
		}
		c.written[last] = true
	}
	k.done = last
	return c.compute(k)
}

// input sets where k, the convolution of n, reads.
func (c *compiler) input(k *nativeConv, n *graph.Node, op *graph.Conv) (err error) {
	switch {
	case c.isStem(n, op):
		return c.stem(k, n.In[0])
	case k.quads() && op.Groups > 1: // quads of channels that follow each other
		k.x, err = c.sourceIn(n.In[0], newSlots(op.Groups*op.Weight.Shape[1], 4))
	case k.quads():
		k.x, err = c.source(n.In[0])
	case c.takesBytes(n, op):
		if k.x, err = c.source(n.In[0]); err != nil {
			return err
		}
		if c.takesWide(n) {
			k.widen()
		} else {
			k.fromBytes()
		}
	default:
		k.x, err = c.reads(n, n.In[0])
	}
	return err
}

// compute appends the steps of k in the way that is chosen for it.
func (c *compiler) compute(k *nativeConv) error {
	k.bySlots()
	ch := c.choose(k)
	switch ch.Form {
	case winogradSquares:
		return c.winogradSquares(k, ch)
	case winogradRows:
		return c.winogradRows(k, ch)
	case winogradFlat:
		return c.winogradFlat(k, ch)
	case flat, amxFlat:
		return c.convFlat(k, ch)
	case parted, amxParted:
		return c.convParted(k, ch)
	case amxHalved:
		return c.convHalved(k, ch)
	}
	return c.convRows(k, ch)
}

func nativeActivation(a *graph.Activation) codegen.Activation {
	return codegen.Activation{Kind: string(a.Kind), Slope: float32(a.Slope)}
}

// sum returns the addition that alone reads n, and what it adds, if that has been
// computed already.
func (c *compiler) sum(n *graph.Node) (sum, other *graph.Node) {
	if !c.alone(n) {
		return nil, nil
	}
	u := c.users[n][0]
	if _, ok := u.Op.(*graph.Add); !ok || len(u.In) != 2 || u.In[0] == u.In[1] {
		return nil, nil
	}
	other = u.In[0]
	if other == n {
		other = u.In[1]
	}
	if !c.ready(other) || !slices.Equal(c.slots[n], c.slots[other]) {
		return nil, nil
	}
	return u, other
}

// farSize is the least bytes of a result that is written past the caches: what does not fit
// in the second one would only drive out what is needed there.
const farSize = 1 << 20

// straight reports whether the result, which only the caller of Run sees, is written into
// a plain tensor at once. From a narrow map it is better computed flat and copied.
func (c *compiler) straight(k *nativeConv, last *graph.Node) bool {
	return len(c.users[last]) == 0 && c.slots[last] == nil && (!k.x.flat || k.stride[0] > 1)
}

// same reports whether output and input have the same size.
func (k *nativeConv) same() bool {
	return k.stride == [2]int{1, 1} && k.x.h == k.y.h && k.x.w == k.y.w
}

// winograd reports whether the convolution is done by Winograd's algorithm: 3x3 with
// enough channels for the transformations to be worth it. In pairs it would take as many
// instructions, of which each does twice as much already, and round worse.
func (k *nativeConv) winograd() bool {
	return k.x.slots == nil && k.kernel == [2]int{3, 3} && k.stride[0] == k.stride[1] && k.pad == [2]int{1, 1} && k.groups == 1 && k.in >= 4 && k.out >= 6
}

// A part is some output channels of a convolution, with the code for them.
type part struct {
	first  int // channel
	code   []codegen.Func
	weight []float32
	bias   []float32 // or sums of quads
}

// parts cuts the output channels of a group into tiles and these into at most that many parts.
func parts(out, tile, most int) []int {
	tiles := (out + tile - 1) / tile
	most = min(most, tiles)
	bounds := make([]int, most+1)
	for i := range bounds {
		bounds[i] = min(out, (tiles*i+most-1)/most*tile)
	}
	bounds[most] = out
	return bounds
}

// row is how wide the output of one call is in rows form, and which of its lanes count.
func (c *compiler) row(y *place) codegen.Line {
	lanes := c.target.Lanes()
	l := codegen.Line{Vectors: (y.w + lanes - 1) / lanes, Pad: y.zero}
	if rest := y.w % lanes; rest != 0 {
		if l.Mask = codegen.MaskLast; y.flat { // the next row begins within the last vector
			l.Mask, l.Last = codegen.MaskPart, rest
		}
	}
	return l
}

// cut makes the parts of a direct convolution whose lines are cut into blocks, with code
// for each of the kinds of lines.
func (c *compiler) cut(k *nativeConv, ch choice, stride, blocks int, lines ...codegen.Line) ([]part, error) {
	taps := k.kernel[0] * k.kernel[1]
	spec := codegen.Conv{In: k.in, Kernel: k.kernel, Stride: stride, InRow: 4 * k.x.row, InChannel: 4 * k.x.channel,
		Apart: [2]int{4 * k.apart[0], 4 * k.apart[1]}, OutChannel: 4 * k.y.channel, Act: k.act, Tile: ch.Tile,
		PixelsOuter: ch.PixelsOuter, PairsIn: c.pairs && k.x.slots != nil, PairsOut: c.pairs && k.y.slots != nil,
		QuadsIn: k.quads(), QuadsOut: k.y.grid != nil, Wide: k.wide, BytesIn: k.bytes, Quant: k.quant}
	if k.kernel == [2]int{1, 1} {
		if spec.Ahead = 4 * k.x.row; k.x.flat { // the next tile instead of the next row
			spec.Ahead = 4 * c.target.Lanes() * ch.Vectors
		}
	}
	if k.add != nil {
		spec.Add, spec.AddChannel = true, 4*k.add.channel
	}
	if ch.amx() {
		next := k.next()
		spec.NextX, spec.NextOut, spec.NextAdd = next[0], next[1], next[2]
	}
	bounds := parts(k.out, ch.Tile.Out, (jobsPerThread*c.threads+blocks*k.y.n-1)/(blocks*k.y.n))
	var ps []part
	for g := range k.groups {
		for i, first := range bounds[:len(bounds)-1] {
			spec.Out = bounds[i+1] - first
			var code []codegen.Func
			for _, spec.Line = range lines {
				f, err := c.convCode(spec, ch)
				if err != nil {
					return nil, err
				}
				code = append(code, f)
			}
			first += g * k.out
			p := k.part(first, spec.Out, func(w []float32) []float32 {
				switch {
				case ch.amx() && k.quads():
					return spec.PackAMXQuads(levels(w))
				case k.quads():
					return c.target.PackQuads(levels(w), spec.Out, k.in, taps, ch.Tile)
				case ch.amx():
					return spec.PackAMX(w)
				case spec.PairsIn:
					return c.target.PackPairs(w, spec.Out, k.in, taps, ch.Tile)
				}
				return c.target.Pack(w, spec.Out, k.in, taps, ch.Tile)
			}, code...)
			if k.quads() {
				each := 4 * k.in * taps
				p.bias = c.target.PackSums(k.quant, levels(k.weight[first*each:][:spec.Out*each]), spec.Out, uint8(k.x.grid.Zero), k.scale[first:], p.bias)
			}
			ps = append(ps, p)
		}
	}
	return ps, nil
}

// convRows appends a convolution that works on whole rows of the output.
func (c *compiler) convRows(k *nativeConv, ch choice) error {
	blocks, stride := k.blocks(c.threads), k.stride[1]
	if k.halves != nil {
		stride = 1
	}
	line := c.row(&k.y)
	line.Far = k.far && line.Mask == codegen.MaskNone && k.y.channel%lead == 0
	ps, err := c.cut(k, ch, stride, blocks, line)
	if err != nil {
		return err
	}
	mask := c.masks.last(k.y.w, c.target.Lanes())
	sums := ch.sums()
	switch {
	case k.halves != nil:
		c.need(sums + k.halves.room())
	case k.rows != nil:
		c.need(sums + k.rows.room())
	default:
		c.need(sums)
	}
	run := func(s *state, p *part, i, from, to, worker int) {
		scratch := s.scratch[worker]
		a := codegen.Args{1: pointer(p.weight, 0), 2: pointer(p.bias, 0), 5: pointer(mask, 0)}
		if sums > 0 {
			a[6] = pointer(scratch, 0)
		}
		in := p.first / k.out * k.in
		for y, n := from, 0; y < to; y += n {
			switch n = to - y; {
			case k.halves != nil:
				n = min(n, halvedRows)
				a[0] = k.halves.group(s, scratch[sums:], i, y, n, y == from)
			case k.rows != nil:
				n = min(n, codegen.WinogradRows)
				a[0] = k.rows.group(s, scratch[sums:], i, y, y == from, worker)
			default:
				a[0] = pointer(s.v[k.x.value], k.x.at(i, in, y*k.stride[0]-k.pad[0], -k.pad[1]))
			}
			a[3] = pointer(s.v[k.y.value], k.y.at(i, k.lane(p.first), y, 0))
			if k.add != nil {
				a[4] = pointer(s.v[k.add.value], k.add.at(i, k.lane(p.first), y, 0))
			}
			if ch.amx() {
				a[8] = uintptr(n)
				s.text.Call(p.code[0], &a)
				continue
			}
			next := k.next()
			for range n {
				s.text.Call(p.code[0], &a)
				a[0], a[3], a[4] = a[0]+uintptr(next[0]), a[3]+uintptr(next[1]), a[4]+uintptr(next[2])
			}
		}
		if p.first == 0 {
			k.y.pads(s.v[k.y.value], i, from, to)
		}
	}
	b := bands{k.y.n, k.y.h, 1, k.near(), func(s *state, i, from, to, worker int) {
		for n := range ps {
			run(s, &ps[n], i, from, to, worker)
		}
	}}
	st := c.parallel(k.name, k.done, k.values(), k.y.n*blocks*len(ps), func(s *state, job, worker int) {
		i, from, to := b.band(job/len(ps), blocks)
		run(s, &ps[job%len(ps)], i, from, to, worker)
	})
	st.bands = &b
	k.describe(st, ch)
	return nil
}

// lane returns which lane of the output's has channel first of out.
func (k *nativeConv) lane(first int) int {
	if k.wide {
		return first / 2
	}
	return k.y.slot(first)
}

// next returns the bytes from a row of the output to the next: of the input, of the output, and
// of what is added.
func (k *nativeConv) next() (n [3]int) {
	n = [3]int{4 * k.stride[0] * k.x.row, 4 * k.y.row}
	if k.halves != nil { // whose rows are two rows
		n[0] = 4 * k.x.row
	}
	if k.add != nil {
		n[2] = 4 * k.add.row
	}
	return n
}

// jobsPerThread is how many jobs a step should have for each thread: enough that a thread
// which is held up leaves work to the others, few enough to cost nothing.
const jobsPerThread = 16

// blocks is into how many blocks of rows the output is cut.
func (k *nativeConv) blocks(threads int) int {
	b := bands{pictures: k.y.n, rows: k.y.h, multiple: 1}
	return b.blocks(threads)
}

// values are the values that the convolution touches, the one it writes last.
func (k *nativeConv) values() []int {
	if k.add != nil {
		return []int{k.x.value, k.add.value, k.y.value}
	}
	return []int{k.x.value, k.y.value}
}

// near are the values of which a row of the output reads the same row only.
func (k *nativeConv) near() (values []int) {
	pointwise := k.kernel[0] == 1 && k.stride[0] == 1 && k.pad[0] == 0
	if pointwise {
		values = append(values, k.x.value)
	}
	if k.add != nil && (pointwise || k.add.value != k.x.value) {
		values = append(values, k.add.value)
	}
	return values
}

func (k *nativeConv) part(first, out int, pack func(w []float32) []float32, code ...codegen.Func) part {
	size := len(k.weight) / len(k.bias) // of one output channel
	return part{first, code, pack(k.weight[first*size:][:out*size]), k.bias[first:][:out]}
}

// convFlat appends a convolution that works on all rows at once, cut into strips.
func (c *compiler) convFlat(k *nativeConv, ch choice) error {
	lanes := c.target.Lanes()
	vectors, strips := c.strips(k)
	lines := make([]codegen.Line, strips)
	for s := range lines {
		lines[s] = codegen.Line{Vectors: vectors*(s+1)/strips - vectors*s/strips, Mask: codegen.MaskAll, Pad: k.y.zero}
	}
	ps, err := c.cut(k, ch, 1, strips, lines...)
	if err != nil {
		return err
	}
	mask := c.masks.all(k.y.layout, vectors)
	sums := ch.sums()
	c.need(sums)
	st := c.parallel(k.name, k.done, k.values(), k.y.n*strips*len(ps), func(s *state, job, worker int) {
		p := &ps[job%len(ps)]
		i, strip := job/len(ps)/strips, job/len(ps)%strips
		v := vectors * strip / strips
		in := p.first / k.out * k.in
		a := codegen.Args{
			0: pointer(s.v[k.x.value], k.x.at(i, in, -k.pad[0], -k.pad[1])+v*lanes),
			1: pointer(p.weight, 0),
			2: pointer(p.bias, 0),
			3: pointer(s.v[k.y.value], k.y.at(i, k.lane(p.first), 0, 0)+v*lanes),
			5: pointer(mask, v*lead),
			8: 1,
		}
		if sums > 0 {
			a[6] = pointer(s.scratch[worker], 0)
		}
		if k.add != nil {
			a[4] = pointer(s.v[k.add.value], k.add.at(i, k.lane(p.first), 0, 0)+v*lanes)
		}
		s.text.Call(p.code[strip], &a)
	})
	k.describe(st, ch)
	return nil
}

// strips returns the vectors of a flat map and into how many strips they are cut.
func (c *compiler) strips(k *nativeConv) (vectors, strips int) {
	lanes := c.target.Lanes()
	vectors = (k.y.h*k.y.line + lanes - 1) / lanes
	return vectors, min(max(1, vectors/flatStrip), jobsPerThread*c.threads)
}

// flatStrip is the least vectors of a strip.
const flatStrip = 16

// pointer returns where v[i] lies. Whoever passes it on keeps v alive.
func pointer(v []float32, i int) uintptr { return uintptr(unsafe.Pointer(&v[i])) }

// describe says how the step computes the convolution.
func (k *nativeConv) describe(s *step, ch choice) {
	s.Kernel = ch.String()
	s.MACs = k.macs
	s.key = k.key()
}
