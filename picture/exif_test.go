package picture

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// What the EXIF 2.3 standard says of each orientation: which side of the scene the stored
// picture's first row and first column lie on.
var sides = [9][2]string{
	1: {"top", "left"}, 2: {"top", "right"}, 3: {"bottom", "right"}, 4: {"bottom", "left"},
	5: {"left", "top"}, 6: {"right", "top"}, 7: {"right", "bottom"}, 8: {"left", "bottom"},
}

func TestOrientation(t *testing.T) {
	const w, h = 48, 32
	scene := New(w, h) // four quarters, four colours
	for y := range h {
		for x := range w {
			copy(scene.Pix[3*(y*w+x):], []uint8{uint8(40 + x/(w/2)*150), uint8(40 + y/(h/2)*150), 90})
		}
	}
	for o := 1; o <= 8; o++ {
		stored := New(w, h)
		if o >= 5 {
			stored = New(h, w)
		}
		for row := range stored.H {
			for col := range stored.W {
				x, y := 0, 0
				for i, side := range sides[o] {
					v := [2]int{row, col}[i]
					switch side {
					case "top":
						y = v
					case "bottom":
						y = h - 1 - v
					case "left":
						x = v
					case "right":
						x = w - 1 - v
					}
				}
				copy(stored.Pix[3*(row*stored.W+col):][:3], scene.Pix[3*(y*w+x):])
			}
		}
		for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
			file := withOrientation(encode(t, stored, "JPEG"), order, uint16(o))
			got, err := Decode(bytes.NewReader(file))
			if err != nil {
				t.Fatal(err)
			}
			if d := worst(t, got, scene); d > 60 { // JPEG blurs the seams of the quarters
				t.Errorf("orientation %d, %v: off by %d", o, order, d)
			}
			if gw, gh, err := Size(bytes.NewReader(file)); err != nil || gw != w || gh != h {
				t.Errorf("orientation %d, %v: Size = %d, %d, %v", o, order, gw, gh, err)
			}
		}
	}
}

// Every pixel goes where source says, at sizes that are no multiple of anything.
func TestApply(t *testing.T) {
	for _, size := range [][2]int{{1, 1}, {1, 7}, {7, 1}, {33, 31}, {70, 101}, {400, 333}} {
		p := pattern(size[0], size[1])
		for o := turn(1); o <= 8; o++ {
			got := o.apply(p)
			if o.sideways() != (got.W == p.H && got.H == p.W) && p.W != p.H {
				t.Errorf("%v turned by %d: %dx%d", size, o, got.W, got.H)
			}
			for y := range got.H {
				for x := range got.W {
					if sx, sy := o.source(x, y, p.W-1, p.H-1); got.At(x, y) != p.At(sx, sy) {
						t.Fatalf("%v turned by %d: %d,%d is not %d,%d", size, o, x, y, sx, sy)
					}
				}
			}
		}
	}
}

// EXIF that makes no sense is as none.
func TestOrientationBroken(t *testing.T) {
	plain := encode(t, gradient(20, 10), "JPEG")
	good := withOrientation(plain, binary.BigEndian, 6)
	breaks := map[string]func(b []byte){
		"value 0":            func(b []byte) { b[12+8+2+12+9] = 0 },
		"value 9":            func(b []byte) { b[12+8+2+12+9] = 9 },
		"byte order":         func(b []byte) { b[12] = 'X' },
		"directory far away": func(b []byte) { b[16] = 0xff },
		"far too many":       func(b []byte) { b[20], b[34] = 0xff, 0xff },
	}
	for name, breakIt := range breaks {
		file := bytes.Clone(good)
		breakIt(file)
		p, err := Decode(bytes.NewReader(file))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if p.W != 20 || p.H != 10 {
			t.Errorf("%s: turned", name)
		}
	}
	for n := range good {
		orientation(good[:n]) // no panic
	}
}
