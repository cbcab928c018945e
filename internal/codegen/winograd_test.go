package codegen

import (
	"math/rand/v2"
	"testing"
)

// A winogradCase is a 3x3 convolution with padding 1, computed from a map by both kernels.
type winogradCase struct {
	in, out, stride int
	h, w            int // of the output
	add             bool
	act             Activation
	mask            Mask
	tile            Tile
}

func randomWinograd(r *rand.Rand, t Target) winogradCase {
	masks := []Mask{MaskNone, MaskLast, MaskPart}
	c := winogradCase{in: 1 + r.IntN(7), out: 1 + r.IntN(14), stride: 1 + r.IntN(2), h: 1 + r.IntN(13), w: 1 + r.IntN(3*t.lanes),
		add: r.IntN(2) == 0, act: randomActivation(r), mask: masks[r.IntN(len(masks))]}
	c.tile = randomTile(r, t, c.out, c.vectors(c.w, t), 1)
	return c
}

func (c *winogradCase) vectors(columns int, t Target) int { return (columns + t.lanes - 1) / t.lanes }

// groups returns how many groups of rows there are, and how many rows the last one has.
func (c *winogradCase) groups() (n, last int) {
	n = (c.h + WinogradRows - 1) / WinogradRows
	return n, c.h - (n-1)*WinogradRows
}

// A winogradMap is the input with zeros around it: [row][channel][column] or
// [channel][row][column], strides in floats.
type winogradMap struct {
	x            []float32
	row, channel int
}

// input returns the map, the row above and the column on the left of which come first.
// What lies right of the column of zeros on the right is NaN, and so is what is below.
func (c *winogradCase) input(r *rand.Rand, t Target) winogradMap {
	line := c.stride*(c.w+2*t.lanes) + 2
	rows := WinogradReads(c.stride, c.h)
	m := winogradMap{row: line * c.in, channel: line}
	if r.IntN(2) == 0 {
		m = winogradMap{row: line, channel: line * rows}
	}
	m.x = filled(line*rows*c.in+4*t.lanes, nan)
	for i := range c.in {
		for y := range rows {
			row := m.x[i*m.channel+y*m.row:]
			clear(row[:c.w*c.stride+2])
			if y > 0 && y <= c.h*c.stride {
				copy(row[1:][:c.w*c.stride], random(r, c.w*c.stride))
			}
		}
	}
	return m
}

// value is one number of the output, and how far from it float32 may be.
func (c *winogradCase) value(m winogradMap, weights []float32, bias float32, o, y, x int) (v, slack float64) {
	s := newSum(bias)
	for i := range c.in * 9 {
		in, ky, kx := i/9, i/3%3, i%3
		s.add(weights[o*c.in*9+i], m.x[in*m.channel+(y*c.stride+ky)*m.row+x*c.stride+kx])
	}
	v, slack = s.activate(c.act)
	return v, 15 * slack // the matrices have numbers up to 8
}

func TestWinogradRows(t *testing.T) {
	eachTarget(t, func(t *testing.T, target Target, r *rand.Rand) {
		for range rounds() / 2 {
			c := randomWinograd(r, target)
			c.testRows(t, target, r)
		}
	})
}

