package engine

import (
	"unsafe"

	"ultrafast/graph"
	"ultrafast/internal/codegen"
)

// isPicture reports whether n rounds the input to quads whose padding is zero.
func (c *compiler) isPicture(n *graph.Node) bool {
	q, ok := n.Op.(*graph.Quantize)
	return ok && c.quads && n.In[0] == c.graph.Input() && q.Zero == 0 && codegen.CanRound(q.Scale)
}

// isStemOnly reports whether n is a picture of quads that one stem alone reads, for whom it is
// made on the way.
func (c *compiler) isStemOnly(n *graph.Node) bool {
	if !c.isPicture(n) || !c.alone(n) {
		return false
	}
	u := c.users[n][0]
	op, ok := c.grids.conv(u)
	return ok && c.canConv(u, op) && c.isStem(u, op)
}

// exact reports whether the levels of pixels are these themselves.
func exact(grid *graph.Quantize) bool {
	for p := range 256 {
		if grid.Level(float32(p)*(1./255)) != uint8(p) {
			return false
		}
	}
	return true
}

// quads writes row y of picture i, which lies in the picture, in quads.
func (s *splitter) quads(st *state, dst []float32, i, y, worker int) {
	if st.pixels == nil {
		s.levels(st, dst, i, y, worker)
		return
	}
	size := 6 * s.w
	a := codegen.Args{3: pointer(dst, 0), 5: pointer(s.mask, 0)}
	for r := range 2 {
		line := st.pixels[((i*s.h+y)*2+r)*size:]
		if len(line) < size+codegen.RGBReads { // which may be read beyond the row
			last := line[:size]
			line = st.bytes[worker][r*(size+codegen.RGBReads):]
			copy(line, last)
		}
		a[r] = uintptr(unsafe.Pointer(&line[0]))
	}
	st.text.Call(s.rgb, &a)
}

// levels rounds a row of the input tensor.
func (s *splitter) levels(st *state, dst []float32, i, y, worker int) {
	size, room := 2*s.w, 8*s.w+codegen.RGBReads
	a := codegen.Args{5: pointer(s.mask, 0)}
	for quad, code := range s.rounds {
		for b, arg := range quadArgs {
			phase, ch := (4*quad+b)/s.channels, (4*quad+b)%s.channels
			line := st.v[s.input][((i*s.channels+ch)*2*s.h+2*y+phase/2)*size:]
			if 4*len(line) < room { // which may be read beyond the row
				last := line[:size]
				line = unsafe.Slice((*float32)(unsafe.Pointer(&st.bytes[worker][b*room])), size)
				copy(line, last)
			}
			a[arg] = pointer(line, 0)
		}
		a[3] = pointer(dst, quad*s.channel)
		st.text.Call(code, &a)
	}
}

// roundings writes the code of levels, for rows of that form.
func (c *compiler) roundings(s *splitter, line codegen.Line) error {
	c.bytes = max(c.bytes, 4*(8*s.w+codegen.RGBReads))
	for quad := range s.planes {
		spec := codegen.Round{Scale: s.grid.Scale, Line: line}
		for b := range spec.Columns {
			if spec.Columns[b] = codegen.EvenColumns; (4*quad+b)/s.channels%2 == 1 {
				spec.Columns[b] = codegen.OddColumns
			}
		}
		f, err := c.code.Round(spec)
		if err != nil {
			return err
		}
		s.rounds = append(s.rounds, f)
	}
	return nil
}
