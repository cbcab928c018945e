package engine

import (
	"slices"
	"strings"

	"ultrafast/internal/codegen"
)

// The forms in which tiles of AMX compute a convolution of pairs or quads. They are those of vectors,
// but for a stride of 2 to a wide map: a tile takes neighbours only, so that the rows which
// a row of the output reads are halved first, in the thread's memory.
const (
	amxRows   = "AMX rows"
	amxHalved = "AMX rows halved"
	amxFlat   = "AMX flat"
	amxParted = "AMX flat parted"
)

// amx reports whether the way is by tiles, whose sizes Tile then has as codegen.TilesAMX.
func (ch choice) amx() bool { return strings.HasPrefix(ch.Form, "AMX ") }

// sums is how many floats of a thread's scratch memory hold sums.
func (ch choice) sums() int {
	if ch.amx() {
		return codegen.AMXScratch / 4
	}
	return 0
}

// amxChoices returns the ways to compute k by tiles, and whether these should be faster
// than those by vectors.
func (c *compiler) amxChoices(k *nativeConv) (lists [][]choice, faster bool) {
	if !c.target.AMX() || k.x.slots == nil || k.bytes || k.groups > 1 {
		return nil, false
	}
	taps := k.kernel[0] * k.kernel[1]
	form, vectors, ranges, pairs, blocks := amxRows, c.row(&k.y).Vectors, taps, k.in, k.blocks(c.threads)
	switch {
	case k.x.flat && k.x.like(k.y.layout) && k.same():
		form = amxFlat
	case k.canPart():
		form = amxParted
	case k.stride == [2]int{2, 2}:
		form = amxHalved
	case k.stride[1] != 1:
		return nil, false
	}
	if form == amxFlat || form == amxParted {
		vectors, blocks = c.strips(k)
		vectors = (vectors + blocks - 1) / blocks
	} else if form == amxHalved || k.x.row == k.in*k.x.channel { // rows follow each other as channels do
		ranges, pairs = k.kernel[1], k.kernel[0]*k.in
	}
	tiles := codegen.TilesAMX(k.out, vectors, taps)
	few := func(t codegen.Tile) int { // 1 where large tiles leave threads without a job
		if jobs := (k.out + t.Out - 1) / t.Out * blocks * k.y.n; jobs < 2*c.threads {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(tiles, func(a, b codegen.Tile) int { return few(a) - few(b) })
	tiles = tiles[:min(len(tiles), choicesPerForm)]
	var list, outer []choice
	for _, t := range tiles {
		list, outer = append(list, choice{form, t, false, k.numbers()}), append(outer, choice{form, t, true, k.numbers()})
	}
	lists = append(lists, list)
	if form == amxRows || form == amxHalved {
		lists = append(lists, outer)
	}
	return lists, codegen.WorthAMX(k.out, ranges, pairs)
}

// convCode writes a convolution by vectors or by tiles.
func (c *compiler) convCode(spec codegen.Conv, ch choice) (codegen.Func, error) {
	if ch.amx() {
		return c.code.ConvAMX(spec)
	}
	return c.code.Conv(spec)
}

// A halver sets the even columns of rows apart from the odd ones: a row has, channel by
// channel, first these and then those.
type halver struct {
	x      place // of what it reads
	code   codegen.Func
	kernel int // rows that a row of the output reads
	pad    [2]int
	half   int // columns of one kind
}

// halvedRows is for how many rows of the output the halved rows lie one after the other.
const halvedRows = 4

// size is the floats of a halved row.
func (h *halver) size() int { return h.x.c * 2 * h.half }

// room is the floats of a buffer for group.
func (h *halver) room() int { return (2*(halvedRows-1)+h.kernel)*h.size() + behind }

// group leaves the rows that rows y to y+n-1 of the output read in buffer, one after the other,
// and returns where they begin; n is at most halvedRows. Those that it shares with the group
// before are still there, after as many as can be, unless this is the thread's first.
func (h *halver) group(s *state, buffer []float32, i, y, n int, first bool) uintptr {
	size, have := h.size(), 0
	if !first {
		have = max(0, h.kernel-2)
		copy(buffer, buffer[2*halvedRows*size:][:have*size])
	}
	for r := have; r < 2*(n-1)+h.kernel; r++ {
		s.text.Call(h.code, &codegen.Args{
			0: pointer(s.v[h.x.value], h.x.at(i, 0, 2*y-h.pad[0]+r, -h.pad[1])),
			3: pointer(buffer, r*size),
		})
	}
	return pointer(buffer, 0)
}

// convHalved appends a convolution of stride 2 to a wide map.
func (c *compiler) convHalved(k *nativeConv, ch choice) error {
	lanes := c.target.Lanes()
	h := &halver{x: k.x, kernel: k.kernel[0], pad: k.pad, half: roundUp(k.y.w+(k.kernel[1]-1)/2, lanes)}
	var err error
	h.code, err = c.code.Halves(codegen.Halves{Rows: k.in, InRow: 4 * k.x.channel, OutRow: 4 * 2 * h.half, OutOdd: 4 * h.half,
		Line: codegen.Line{Vectors: h.half / lanes}})
	if err != nil {
		return err
	}
	wide := *k
	wide.halves = h
	wide.apart = [2]int{h.size(), h.half}
	wide.x.channel, wide.x.row = 2*h.half, 2*h.size()
	return c.convRows(&wide, ch)
}
