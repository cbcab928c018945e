package jpeg

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const testPixels = 1 << 22

// kept is a file of testdata, which are 37 x 29 pixels each. They were made with
// libjpeg-turbo's cjpeg from a drawn picture, and djpeg.sha256 has the hashes of the pixels
// that its djpeg 2.1.5 gives (of the PPM's body, grey three times).
func kept(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name+".jpg"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestGolden(t *testing.T) {
	table, err := os.ReadFile("testdata/djpeg.sha256")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		pix, w, h, err := Decode(nil, kept(t, strings.TrimSuffix(f[1], ".jpg")), testPixels)
		if err != nil || w != 37 || h != 29 {
			t.Errorf("%s: %d x %d, %v", f[1], w, h, err)
			continue
		}
		if sum := sha256.Sum256(pix); hex.EncodeToString(sum[:]) != f[0] {
			t.Errorf("%s: not djpeg's pixels", f[1])
		}
		n++
	}
	if n < 16 {
		t.Errorf("only %d pictures", n)
	}
}

// noise is a grey picture that needs every frequency.
func noise(w, h, seed int) *image.Gray {
	img := image.NewGray(image.Rect(0, 0, w, h))
	v := uint32(seed)
	for i := range img.Pix {
		v = v*1664525 + 1013904223
		img.Pix[i] = uint8(64 + i%w + int(v>>26))
	}
	return img
}

func encode(t testing.TB, img image.Image, quality int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: quality}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// segments cuts a file of one scan: the frame header, the tables, the scan's data.
func segments(t testing.TB, file []byte) (frame, tables, data []byte) {
	t.Helper()
	d := &decoder{data: file, pos: 2}
	for {
		at := d.pos
		marker, body, err := d.next()
		if err != nil {
			t.Fatal(err)
		}
		switch marker {
		case sof0:
			frame = body
		case dqt, dht:
			tables = append(tables, file[at:d.pos]...)
		case sos:
			return frame, tables, file[d.pos : len(file)-2]
		}
	}
}

// glue makes one file of several components from grey ones, a scan for each. app is put
// before all; factors are the bytes of sampling factors.
func glue(t testing.TB, w, h int, app string, ids string, factors []byte, parts ...[]byte) []byte {
	t.Helper()
	out := []byte{0xff, soi}
	out = append(out, app...)
	var scans []byte
	comps := []byte{}
	for i, p := range parts {
		_, tables, data := segments(t, p)
		if i == 0 {
			out = append(out, tables...)
		}
		comps = append(comps, ids[i], factors[i], 0)
		scans = append(scans, 0xff, sos, 0, 8, 1, ids[i], 0, 0, 63, 0)
		scans = append(scans, data...)
	}
	out = append(out, 0xff, sof0, 0, byte(8+len(comps)), 8, byte(h>>8), byte(h), byte(w>>8), byte(w), byte(len(parts)))
	out = append(out, comps...)
	return append(append(out, scans...), 0xff, eoi)
}

const (
	adobeRGB = "\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"
	adobeYCC = "\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x02"
	jfif     = "\xff\xe0\x00\x10JFIF\x00\x01\x02\x00\x00\x01\x00\x01\x00\x00"
)

