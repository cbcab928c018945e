package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"ultrafast/yolo"
)

// stopsAt is a context that ends after it was asked so many times whether it has.
type stopsAt struct {
	context.Context
	left int
}

func (s *stopsAt) Err() error {
	if s.left--; s.left < 0 {
		return context.Canceled
	}
	return nil
}

// What an interrupted measurement has is written, but not over a table that is whole.
func TestLatencyInterrupted(t *testing.T) {
	cfg, err := yolo.Standard("yolov5n")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Width = 0.125
	g, err := yolo.New(cfg, []string{"face"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	c := latencyCommand()
	c.SetContext(t.Context())
	f := &latencyFlags{runtime: "native", provider: "cpu", networks: 3, threads: 1, out: filepath.Join(t.TempDir(), "t.csv")}
	d, err := f.device(c, nil, 64, 64)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	measure := func() string {
		if _, err := f.measure(&stopsAt{t.Context(), 3}, d, g, newProgress(io.Discard)); err == nil {
			t.Fatal("no error")
		}
		text, err := os.ReadFile(f.out)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if measure() == "" {
		t.Error("nothing was written")
	}
	if err := os.WriteFile(f.out, []byte("whole"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := measure(); got != "whole" {
		t.Errorf("the table is now\n%.200s", got)
	}
}
