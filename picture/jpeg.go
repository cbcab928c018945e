package picture

import (
	"bufio"
	"bytes"
	"image"
	"image/jpeg"
	"io"
	"os"
	"path/filepath"
)

// decodeJPEG decodes and turns upright. The end marker is added because cameras and
// scrapers lose it, and what was lost with it is nothing; one too many does no harm.
func decodeJPEG(data []byte) (*RGB, error) {
	img, err := jpeg.Decode(io.MultiReader(bytes.NewReader(data), bytes.NewReader([]byte{0xff, 0xd9})))
	if err != nil {
		return nil, err
	}
	var p *RGB
	if ycc, ok := img.(*image.YCbCr); ok {
		p = fromYCbCr(ycc, fullRange)
	} else {
		p = FromImage(img)
	}
	return orientation(data).apply(p), nil
}

// EncodeJPEG writes the picture as a JPEG of the given quality, 1 to 100.
func (p *RGB) EncodeJPEG(w io.Writer, quality int) error {
	return jpeg.Encode(w, p.rgba(), &jpeg.Options{Quality: quality})
}

// SaveJPEG writes the picture to a file, which is there in full or not at all: the bytes
// go to a file beside it, which takes its place when they are on the disk.
func (p *RGB) SaveJPEG(path string, quality int) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	w := bufio.NewWriter(f)
	if err := p.EncodeJPEG(w, quality); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil { // CreateTemp gives 0600
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
