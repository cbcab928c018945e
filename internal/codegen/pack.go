package codegen

// Pack orders the weights [Out, In, taps] of a convolution as its kernel reads them: tile
// by tile of output channels, in each all taps of the first input channel, then of the
// next, and for each tap one weight per channel of the tile.
func (t Target) Pack(weights []float32, out, in, taps int, tile Tile) []float32 {
	packing := t.isa().packing()
	var packed []float32
	for _, s := range tiles(out, tile.Out) {
		for n := range s.n {
			first := s.start + n*s.size
			for i := range in * taps {
				for o := range roundUp(s.size, packing) {
					w := float32(0)
					if o < s.size {
						w = weights[(first+o)*in*taps+i]
					}
					packed = append(packed, w)
				}
			}
		}
	}
	return packed
}