// What the components mean, with the arithmetic in floating point.
func TestColors(t *testing.T) {
	const w, h = 19, 11
	var files, planes [][]byte
	for i := range 4 {
		file := encode(t, noise(w, h, i), 95)
		pix, _, _, err := Decode(nil, file, testPixels)
		if err != nil {
			t.Fatal(err)
		}
		plane := make([]byte, w*h)
		for j := range plane {
			plane[j] = pix[3*j]
		}
		files, planes = append(files, file), append(planes, plane)
	}
	rgb := func(v [4]float64) [3]float64 { return [3]float64{v[0], v[1], v[2]} }
	ycc := func(v [4]float64) [3]float64 {
		y, cb, cr := v[0], v[1]-128, v[2]-128
		out := [3]float64{y + 1.402*cr, y - 0.344136*cb - 0.714136*cr, y + 1.772*cb}
		for i := range out {
			out[i] = max(0, min(255, out[i]))
		}
		return out
	}
	black := func(in [3]float64, k float64) [3]float64 {
		return [3]float64{in[0] * k / 255, in[1] * k / 255, in[2] * k / 255}
	}
	for _, c := range []struct {
		name, app, ids string
		want           func([4]float64) [3]float64
		off            float64
	}{
		{"plain", "", "\x01\x02\x03", ycc, 1},
		{"JFIF", jfif, "RGB", ycc, 1},
		{"JFIF before Adobe", jfif + adobeRGB, "\x01\x02\x03", ycc, 1},
		{"Adobe's RGB", adobeRGB, "\x01\x02\x03", rgb, 0},
		{"RGB by number", "", "RGB", rgb, 0},
		{"Adobe's YCC", adobeYCC, "RGB", ycc, 1},
		{"strange numbers", "", "abc", ycc, 1},
		{"CMYK", "", "CMYK", func(v [4]float64) [3]float64 { return black(rgb(v), v[3]) }, 1.3},
		{"Adobe's CMYK", adobeRGB, "\x01\x02\x03\x04", func(v [4]float64) [3]float64 { return black(rgb(v), v[3]) }, 1.3},
		{"YCCK", adobeYCC, "\x01\x02\x03\x04", func(v [4]float64) [3]float64 {
			out := ycc(v)
			return black([3]float64{255 - out[0], 255 - out[1], 255 - out[2]}, v[3])
		}, 2},
	} {
		n := len(c.ids)
		pix, _, _, err := Decode(nil, glue(t, w, h, c.app, c.ids, bytes.Repeat([]byte{0x11}, n), files[:n]...), testPixels)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
	pixels:
		for i := range w * h {
			var v [4]float64
			for j := range n {
				v[j] = float64(planes[j][i])
			}
			for j, want := range c.want(v) {
				if d := float64(pix[3*i+j]) - want; d > c.off || d < -c.off {
					t.Errorf("%s: %v becomes %v, want %.1f", c.name, v, pix[3*i:3*i+3], c.want(v))
					break pixels
				}
			}
		}
	}
}

// OpenCV's rounding of inks, to the bit.
func TestCMYK(t *testing.T) {
	row := make([]uint8, 9)
	fromCMYK(row, &[4][]uint8{{255, 0, 7}, {0, 200, 7}, {128, 255, 7}, {255, 200, 0}})
	if want := []uint8{255, 1, 129, 1, 158, 200, 0, 0, 0}; !bytes.Equal(row, want) {
		t.Errorf("%v, want %v", row, want)
	}
}

func TestErrors(t *testing.T) {
	good := encode(t, noise(40, 40, 1), 90)
	patched := func(marker uint8, at int, v ...byte) []byte {
		b := bytes.Clone(good)
		i := bytes.Index(b, []byte{0xff, marker})
		copy(b[i+4+at:], v)
		return b
	}
	scan := bytes.Index(good, []byte{0xff, sos})
	for _, c := range []struct {
		name string
		file []byte
		want string
	}{
		{"nothing", nil, "the file ends too early"},
		{"text", []byte("hello, world"), "not a JPEG"},
		{"no picture", []byte{0xff, soi, 0xff, eoi}, "there is no picture"},
		{"half", good[:len(good)/2], "the file ends too early, at row "},
		{"half and an end", append(bytes.Clone(good[:len(good)/2]), 0xff, eoi), "the data end too early, at row "},
		{"no scan", append(bytes.Clone(good[:scan]), 0xff, eoi), "the file is too short for 40 x 40"},
		{"large", patched(sof0, 1, 250, 250, 250, 250), "64250 x 64250 is more than 4194304 pixels"},
		{"large and short", patched(sof0, 1, 7, 0, 7, 0), "the file is too short for 1792 x 1792"},
		{"lossless", bytes.Replace(good, []byte{0xff, sof0}, []byte{0xff, 0xc3}, 1), "a lossless JPEG is not supported"},
		{"hierarchical", bytes.Replace(good, []byte{0xff, sof0}, []byte{0xff, 0xc5}, 1), "a hierarchical JPEG is not supported"},
		{"arithmetic", bytes.Replace(good, []byte{0xff, sof0}, []byte{0xff, 0xca}, 1), "arithmetic coding is not supported"},
		{"12 bits", patched(sof0, 0, 12), "a JPEG of 12 bits is not supported"},
		{"no height", patched(sof0, 1, 0, 0), "(DNL) is not supported"},
		{"no width", patched(sof0, 3, 0, 0), "0 pixels wide"},
		{"2 components", patched(sof0, 5, 2), "a JPEG of 2 components is not supported"},
		{"factor 0", patched(sof0, 7, 0x10), "component 1 has sampling 1 x 0"},
		{"quantization table", patched(dqt, 0, 7), "a quantization table with the number 0x7"},
		{"no quantization table", patched(sof0, 8, 3), "quantization table 3 is missing"},
		{"unknown component", patched(sos, 1, 9), "a scan of component 9"},
		{"unknown Huffman table", patched(sos, 2, 0x33), "needs Huffman tables 0x33"},
		{"too many codes", patched(dht, 1, 3, 1, 2), "more codes than their lengths allow"},
		{"second frame", append(append(bytes.Clone(good[:scan]), good[bytes.Index(good, []byte{0xff, sof0}):scan]...), good[scan:]...), "second frame header"},
		{"length 0", append(bytes.Clone(good[:2]), 0xff, app0, 0, 0), "a length of 0"},
		{"no Huffman tables", append(bytes.Clone(good[:bytes.Index(good, []byte{0xff, dht})]), good[scan:]...), "needs Huffman tables 0x0, which are missing"},
	} {
		_, _, _, err := Decode(nil, c.file, testPixels)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		var bad FormatError
		var other UnsupportedError
		if !errors.As(err, &bad) && !errors.As(err, &other) {
			t.Errorf("%s: %T", c.name, err)
		}
	}
	_, _, _, err := Decode(nil, glue(t, 40, 40, "", "\x01\x02\x03", []byte{0x31, 0x21, 0x11}, good, good, good), testPixels)
	if _, ok := err.(UnsupportedError); !ok {
		t.Errorf("sampling 3:2: %v", err)
	}
}

