package picture

import (
	"bytes"
	"image"
	stdjpeg "image/jpeg"
	"io"
	"path/filepath"

	"github.com/google/renameio/v2"

	"ultrafast/picture/jpeg"
)

func configJPEG(r io.Reader) (image.Config, error) {
	w, h, err := jpeg.Size(r)
	return image.Config{Width: w, Height: h}, err
}

// decodeJPEG decodes and turns upright.
func decodeJPEG(data []byte) (*RGB, error) {
	pix, w, h, err := jpeg.Decode(nil, data, MaxPixels)
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
func (p *RGB) SaveJPEG(path string, quality int) error {
	var b bytes.Buffer
	if err := p.EncodeJPEG(&b, quality); err != nil {
		return err
	}
	return renameio.WriteFile(path, b.Bytes(), 0o644, renameio.WithTempDir(filepath.Dir(path)), renameio.WithStaticPermissions(0o644))
}
