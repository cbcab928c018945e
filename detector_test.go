package ultrafast_test

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/color/palette"
	"image/draw"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ultrafast"
	"ultrafast/box"
	"ultrafast/graph"
	"ultrafast/picture"
	"ultrafast/safetensors"
	"ultrafast/tensor"
)

// lights writes a model into dir that was made by hand. It looks at squares of 32x32 pixels:
// those brighter than half are a "light", with a confidence near 1, those darker are not.
// Other names are found in their place, each in a box that is 8 pixels smaller.
func lights(dir string, names ...string) (path string, err error) {
	const side, steep = 32, 20
	if names == nil {
		names = []string{"light"}
	}
	each := 5 + len(names) // x, y, width, height, objectness, classes
	w := tensor.New(len(names)*each, 3, side, side)
	bias := tensor.New(len(names) * each) // 0 stands for the anchor's size, in the middle
	var anchors [][2]float32
	for k := range names {
		for i := range 3 * side * side {
			w.Data[(k*each+4)*3*side*side+i] = steep / float32(3*side*side)
		}
		bias.Data[k*each+4] = -steep / 2
		for class := range names {
			bias.Data[k*each+5+class] = -steep
		}
		bias.Data[k*each+5+k] = steep
		anchors = append(anchors, [2]float32{float32(side - 8*k), float32(side - 8*k)})
	}
	g := &graph.Graph{Names: names}
	x := g.Add("images", &graph.Input{Shape: [4]int{1, 3, 640, 640}})
	squares := g.Add("squares", &graph.Conv{Weight: w, Bias: bias, Stride: [2]int{side, side}, Dilation: [2]int{1, 1}, Groups: 1}, x)
	head := &graph.Detect{Anchors: [][][2]float32{anchors}, Strides: []int{side}, Classes: len(names)}
	g.Outputs = []*graph.Node{g.Add("head", head, squares)}
	path = filepath.Join(dir, "lights.safetensors")
	return path, safetensors.Save(path, &safetensors.File{Graph: g})
}

