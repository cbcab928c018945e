package engine

import (
	"slices"
	"unsafe"

	"ultrafast/graph"
	"ultrafast/internal/codegen"
)

// The first convolution of a YOLOv5 has a kernel of 6x6 at stride 2 over three channels.
// Its input is split into four maps of half the size, one for each phase (remainder of row
// and column by 2), which makes it a 3x3 convolution of stride 1 over twelve channels:
// channel ch of phase (r, q) is channel (2r+q)*C + ch. In pairs of bfloat16 the even columns
// are in the lower halves and the odd ones in the upper, and the numbers are from 0 to 255,
// which makes pixels of 8 bits exact. In quads the channels follow each other.

// isStem reports whether the convolution is computed that way.
func (c *compiler) isStem(n *graph.Node, op *graph.Conv) bool {
	s, w := c.shapes[n.In[0]], op.Weight.Shape
	for i := range 2 {
		if op.Stride[i] != 2 || op.Pad[i]%2 != 0 || w[2+i]%2 != 0 || s[2+i]%2 != 0 || w[2+i] != 2*op.Pad[i]+2 {
			return false
		}
	}
	if _, eight := c.grids.conv(n); eight && !(c.isPicture(n.In[0]) && c.canConvQuads(n, op)) {
		return false
	} else if !eight && n.In[0] != c.graph.Input() {
		return false
	}
	return op.Groups == 1
}

// A splitter makes rows of phases from the input, be it a tensor or pixels.
type splitter struct {
	input    int // the value
	channels int // of the input
	h, w     int // of a phase
	planes   int // how many channels a row of phases has; in pairs or quads, how many of these
	channel  int // floats from one of these to the next
	halves   codegen.Func
	rgb      codegen.Func
	rounds   []codegen.Func  // by quad
	grid     *graph.Quantize // of quads, else nil
	mask     []float32
}

// newSplitter makes phases of quads where grid is not nil.
func (c *compiler) newSplitter(grid *graph.Quantize) (*splitter, error) {
	in := c.graph.Input()
	shape, lanes := c.shapes[in], c.target.Lanes()
	s := &splitter{input: c.value[in], channels: shape[1], h: shape[2] / 2, w: shape[3] / 2, grid: grid}
	s.channel = roundUp(s.w, lead) + lead
	s.planes = 4 * s.channels
	switch {
	case grid != nil:
		s.planes = s.channels
	case c.pairs:
		s.planes = 2 * s.channels
	}
	line := codegen.Line{Vectors: (s.w + lanes - 1) / lanes}
	if s.w%lanes != 0 {
		line.Mask = codegen.MaskLast
	}
	s.mask = c.masks.last(s.w, lanes)
	c.bytes = max(c.bytes, 8*s.w+codegen.RGBReads)
	var err error
	if grid != nil {
		err = c.roundings(s, line)
	} else {
		s.halves, err = c.code.Halves(codegen.Halves{Rows: 1, OutOdd: 4 * s.channels * s.channel, Line: line, Pairs: c.pairs})
	}
	if err != nil || s.channels != 3 {
		return s, err
	}
	s.rgb, err = c.code.RGB(codegen.RGB{OutChannel: 4 * s.channel, Line: line, Pairs: c.pairs, Quads: grid != nil})
	return s, err
}

// size is the floats of a row of phases.
func (s *splitter) size() int { return s.planes * s.channel }

// row writes row y of picture i, which may lie outside the picture, to dst, where the
// channels follow each other with columns of zeros between them and behind the last.
func (s *splitter) row(st *state, dst []float32, i, y, worker int) {
	dst = dst[:s.size()]
	if y < 0 || y >= s.h {
		clear(dst)
		return
	}
	for ch := range s.planes {
		clear(dst[ch*s.channel:][s.w:s.channel])
	}
	if s.grid != nil {
		s.quads(st, dst, i, y, worker)
		return
	}
	// Kernels may read beyond a row. From the last one they read a copy.
	if st.pixels != nil {
		size := 6 * s.w
		for r := range 2 {
			line := st.pixels[((i*s.h+y)*2+r)*size:]
			if len(line) < size+codegen.RGBReads {
				line = st.bytes[worker]
				copy(line, st.pixels[((i*s.h+y)*2+r)*size:][:size])
			}
			a := codegen.Args{0: uintptr(unsafe.Pointer(&line[0])), 3: pointer(dst, r*s.planes/2*s.channel), 5: pointer(s.mask, 0)}
			st.text.Call(s.rgb, &a)
		}
		return
	}
	for r := range 2 {
		for ch := range s.channels {
			line := st.v[s.input][((i*s.channels+ch)*2*s.h+2*y+r)*2*s.w:]
			if 4*len(line) < 8*s.w+codegen.RGBReads {
				last := line[:2*s.w]
				line = unsafe.Slice((*float32)(unsafe.Pointer(&st.bytes[worker][0])), 2*s.w)
				copy(line, last)
			}
			a := codegen.Args{0: pointer(line, 0), 3: pointer(dst, (r*s.planes/2+ch)*s.channel), 5: pointer(s.mask, 0)}
			st.text.Call(s.halves, &a)
		}
	}
}

