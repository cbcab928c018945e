package jpeg

import "encoding/binary"

// lookBits is the length of codes that one look into a table decodes. Longer ones are rare.
const lookBits = 10

// A huffman is a table of codes, for symbols that are a run of zeros (in the high four
// bits; none in DC tables) and the size of the value after them.
type huffman struct {
	// look is indexed by the next bits. An entry holds
	//   bits 0-5 the length, 8-11 the run, 12-15 the size of a value still to be read,
	//   bits 16-31 the value, where it fits into the index: the length is then that of both.
	// 0 is a longer code or none.
	look    [1 << lookBits]uint32
	limit   [17]uint32 // the first 16 bits that no code of this length or less begins with
	offset  [17]int32  // what makes a code of this length an index of symbols
	symbols [256]uint8
}

// newHuffman makes the table of T.81, annex C: counts of codes of each length, 1 to 16
// bits, and the symbols in order.
func newHuffman(counts [16]uint8, symbols []uint8, dc bool) (*huffman, error) {
	t := new(huffman)
	copy(t.symbols[:], symbols)
	if dc {
		for _, s := range symbols {
			if s > 15 {
				return nil, FormatError("a Huffman table for DC has a value of more than 15 bits")
			}
		}
	}
	code, index := 0, 0
	for l := 1; l <= 16; l++ {
		t.offset[l] = int32(index - code)
		n := int(counts[l-1])
		if code+n > 1<<l {
			return nil, FormatError("a Huffman table has more codes than their lengths allow")
		}
		for range n {
			if l <= lookBits {
				t.fill(code, l, symbols[index])
			}
			code, index = code+1, index+1
		}
		t.limit[l] = uint32(code) << (16 - l)
		code <<= 1
	}
	return t, nil
}

// fill writes the entries whose index begins with a code.
func (t *huffman) fill(code, length int, symbol uint8) {
	free := lookBits - length
	size := int(symbol & 15)
	for rest := range 1 << free {
		e := uint32(length) | uint32(symbol>>4)<<8
		if size > 0 && size <= free {
			e += uint32(size) | uint32(extend(rest>>(free-size), size))<<16
		} else {
			e |= uint32(size) << 12
		}
		t.look[code<<free|rest] = e
	}
}

// extend is T.81's EXTEND (figure F.12): n bits to a value without its middle.
func extend(bits, n int) int32 {
	if bits>>(n-1) == 0 {
		return int32(bits - 1<<n + 1)
	}
	return int32(bits)
}

// long returns the entry for a code of more than lookBits bits, at the top of acc; 0 where
// there is none.
func (t *huffman) long(acc uint64) uint32 {
	top := uint32(acc >> 48)
	for l := lookBits + 1; l <= 16; l++ {
		if top < t.limit[l] {
			s := t.symbols[uint8(t.offset[l]+int32(top>>(16-l)))]
			return uint32(l) | uint32(s>>4)<<8 | uint32(s&15)<<12
		}
	}
	return 0
}

// bits reads a segment from the highest bit of each byte on. After its end come zeros.
type bits struct {
	data []byte
	pos  int    // of the next byte for acc
	acc  uint64 // the next bits are its highest; below n, more bits of data or zero
	n    uint   // how many of them count
}

// refill makes n at least 56.
func (r *bits) refill() {
	if r.pos+8 <= len(r.data) {
		// Whole bytes count; the bits below them will be set again to the same.
		r.acc |= binary.BigEndian.Uint64(r.data[r.pos:]) >> (r.n & 63)
		r.pos += int(63-r.n) >> 3
		r.n |= 56
		return
	}
	for ; r.n < 56; r.n += 8 {
		if r.pos < len(r.data) {
			r.acc |= uint64(r.data[r.pos]) << (56 - r.n)
		}
		r.pos++
	}
}

// overrun reports whether more bits were taken than there are.
func (r *bits) overrun() bool { return 8*r.pos-int(r.n) > 8*len(r.data) }

// take returns the next k bits, 1 to 16.
func (r *bits) take(k uint) int {
	if r.n < k {
		r.refill()
	}
	v := int(r.acc >> (64 - k))
	r.acc <<= k
	r.n -= k
	return v
}

// symbol reads a code and the value after it. A value of 0 means that the size was 0.
func (r *bits) symbol(t *huffman) (run int, value int32, ok bool) {
	if r.n < 32 { // 16 for the code and 15 for the value
		r.refill()
	}
	e := t.look[r.acc>>(64-lookBits)]
	if e == 0 {
		if e = t.long(r.acc); e == 0 {
			return 0, 0, false
		}
	}
	r.acc <<= e & 63
	r.n -= uint(e & 63)
	value = int32(e) >> 16
	if size := uint(e >> 12 & 15); size > 0 {
		value = signed(r.acc, size)
		r.acc <<= size
		r.n -= size
	}
	return int(e >> 8 & 15), value, true
}

// signed is extend of the highest size bits, 1 to 15, without a branch.
func signed(acc uint64, size uint) int32 {
	negative := ^int64(acc) >> 63
	return int32(acc>>((64-size)&63)) - int32(negative)&(1<<(size&31)-1)
}