func openLights(t *testing.T, o ultrafast.Options, names ...string) *ultrafast.Detector {
	t.Helper()
	path, err := lights(t.TempDir(), names...)
	if err != nil {
		t.Fatal(err)
	}
	d, err := ultrafast.Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// paint makes a dark picture with a light at r.
func paint[T draw.Image](img T, r image.Rectangle) T {
	draw.Draw(img, img.Bounds(), image.Black, image.Point{}, draw.Src)
	draw.Draw(img, r, image.White, image.Point{}, draw.Src)
	return img
}

// plainImage hides what type a picture is of.
type plainImage struct{ image.Image }

func TestDetectTakesAnyPicture(t *testing.T) {
	whole, at := image.Rect(0, 0, 256, 192), image.Rect(64, 64, 128, 128)
	offset := image.Pt(-70, 1000)
	moved, there := whole.Add(offset), at.Add(offset)
	ycc := func(bounds, at image.Rectangle, ratio image.YCbCrSubsampleRatio) *image.YCbCr {
		img := image.NewYCbCr(bounds, ratio)
		for i := range img.Cb {
			img.Cb[i], img.Cr[i] = 128, 128
		}
		for y := at.Min.Y; y < at.Max.Y; y++ {
			for x := at.Min.X; x < at.Max.X; x++ {
				img.Y[img.YOffset(x, y)] = 255
			}
		}
		return img
	}
	big := image.Rect(-500, 300, 900, 1800)
	d := openLights(t, ultrafast.Options{Width: 128, Height: 96})
	for name, c := range map[string]struct {
		img  image.Image
		want image.Rectangle
	}{
		"RGB":              {paint(picture.New(256, 192), at), at},
		"RGBA":             {paint(image.NewRGBA(whole), at), at},
		"moved RGBA":       {paint(image.NewRGBA(moved), there), there},
		"part of RGBA":     {paint(image.NewRGBA(big), there).SubImage(moved), there},
		"NRGBA":            {paint(image.NewNRGBA(moved), there), there},
		"part of NRGBA":    {paint(image.NewNRGBA(big), there).SubImage(moved), there},
		"RGBA64":           {paint(image.NewRGBA64(moved), there), there},
		"NRGBA64":          {paint(image.NewNRGBA64(moved), there), there},
		"Gray":             {paint(image.NewGray(whole), at), at},
		"part of Gray":     {paint(image.NewGray(big), there).SubImage(moved), there},
		"Gray16":           {paint(image.NewGray16(moved), there), there},
		"CMYK":             {paint(image.NewCMYK(moved), there), there},
		"Paletted":         {paint(image.NewPaletted(moved, palette.WebSafe), there), there},
		"part of Paletted": {paint(image.NewPaletted(big, palette.WebSafe), there).SubImage(moved), there},
		"YCbCr 4:4:4":      {ycc(whole, at, image.YCbCrSubsampleRatio444), at},
		"YCbCr 4:2:0":      {ycc(whole, at, image.YCbCrSubsampleRatio420), at},
		"moved YCbCr":      {ycc(moved, there, image.YCbCrSubsampleRatio420), there},
		"part of YCbCr":    {ycc(big, there, image.YCbCrSubsampleRatio422).SubImage(moved), there},
		"a type of others": {plainImage{paint(image.NewRGBA(moved), there)}, there},
	} {
		boxes, err := d.Detect(t.Context(), c.img)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(boxes) != 1 {
			t.Errorf("%s: %v, want one box", name, boxes)
			continue
		}
		b := boxes[0]
		if b.Rect() != c.want || b.Name != "light" || b.Class != 0 || !(b.Conf > 0.99 && b.Conf <= 1) {
			t.Errorf("%s: %v at %v, want a light at %v", name, b, b.Rect(), c.want)
		}
	}
}

// TestDetectTakesThinPictures only wants no error: there is little to be seen in them.
func TestDetectTakesThinPictures(t *testing.T) {
	d := openLights(t, ultrafast.Options{Width: 128, Height: 96})
	for _, size := range []image.Point{{1, 1}, {1, 500}, {500, 1}, {1, 100_000}, {3, 2}} {
		if _, err := d.Detect(t.Context(), image.NewGray(image.Rectangle{Max: size})); err != nil {
			t.Errorf("%v: %v", size, err)
		}
	}
}

func TestRect(t *testing.T) {
	b := ultrafast.Box{X1: -0.5, Y1: 2, X2: 3, Y2: 4.001}
	if got, want := b.Rect(), image.Rect(-1, 2, 3, 5); got != want {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestDetectRefusesPictures(t *testing.T) {
	d := openLights(t, ultrafast.Options{Width: 64, Sessions: 1})
	var none *image.RGBA
	short := image.NewYCbCr(image.Rect(0, 0, 64, 64), image.YCbCrSubsampleRatio420)
	short.Cr = short.Cr[:len(short.Cr)-1]
	for name, c := range map[string]struct {
		img  image.Image
		want string
	}{
		"nil":            {nil, "there is no picture"},
		"nil pointer":    {none, "(*image.RGBA) is not whole"},
		"empty":          {&image.RGBA{}, "0x0 pixels"},
		"no width":       {image.NewGray(image.Rect(7, 0, 7, 9)), "0x9 pixels"},
		"upside down":    {&image.Gray{Rect: image.Rectangle{image.Pt(3, 3), image.Pt(1, 1)}}, "-2x-2 pixels"},
		"endless":        {image.NewUniform(color.White), "more than 100 million pixels"},
		"beyond int":     {&image.Gray{Rect: image.Rect(math.MinInt, 0, math.MaxInt, 1)}, "more than 100 million pixels"},
		"no memory":      {&image.NRGBA{Rect: image.Rect(0, 0, 8, 8), Stride: 32}, "is not whole"},
		"little memory":  {&image.Gray{Pix: make([]uint8, 63), Rect: image.Rect(0, 0, 8, 8), Stride: 8}, "is not whole"},
		"little chroma":  {short, "is not whole"},
		"no colours":     {image.NewPaletted(image.Rect(0, 0, 8, 8), nil), "no colour at 0, 0"},
		"RGB cut short":  {&picture.RGB{Pix: make([]uint8, 3*64-1), W: 8, H: 8}, "is not whole"},
		"negative lines": {&image.Gray{Pix: make([]uint8, 64), Rect: image.Rect(0, 0, 8, 8), Stride: -8}, "is not whole"},
	} {
		if boxes, err := d.Detect(t.Context(), c.img); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v and %v, want an error with %q", name, boxes, err, c.want)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	path, err := lights(dir)
	if err != nil {
		t.Fatal(err)
	}
	junk := filepath.Join(dir, "junk.pt")
	if err := os.WriteFile(junk, []byte("this is a letter and no model"), 0o644); err != nil {
		t.Fatal(err)
	}
	headless := filepath.Join(dir, "headless.safetensors")
	g := &graph.Graph{}
	g.Outputs = []*graph.Node{g.Add("pool", &graph.MaxPool{Kernel: 2, Stride: 2}, g.Add("x", &graph.Input{Shape: [4]int{1, 3, 64, 64}}))}
	if err := safetensors.Save(headless, &safetensors.File{Graph: g}); err != nil {
		t.Fatal(err)
	}
	nan := float32(math.NaN())
	for _, c := range []struct {
		path string
		o    ultrafast.Options
		want string
	}{
		{"", ultrafast.Options{}, "no model is named"},
		{filepath.Join(dir, "none.pt"), ultrafast.Options{}, "none.pt: no such file"},
		{dir, ultrafast.Options{}, "is a folder"},
		{junk, ultrafast.Options{}, "junk.pt: "},
		{headless, ultrafast.Options{}, "headless.safetensors: yolo: the model has no detection head"},
		{path, ultrafast.Options{Width: 100}, "lights.safetensors: an input of 100x100: want multiples of the model's stride 32"},
		{path, ultrafast.Options{Height: -32}, "an input of 640x-32"},
		{path, ultrafast.Options{Width: 1 << 40}, "lights.safetensors: "},
		{path, ultrafast.Options{Conf: 1}, "Options.Conf is 1"},
		{path, ultrafast.Options{Conf: nan}, "Options.Conf is NaN"},
		{path, ultrafast.Options{IoU: -0.1}, "Options.IoU is -0.1"},
		{path, ultrafast.Options{IoU: nan}, "Options.IoU is NaN"},
		{path, ultrafast.Options{MaxDet: -1}, "Options.MaxDet is -1"},
		{path, ultrafast.Options{Classes: []int{0, 1}}, "lights.safetensors: class 1: the model has classes 0 to 0"},
		{path, ultrafast.Options{CPU: "z80"}, `lights.safetensors: engine: codegen: unknown processor "z80"`},
		{path, ultrafast.Options{Threads: -1}, "lights.safetensors: -1 threads"},
		{path, ultrafast.Options{Sessions: 1 << 40}, "sessions: want at most"},
	} {
		d, err := ultrafast.Open(c.path, c.o)
		if err == nil || d != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q, %+v: %v, want an error with %q", c.path, c.o, err, c.want)
		}
	}
}

// TestDetectInGoroutines has eight goroutines use one detector; each finds what is in its
// own pictures.
func TestDetectInGoroutines(t *testing.T) {
	for _, o := range []ultrafast.Options{{}, {Threads: 1, Sessions: 3}, {Threads: 2, Sessions: 8}, {CPU: "generic"}} {
		o.Width, o.Height = 256, 192
		d := openLights(t, o)
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for k := range 3 {
					at := image.Rect(0, 0, 32, 32).Add(image.Pt(32*i, 32*k))
					boxes, err := d.Detect(t.Context(), paint(image.NewGray(image.Rect(0, 0, 256, 192)), at))
					if err != nil || len(boxes) != 1 || boxes[0].Rect() != at {
						t.Errorf("%+v: %v, %v, want a light at %v", o, boxes, err, at)
					}
				}
			})
		}
		wg.Wait()
	}
}

