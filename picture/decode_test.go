package picture

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/gif"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var formatNames = []string{"JPEG", "PNG", "BMP", "GIF", "TIFF", "TIFF, deflate", "WebP"}

// worst is the greatest difference of two pictures of one size.
func worst(t *testing.T, a, b *RGB) int {
	t.Helper()
	if a.W != b.W || a.H != b.H {
		t.Fatalf("%d x %d, want %d x %d", a.W, a.H, b.W, b.H)
	}
	d := 0
	for i := range a.Pix {
		d = max(d, int(a.Pix[i])-int(b.Pix[i]), int(b.Pix[i])-int(a.Pix[i]))
	}
	return d
}

func TestDecodeFormats(t *testing.T) {
	want := gradient(45, 30)
	for _, name := range formatNames {
		file := encode(t, want, name)
		got, err := Decode(bytes.NewReader(file))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		limit := map[string]int{"JPEG": 12, "GIF": 75}[name] // GIF has 256 colours
		if d := worst(t, got, want); d > limit {
			t.Errorf("%s: off by %d", name, d)
		}
		w, h, err := Size(bytes.NewReader(file))
		if err != nil || w != 45 || h != 30 {
			t.Errorf("%s: Size = %d, %d, %v", name, w, h, err)
		}
	}
}

// Cut short anywhere, a file is an error and never a panic. What may be missing is what
// holds no pixels: the last bytes.
func TestDecodeTruncated(t *testing.T) {
	p := pattern(7, 5)
	for _, name := range formatNames {
		file := encode(t, p, name)
		for n := range len(file) * 9 / 10 {
			_, err := Decode(bytes.NewReader(file[:n]))
			if err == nil {
				t.Errorf("%s: %d of %d bytes are a picture", name, n, len(file))
				break
			}
		}
		if _, _, err := Size(bytes.NewReader(file[:9])); err == nil {
			t.Errorf("%s: 9 bytes have a size", name)
		}
	}
}

func TestDecodeErrors(t *testing.T) {
	png := encode(t, pattern(4, 4), "PNG")
	bad := bytes.Clone(png)
	bad[len(bad)-20] ^= 0x55
	for _, c := range []struct {
		name string
		file []byte
		want string
	}{
		{"nothing", nil, "the file is empty"},
		{"text", []byte("hello, this is no picture"), "not a JPEG, PNG, WebP, BMP, GIF or TIFF picture"},
		{"cut", png[:40], "PNG: the file ends too early"},
		{"flipped bits", bad, "PNG: "},
		{"bomb", pngHeader(20000, 20000), "PNG: 20000 x 20000 is more than 100 million pixels"},
		{"frames", []byte("RIFF\x22\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x02\x00\x00\x00\x03\x00\x00\x03\x00\x00ANIM\x08\x00\x00\x00\x00\x00\x00\x00"), "WebP: an animated picture, which is not read"},
		{"no pixels", gifHeader(0, 5), "GIF: a picture of 0 x 5 pixels"},
	} {
		_, err := Decode(bytes.NewReader(c.file))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: Decode says %v, want %q", c.name, err, c.want)
		}
	}
	path := filepath.Join(t.TempDir(), "a.jpg")
	if err := os.WriteFile(path, png[:40], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); err == nil || err.Error() != path+": PNG: the file ends too early" {
		t.Errorf("Open: %v", err)
	}
	if _, err := Open(path + "x"); err == nil || !strings.Contains(err.Error(), path+"x") {
		t.Errorf("Open: %v", err)
	}
}

// What the kinds of colour become, as cv2.imread with IMREAD_COLOR has it.
func TestDecodeColors(t *testing.T) {
	r := image.Rect(0, 0, 2, 1)
	grey := image.NewGray(r)
	grey.Pix = []uint8{7, 200}
	grey16 := image.NewGray16(r)
	grey16.SetGray16(0, 0, color.Gray16{0x12ff})
	grey16.SetGray16(1, 0, color.Gray16{0xfe01})
	deep := image.NewNRGBA64(r)
	deep.SetNRGBA64(0, 0, color.NRGBA64{0x01ff, 0x8080, 0xfeff, 0xffff})
	deep.SetNRGBA64(1, 0, color.NRGBA64{0x1234, 0x5678, 0x9abc, 0x4000})
	clear := image.NewNRGBA(r)
	clear.Pix = []uint8{250, 3, 4, 0, 10, 20, 30, 128}
	palette := image.NewPaletted(r, color.Palette{
		color.NRGBA{1, 2, 3, 255}, color.NRGBA{90, 80, 70, 0}})
	palette.Pix = []uint8{1, 0}
	cmyk := image.NewCMYK(r)
	cmyk.Pix = []uint8{0, 0, 0, 0, 255, 128, 0, 55}
	for _, c := range []struct {
		name   string
		img    image.Image
		format string // empty: no file, FromImage alone
		want   []uint8
	}{
		{"grey", grey, "PNG", []uint8{7, 7, 7, 200, 200, 200}},
		{"grey", grey, "BMP", []uint8{7, 7, 7, 200, 200, 200}},
		{"grey", grey, "TIFF", []uint8{7, 7, 7, 200, 200, 200}},
		{"16-bit grey", grey16, "PNG", []uint8{0x12, 0x12, 0x12, 0xfe, 0xfe, 0xfe}},
		{"16-bit grey", grey16, "TIFF", []uint8{0x12, 0x12, 0x12, 0xfe, 0xfe, 0xfe}},
		{"16-bit colour", deep, "PNG", []uint8{0x01, 0x80, 0xfe, 0x12, 0x56, 0x9a}},
		{"alpha is dropped, the colour stays", clear, "PNG", []uint8{250, 3, 4, 10, 20, 30}},
		{"alpha is dropped, the colour stays", clear, "WebP", []uint8{250, 3, 4, 10, 20, 30}},
		{"palette with a transparent colour", palette, "PNG", []uint8{90, 80, 70, 1, 2, 3}},
		{"CMYK", cmyk, "", []uint8{255, 255, 255, 1, 100, 200}},
	} {
		p := FromImage(c.img)
		if c.format != "" {
			var err error
			if p, err = Decode(bytes.NewReader(encode(t, c.img, c.format))); err != nil {
				t.Errorf("%s, %s: %v", c.name, c.format, err)
				continue
			}
		}
		if !bytes.Equal(p.Pix, c.want) {
			t.Errorf("%s, %s: %v, want %v", c.name, c.format, p.Pix, c.want)
		}
	}
}

