package main

import (
	"io"
	"path/filepath"
	"testing"

	"ultrafast/dataset"
	"ultrafast/graph"
	"ultrafast/scene"
	"ultrafast/yolo"
)

// drawnSet draws so many pictures of 64x64 and returns their data.yaml.
func drawnSet(t *testing.T, train, val int) string {
	t.Helper()
	file, err := scene.Write(filepath.Join(t.TempDir(), "set"), scene.Set{Train: train, Val: val, Width: 64, Height: 64, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// drawnData is a drawnSet, opened.
func drawnData(t *testing.T, train, val int) *dataset.Data {
	t.Helper()
	data, err := openData(t.Context(), io.Discard, drawnSet(t, train, val), dataset.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// thin is an untrained network for drawn pictures.
func thin(t *testing.T) *graph.Graph {
	t.Helper()
	cfg, err := yolo.Standard("thin")
	if err != nil {
		t.Fatal(err)
	}
	g, err := yolo.New(cfg, scene.Names, 1)
	if err != nil {
		t.Fatal(err)
	}
	return g
}