// A slowImage says when it is looked at, and waits before the pixel (1, 1) is given.
type slowImage struct {
	*image.Gray
	begun, on chan struct{}
}

func newSlowImage() *slowImage {
	return &slowImage{image.NewGray(image.Rect(0, 0, 64, 64)), make(chan struct{}), make(chan struct{})}
}

func (s *slowImage) At(x, y int) color.Color {
	if x == 1 && y == 1 {
		s.begun <- struct{}{}
		<-s.on
	}
	return s.Gray.At(x, y)
}

func TestDetectWaits(t *testing.T) {
	d := openLights(t, ultrafast.Options{Width: 64, Sessions: 1})
	slow, quick := newSlowImage(), image.NewGray(image.Rect(0, 0, 64, 64))
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Detect(cancelled, quick); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that is done: %v", err)
	}

	errs := make(chan error, 2)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, err := d.Detect(ctx, slow)
		errs <- err
	}()
	<-slow.begun
	short, end := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer end()
	if _, err := d.Detect(short, quick); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while the only session is at work: %v, want the deadline's error", err)
	}
	cancel() // too late for the picture that has been begun
	go func() {
		_, err := d.Detect(t.Context(), quick)
		errs <- err
	}()
	close(slow.on)
	for range 2 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestClose(t *testing.T) {
	d := openLights(t, ultrafast.Options{Width: 64, Sessions: 1})
	slow, quick := newSlowImage(), image.NewGray(image.Rect(0, 0, 64, 64))
	begun, waiting := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := d.Detect(t.Context(), slow)
		begun <- err
	}()
	<-slow.begun
	go func() {
		_, err := d.Detect(t.Context(), quick)
		waiting <- err
	}()
	closed := make(chan error, 1)
	go func() { closed <- d.Close() }()
	if err := <-waiting; err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("who waits gets %v", err)
	}
	select {
	case <-closed:
		t.Error("does not wait for the picture that has been begun")
	default:
	}
	close(slow.on)
	if err := errors.Join(<-begun, <-closed, d.Close()); err != nil {
		t.Error(err)
	}
	if _, err := d.Detect(t.Context(), quick); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("after Close: %v", err)
	}
}

