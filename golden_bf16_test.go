package ultrafast_test

import (
	"fmt"
	"math"
	"os"
	"testing"

	"ultrafast/box"
	"ultrafast/engine"
	"ultrafast/graph"
	"ultrafast/internal/codegen"
	"ultrafast/internal/emulator"
	"ultrafast/tensor"
	"ultrafast/yolo"
)

// TestMain has AMX emulated where the processor lacks it.
func TestMain(m *testing.M) {
	if err := emulator.AMX(codegen.EmulateAMX); err != nil {
		fmt.Fprintln(os.Stderr, "bfloat16 without AMX:", err)
	}
	os.Exit(m.Run())
}

type runner = func(*testing.T, *graph.Graph, *tensor.Tensor) []*tensor.Tensor

// eachBF16 calls test for every CPU that runs bfloat16, with a run in it.
func eachBF16(t *testing.T, test func(t *testing.T, run runner)) {
	ran := false
	for _, target := range codegen.Targets() {
		if !target.BF16() {
			continue
		}
		ran = true
		t.Run(target.String(), func(t *testing.T) {
			test(t, func(t *testing.T, g *graph.Graph, x *tensor.Tensor) []*tensor.Tensor {
				t.Helper()
				p, err := engine.Compile(g, engine.Options{Batch: x.Shape[0], Height: x.Shape[2], Width: x.Shape[3], CPU: target.String(), Precision: engine.BF16})
				if err != nil {
					t.Fatal(err)
				}
				out, err := p.NewSession().Run(x)
				if err != nil {
					t.Fatal(err)
				}
				return out
			})
		})
	}
	if !ran {
		t.Skip("this processor does not multiply bfloat16")
	}
}

// TestRecordedOutputsInBF16 compares decoded outputs with what was recorded, and raw maps
// with those of float32. Rounding a layer's maps and weights to bfloat16 adds an error of
// about 2^-9 each, in root mean square, which grows with the root of the layers; YOLOv5n,
// the one that was trained, has 60.
func TestRecordedOutputsInBF16(t *testing.T) {
	const layers = 60
	limit := math.Sqrt(2*layers) / 512
	for _, c := range []struct {
		file, record string
		limit        float64
	}{
		{"yolov5n-v7-coco.pt", "yolov5n-v7-coco.64x96.out.f32", 0.05},
		{"yolov5-v1.0-w0125-zip.pt", "yolov5-v1.0-w0125.64x96.out.f32", 0.005}, // random weights
		{"yolov5-v3.1-w0125-zip.pt", "yolov5-v3.1-w0125.64x96.out.f32", 0.005},
		{"yolov5-v5.0-w0125-zip.pt", "yolov5-v5.0-w0125.64x96.out.f32", 0.005},
	} {
		t.Run(c.file, func(t *testing.T) {
			g := open(t, shared(t, "weights", c.file))
			x, err := tensor.From(floats(t, shared(t, "weights", "input.64x96.f32")), 1, 3, 64, 96)
			if err != nil {
				t.Fatal(err)
			}
			raw, _, err := yolo.Raw(g)
			if err != nil {
				t.Fatal(err)
			}
			want := run(t, raw, x)
			eachBF16(t, func(t *testing.T, run runner) {
				d := far(t, run(t, g, x)[0].Data, floats(t, shared(t, "weights", c.record)))
				t.Logf("largest relative error %.2g", d)
				if d > c.limit {
					t.Errorf("differs from the recorded output by %.2g, limit %g", d, c.limit)
				}
				for i, got := range run(t, raw, x) {
					var off, all float64
					for j, w := range want[i].Data {
						off += math.Pow(float64(got.Data[j])-float64(w), 2)
						all += math.Pow(float64(w), 2)
					}
					d := math.Sqrt(off / all)
					t.Logf("map %d: relative error %.2g", i, d)
					if !(d <= limit) {
						t.Errorf("map %d is off by %.2g of itself, limit %.2g", i, d, limit)
					}
				}
			})
		})
	}
}

// TestRecordedDetectionsInBF16 wants the same objects, boxes that nearly cover each other,
// and nearly the same confidence.
func TestRecordedDetectionsInBF16(t *testing.T) {
	eachBF16(t, func(t *testing.T, run runner) {
		detectRecorded(t, run, func(name string, i int, c recording, found []box.Box) {
			if c.Conf < 0.25 { // hundreds of boxes that tell nothing
				return
			}
			if len(found) != c.Count {
				t.Errorf("%s case %d: %d boxes, want %d", name, i, len(found), c.Count)
			}
			for j := 0; j+6 <= len(c.Detections); j += 6 {
				d := c.Detections[j:]
				want := box.Box{X1: d[0], Y1: d[1], X2: d[2], Y2: d[3], Conf: d[4], Class: int(d[5])}
				most := float32(0)
				for _, b := range found {
					if b.Class == want.Class && math.Abs(float64(b.Conf-want.Conf)) < 0.03 {
						most = max(most, box.IoU(b, want))
					}
				}
				if most < 0.97 {
					t.Errorf("%s case %d: the nearest to %+v covers it by %.3f", name, i, want, most)
				}
			}
		})
	})
}
