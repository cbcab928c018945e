package engine

import (
	"ultrafast/graph"
	"ultrafast/internal/codegen"
)

// A squaresPlan is how a map is cut into strips of squares.
type squaresPlan struct {
	whole, last codegen.Strip // all strips but the last have as many rows as the first
	strips      int
	span        float64 // vectors that the busiest thread computes, or as many as take its time
	lanes       int
	plane       int // of T, in floats: from one plane to the next
}

// transformedRoom is the most bytes of T that a thread keeps for itself: what its second
// cache holds beside weights and sums.
const transformedRoom = 720 << 10

// rowsRoom is the most bytes of output rows that a strip makes before they are copied to
// where they belong.
const rowsRoom = 128 << 10

// sharedRoom is the most bytes of T that threads share without waiting for memory.
const sharedRoom = 1 << 20

// squares returns the plan that keeps the threads busy for the shortest time. One strip
// is transformed by all threads and then shared.
func (k *nativeConv) squares(lanes, threads int) squaresPlan {
	rows := (k.y.h + codegen.WinogradRows - 1) / codegen.WinogradRows
	plan := func(each int) squaresPlan {
		strip := codegen.Strip{Stride: k.stride[0], Rows: each, Columns: (k.y.w + codegen.WinogradRows - 1) / codegen.WinogradRows}
		p := squaresPlan{whole: strip, last: strip, strips: (rows + each - 1) / each, lanes: lanes}
		p.last.Rows = rows - (p.strips-1)*each
		p.plane = k.in*strip.Vectors(lanes)*lanes + lead // so that planes do not meet in the same lines of the cache
		whole := (p.strips - 1) * k.y.n
		p.span = float64((whole + threads - 1) / threads * strip.Vectors(lanes))
		if whole%threads == 0 { // else some thread has nothing to do while others have a whole one
			p.span += float64((k.y.n + threads - 1) / threads * p.last.Vectors(lanes))
		}
		return p
	}
	if k.rows != nil {
		return plan(1)
	}
	best := plan(rows)
	best.span = float64(best.whole.Vectors(lanes)*k.y.n) / float64(threads)
	best.span *= 1 + max(0, float64(4*best.size()-sharedRoom)/(22<<20)) // it comes from farther away
	for each := 1; each < rows; each++ {
		if p := plan(each); 4*p.size() <= transformedRoom && p.span < best.span {
			best = p
		}
	}
	return best
}

// fastest estimates in which form a 3x3 convolution takes the least time: winogradSquares,
// winogradRows, which stands for winogradFlat too, or rows. The numbers are cycles for a
// vector of squares: what the products of the algorithm take for each pair of channels, what
// an input channel takes to be transformed and an output channel to come back, measured with
// AVX-512 on Zen 4 and, where multiply-adds start twice a cycle, on a Xeon with AMX. The answer
// is that for one thread, since the forms round otherwise, and results should not depend on
// the threads.
func (k *nativeConv) fastest(lanes int, twice bool) string {
	cost := func(span float64, products, in, out int) float64 {
		return span * float64(products*k.in*k.out+in*k.in+out*k.out)
	}
	groups, _ := k.rowGroups()
	columns := float64(groups*roundUp(k.y.w, lanes)) / float64(lanes)
	if narrow(k.y.w, 1, lanes) {
		columns = float64(k.flatVectors(lanes))
	}
	columns *= float64(k.y.n) / 4 // a vector of squares is as wide as four
	squares := k.squares(lanes, 1).span
	var better bool
	switch {
	case !twice && k.stride[0] == 1:
		better = cost(squares, 36, 250, 380) < cost(columns, 72, 80, 260)
	case !twice:
		better = cost(squares, 81, 700, 700) < cost(columns, 108, 200, 320)
	case k.stride[0] == 1:
		better = cost(squares, 28, 300, 430) < cost(columns, 36, 60, 190)
	case k.rows == nil && narrow(k.y.w, 1, lanes) && k.y.w >= 3*lanes/2:
		return rows // lines that waste less than a third of their vectors, and need no other order of their pixels
	default:
		better = cost(squares, 21, 2600, 2600) < cost(columns, 54, 200, 320)
	}
	if better {
		return winogradSquares
	}
	return winogradRows
}

// size is the floats of T.
func (p *squaresPlan) size() int { return p.whole.Planes()*p.plane + p.lanes }