// A grey JPEG stays grey, and its pixels are the luma.
func TestDecodeGreyJPEG(t *testing.T) {
	grey := image.NewGray(image.Rect(0, 0, 16, 16))
	for i := range grey.Pix {
		grey.Pix[i] = 99
	}
	p, err := Decode(bytes.NewReader(encode(t, grey, "JPEG")))
	if err != nil {
		t.Fatal(err)
	}
	if p.At(3, 3) != (color.RGBA{99, 99, 99, 255}) {
		t.Errorf("%v, want 99", p.At(3, 3))
	}
}

// VP8's luma begins at 16: 128 is a grey of 130.
func TestDecodeLossyWebP(t *testing.T) {
	p, err := Decode(bytes.NewReader(greyWebP(20, 33)))
	if err != nil {
		t.Fatal(err)
	}
	if p.W != 20 || p.H != 33 {
		t.Errorf("%d x %d, want 20 x 33", p.W, p.H)
	}
	for i, v := range p.Pix {
		if v < 129 || v > 132 {
			t.Fatalf("byte %d is %d, want 130", i, v)
		}
	}
}

// The first frame of a GIF may cover only a part of it.
func TestDecodeGIFPart(t *testing.T) {
	red := color.RGBA{200, 10, 20, 255}
	frame := image.NewPaletted(image.Rect(3, 2, 5, 4), color.Palette{red})
	var b bytes.Buffer
	err := gif.EncodeAll(&b, &gif.GIF{
		Image: []*image.Paletted{frame, frame}, Delay: []int{0, 0},
		Config: image.Config{Width: 8, Height: 6, ColorModel: frame.Palette},
	})
	if err != nil {
		t.Fatal(err)
	}
	p, err := Decode(&b)
	if err != nil {
		t.Fatal(err)
	}
	for y := range 6 {
		for x := range 8 {
			want := color.RGBA{0, 0, 0, 255}
			if x >= 3 && x < 5 && y >= 2 && y < 4 {
				want = red
			}
			if p.At(x, y) != want {
				t.Errorf("at %d,%d: %v, want %v", x, y, p.At(x, y), want)
			}
		}
	}
}

// A JPEG without its end marker is complete all the same.
func TestDecodeNoEndMarker(t *testing.T) {
	file := encode(t, gradient(40, 40), "JPEG")
	want, err := Decode(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(bytes.NewReader(file[:len(file)-2]))
	if err != nil {
		t.Fatal(err)
	}
	if d := worst(t, got, want); d != 0 {
		t.Errorf("off by %d", d)
	}
}

// Real pictures, where they lie beside the checkout.
func TestDecodeRealPictures(t *testing.T) {
	for name, size := range map[string][2]int{"bus.jpg": {810, 1080}, "zidane.jpg": {1280, 720}} {
		p, err := Open("../../shared/pics/" + name)
		if os.IsNotExist(err) {
			t.Skip("no pictures: ", err)
		}
		if err != nil {
			t.Fatal(err)
		}
		if p.W != size[0] || p.H != size[1] {
			t.Errorf("%s: %d x %d, want %v", name, p.W, p.H, size)
		}
	}
}

func FuzzDecode(f *testing.F) {
	small := gradient(9, 7)
	for _, name := range formatNames {
		f.Add(encode(f, small, name))
	}
	f.Add(greyWebP(17, 5))
	f.Add(withOrientation(encode(f, small, "JPEG"), binary.LittleEndian, 6))
	f.Add(withOrientation(encode(f, small, "JPEG"), binary.BigEndian, 3))
	f.Fuzz(func(t *testing.T, data []byte) {
		w, h, sizeErr := Size(bytes.NewReader(data))
		if sizeErr == nil && w*h > 1<<20 {
			t.Skip("large")
		}
		p, err := Decode(bytes.NewReader(data))
		if err != nil {
			return
		}
		if sizeErr != nil {
			t.Fatalf("a picture without a size: %v", sizeErr)
		}
		if p.W != w || p.H != h || len(p.Pix) != 3*w*h {
			t.Fatalf("%d x %d, %d bytes; Size says %d x %d", p.W, p.H, len(p.Pix), w, h)
		}
	})
}
