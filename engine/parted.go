package engine

import (
	"ultrafast/graph"
	"ultrafast/internal/codegen"
)

// A convolution of stride 2 to a narrow map is computed flat over an input whose even and
// odd rows and columns lie apart, in four maps with rows as long as those of the output:
//
//	row y, column x of map (r, q) is row 2y+r, column 2x+q of the padded input
//
// Then row y+ky/2, column x+kx/2 of map (ky%2, kx%2) is what tap (ky, kx) of output (y, x)
// reads, and rows of the output follow each other in both.

// canPart reports whether k can be computed that way: what a row of the output reads must
// fit into its length, and whole vectors into its channels.
func (k *nativeConv) canPart() bool {
	return k.stride == [2]int{2, 2} && k.y.flat && (k.kernel[1]-1)/2 <= k.y.line-k.y.w && roundUp(k.y.h*k.y.line, k.y.lanes) <= k.y.channel
}

// convParted appends the steps of such a convolution.
func (c *compiler) convParted(k *nativeConv, ch choice) error {
	lanes := c.target.Lanes()
	size := roundUp((k.y.h+(k.kernel[0]-1)/2)*k.y.line, lead) + lead // of one map
	channels := k.groups * k.in
	maps := c.newValue(graph.Shape{k.x.n, channels*4*size + behind})
	var code [2]codegen.Func // for even and odd rows
	var err error
	for r := range min(2, k.kernel[0]) {
		code[r], err = c.code.Halves(codegen.Halves{Rows: k.y.h + (k.kernel[0]-1-r)/2, InRow: 2 * 4 * k.x.row, OutRow: 4 * k.y.line, OutOdd: 4 * size,
			Line: codegen.Line{Vectors: (k.y.w + (k.kernel[1]-1)/2 + lanes - 1) / lanes}})
		if err != nil {
			return err
		}
	}
	x := k.x
	st := c.parallel(k.name+" parted", nil, []int{x.value, maps}, x.n*channels, func(s *state, job, _ int) {
		i, ch := job/channels, job%channels
		to := i*(len(s.v[maps])/x.n) + ch*4*size
		for r := range min(2, k.kernel[0]) {
			s.text.Call(code[r], &codegen.Args{
				0: pointer(s.v[x.value], x.at(i, ch, r-k.pad[0], -k.pad[1])),
				3: pointer(s.v[maps], to+2*r*size),
			})
		}
	})
	st.Kernel, st.key = machineCode, k.key()
	flat, l := *k, *x.layout
	l.line = k.y.line
	flat.apart = [2]int{2 * size, size}
	// The padding is in the maps, so that they begin where the first tap reads.
	flat.x = place{layout: &l, value: maps, slots: x.slots, grid: x.grid,
		n: x.n, c: channels, picture: channels*4*size + behind, channel: 4 * size, row: k.y.line,
		origin: k.pad[0]*k.y.line + k.pad[1]}
	return c.convFlat(&flat, ch)
}