// stem makes the phases of the input, or of what rounds it to quads, the place that k reads:
// where k may take them row by row, in its thread's own memory, else all at once before it.
func (c *compiler) stem(k *nativeConv, from *graph.Node) error {
	in, grid := c.graph.Input(), c.grids[from]
	s, err := c.newSplitter(grid)
	if err != nil {
		return err
	}
	l := &layout{h: s.h, w: s.w, padX: k.pad[1] / 2, padY: k.pad[0] / 2, lanes: c.target.Lanes(), line: s.channel}
	k.foldPhases()
	k.x = place{layout: l, value: s.input, n: c.shapes[in][0], c: s.planes,
		channel: s.channel, row: s.size(), origin: lead, picture: (s.h + 2*l.padY) * s.size()}
	switch {
	case grid != nil:
		k.x.slots, k.x.grid = newSlots(4*s.channels, 4), grid
	case c.pairs:
		k.x.slots = s.slots()
		for i := range k.weight {
			k.weight[i] /= 255
		}
	}
	if s.channels == 3 && (k.winograd() || k.x.slots != nil && k.kernel == [2]int{3, 3}) && !narrow(s.w, 1, l.lanes) {
		k.rows = s
		c.pixels = len(c.users[in]) == 1 && !slices.Contains(c.graph.Outputs, in) && (grid == nil || c.isStemOnly(from) && exact(grid))
		return nil
	}
	p, size, err := l.newPlace(len(c.lives), k.x.n, s.planes)
	if err != nil {
		return err
	}
	p.slots, p.grid = k.x.slots, grid
	c.newLife(size, l)
	k.x = p
	c.parallel(in.Name+" to phases", nil, []int{s.input, p.value}, p.n*p.h, func(st *state, job, worker int) {
		mem, i, y := st.v[p.value], job/p.h, job%p.h
		s.row(st, mem[p.at(i, 0, y, 0):], i, y, worker)
	})
	return nil
}

// slots are those of a row of phases in pairs.
func (s *splitter) slots() (p slots) {
	for r := range 2 {
		for ch := range s.channels {
			p = append(p, 2*r*s.channels+ch, (2*r+1)*s.channels+ch)
		}
	}
	return p
}

// foldPhases turns the weights of a stem into those over the phases of its input.
func (k *nativeConv) foldPhases() {
	kernel := [2]int{k.kernel[0] / 2, k.kernel[1] / 2}
	w := make([]float32, 0, len(k.weight))
	for o := range k.out {
		for phase := range 4 {
			for ch := range k.in {
				for y := range kernel[0] {
					for x := range kernel[1] {
						w = append(w, k.weight[((o*k.in+ch)*k.kernel[0]+2*y+phase/2)*k.kernel[1]+2*x+phase%2])
					}
				}
			}
		}
	}
	k.weight, k.kernel, k.in = w, kernel, 4*k.in
	k.stride, k.pad = [2]int{1, 1}, [2]int{k.pad[0] / 2, k.pad[1] / 2}
}

// room is the floats of a buffer for group.
func (s *splitter) room() int {
	return lead + codegen.WinogradReads(1, codegen.WinogradRows)*s.size() + behind
}

// group leaves the rows that a group of output rows from y on reads in buffer, one after
// the other, and returns where column -1 of the first is. Two of them are there already
// unless this is the thread's first group.
func (s *splitter) group(st *state, buffer []float32, i, y int, first bool, worker int) uintptr {
	const reads, kept = codegen.WinogradRows + 2, 2
	size := s.size()
	rows := buffer[lead:]
	have := 0
	if first {
		clear(buffer[:lead])
	} else {
		copy(rows[:kept*size], rows[(reads-kept)*size:])
		have = kept
	}
	for r := have; r < reads; r++ {
		s.row(st, rows[r*size:], i, y-1+r, worker)
	}
	return pointer(rows, 0) - 4
}
