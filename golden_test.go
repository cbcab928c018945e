package ultrafast_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"ultrafast/box"
	"ultrafast/engine"
	"ultrafast/graph"
	"ultrafast/picture"
	"ultrafast/pt"
	"ultrafast/safetensors"
	"ultrafast/tensor"
	"ultrafast/yolo"
)

// shared returns the path of recorded truth beside the checkout, and skips without it.
func shared(t *testing.T, parts ...string) string {
	t.Helper()
	path := filepath.Join(append([]string{"..", "shared"}, parts...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("recorded truth is not there: %s", path)
	}
	return path
}

func floats(t *testing.T, path string) []float32 {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	v := make([]float32, len(b)/4)
	if err := binary.Read(bytes.NewReader(b), binary.LittleEndian, v); err != nil {
		t.Fatal(err)
	}
	return v
}

func open(t *testing.T, path string) *graph.Graph {
	t.Helper()
	ck, err := pt.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	g, err := yolo.FromModule(ck.Model)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func run(t *testing.T, g *graph.Graph, x *tensor.Tensor) []*tensor.Tensor {
	t.Helper()
	return runOn(t, "", g, x)
}

func runOn(t *testing.T, cpu string, g *graph.Graph, x *tensor.Tensor) []*tensor.Tensor {
	t.Helper()
	p, err := engine.Compile(g, engine.Options{Batch: x.Shape[0], Height: x.Shape[2], Width: x.Shape[3], CPU: cpu})
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.NewSession().Run(x)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// far returns the largest |got-want| relative to the larger of |want| and 1: boxes are
// compared relative to their size, scores, which lie below 1, absolutely.
func far(t *testing.T, got, want []float32) float64 {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d numbers, recorded were %d", len(got), len(want))
	}
	worst := 0.0
	for i := range got {
		d := math.Abs(float64(got[i])-float64(want[i])) / max(1, math.Abs(float64(want[i])))
		if !(d <= worst) {
			worst = d
		}
	}
	return worst
}

func TestRecordedOutputs(t *testing.T) {
	for _, c := range []struct {
		file, record string
		limit        float64
	}{
		{"yolov5n-v7-coco.pt", "yolov5n-v7-coco.64x96.out.f32", 1e-4},
		{"yolov5-v1.0-w0125-zip.pt", "yolov5-v1.0-w0125.64x96.out.f32", 1e-3},
		{"yolov5-v1.0-w0125-legacy.pt", "yolov5-v1.0-w0125.64x96.out.f32", 1e-3},
		{"yolov5-v3.1-w0125-zip.pt", "yolov5-v3.1-w0125.64x96.out.f32", 1e-3},
		{"yolov5-v5.0-w0125-zip.pt", "yolov5-v5.0-w0125.64x96.out.f32", 1e-3},
	} {
		t.Run(c.file, func(t *testing.T) {
			g := open(t, shared(t, "weights", c.file))
			x, err := tensor.From(floats(t, shared(t, "weights", "input.64x96.f32")), 1, 3, 64, 96)
			if err != nil {
				t.Fatal(err)
			}
			want := floats(t, shared(t, "weights", c.record))
			d := far(t, run(t, g, x)[0].Data, want)
			t.Logf("largest relative error %.2g", d)
			if d > c.limit {
				t.Errorf("differs from the recorded output by %.2g, limit %g", d, c.limit)
			}
			var file bytes.Buffer
			if err := safetensors.Write(&file, &safetensors.File{Graph: g}); err != nil {
				t.Fatal(err)
			}
			back, err := safetensors.Read(bytes.NewReader(file.Bytes()), int64(file.Len()))
			if err != nil {
				t.Fatal(err)
			}
			if far(t, run(t, back.Graph, x)[0].Data, run(t, g, x)[0].Data) != 0 {
				t.Error("the checkpoint written as .safetensors gives another output")
			}
		})
	}
}

func TestRecordedOutputOfPrunedModel(t *testing.T) {
	if testing.Short() {
		t.Skip("whole pictures take long under the race detector")
	}
	g := open(t, shared(t, "weights", "yolov5n-pruned25.pt"))
	p, err := picture.Open(shared(t, "pics", "bus.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	boxed, _ := picture.Letterbox(p, 640, 640)
	x := tensor.New(1, 3, 640, 640)
	boxed.CHW(x.Data)
	d := far(t, run(t, g, x)[0].Data, floats(t, shared(t, "weights", "yolov5n-pruned25.bus640.out.f32")))
	t.Logf("largest relative error %.2g, the picture's decoding and scaling included", d)
	// The recorded input came through OpenCV's decoder and scaler.
	if d > 1e-3 {
		t.Errorf("differs from the recorded output by %.2g", d)
	}
}

func TestRecordedDetections(t *testing.T) {
	detectRecorded(t, run, func(name string, i int, c recording, found []box.Box) {
		if len(found) != c.Count {
			t.Errorf("%s case %d: %d boxes, want %d", name, i, len(found), c.Count)
			return
		}
		compare(t, name, i, found, c.Detections)
	})
}

// detectRecorded detects with run in the pictures that YOLOv5's boxes are recorded of, and
// calls check for each case of each.
func detectRecorded(t *testing.T, run func(*testing.T, *graph.Graph, *tensor.Tensor) []*tensor.Tensor, check func(name string, i int, c recording, found []box.Box)) {
	t.Helper()
	if testing.Short() {
		t.Skip("whole pictures take long under the race detector")
	}
	golden := recorded(t)
	raw, head, err := yolo.Raw(open(t, shared(t, "weights", "yolov5n-v7-coco.pt")))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range recordings {
		p, err := picture.Open(shared(t, "pics", r.file))
		if err != nil {
			t.Fatal(err)
		}
		boxed, _ := picture.Letterbox(p, r.w, r.h)
		x := tensor.New(1, 3, r.h, r.w)
		boxed.CHW(x.Data)
		maps := run(t, raw, x)
		for i, c := range golden[r.name] {
			found := box.NMS(yolo.Boxes(head, maps, yolo.BoxOptions{Conf: c.Conf, MultiLabel: c.MultiLabel})[0], box.NMSOptions{IoU: c.IoU, Agnostic: c.Agnostic})
			check(r.name, i, c, found)
		}
	}
}

// recordings are the pictures that detections are recorded of.
var recordings = []struct {
	name, file string
	w, h       int
}{
	{"bus_640x640", "bus.jpg", 640, 640},
	{"zidane_640x640", "zidane.jpg", 640, 640},
	{"bus_800x1280", "bus.jpg", 1280, 800},
}

// A recording is what YOLOv5 found in a picture, with one choice of options.
type recording struct {
	Conf, IoU  float32
	Agnostic   bool
	MultiLabel bool `json:"multi_label"`
	Count      int
	Detections []float32 `json:"detections_x1y1x2y2_conf_class"`
}

func recorded(t *testing.T) map[string][]recording {
	t.Helper()
	b, err := os.ReadFile(shared(t, "golden", "detections.json"))
	if err != nil {
		t.Fatal(err)
	}
	var golden struct{ Pictures map[string][]recording }
	if err := json.Unmarshal(b, &golden); err != nil {
		t.Fatal(err)
	}
	return golden.Pictures
}

func compare(t *testing.T, name string, i int, found []box.Box, want []float32) {
	t.Helper()
	worstBox, worstConf := 0.0, 0.0
	for j := 0; j+6 <= len(want); j += 6 {
		w, best := want[j:j+6], math.Inf(1)
		var conf float64
		for _, b := range found { // near-equal confidences may change places
			if b.Class != int(w[5]) {
				continue
			}
			d := 0.0
			for k, v := range []float32{b.X1, b.Y1, b.X2, b.Y2} {
				d = max(d, math.Abs(float64(v-w[k])))
			}
			if d < best {
				best, conf = d, math.Abs(float64(b.Conf-w[4]))
			}
		}
		worstBox, worstConf = max(worstBox, best), max(worstConf, conf)
	}
	t.Logf("%s case %d: %d boxes, off by at most %.3f px and %.5f in confidence", name, i, len(found), worstBox, worstConf)
	if worstBox > 1 || worstConf > 0.005 {
		t.Errorf("%s case %d: off by %.3f px and %.5f in confidence, want at most 1 and 0.005", name, i, worstBox, worstConf)
	}
}
