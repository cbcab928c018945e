package engine

import (
	"ultrafast/graph"
	"ultrafast/internal/codegen"
)

// With Options.Precision bf16, maps lie in pairs of bfloat16: a lane of a map holds two
// channels. Slots say which: slots[2i] is the channel in the lower half of the lanes of
// pair i, slots[2i+1] the one in their upper half, -1 none. What lies in the half of none
// is any finite number. In a quantised network, values on a grid lie in quads: slots[4i] to
// slots[4i+3] are the channels in the bytes of quad i, from the lowest up. No slots at all
// mean float32, channel by channel.
//
// A count of channels that does not fill its lanes leaves a part of the last one empty. The
// slots of a concatenation are those of its members one after the other, so that these can be
// written where they belong whatever their counts: whoever reads a value goes by its slots.
type slots []int

// newSlots are those of n channels in order, so many to a lane.
func newSlots(n, lane int) slots {
	s := make(slots, roundUp(n, lane))
	for i := range s {
		if s[i] = i; i >= n {
			s[i] = -1
		}
	}
	return s
}

// slotsOf returns the slots of n, whose inputs have theirs.
func (c *compiler) slotsOf(n *graph.Node) slots {
	switch n.Op.(type) {
	case *graph.Activation, *graph.MaxPool, *graph.Upsample, *graph.Add: // they keep lanes as they are
		return c.slots[n.In[0]]
	case *graph.Quantize:
		if from := c.lanesOf(n); from != nil {
			return c.slots[from]
		}
	case *graph.Concat:
		var s slots
		first := 0
		for _, in := range n.In {
			for _, ch := range c.slots[in] {
				if ch >= 0 {
					ch += first
				}
				s = append(s, ch)
			}
			first += c.shapes[in][1]
		}
		return s
	}
	return newSlots(c.shapes[n][1], c.perLane)
}

// placeChannels is how many channels the place of n has; where they lie in pairs or quads,
// how many of these.
func (c *compiler) placeChannels(n *graph.Node) int {
	if s := c.slots[n]; s != nil {
		return len(s) / c.perLane
	}
	return c.shapes[n][1]
}

// channels is how many channels there are.
func (s slots) channels() (n int) {
	for _, ch := range s {
		if ch >= 0 {
			n++
		}
	}
	return n
}

// packRow is place.packRow for a place p that has these slots.
func (s slots) packRow(p *place, mem, plain []float32, n, y int) {
	if p.grid != nil {
		s.packQuads(p, mem, plain, n, y)
		return
	}
	channels := s.channels()
	row := func(slot int) []float32 {
		if s[slot] < 0 {
			return nil
		}
		return plain[((n*channels+s[slot])*p.h+y)*p.w:][:p.w]
	}
	for i := range p.c {
		lower, upper := row(2*i), row(2*i+1)
		dst := mem[p.at(n, i, y, 0):][:p.w]
		for x := range dst {
			var lo, hi float32
			if lower != nil {
				lo = lower[x]
			}
			if upper != nil {
				hi = upper[x]
			}
			dst[x] = codegen.Pair(lo, hi)
		}
	}
}

// unpackRow is place.unpackRow for a place p that has these slots.
func (s slots) unpackRow(p *place, plain, mem []float32, n, y int) {
	channels := s.channels()
	for slot, ch := range s {
		if ch < 0 {
			continue
		}
		src := mem[p.at(n, p.slot(slot), y, 0):][:p.w]
		dst := plain[((n*channels+ch)*p.h+y)*p.w:][:p.w]
		if p.grid != nil {
			for x, quad := range src {
				dst[x] = p.grid.Value(codegen.Unquad(quad)[slot%4])
			}
			continue
		}
		for x, pair := range src {
			lower, upper := codegen.Unpair(pair)
			if dst[x] = lower; slot%2 == 1 {
				dst[x] = upper
			}
		}
	}
}

// packQuads is packRow for values on a grid.
func (s slots) packQuads(p *place, mem, plain []float32, n, y int) {
	channels := s.channels()
	for i := range p.c {
		for x, dst := 0, mem[p.at(n, i, y, 0):]; x < p.w; x++ {
			var quad [4]uint8
			for b, ch := range s[4*i:][:4] {
				if ch >= 0 {
					quad[b] = p.grid.Level(plain[((n*channels+ch)*p.h+y)*p.w+x])
				}
			}
			dst[x] = codegen.Quad(quad)
		}
	}
}

// bySlots orders weights, biases and scales by the slots of input and output, with zeros
// where these have no channel. From then on in counts what the place of the input has, bytes
// where these are taken one by one, and out the slots of the output.
func (k *nativeConv) bySlots() {
	if k.x.slots == nil && k.y.slots == nil {
		return
	}
	if k.groups > 1 { // of full quads in order
		k.in /= k.x.perLane()
		return
	}
	order := func(s slots, channels int) slots {
		if s == nil {
			return newSlots(channels, 1)
		}
		return s
	}
	in, out := order(k.x.slots, k.in), order(k.y.slots, k.out)
	taps := k.kernel[0] * k.kernel[1]
	weight, bias := make([]float32, len(out)*len(in)*taps), make([]float32, len(out))
	var scale []float32
	if k.scale != nil {
		scale = make([]float32, len(out))
	}
	for i, o := range out {
		if o < 0 {
			continue
		}
		if bias[i] = k.bias[o]; scale != nil {
			scale[i] = k.scale[o]
		}
		for j, ch := range in {
			if ch >= 0 {
				copy(weight[(i*len(in)+j)*taps:][:taps], k.weight[(o*k.in+ch)*taps:])
			}
		}
	}
	k.weight, k.bias, k.scale, k.in, k.out = weight, bias, scale, k.x.c, len(out)
	if k.bytes {
		k.in = len(in)
	}
}
