package codegen

// Pack orders the weights [Out, In, taps] of a convolution as its kernel reads them: tile
// by tile of output channels, in each all taps of the first input channel, then of the
// next, and for each tap one weight per channel of the tile.
func (t Target) Pack(weights []float32, out, in, taps int, tile Tile) []float32 {
	packing, each := t.isa().packing(), in*taps
	segments := tiles(out, tile.Out)
	size := 0
	for _, s := range segments {
		size += s.n * roundUp(s.size, packing) * each
	}
	packed := make([]float32, size)
	to := packed
	for _, s := range segments {
		step := roundUp(s.size, packing)
		for n := range s.n {
			first := s.start + n*s.size
			for o := range s.size {
				for i, w := range weights[(first+o)*each:][:each] {
					to[i*step+o] = w
				}
			}
			to = to[each*step:]
		}
	}
	return packed
}
