package engine

import (
	"fmt"

	"ultrafast/internal/codegen"
)

// The forms in which machine code computes a convolution.
const (
	rows            = "rows"          // row by row
	flat            = "flat"          // all rows of a narrow map as one
	parted          = "flat parted"   // also, at stride 2
	winogradRows    = "Winograd rows" // 3x3 by Winograd's algorithm
	winogradFlat    = "Winograd flat"
	winogradSquares = "Winograd squares" // in both directions
)

// A choice is one of the ways to compute a convolution.
type choice struct {
	Form         string
	codegen.Tile        // of sums in registers
	PixelsOuter  bool   // see codegen.Conv
	numbers      string // Int8 or int8by16 where quads are multiplied
}

func (ch choice) String() string {
	s := fmt.Sprintf("%s %dx%d", ch.Form, ch.Out, ch.Vectors)
	if ch.numbers != "" {
		s = ch.numbers + " " + s
	}
	if ch.PixelsOuter {
		s += " pixels outer"
	}
	return s
}

// int8by16 is said of bytes multiplied by weights of 16 bits.
const int8by16 = "int8x16"

// numbers says which whole numbers k multiplies, if it does.
func (k *nativeConv) numbers() string {
	switch {
	case k.wide:
		return int8by16
	case k.quads():
		return Int8
	}
	return ""
}

// choicesPerForm is how many tiles are worth a measurement.
const choicesPerForm = 5

// nearRoom is the most bytes of a 1x1 convolution's input that one tile of pixels should
// have, so that the nearest cache keeps them for all output channels.
const nearRoom = 24 << 10

// choices returns the ways in which k can be computed, those first that a model of the
// processor takes for the fastest. Ways of different forms take turns after the first.
func (c *compiler) choices(k *nativeConv) []choice {
	lanes, taps := c.target.Lanes(), k.kernel[0]*k.kernel[1]
	line := c.row(&k.y).Vectors
	var lists [][]choice
	add := func(form string, vectors, taps, stride int) {
		var list, outer []choice
		tiles := c.target.Tiles
		if k.quads() {
			tiles = c.target.QuadTiles
		}
		for _, t := range tiles(k.out, vectors, taps, stride) {
			if t.Out%k.y.perLane() != 0 || k.wide && t.Out%2 != 0 {
				continue
			}
			if len(list) < choicesPerForm {
				list = append(list, choice{form, t, false, k.numbers()})
			}
			near := taps > 1 || t.Vectors == 1 || 4*lanes*t.Vectors*k.in <= nearRoom
			if len(outer) < choicesPerForm && near && (form == rows || form == flat) {
				outer = append(outer, choice{form, t, true, k.numbers()})
			}
		}
		if taps == 1 && outer != nil { // each pixel is read once from afar
			list, outer = outer, list
		}
		lists = append(lists, list, outer)
	}
	squares := func() {
		if k.winograd() {
			s := k.squares(lanes, c.threads)
			add(winogradSquares, s.whole.Vectors(lanes), 1, 1)
		}
	}
	columns := func() {
		switch {
		case !k.winograd():
		case k.rows == nil && narrow(k.y.w, 1, lanes):
			add(winogradFlat, k.flatVectors(lanes), 3, 1)
		default:
			add(winogradRows, line, 3, 1)
		}
	}
	plain := func() {
		switch {
		case k.rows != nil && k.winograd(): // only the other forms take rows as they come
		case k.x.flat && k.x.like(k.y.layout) && k.same():
			vectors, strips := c.strips(k)
			add(flat, (vectors+strips-1)/strips, taps, 1)
		default:
			if k.canPart() && !k.winograd() {
				vectors, strips := c.strips(k)
				add(parted, (vectors+strips-1)/strips, taps, 1)
			}
			add(rows, line, taps, k.stride[1])
		}
	}
	ways := []func(){columns, squares, plain}
	if k.winograd() {
		switch k.fastest(lanes, c.target.Twice()) {
		case winogradSquares:
			ways = []func(){squares, columns, plain}
		case rows:
			ways = []func(){plain, columns, squares}
		}
	}
	for _, way := range ways {
		way()
	}
	if k.rows != nil && k.winograd() {
		return turns(lists)
	}
	if tiles, faster := c.amxChoices(k); faster {
		lists = append(tiles, lists...)
	} else {
		lists = append(lists, tiles...)
	}
	return turns(lists)
}

// turns takes one of each list, then the next of each.
func turns(lists [][]choice) []choice {
	var all []choice
	for i := range choicesPerForm {
		for _, list := range lists {
			if i < len(list) {
				all = append(all, list[i])
			}
		}
	}
	return all
}

// A picker chooses one of the ways to compute the convolution of that key.
type picker func(key string, all []choice) choice

func (c *compiler) choose(k *nativeConv) choice { return c.pick(k.key(), c.choices(k)) }

// key names a convolution by all that its time depends on but the processor and the
// number of threads.
func (k *nativeConv) key() string {
	s := fmt.Sprintf("conv %dx%d stride %dx%d pad %dx%d groups %d, %d to %d channels, %d pictures of %dx%d, %s",
		k.kernel[0], k.kernel[1], k.stride[0], k.stride[1], k.pad[0], k.pad[1], k.groups, k.in, k.out, k.y.n, k.x.h, k.x.w, k.act.Kind)
	if k.add != nil {
		s += ", added"
	}
	switch {
	case k.wide:
		s += ", " + int8by16
	case k.quads() && k.y.grid == nil:
		s += ", " + Int8 + " to " + FP32
	case k.bytes:
		s += ", of bytes"
	case k.quads():
		s += ", " + Int8
		if k.quant.Table != nil {
			s += " by a table"
		}
	case k.x.slots != nil || k.y.slots != nil:
		s += ", " + BF16
	}
	return s
}
