package report

import (
	"bytes"
	"strings"
	"testing"

	"ultrafast/prune"
)

func TestSensitivity(t *testing.T) {
	table := &prune.Table{Model: "0123456789abcdef", Size: 416, Pictures: 300, Score: prune.L2, Data: "d5", Precision: "bf16",
		Base: prune.Worth{MAP: 0.4, Box: 0.05, Obj: 0.02, Cls: 0.01}, Cost: prune.Cost{Params: 1000, GFLOP: 1.5, Ms: 4},
		Rows: []prune.Row{
			{Group: "model.0.conv", Ratio: 0.5, From: 16, To: 8, Change: prune.Worth{MAP: -0.1, Box: 0.01}, Params: -100, GFLOP: -0.1, Ms: -0.5},
			{Group: "model.0.conv", Ratio: 0.9, From: 16, To: 2, Change: prune.Worth{MAP: -0.4, Box: 0.2}, Params: -180, GFLOP: -0.2, Ms: -0.8},
			{Group: "<script>alert(1)</script>", Ratio: 0.5, From: 4, To: 2},
			{Group: "model.2.m.0", Ratio: 1, From: 1, To: 0, Change: prune.Worth{MAP: 0.01}},
			{Group: prune.AllGroups, Ratio: 0.5, From: 20, To: 10, Change: prune.Worth{MAP: -0.3}},
		}}
	var b bytes.Buffer
	if err := Sensitivity(&b, "face & mask.pt", table); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	for _, want := range []string{
		"face &amp; mask.pt", "416 in bf16", "model.0.conv", "8 of 16 stay: mAP50-95 -0.1000", "-0.500 ms", "--heat:50%", "--heat:100%", ">-10.0<", ">1.0<",
		"whole block", `class="all"`, "<svg", "prefers-color-scheme: dark", "4.00 ms",
	} {
		if !strings.Contains(page, want) && !strings.Contains(strings.ReplaceAll(page, "&#43;", "+"), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, bad := range []string{"<script>alert", "http://", "https://", "ZgotmplZ", "NaN"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	if err := Sensitivity(&b, "", &prune.Table{}); err != nil {
		t.Errorf("an empty table: %v", err)
	}
}