// Cut anywhere before the last bytes, a file is an error; without its end marker it is
// whole.
func TestTruncated(t *testing.T) {
	for _, name := range []string{"420", "restart", "scans", "progressive", "progressive-grey"} {
		file := kept(t, name)
		want, _, _, err := Decode(nil, file, testPixels)
		if err != nil {
			t.Fatal(err)
		}
		for n := range len(file) - 4 {
			if _, _, _, err := Decode(nil, file[:n], testPixels); err == nil {
				t.Errorf("%s: %d of %d bytes are a picture", name, n, len(file))
			}
		}
		got, _, _, err := Decode(nil, file[:len(file)-2], testPixels)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s without its end: %v", name, err)
		}
	}
}

// What real files have and T.81 allows or everybody forgives.
func TestForgiven(t *testing.T) {
	file := kept(t, "restart")
	want, _, _, err := Decode(nil, file, testPixels)
	if err != nil {
		t.Fatal(err)
	}
	scan := bytes.Index(file, []byte{0xff, sos})
	rst := bytes.Index(file, []byte{0xff, rst0})
	insert := func(at int, s string) []byte {
		return append(append(bytes.Clone(file[:at]), s...), file[at:]...)
	}
	for name, file := range map[string][]byte{
		"fill bytes":         insert(scan, "\xff\xff\xff"),
		"bytes astray":       insert(scan, "xyz"),
		"fill in the scan":   insert(rst, "\xff\xff"),
		"after the end":      insert(len(file), "\xff\xd8 a second picture"),
		"a comment":          insert(2, "\xff\xfe\x00\x05abc"),
		"a marker by itself": insert(2, "\xff\x01"),
	} {
		got, _, _, err := Decode(nil, file, testPixels)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	bad := bytes.Clone(file)
	bad[rst+1]++
	if _, _, _, err := Decode(nil, bad, testPixels); err == nil || !strings.Contains(err.Error(), "marker 0xd1 stands where 0xd0 belongs") {
		t.Errorf("restart marker: %v", err)
	}
}

// Files that would make much work of few bytes.
func TestBombs(t *testing.T) {
	file := kept(t, "grey")
	tail := bytes.LastIndex(file, []byte{0xff, sos})
	last := file[tail : len(file)-2]
	many := bytes.Clone(file[:tail])
	for range maxScans + 1 {
		many = append(many, last...)
	}
	if _, _, _, err := Decode(nil, many, testPixels); err == nil || !strings.Contains(err.Error(), "more than 500 scans") {
		t.Errorf("many scans: %v", err)
	}
	// One bit says that 2 blocks or more end at once: scans of nearly nothing over all.
	empty := append([]byte{0xff, soi}, jfif...)
	empty = append(empty, 0xff, dqt, 0, 67, 0)
	empty = append(empty, bytes.Repeat([]byte{1}, 64)...)
	empty = append(empty, 0xff, dht, 0, 20, 0, 1)
	empty = append(empty, append(make([]byte, 15), 0)...)
	empty = append(empty, 0xff, dht, 0, 20, 0x10, 1)
	empty = append(empty, append(make([]byte, 15), 0xe0)...) // 2^14 blocks and more
	empty = append(empty, 0xff, sof2, 0, 11, 8, 4, 0, 4, 0, 1, 1, 0x11, 0)
	empty = append(empty, 0xff, sos, 0, 8, 1, 1, 0, 0, 0, 0)
	empty = append(empty, make([]byte, 2048)...)
	for range 100 {
		empty = append(empty, 0xff, sos, 0, 8, 1, 1, 0, 1, 63, 0, 0, 0, 0, 0)
	}
	if _, _, _, err := Decode(nil, empty, testPixels); err == nil || !strings.Contains(err.Error(), "more scans than its size warrants") {
		t.Errorf("empty scans: %v", err)
	}
}

// slow gives a few bytes at a time.
type slow struct{ *bytes.Reader }

func (r slow) Read(p []byte) (int, error) { return r.Reader.Read(p[:min(7, len(p))]) }

func TestSize(t *testing.T) {
	file := kept(t, "420")
	long := append(bytes.Clone(file[:2]), 0xff, 0xe1, 0xff, 0xff)
	long = append(append(long, make([]byte, 0xfffd)...), file[2:]...)
	for _, f := range [][]byte{file, long, file[:bytes.Index(file, []byte{0xff, sos})]} {
		r := bytes.NewReader(f)
		w, h, err := Size(slow{r})
		if err != nil || w != 37 || h != 29 {
			t.Errorf("%d x %d, %v", w, h, err)
		}
	}
	if _, _, err := Size(bytes.NewReader(long[:5000])); err != errShort {
		t.Errorf("cut: %v", err)
	}
	fault := errors.New("the disk is gone")
	if _, _, err := Size(&faulty{file[:100], fault}); err != fault {
		t.Errorf("fault: %v", err)
	}
}

type faulty struct {
	data []byte
	err  error
}

func (r *faulty) Read(p []byte) (int, error) {
	if len(r.data) == 0 {
		return 0, r.err
	}
	n := copy(p, r.data)
	r.data = r.data[n:]
	return n, nil
}

func FuzzDecode(f *testing.F) {
	names, err := filepath.Glob("testdata/*.jpg")
	if err != nil || len(names) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, n := range names {
		data, err := os.ReadFile(n)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	grey := encode(f, noise(16, 16, 1), 80)
	f.Add(glue(f, 16, 16, adobeYCC, "\x01\x02\x03\x04", []byte{0x11, 0x11, 0x11, 0x11}, grey, grey, grey, grey))
	f.Fuzz(func(t *testing.T, data []byte) {
		const limit = 1 << 20
		w, h, sizeErr := Size(bytes.NewReader(data))
		pix, dw, dh, err := Decode(nil, data, limit)
		if err != nil {
			return
		}
		if sizeErr != nil || dw != w || dh != h || len(pix) != 3*w*h || w*h > limit {
			t.Fatalf("%d x %d, %d bytes; Size says %d x %d, %v", dw, dh, len(pix), w, h, sizeErr)
		}
	})
}

// grainy is a colour picture with a bit of every frequency.
func grainy(w, h int) image.Image {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for i, v := range noise(w, h, 1).Pix {
		x, y := i%w, i/w
		img.SetRGBA(x, y, color.RGBA{uint8(x/5) + v/16, uint8(y/3) + v/16, uint8((x^y)/4) + v/16, 255})
	}
	return img
}

func benchmark(b *testing.B, file []byte) {
	var pix []uint8
	b.SetBytes(int64(len(file)))
	for b.Loop() {
		var err error
		if pix, _, _, err = Decode(pix, file, 1e8); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, quality := range []int{75, 95} {
		file := encode(b, grainy(1280, 720), quality)
		b.Run(fmt.Sprintf("quality=%d", quality), func(b *testing.B) { benchmark(b, file) })
	}
}

// Pictures that lie beside the checkout.
func BenchmarkDecodeReal(b *testing.B) {
	files, err := filepath.Glob("../../../shared/pics/*.jpg")
	if err != nil || len(files) == 0 {
		b.Skip("no pictures in ../shared")
	}
	for _, f := range files {
		file, err := os.ReadFile(f)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(filepath.Base(f), func(b *testing.B) { benchmark(b, file) })
	}
}
