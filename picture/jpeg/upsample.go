package jpeg

import "encoding/binary"

// Colours are mostly stored at half the resolution. A sample sits in the middle of the
// pixels that it was made from, so a pixel takes 3/4 of the nearer sample and 1/4 of the
// farther one, along each halved axis ("fancy upsampling" in libjpeg). Other ratios, and
// planes of one or two columns, have their samples repeated. Beyond the edges the last
// sample of the picture goes on, not what fills its last block.

// An upsampler makes rows of a component as wide as the picture, or a little wider.
type upsampler struct {
	*component
	wide, maxV int // wide: pixels per sample
	row        func(u *upsampler, y int) []uint8
	out        []uint8
}

func newUpsampler(d *decoder, c *component) *upsampler {
	u := &upsampler{component: c, wide: d.maxH / c.h, maxV: d.maxV}
	tall := d.maxV / c.v
	switch {
	case u.wide == 1 && tall == 1:
		u.row = (*upsampler).stored
		return u
	case u.wide == 1 && tall == 2:
		u.row = (*upsampler).between
	case u.wide == 2 && tall == 1 && c.w > 2:
		u.row = (*upsampler).widened
	case u.wide == 2 && tall == 2 && c.w > 2:
		u.row = (*upsampler).smooth
	default:
		u.row = (*upsampler).repeated
	}
	u.out = make([]uint8, u.wide*c.stride)
	return u
}

// stored is row y of the plane, in whole blocks.
func (u *upsampler) stored(y int) []uint8 { return u.plane[u.stride*y:][:u.stride] }

func (u *upsampler) repeated(y int) []uint8 {
	for x, v := range u.stored(y * u.v / u.maxV) {
		fill(u.out[u.wide*x:][:u.wide], v)
	}
	return u.out
}

// near returns the rows of the plane beside row y of the picture, the nearer one first.
func (u *upsampler) near(y int) (near, far []uint8) {
	i := y / 2
	j := i - 1 + 2*(y&1) // above for even y, below for odd
	return u.stored(i), u.stored(max(0, min(j, u.rows-1)))
}

// What is added before a shift alternates, so that rounding leans neither way.

// between interpolates along y.
func (u *upsampler) between(y int) []uint8 {
	near, far := u.near(y)
	out, far := u.out[:len(near)], far[:len(near)]
	add := uint32(1 + y&1)
	for x, v := range near {
		out[x] = uint8((3*uint32(v) + uint32(far[x]) + add) >> 2)
	}
	return out
}

// widened interpolates along x.
func (u *upsampler) widened(y int) []uint8 {
	s := u.stored(y)
	return u.triangle(s, s, 4, 8)
}

// smooth interpolates along both, and rounds once.
func (u *upsampler) smooth(y int) []uint8 {
	near, far := u.near(y)
	return u.triangle(near, far, 8, 7)
}

// Four numbers of 16 bits go through at once in an uint64.
const (
	ones     = 1<<48 | 1<<32 | 1<<16 | 1
	lowBytes = 0xff * ones
)

// triangle interpolates along x between sums of three times near and once far, so that all
// weights add up to 16. left and right, below 16, are added before the shift.
func (u *upsampler) triangle(near, far []uint8, left, right int) []uint8 {
	out, last := u.out, u.w-1
	far = far[:len(near)]
	sum := func(x int) int { return 3*int(near[x]) + int(far[x]) }
	if triangleFast(out, near, far, u.w, left, right) {
		out[1] = uint8((3*sum(0) + sum(1) + right) >> 4)
		out[2*last] = uint8((3*sum(last) + sum(last-1) + left) >> 4)
	} else {
		triangle(out, near, far, u.w, uint64(left), uint64(right))
	}
	out[0], out[2*last+1] = uint8((4*sum(0)+left)>>4), uint8((4*sum(last)+right)>>4)
	return out
}

// triangle does that for n samples but for the first pixel and the last, in whole blocks.
func triangle(out, near, far []uint8, n int, left, right uint64) {
	before := uint64(0)
	for x := 0; x < n; x += 8 {
		n, f := binary.LittleEndian.Uint64(near[x:]), binary.LittleEndian.Uint64(far[x:])
		even, odd := 3*(n&lowBytes)+f&lowBytes, 3*(n>>8&lowBytes)+f>>8&lowBytes // samples 0 2 4 6 and 1 3 5 7
		var next uint64
		if x+8 < len(near) {
			next = 3*uint64(near[x+8]) + uint64(far[x+8])
		}
		interleave(out[2*x:],
			(3*even+(odd<<16|before)+left*ones)>>4&lowBytes, (3*even+odd+right*ones)>>4&lowBytes,
			(3*odd+even+left*ones)>>4&lowBytes, (3*odd+(even>>16|next<<48)+right*ones)>>4&lowBytes)
		before = odd >> 48
	}
}

// interleave writes 16 pixels: the left and right ones of the even samples and of the odd.
func interleave(out []uint8, evenLeft, evenRight, oddLeft, oddRight uint64) {
	even, odd := evenLeft|evenRight<<8, oddLeft|oddRight<<8
	binary.LittleEndian.PutUint64(out, spread(uint32(even))|spread(uint32(odd))<<16)
	binary.LittleEndian.PutUint64(out[8:], spread(uint32(even>>32))|spread(uint32(odd>>32))<<16)
}

// spread moves two numbers of 16 bits apart.
func spread(v uint32) uint64 { return (uint64(v) | uint64(v)<<16) & 0x0000ffff_0000ffff }
