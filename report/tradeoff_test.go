package report

import (
	"math"
	"path/filepath"
	"testing"
)

func TestTradeoff(t *testing.T) {
	path := filepath.Join(t.ArtifactDir(), "tradeoff.png")
	points := []TradeoffPoint{
		{"YOLOv5n", "YOLOv5", 11.2, 0.308}, {"thin", "YOLOv5", 1.1, 0.27}, {"YOLOv5s", "YOLOv5", 38, 0.331},
		{"round 1", "compressed", 8, 0.307}, {"", "compressed", 4, 0.305}, {"child", "compressed", 1.13, 0.302}, {"alone", "", 2, 0.29},
	}
	if err := Tradeoff(path, "mAP50-95", points); err != nil {
		t.Fatal(err)
	}
	if s := size(t, path); s.X != 1080 || s.Y != 600 {
		t.Errorf("the picture is %v", s)
	}
	if err := Tradeoff(filepath.Join(t.TempDir(), "one.png"), "mAP50-95", points[:1]); err != nil {
		t.Errorf("one point: %v", err)
	}
	for _, bad := range [][]TradeoffPoint{nil, {{MAP: 1}}, {{Milliseconds: math.NaN()}}, {{Milliseconds: math.Inf(1)}}, {{Milliseconds: 1, MAP: math.NaN()}}} {
		if err := Tradeoff(path, "mAP50-95", bad); err == nil {
			t.Errorf("%v was drawn", bad)
		}
	}
}
