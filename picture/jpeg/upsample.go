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

// Along x, four numbers of 16 bits go through at once in an uint64.
const (
	ones     = 1<<48 | 1<<32 | 1<<16 | 1
	lowBytes = 0xff * ones
)

// widened interpolates along x.
func (u *upsampler) widened(y int) []uint8 {
	s := u.stored(y)
	before := uint64(s[0])
	for x := 0; x < u.w; x += 8 {
		v := binary.LittleEndian.Uint64(s[x:])
		even, odd := v&lowBytes, v>>8&lowBytes // samples 0 2 4 6 and 1 3 5 7
		var next uint64
		if x+8 < len(s) {
			next = uint64(s[x+8])
		}
		left, right := odd<<16|before, even>>16|next<<48
		interleave(u.out[2*x:],
			(3*even+left+ones)>>2&lowBytes, (3*even+odd+2*ones)>>2&lowBytes,
			(3*odd+even+ones)>>2&lowBytes, (3*odd+right+2*ones)>>2&lowBytes)
		before = odd >> 48
	}
	u.out[2*u.w-1] = s[u.w-1]
	return u.out
}

// smooth interpolates along both, and rounds once.
func (u *upsampler) smooth(y int) []uint8 {
	near, far := u.near(y)
	far = far[:len(near)]
	sum := func(x int) uint64 { return 3*uint64(near[x]) + uint64(far[x]) }
	before := sum(0)
	for x := 0; x < u.w; x += 8 {
		n, f := binary.LittleEndian.Uint64(near[x:]), binary.LittleEndian.Uint64(far[x:])
		even, odd := 3*(n&lowBytes)+f&lowBytes, 3*(n>>8&lowBytes)+f>>8&lowBytes
		var next uint64
		if x+8 < len(near) {
			next = sum(x + 8)
		}
		left, right := odd<<16|before, even>>16|next<<48
		interleave(u.out[2*x:],
			(3*even+left+8*ones)>>4&lowBytes, (3*even+odd+7*ones)>>4&lowBytes,
			(3*odd+even+8*ones)>>4&lowBytes, (3*odd+right+7*ones)>>4&lowBytes)
		before = odd >> 48
	}
	u.out[2*u.w-1] = uint8((4*sum(u.w-1) + 7) >> 4)
	return u.out
}

// interleave writes 16 pixels: the left and right ones of the even samples and of the odd.
func interleave(out []uint8, evenLeft, evenRight, oddLeft, oddRight uint64) {
	even, odd := evenLeft|evenRight<<8, oddLeft|oddRight<<8
	binary.LittleEndian.PutUint64(out, spread(uint32(even))|spread(uint32(odd))<<16)
	binary.LittleEndian.PutUint64(out[8:], spread(uint32(even>>32))|spread(uint32(odd>>32))<<16)
}

// spread moves two numbers of 16 bits apart.
func spread(v uint32) uint64 { return (uint64(v) | uint64(v)<<16) & 0x0000ffff_0000ffff }
