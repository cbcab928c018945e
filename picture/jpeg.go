package picture

import (
	"bufio"
	"image"
	stdjpeg "image/jpeg"
	"io"
	"os"
	"path/filepath"

	"ultrafast/picture/jpeg"
)

func configJPEG(r io.Reader) (image.Config, error) {
	w, h, err := jpeg.Size(r)
	return image.Config{Width: w, Height: h}, err
}

// decodeJPEG decodes and turns upright.
func decodeJPEG(data []byte) (*RGB, error) {
	pix, w, h, err := jpeg.Decode(data, MaxPixels)
	if err != nil {
		return nil, err
	}
	return orientation(data).apply(&RGB{Pix: pix, W: w, H: h}), nil
}

// EncodeJPEG writes the picture as a JPEG of the given quality, 1 to 100.
func (p *RGB) EncodeJPEG(w io.Writer, quality int) error {
	return stdjpeg.Encode(w, p.rgba(), &stdjpeg.Options{Quality: quality})
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
