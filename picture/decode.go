package picture

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/gif"
	"image/png"
	"io"
	"os"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
	"golang.org/x/image/webp"
)

// What is refused, before memory is taken for it.
const (
	MaxPixels = 100_000_000 // of a picture
	MaxBytes  = 200_000_000 // of a file
)

// A format is one kind of picture file.
type format struct {
	name   string
	magic  string // the file's first bytes; ? is any
	config func(io.Reader) (image.Config, error)
	decode func(data []byte) (*RGB, error)
}

var formats = []format{
	{"JPEG", "\xff\xd8", configJPEG, decodeJPEG},
	{"PNG", "\x89PNG\r\n\x1a\n", png.DecodeConfig, plain(png.Decode)},
	{"WebP", "RIFF????WEBP", webp.DecodeConfig, decodeWebP},
	{"BMP", "BM", bmp.DecodeConfig, plain(bmp.Decode)},
	{"GIF", "GIF8", gif.DecodeConfig, decodeGIF},
	{"TIFF", "II*\x00", tiff.DecodeConfig, plain(tiff.Decode)},
	{"TIFF", "MM\x00*", tiff.DecodeConfig, plain(tiff.Decode)},
}

// Open reads a picture file, as Decode does. Errors begin with the path.
func Open(path string) (*RGB, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p, err := Decode(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

// Decode reads a JPEG, PNG, WebP, BMP, TIFF or GIF (the first frame), told apart by
// content. A JPEG is turned as its EXIF orientation says. Grey, palette, 16-bit, CMYK and
// alpha pictures become RGB as FromImage says. Pictures above MaxPixels and files above
// MaxBytes are an error, and so is whatever is broken or cut short.
func Decode(r io.Reader) (*RGB, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxBytes+1))
	if err != nil {
		return nil, err
	}
	if len(data) > MaxBytes {
		return nil, fmt.Errorf("the file is larger than %d MB", MaxBytes/1_000_000)
	}
	f, err := sniff(data)
	if err != nil {
		return nil, err
	}
	if _, err := f.size(bytes.NewReader(data)); err != nil {
		return nil, err
	}
	var p *RGB
	err = f.guard(func() (err error) {
		p, err = f.decode(data)
		return err
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Size returns a picture's width and height as Decode would give them, after orientation,
// and reads no more than the header.
func Size(r io.Reader) (w, h int, err error) {
	br := bufio.NewReader(io.LimitReader(r, MaxBytes))
	head, err := br.Peek(12)
	if err != nil && err != io.EOF {
		return 0, 0, err
	}
	f, err := sniff(head)
	if err != nil {
		return 0, 0, err
	}
	if f.name != "JPEG" {
		size, err := f.size(br)
		return size.X, size.Y, err
	}
	var read bytes.Buffer // what the header took, for its EXIF
	size, err := f.size(io.TeeReader(br, &read))
	if orientation(read.Bytes()).sideways() {
		size.X, size.Y = size.Y, size.X
	}
	return size.X, size.Y, err
}

func sniff(head []byte) (*format, error) {
	if len(head) == 0 {
		return nil, errors.New("the file is empty")
	}
	for i := range formats {
		if matches(formats[i].magic, head) {
			return &formats[i], nil
		}
	}
	return nil, errors.New("not a JPEG, PNG, WebP, BMP, GIF or TIFF picture")
}

func matches(magic string, head []byte) bool {
	if len(head) < len(magic) {
		return false
	}
	for i := range len(magic) {
		if magic[i] != '?' && magic[i] != head[i] {
			return false
		}
	}
	return true
}

// size reads the header and checks what it asks for.
func (f *format) size(r io.Reader) (image.Point, error) {
	var c image.Config
	err := f.guard(func() (err error) {
		c, err = f.config(r)
		return err
	})
	switch {
	case err != nil:
		return image.Point{}, err
	case c.Width < 1 || c.Height < 1:
		return image.Point{}, fmt.Errorf("%s: a picture of %d x %d pixels", f.name, c.Width, c.Height)
	case c.Width > MaxPixels/c.Height:
		return image.Point{}, fmt.Errorf("%s: %d x %d is more than %d million pixels",
			f.name, c.Width, c.Height, MaxPixels/1_000_000)
	}
	return image.Pt(c.Width, c.Height), nil
}

// guard runs a decoder and says in its error which format it was. The decoders are other
// people's and the files anybody's: a panic in one is an error here.
func (f *format) guard(decode func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%s: the file is corrupt: %v", f.name, v)
		}
	}()
	err = decode()
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%s: the file ends too early", f.name)
	case err != nil:
		return fmt.Errorf("%s: %w", f.name, err)
	}
	return nil
}

// plain decodes a format that needs nothing but the conversion to RGB.
func plain(decode func(io.Reader) (image.Image, error)) func([]byte) (*RGB, error) {
	return func(data []byte) (*RGB, error) {
		img, err := decode(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		return FromImage(img), nil
	}
}

// decodeGIF puts the first frame, which may be smaller, on the canvas that the header
// announces.
func decodeGIF(data []byte) (*RGB, error) {
	c, err := gif.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	img, err := gif.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	frame, at := FromImage(img), img.Bounds().Min
	if frame.W == c.Width && frame.H == c.Height {
		return frame, nil
	}
	p := New(c.Width, c.Height)
	for y := range frame.H {
		copy(p.Pix[3*((at.Y+y)*p.W+at.X):][:3*frame.W], frame.Pix[3*y*frame.W:])
	}
	return p, nil
}