// reads is how many rows there are of those that a strip from output row y on reads.
func (k *nativeConv) reads(s codegen.Strip, y int) int { return min(s.Reads(), k.x.h+2-y*k.stride[0]) }

// winogradSquares appends a 3x3 convolution by Winograd's algorithm in both directions.
func (c *compiler) winogradSquares(k *nativeConv, ch choice) error {
	p := k.squares(c.target.Lanes(), c.threads)
	p.whole.Block, p.last.Block = ch.Vectors, ch.Vectors
	if p.strips == 1 && k.rows == nil {
		return c.squaresShared(k, ch, &p)
	}
	return c.squaresStrips(k, ch, &p)
}

// squaresStrips appends it as jobs that each transform a strip into the thread's own memory
// and multiply it there.
func (c *compiler) squaresStrips(k *nativeConv, ch choice, p *squaresPlan) error {
	height := codegen.WinogradRows * p.whole.Rows
	var in [2]codegen.Func // for all strips but the last, and for that
	var multiply [2][]squaresCode
	var starts [2][2]int
	parts := k.squaresParts(c.target, ch, (4*codegen.WinogradRows*codegen.WinogradRows*k.out*p.whole.Vectors(p.lanes)*p.lanes+rowsRoom-1)/rowsRoom)
	for i, s := range []codegen.Strip{p.whole, p.last} {
		y := i * (p.strips - 1) * height
		starts[i][0], starts[i][1] = s.Starts(0, k.in, p.lanes)
		var err error
		if in[i], err = c.squaresInput(k, p, s, y, k.in); err != nil {
			return err
		}
		for _, part := range parts {
			code, err := c.squaresMultiply(k, ch, p, s, y, part)
			if err != nil {
				return err
			}
			multiply[i] = append(multiply[i], code)
		}
	}
	masks := c.masks.squares(k, p.whole)
	sums := roundUp(p.size(), lead)
	out := sums + roundUp(max(c.target.SquaresScratch(p.whole, ch.Out), c.target.InputScratch(p.whole))/4, lead)
	buffer := out
	for _, code := range multiply[0] {
		buffer = max(buffer, out+roundUp(code.size, lead))
	}
	c.need(buffer)
	if k.rows != nil {
		c.need(buffer + k.rows.room())
	}
	st := c.banded(k.name, k.done, k.values(), bands{k.y.n, k.y.h, height, k.near(), func(s *state, i, from, to, worker int) {
		scratch := s.scratch[worker]
		read := codegen.Args{5: pointer(masks, 0), 6: pointer(scratch, sums)}
		for y := from; y < to; y += height {
			variant := 0
			if y+height >= k.y.h {
				variant = 1
			}
			if k.rows != nil {
				read[0] = k.rows.group(s, scratch[buffer:], i, y, y == from, worker)
			} else {
				read[0] = pointer(s.v[k.x.value], k.x.at(i, 0, y*k.stride[0]-1, -1))
			}
			first, second := starts[variant][0], starts[variant][1]
			read[1], read[2] = pointer(scratch, first), pointer(scratch, second)
			s.text.Call(in[variant], &read)
			for part := range multiply[variant] {
				multiply[variant][part].run(s, k, scratch, scratch[sums:], scratch[out:], i, y)
			}
		}
		k.y.pads(s.v[k.y.value], i, from, to)
	}})
	k.describe(st, ch)
	return nil
}

