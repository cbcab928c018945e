package codegen

// Pack orders the weights [Out, In, taps] of a convolution as its kernel reads them: tile
// by tile of output channels, in each all taps of the first input channel, then of the
// next, and for each tap one weight per channel of the tile.
func (t Target) Pack(weights []float32, out, in, taps int, tile Tile) []float32 {
	each := in * taps
	return pack(tiles(out, tile.Out), t.isa().packing(), each, 1, func(to []float32, o, i int) { to[0] = weights[o*each+i] })
}

// pack orders the weights of segments of output channels. Each channel has so many, of so
// many lanes, which fill writes for weight i of channel o.
func pack(segments []segment, packing, each, lanes int, fill func(to []float32, o, i int)) []float32 {
	size := 0
	for _, s := range segments {
		size += s.n * roundUp(s.size, packing) * each * lanes
	}
	packed := make([]float32, size)
	to := packed
	for _, s := range segments {
		step := roundUp(s.size, packing) * lanes
		for n := range s.n {
			first := s.start + n*s.size
			for o := range s.size {
				for i := range each {
					fill(to[i*step+o*lanes:][:lanes], first+o, i)
				}
			}
			to = to[each*step:]
		}
	}
	return packed
}
