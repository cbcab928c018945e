package train

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// States of before there was a precision say bf16 or nothing.
func TestPrecisionOfOldRuns(t *testing.T) {
	for text, want := range map[string]Precision{
		`{"epochs":3,"bf16":true}`:  BF16,
		`{"epochs":3,"bf16":false}`: FP32,
		`{"epochs":3}`:              FP32,
		`{"precision":"fp16"}`:      FP16,
		`{"precision":"int4"}`:      "int4",
	} {
		var o options
		if err := json.Unmarshal([]byte(text), &o); err != nil {
			t.Fatal(err)
		}
		var c Config
		if c.setOptions(o); c.Precision != want {
			t.Errorf("%s is %q, want %q", text, c.Precision, want)
		}
	}
	c := Config{Dir: "x", Precision: "int4"}.withDefaults()
	if err := c.check(); err == nil {
		t.Error("an unknown precision is no error")
	}
}

// What a run computes in is written down even if it was the default, so that it goes on so.
func TestPrecisionIsKept(t *testing.T) {
	dir := t.TempDir()
	c := tinyConfig(dir)
	c.Epochs = 1
	if _, err := Run(t.Context(), Drift(), tinyNet(), tinyData(t), c); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "opt.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "\nprecision: fp32\n") || strings.Contains(string(text), "bf16") {
		t.Errorf("opt.yaml is\n%s", text)
	}
}