// testRows computes group after group.
func (c *winogradCase) testRows(t *testing.T, target Target, r *rand.Rand) {
	t.Helper()
	lanes := target.lanes
	line := Line{Vectors: c.vectors(c.w, target), Mask: c.mask}
	if c.mask == MaskPart {
		line.Last = (c.w-1)%lanes + 1
	}
	m := c.input(r, target)
	weights, bias := random(r, c.out*c.in*9), random(r, c.out)
	row := line.Vectors*lanes + rarely(r, 9)
	channel := c.h*row + r.IntN(20)
	out := filled(c.out*channel, untouched)
	add := random(r, len(out))
	wide := c.vectors(c.w+3-c.stride, target)
	even, pitch := 0, wide*lanes
	if c.stride == 2 {
		even, pitch = pitch, 2*pitch
	}
	plane := c.in*pitch + lanes + rarely(r, 9)
	transformed := filled(WinogradPlanes(c.stride)*plane+2*lanes, nan)
	packed := target.PackWinograd(weights, c.out, c.in, c.stride, c.tile)
	scratch := filled(target.WinogradScratch(c.stride, c.tile)/4, nan)
	groups, last := c.groups()
	for g := range groups {
		rows := WinogradRows
		if g == groups-1 {
			rows = last
		}
		var call caller
		pass(&call, 0, m.x, g*WinogradRows*c.stride*m.row)
		pass(&call, 1, transformed, 0)
		call.run(t, target, func(b *Builder) (Func, error) {
			return b.WinogradInput(WinogradInput{Channels: c.in, Stride: c.stride, InRow: 4 * m.row, InChannel: 4 * m.channel, Vectors: wide,
				Groups: 1, LastRows: WinogradReads(c.stride, rows), Channel: 4 * pitch, Plane: 4 * plane, Even: 4 * even})
		})
		pass(&call, 0, transformed, 0)
		pass(&call, 1, packed, 0)
		pass(&call, 2, bias, 0)
		pass(&call, 3, out, g*WinogradRows*row)
		pass(&call, 4, add, g*WinogradRows*row)
		pass(&call, 5, masks(1, func(_, lane int) bool { return lane <= (c.w-1)%lanes }), 0)
		pass(&call, 6, scratch, 0)
		if !call.run(t, target, func(b *Builder) (Func, error) {
			return b.Winograd(Winograd{In: c.in, Out: c.out, Stride: c.stride, Channel: 4 * pitch, Plane: 4 * plane, Even: 4 * even, Rows: rows,
				OutRow: 4 * row, OutChannel: 4 * channel, AddRow: 4 * row, AddChannel: 4 * channel, Add: c.add, Act: c.act, Line: line, Tile: c.tile})
		}) {
			return
		}
	}
	want := newWanted(len(out))
	for o := range c.out {
		for y := range c.h {
			for x := range line.Vectors * lanes {
				at := o*channel + y*row + x
				switch {
				case x < c.w:
					v, slack := c.value(m, weights, bias[o], o, y, x)
					if c.add {
						v += float64(add[at])
					}
					want.set(at, v, slack)
				case c.mask == MaskLast:
					want.set(at, 0, 0)
				case c.mask == MaskNone:
					want.anything(at)
				}
			}
		}
	}
	want.compare(t, out, *c)
}

func TestWinogradSideBySide(t *testing.T) {
	eachTarget(t, func(t *testing.T, target Target, r *rand.Rand) {
		for range rounds() / 2 {
			c := randomWinograd(r, target)
			c.testSideBySide(t, target, r)
		}
	})
}

// testSideBySide computes all groups at once, channel by channel, their rows side by side
// with one column of zeros between them. So lie those of the output.
func (c *winogradCase) testSideBySide(t *testing.T, target Target, r *rand.Rand) {
	t.Helper()
	lanes := target.lanes
	m := c.input(r, target)
	weights, bias := random(r, c.out*c.in*9), random(r, c.out)
	groups, last := c.groups()
	pitch := c.w + 1
	line := Line{Vectors: c.vectors(groups*pitch, target)}
	wide := line.Vectors * lanes
	even, channel := 0, wide+2*lanes
	if c.stride == 2 {
		even, channel = channel, 2*channel
	}
	plane := c.in * channel
	transformed := filled(WinogradPlanes(c.stride)*plane+2*lanes, nan)
	for i := range c.in {
		var call caller
		pass(&call, 0, m.x, i*m.channel)
		pass(&call, 1, transformed, i*channel)
		call.run(t, target, func(b *Builder) (Func, error) {
			return b.WinogradInput(WinogradInput{Channels: 1, Stride: c.stride, InRow: 4 * m.row, InChannel: 4 * m.channel,
				Vectors: c.vectors(c.w+3-c.stride, target), Groups: groups, LastRows: WinogradReads(c.stride, last),
				Pitch: 4 * pitch, Channel: 4 * channel, Plane: 4 * plane, Even: 4 * even})
		})
	}
	row, outChannel := c.out*wide, wide
	out := filled(WinogradRows*row, untouched)
	add := random(r, len(out))
	var call caller
	pass(&call, 0, transformed, 0)
	pass(&call, 1, target.PackWinograd(weights, c.out, c.in, c.stride, c.tile), 0)
	pass(&call, 2, bias, 0)
	pass(&call, 3, out, 0)
	pass(&call, 4, add, 0)
	pass(&call, 6, filled(target.WinogradScratch(c.stride, c.tile)/4, nan), 0)
	if !call.run(t, target, func(b *Builder) (Func, error) {
		return b.Winograd(Winograd{In: c.in, Out: c.out, Stride: c.stride, Channel: 4 * channel, Plane: 4 * plane, Even: 4 * even, Rows: WinogradRows,
			OutRow: 4 * row, OutChannel: 4 * outChannel, AddRow: 4 * row, AddChannel: 4 * outChannel, Add: c.add, Act: c.act, Line: line, Tile: c.tile})
	}) {
		return
	}
	want := newWanted(len(out))
	for i := range out {
		want.anything(i)
	}
	for o := range c.out {
		for y := range c.h {
			for x := range c.w {
				at := y%WinogradRows*row + o*outChannel + y/WinogradRows*pitch + x
				v, slack := c.value(m, weights, bias[o], o, y, x)
				if c.add {
					v += float64(add[at])
				}
				want.set(at, v, slack)
			}
		}
	}
	want.compare(t, out, *c)
}
