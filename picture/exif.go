package picture

import (
	"encoding/binary"

	"ultrafast/internal/bands"
)

// A turn is an EXIF orientation: 1 is upright, and 2 to 8 say how the stored picture must
// be flipped and turned to be so (TIFF 6.0, tag 274).
type turn int

// sideways reports whether width and height change places.
func (t turn) sideways() bool { return t >= 5 }

// orientation finds the orientation of a JPEG, given at least its header. It is 1 where
// there is none, or none that can be read: EXIF is often broken and the picture is not.
func orientation(data []byte) turn {
	for i := 2; i+4 <= len(data) && data[i] == 0xff; {
		marker, size := data[i+1], int(binary.BigEndian.Uint16(data[i+2:]))
		switch {
		case marker == 0xff: // fill byte
			i++
			continue
		case marker == 0xda || marker == 0xd9: // the scan begins, or all ends
			return 1
		case size < 2 || i+2+size > len(data):
			return 1
		}
		body := data[i+4 : i+2+size]
		if marker == 0xe1 && len(body) > 6 && string(body[:6]) == "Exif\x00\x00" {
			return tiffOrientation(body[6:])
		}
		i += 2 + size
	}
	return 1
}

// tiffOrientation reads the tag from the first directory of a TIFF.
func tiffOrientation(b []byte) turn {
	if len(b) < 8 {
		return 1
	}
	var order binary.ByteOrder
	switch string(b[:4]) {
	case "II*\x00":
		order = binary.LittleEndian
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return 1
	}
	at := int64(order.Uint32(b[4:]))
	if at+2 > int64(len(b)) {
		return 1
	}
	entries := int(order.Uint16(b[at:]))
	b = b[at+2:]
	for ; entries > 0 && len(b) >= 12; entries, b = entries-1, b[12:] {
		const tag, short = 0x0112, 3
		if order.Uint16(b) == tag && order.Uint16(b[2:]) == short {
			if v := turn(order.Uint16(b[8:])); v >= 1 && v <= 8 {
				return v
			}
			return 1
		}
	}
	return 1
}

// apply returns the picture upright; p itself where it is so already.
func (t turn) apply(p *RGB) *RGB {
	if t == 1 {
		return p
	}
	out := New(p.W, p.H)
	if t.sideways() {
		out.W, out.H = p.H, p.W
	}
	at := func(x, y int) int {
		sx, sy := t.source(x, y, p.W-1, p.H-1)
		return 3 * (sy*p.W + sx)
	}
	step := at(1, 0) - at(0, 0)
	const tile = 32 // pixels, whose source lines stay in the cache where rows become columns
	bands.Do(out.H, out.W, func(lo, hi int) {
		for y0 := lo; y0 < hi; y0 += tile {
			for x0 := 0; x0 < out.W; x0 += tile {
				for y := y0; y < min(y0+tile, hi); y++ {
					row := out.Pix[3*(y*out.W+x0):][:3*min(tile, out.W-x0)]
					for i := at(x0, y); len(row) >= 3; i += step {
						s, d := p.Pix[i:i+3:i+3], row[:3:3]
						d[0], d[1], d[2] = s[0], s[1], s[2]
						row = row[3:]
					}
				}
			}
		}
	})
	return out
}

// source says which stored pixel is shown at (x, y); right and bottom are the stored
// picture's last column and row.
func (t turn) source(x, y, right, bottom int) (int, int) {
	switch t {
	case 2: // mirrored
		return right - x, y
	case 3: // upside down
		return right - x, bottom - y
	case 4: // mirrored, upside down
		return x, bottom - y
	case 5: // mirrored, lies on its left side
		return y, x
	case 6: // must be turned clockwise
		return y, bottom - x
	case 7: // mirrored, lies on its right side
		return right - y, bottom - x
	case 8: // must be turned anticlockwise
		return right - y, x
	}
	return x, y
}
