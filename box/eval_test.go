package box

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

// Metrics of 12 pictures as YOLOv5 v7.0 computed them.
func TestRecordedMetrics(t *testing.T) {
	text, err := os.ReadFile("../../shared/golden/ap.json")
	if err != nil {
		t.Skip("no recorded metrics: ", err)
	}
	var rec struct {
		Pictures []struct {
			Labels     []float64 `json:"labels_class_x1y1x2y2"`
			Detections []float64 `json:"detections_x1y1x2y2_conf_class"`
		}
		Classes, AP           []float64
		MAP50                 float64 `json:"map50"`
		MAP5095               float64 `json:"map50_95"`
		Precision, Recall, F1 []float64
	}
	if err := json.Unmarshal(text, &rec); err != nil {
		t.Fatal(err)
	}
	e := NewEvaluator(len(rec.Classes))
	for _, p := range rec.Pictures {
		var truth []Truth
		for v := p.Labels; len(v) > 0; v = v[5:] {
			truth = append(truth, Truth{float32(v[1]), float32(v[2]), float32(v[3]), float32(v[4]), int(v[0])})
		}
		var found []Box
		for v := p.Detections; len(v) > 0; v = v[6:] {
			found = append(found, Box{float32(v[0]), float32(v[1]), float32(v[2]), float32(v[3]), float32(v[4]), int(v[5])})
		}
		e.Add(truth, found)
	}
	got := e.Report()
	near := func(name string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-6 {
			t.Errorf("%s = %.7f, want %.7f", name, got, want)
		}
	}
	if got.Pictures != len(rec.Pictures) || len(got.Classes) != len(rec.Classes) {
		t.Fatalf("%d pictures, %d classes", got.Pictures, len(got.Classes))
	}
	for i, c := range got.Classes {
		if c.Class != int(rec.Classes[i]) {
			t.Errorf("class %d, want %v", c.Class, rec.Classes[i])
		}
		for j, ap := range c.AP {
			near("AP", ap, rec.AP[i*Thresholds+j])
		}
		near("precision", c.Precision, rec.Precision[i])
		near("recall", c.Recall, rec.Recall[i])
		near("F1", c.F1, rec.F1[i])
	}
	near("mAP50", got.MAP50, rec.MAP50)
	near("mAP50-95", got.MAP5095, rec.MAP5095)
}