// squaresShared appends it as a step that transforms whole pictures, channel by channel, and
// one whose jobs each multiply for some of the output channels.
func (c *compiler) squaresShared(k *nativeConv, ch choice, p *squaresPlan) error {
	input, err := c.squaresInput(k, p, p.whole, 0, 1)
	if err != nil {
		return err
	}
	t := c.newValue(graph.Shape{k.y.n, p.size()})
	masks := c.masks.squares(k, p.whole)
	c.need(c.target.InputScratch(p.whole) / 4)
	transform := c.parallel(k.name+" transformed", nil, []int{k.x.value, t}, k.x.n*k.in, func(s *state, job, worker int) {
		i, ch := job/k.in, job%k.in
		first, second := p.whole.Starts(ch, k.in, p.lanes)
		s.text.Call(input, &codegen.Args{
			0: pointer(s.v[k.x.value], k.x.at(i, ch, -1, -1)),
			1: pointer(s.v[t], i*p.size()+first),
			2: pointer(s.v[t], i*p.size()+second),
			5: pointer(masks, 0),
			6: pointer(s.scratch[worker], 0),
		})
	})
	transform.Kernel, transform.key = machineCode, k.key()

	var ps []squaresCode
	out := roundUp(c.target.SquaresScratch(p.whole, ch.Out)/4, lead)
	for _, part := range k.squaresParts(c.target, ch, (jobsPerThread*c.threads+k.y.n-1)/k.y.n) {
		code, err := c.squaresMultiply(k, ch, p, p.whole, 0, part)
		if err != nil {
			return err
		}
		ps = append(ps, code)
		c.need(out + code.size)
	}
	st := c.parallel(k.name, k.done, append(k.values(), t), k.y.n*len(ps), func(s *state, job, worker int) {
		i, part := job/len(ps), job%len(ps)
		scratch := s.scratch[worker]
		ps[part].run(s, k, s.v[t][i*p.size():], scratch, scratch[out:], i, 0)
		if part == 0 {
			k.y.pads(s.v[k.y.value], i, 0, k.y.h)
		}
	})
	k.describe(st, ch)
	return nil
}

// squaresInput makes the code that transforms some channels of a strip from output row y on.
func (c *compiler) squaresInput(k *nativeConv, p *squaresPlan, s codegen.Strip, y, channels int) (codegen.Func, error) {
	return c.code.SquaresInput(codegen.SquaresInput{Strip: s, Channels: channels, All: k.in, InRow: 4 * k.x.row, InChannel: 4 * k.x.channel,
		Rows: k.reads(s, y), Plane: 4 * p.plane, Masked: s.Masked(k.x.w)})
}

// squaresParts cuts the output channels into at most that many parts, without code.
func (k *nativeConv) squaresParts(t codegen.Target, ch choice, most int) (ps []part) {
	bounds := parts(k.out, ch.Out, most)
	for i, first := range bounds[:len(bounds)-1] {
		out := bounds[i+1] - first
		ps = append(ps, k.part(first, out, func(w []float32) []float32 { return t.PackSquares(w, out, k.in, k.stride[0], ch.Out) }))
	}
	return ps
}

// A squaresCode computes some output channels of a strip. Its code multiplies, then copies
// row r of all squares to where it belongs, for each r.
type squaresCode struct {
	part
	row  int // floats from row r to row r+1 of what is multiplied
	size int // floats of that
	mask []float32
}

func (c *compiler) squaresMultiply(k *nativeConv, ch choice, p *squaresPlan, s codegen.Strip, y int, part part) (squaresCode, error) {
	out := len(part.bias)
	channel := codegen.WinogradRows * s.Vectors(p.lanes) * p.lanes
	sc := squaresCode{part: part, row: out * channel, size: codegen.WinogradRows * out * channel, mask: c.masks.last(k.y.w, p.lanes)}
	multiply, err := c.code.Squares(codegen.Squares{Strip: s, In: k.in, Out: out, Plane: 4 * p.plane,
		OutRow: 4 * sc.row, OutChannel: 4 * channel, Act: k.act, TileOut: ch.Out})
	if err != nil {
		return sc, err
	}
	height := min(codegen.WinogradRows*s.Rows, k.y.h-y)
	copies, err := c.winogradCopies(k, out, s.Rows, height-codegen.WinogradRows*(s.Rows-1), s.OutPitch(), channel)
	sc.code = append([]codegen.Func{multiply}, copies...)
	return sc, err
}

// run computes the rows from y on of picture i from t, with two areas of scratch memory.
func (sc *squaresCode) run(s *state, k *nativeConv, t, sums, out []float32, i, y int) {
	s.text.Call(sc.code[0], &codegen.Args{
		0: pointer(t, 0), 1: pointer(sc.weight, 0), 2: pointer(sc.bias, 0), 3: pointer(out, 0), 6: pointer(sums, 0),
	})
	for r, f := range sc.code[1:] {
		a := codegen.Args{
			0: pointer(out, r*sc.row),
			3: pointer(s.v[k.y.value], k.y.at(i, sc.first, y+r, 0)),
			5: pointer(sc.mask, 0),
		}
		if k.add != nil {
			a[4] = pointer(s.v[k.add.value], k.add.at(i, sc.first, y+r, 0))
		}
		s.text.Call(f, &a)
	}
}