// A rottenImage panics where one pixel is.
type rottenImage struct{ *image.Gray }

func (r rottenImage) At(x, y int) color.Color {
	if x == 1 {
		panic("rotten")
	}
	return r.Gray.At(x, y)
}

// TestDetectAfterPanic does as a server does that survives what its handlers panic with. The
// larger picture is read by several goroutines.
func TestDetectAfterPanic(t *testing.T) {
	d := openLights(t, ultrafast.Options{Width: 64, Sessions: 1})
	for _, size := range []int{64, 64, 2000} {
		func() {
			defer func() {
				if v := recover(); fmt.Sprint(v) != "rotten" {
					t.Errorf("recovered %v", v)
				}
			}()
			d.Detect(t.Context(), rottenImage{image.NewGray(image.Rect(0, 0, size, size))})
		}()
	}
	at := image.Rect(32, 0, 64, 32)
	if boxes, err := d.Detect(t.Context(), paint(image.NewGray(image.Rect(0, 0, 64, 64)), at)); err != nil || len(boxes) != 1 || boxes[0].Rect() != at {
		t.Errorf("%v, %v, want a light at %v", boxes, err, at)
	}
}

func TestDetectOptions(t *testing.T) {
	img := paint(image.NewGray(image.Rect(0, 0, 128, 64)), image.Rect(0, 0, 96, 32)) // three lights
	for _, c := range []struct {
		o            ultrafast.Options
		lights, dots int
	}{
		{ultrafast.Options{}, 3, 3},
		{ultrafast.Options{MaxDet: 2, Classes: []int{1}}, 0, 2},
		{ultrafast.Options{Conf: 0.99999}, 0, 0},
		{ultrafast.Options{Classes: []int{1}}, 0, 3},
		{ultrafast.Options{Agnostic: true}, 3, 0}, // dots cover 0.56 of lights
		{ultrafast.Options{Agnostic: true, IoU: 0.6}, 3, 3},
	} {
		c.o.Width, c.o.Height = 128, 64
		boxes, err := openLights(t, c.o, "light", "dot").Detect(t.Context(), img)
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]int{}
		for _, b := range boxes {
			found[b.Name]++
		}
		if found["light"] != c.lights || found["dot"] != c.dots || len(boxes) != c.lights+c.dots {
			t.Errorf("%+v: %v, want %d lights and %d dots", c.o, boxes, c.lights, c.dots)
		}
	}
}

// TestDetectAsRecorded compares the whole way, from the file of the model and the picture's
// pixels to boxes, with what YOLOv5 found.
func TestDetectAsRecorded(t *testing.T) {
	if testing.Short() {
		t.Skip("whole pictures take long under the race detector")
	}
	golden, model := recorded(t), shared(t, "weights", "yolov5n-v7-coco.pt")
	for _, r := range recordings {
		p, err := picture.Open(shared(t, "pics", r.file))
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range golden[r.name] {
			if c.MultiLabel {
				continue // which is for measuring accuracy
			}
			d, err := ultrafast.Open(model, ultrafast.Options{Width: r.w, Height: r.h, Conf: c.Conf, IoU: c.IoU, Agnostic: c.Agnostic})
			if err != nil {
				t.Fatal(err)
			}
			boxes, err := d.Detect(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			var found []box.Box
			for _, b := range boxes {
				found = append(found, box.Box{X1: b.X1, Y1: b.Y1, X2: b.X2, Y2: b.Y2, Conf: b.Conf, Class: b.Class})
			}
			if len(found) != c.Count {
				t.Errorf("%s case %d: %d boxes, want %d", r.name, i, len(found), c.Count)
				continue
			}
			// The recorded boxes are in the network's pixels.
			_, fit := picture.Letterbox(p, r.w, r.h)
			want := slices.Clone(c.Detections)
			for j := 0; j+6 <= len(want); j += 6 {
				w := want[j : j+4]
				w[0], w[1], w[2], w[3] = fit.Back(w[0], w[1], w[2], w[3])
			}
			compare(t, r.name, i, found, want)
		}
	}
}
