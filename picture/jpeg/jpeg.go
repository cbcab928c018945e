// Package jpeg decodes JPEG files (ITU T.81, ISO 10918-1) to the very pixels that
// libjpeg-turbo gives, which OpenCV reads with: YOLOv5's networks saw such pixels, and
// their scores move by a percent where a decoder rounds differently. What the standard
// leaves open is settled here as libjpeg settles it by default: the inverse DCT (idct.go),
// the interpolation of colours (upsample.go) and the conversion to RGB (color.go).
//
// Sequential and progressive pictures of 8 bits with Huffman codes are read, in grey,
// YCbCr, RGB, CMYK and YCCK. Where libjpeg guesses the rest of a broken picture and warns,
// there is an error here.
package jpeg

import (
	"errors"
	"fmt"
	"io"
)

// A FormatError says how a file breaks the rules of the format.
type FormatError string

func (e FormatError) Error() string { return string(e) }

// An UnsupportedError names a part of the standard that is not read.
type UnsupportedError string

func (e UnsupportedError) Error() string { return string(e) + " is not supported" }

// errShort says that the data end where something must follow.
const errShort = FormatError("the file ends too early")

// Decode returns the pixels, three bytes R, G, B each, row by row without gaps, in the
// memory of dst if that is large enough; dst may be nil. CMYK becomes RGB as in OpenCV.
// Orientation, which EXIF tells, is left as it is. A picture of more than maxPixels is an
// error before memory is taken for it, and so is a file too short for the picture that it
// announces.
func Decode(dst []uint8, data []byte, maxPixels int) (pix []uint8, w, h int, err error) {
	d := &decoder{data: data, pix: dst}
	ended, err := d.header()
	if err != nil {
		return nil, 0, 0, err
	}
	if d.w > maxPixels/d.h {
		return nil, 0, 0, FormatError(fmt.Sprintf("%d x %d is more than %d pixels", d.w, d.h, maxPixels))
	}
	decoding.Add(1)
	defer decoding.Add(-1)
	d.memory = memories.Get().(*memory)
	defer memories.Put(d.memory)
	if err := d.allocate(); err != nil {
		return nil, 0, 0, err
	}
	for !ended {
		if err := d.scan(); err != nil {
			return nil, 0, 0, err
		}
		if ended, err = d.tables(); err != nil {
			return nil, 0, 0, err
		}
	}
	if err := d.complete(); err != nil {
		return nil, 0, 0, err
	}
	if d.progressive {
		d.reconstruct()
	}
	if !d.painted {
		d.pix = resized(d.pix, 3*d.w*d.h)
		d.paint()
	}
	return d.pix, d.w, d.h, nil
}

// Size returns the width and height that a file announces, which are at least 1, and reads
// little more of it than the header.
func Size(r io.Reader) (w, h int, err error) {
	var data []byte
	for {
		n := len(data)
		data = append(data, make([]byte, max(n, 4096))...)
		m, err := io.ReadFull(r, data[n:])
		data = data[:n+m]
		d := &decoder{data: data}
		err2 := d.size()
		if err2 == nil || err2 != errShort || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return d.w, d.h, err2
		}
		if err != nil {
			return 0, 0, err
		}
	}
}
