package picture

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"testing"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
)

// Files of every format, made here.

func encode(t testing.TB, img image.Image, name string) []byte {
	t.Helper()
	var b bytes.Buffer
	var err error
	switch name {
	case "JPEG":
		err = jpeg.Encode(&b, img, &jpeg.Options{Quality: 100})
	case "PNG":
		err = png.Encode(&b, img)
	case "BMP":
		err = bmp.Encode(&b, img)
	case "GIF":
		err = gif.Encode(&b, img, nil)
	case "TIFF":
		err = tiff.Encode(&b, img, nil)
	case "TIFF, deflate":
		err = tiff.Encode(&b, img, &tiff.Options{Compression: tiff.Deflate, Predictor: true})
	case "WebP":
		return losslessWebP(img)
	default:
		t.Fatalf("no encoder for %s", name)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// bits is written from the lowest bit up, as VP8L has it.
type bits struct {
	buf []byte
	n   int
}

func (w *bits) put(v uint32, n int) {
	for i := range n {
		if w.n%8 == 0 {
			w.buf = append(w.buf, 0)
		}
		w.buf[w.n/8] |= byte(v>>i&1) << (w.n % 8)
		w.n++
	}
}

// losslessWebP writes a VP8L without transforms, cache or back references. The four
// channels have the same code: 256 symbols of 8 bits each.
func losslessWebP(img image.Image) []byte {
	b := img.Bounds()
	w := &bits{buf: []byte{0x2f}, n: 8}
	w.put(uint32(b.Dx()-1), 14)
	w.put(uint32(b.Dy()-1), 14)
	w.put(1, 1) // alpha is used
	w.put(0, 3) // version
	w.put(0, 3) // no transform, no colour cache, one group of codes
	for channel := range 4 {
		// A code of lengths: symbol 8 (an 8-bit code) and, for green's 24 symbols of back
		// references, 0. Both have one bit: 0 for the lower, 1 for the higher.
		w.put(0, 1)
		w.put(12-4, 4) // lengths for the first 12 in the order 17 18 0 1 2 3 4 5 16 6 7 8
		for i := range 12 {
			w.put(map[int]uint32{2: 1, 11: 1}[i], 3)
		}
		w.put(0, 1) // all symbols follow
		for range 256 {
			w.put(1, 1)
		}
		if channel == 0 {
			for range 24 {
				w.put(0, 1)
			}
		}
	}
	w.put(1, 1) // distance: a simple code,
	w.put(0, 1) // one symbol,
	w.put(0, 1) // of one bit,
	w.put(0, 1) // 0
	reversed := func(v uint8) (r uint32) {
		for i := range 8 {
			r |= uint32(v>>i&1) << (7 - i)
		}
		return r
	}
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			c := color.NRGBAModel.Convert(img.At(x, y)).(color.NRGBA)
			for _, v := range [4]uint8{c.G, c.R, c.B, c.A} {
				w.put(reversed(v), 8)
			}
		}
	}
	return riff("VP8L", w.buf)
}

// greyWebP is a lossy WebP: a VP8 key frame whose bits are all zero, which is a grey of
// luma 127 to 129 and no colour.
func greyWebP(w, h int) []byte {
	const first = 400 // bytes of the first partition, more than enough zeros
	frame := []byte{0, 0, 0, 0x9d, 0x01, 0x2a, byte(w), byte(w >> 8), byte(h), byte(h >> 8)}
	tag := uint32(first<<5 | 1<<4) // shown key frame of version 0
	frame[0], frame[1], frame[2] = byte(tag), byte(tag>>8), byte(tag>>16)
	return riff("VP8 ", append(frame, make([]byte, first+400)...))
}

func riff(kind string, chunk []byte) []byte {
	if len(chunk)%2 == 1 {
		chunk = append(chunk, 0)
	}
	out := []byte("RIFF\x00\x00\x00\x00WEBP" + kind)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(chunk)))
	out = append(out, chunk...)
	binary.LittleEndian.PutUint32(out[4:], uint32(len(out)-8))
	return out
}

// withOrientation puts an EXIF segment into a JPEG.
func withOrientation(file []byte, order binary.AppendByteOrder, o uint16) []byte {
	exif := []byte("Exif\x00\x00MM\x00*")
	if order.String() == "LittleEndian" {
		exif = []byte("Exif\x00\x00II*\x00")
	}
	exif = order.AppendUint32(exif, 8) // the first directory
	exif = order.AppendUint16(exif, 2) // its entries
	for _, e := range [2][2]uint16{{0x0100, 77}, {0x0112, o}} {
		exif = order.AppendUint16(exif, e[0])
		exif = order.AppendUint16(exif, 3) // short
		exif = order.AppendUint32(exif, 1)
		exif = order.AppendUint16(exif, e[1])
		exif = order.AppendUint16(exif, 0)
	}
	out := append([]byte{}, file[:2]...)
	out = append(out, 0xff, 0xe1)
	out = binary.BigEndian.AppendUint16(out, uint16(len(exif)+2))
	out = append(out, exif...)
	return append(out, file[2:]...)
}

// pngHeader is a PNG that promises a size and holds nothing.
func pngHeader(w, h uint32) []byte {
	ihdr := binary.BigEndian.AppendUint32([]byte("IHDR"), w)
	ihdr = binary.BigEndian.AppendUint32(ihdr, h)
	ihdr = append(ihdr, 8, 2, 0, 0, 0)
	out := append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0d"), ihdr...)
	return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(ihdr))
}

// gifHeader is the same for GIF.
func gifHeader(w, h uint16) []byte {
	out := binary.LittleEndian.AppendUint16([]byte("GIF89a"), w)
	out = binary.LittleEndian.AppendUint16(out, h)
	return append(out, 0, 0, 0)
}
