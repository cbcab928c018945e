package codegen

import (
	"encoding/binary"
	"math"
)

// Kernels find their constants in one table, each filling 64 bytes, so that any processor
// can take one as a vector operand in memory.
const constSize = 64

// Constants that every table begins with. Others are added as kernels ask for them.
const (
	constEven     = iota // indices of the even lanes of two vectors of 16
	constOdd             // and of the odd ones
	constLower           // indices 0 0 1 1 2 2 …
	constUpper           // 8 8 9 9 …
	constUpper8          // 4 4 5 5 …
	constZip             // 0 16 1 17 …
	constZipUpper        // 8 24 9 25 …
	constFirst           // 8 lanes of ones, then 8 of zeros
	constMost            // the bounds of exponents
	constLeast
	constWindow0                          // see avx.rgb: indices of 32-bit words
	constWindow8                          //
	constUpperHalf                        // the upper half of each lane
	constPairs                            // indices 0 16 1 17 … of 16-bit words
	constQuads                            // in each 128 bits, the bytes 0 4 8 12 1 5 9 13 …
	constMix                              // in each 128 bits, the bytes 0 8 1 9 2 10 …
	constLowBytes                         // the lower byte of each 16-bit word
	constLowByte                          // the lowest byte of each lane
	constHigh                             // 2^30 in float32
	constSigns                            // the upper bit of each byte
	constNibble                           // 0x70 in each byte
	constSixteen                          // 16 in each byte
	constFirstBytes                       // for each of the six planes, the bytes for lanes 0 and 1 of four
	constLastBytes  = constFirstBytes + 6 // and for 2 and 3
	constFirstQuads = constLastBytes + 6  // for each of quadBytes, likewise
	constLastQuads  = constFirstQuads + 4
)

// quadBytes are the parts of a row of RGB pixels that go to quads together: which of the six
// bytes of an even column and the next, from the lowest byte of the quad up.
var quadBytes = [4][4]int{{0, 1, 2, 3}, {4, 5, -1, -1}, {-1, -1, 0, 1}, {2, 3, 4, 5}}

// constants is the table in the making.
type constants struct {
	data   []byte
	index  map[uint32]int
	tables map[[256]uint8]int
}

func newConstants() *constants {
	c := &constants{index: map[uint32]int{}, tables: map[[256]uint8]int{}}
	c.words(func(i int) uint32 { return uint32(2 * i) })
	c.words(func(i int) uint32 { return uint32(2*i + 1) })
	c.words(func(i int) uint32 { return uint32(i / 2) })
	c.words(func(i int) uint32 { return uint32(8 + i/2) })
	c.words(func(i int) uint32 { return uint32(4 + i/2) })
	c.words(func(i int) uint32 { return uint32(i/2 + i%2*16) })
	c.words(func(i int) uint32 { return uint32(8 + i/2 + i%2*16) })
	c.words(func(i int) uint32 {
		if i < 8 {
			return math.MaxUint32
		}
		return 0
	})
	c.words(func(int) uint32 { return math.Float32bits(126) })
	c.words(func(int) uint32 { return math.Float32bits(-126) })
	c.words(func(i int) uint32 { return uint32(i/4*6 + i%4) })
	c.words(func(i int) uint32 { return uint32(i/4*6 + 2 + i%4) })
	c.words(func(int) uint32 { return 0xFFFF0000 })
	c.words(func(i int) uint32 { return uint32(16+i)<<16 | uint32(i) })
	c.words(func(i int) uint32 { return uint32(i%4)*0x01010101 + 0x0C080400 })
	c.words(func(i int) uint32 { return uint32(i%4)*0x02020202 + 0x09010800 })
	c.words(func(int) uint32 { return 0x00FF00FF })
	c.words(func(int) uint32 { return 0xFF })
	c.words(func(int) uint32 { return math.Float32bits(1 << 30) })
	c.words(func(int) uint32 { return 0x80808080 })
	c.words(func(int) uint32 { return 0x70707070 })
	c.words(func(int) uint32 { return 0x10101010 })
	for k := range uint32(6) {
		c.words(func(i int) uint32 { return [4]uint32{k, 6 + k, 0x80, 0x80}[i%4] | 0x80808000 })
	}
	for k := range uint32(6) {
		c.words(func(i int) uint32 { return [4]uint32{0x80, 0x80, 4 + k, 10 + k}[i%4] | 0x80808000 })
	}
	for _, first := range []bool{true, false} {
		for _, part := range quadBytes {
			c.words(func(i int) uint32 {
				var quad uint32
				for b, k := range part {
					at := 0x80 // none
					if pixel := i % 4; k >= 0 && pixel < 2 == first {
						if at = 6*pixel + k; !first {
							at -= 8
						}
					}
					quad |= uint32(at) << (8 * b)
				}
				return quad
			})
		}
	}
	return c
}

func (c *constants) words(word func(lane int) uint32) {
	for i := range constSize / 4 {
		c.data = binary.LittleEndian.AppendUint32(c.data, word(i))
	}
}

// offset returns where in the table v stands in every lane.
func (c *constants) offset(v float32) int { return c.bits(math.Float32bits(v)) }

// bytes returns where v stands in every byte.
func (c *constants) bytes(v uint8) int { return c.bits(uint32(v) * 0x01010101) }

// zeros returns where v stands in every 16 bits.
func (c *constants) zeros(v uint8) int { return c.bits(uint32(v) * 0x00010001) }

// bits returns where a lane of these bits stands in every lane.
func (c *constants) bits(bits uint32) int {
	i, ok := c.index[bits]
	if !ok {
		i = len(c.data)
		c.index[bits] = i
		c.words(func(int) uint32 { return bits })
	}
	return i
}

// table returns where a table of bytes lies.
func (c *constants) table(t *[256]uint8) int {
	i, ok := c.tables[*t]
	if !ok {
		i = len(c.data)
		c.tables[*t] = i
		c.data = append(c.data, t[:]...)
	}
	return i
}
