package pt

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"ultrafast/tensor"
)

// real opens a checkpoint written by YOLOv5 itself, which lies beside the checkout.
func real(t *testing.T, name string) *Checkpoint {
	t.Helper()
	path := filepath.Join("..", "..", "shared", "weights", name)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		t.Skipf("%s is not there", path)
	}
	ck, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return ck
}

// walk calls f for every place in the tree.
func walk(m *Module, name string, f func(name string, m *Module)) {
	f(name, m)
	for _, c := range m.Children {
		walk(c.Module, name+"."+c.Name, f)
	}
}

func TestRealCheckpoints(t *testing.T) {
	small := []float64{10, 13, 16, 30, 33, 23}
	tests := []struct {
		name    string
		path    string // of the root class
		params  int    // elements of _parameters
		modules int
		layers  []string // classes of the first modules
		strides []float64
		anchors []float64 // the finest level's, in pixels
		classes []string
		nc      int
		width   int // channels it gives
		eps     float64
	}{
		{name: "yolov5n-v7-coco.pt", path: "models.yolo.Model", params: 1872157, modules: 270,
			layers: []string{"Conv", "Conv", "C3"}, strides: []float64{8, 16, 32}, anchors: small, nc: 80, width: 16, eps: 1e-3},
		{name: "yolov5n-pruned25.pt", path: "yolo_pruned.ModelPruned", params: 1155670, modules: 214,
			layers: []string{"Conv", "Conv", "C3"}, strides: []float64{8, 16, 32}, nc: 6, width: 16, eps: 1e-3},
		{name: "yolov5-v1.0-w0125-zip.pt", path: "models.yolo.Model", params: 462536, modules: 282,
			layers: []string{"Focus", "Conv", "BottleneckCSP"}, strides: []float64{32, 16, 8}, classes: []string{"a", "b", "c"}, nc: 3, width: 8},
		{name: "yolov5-v1.0-w0125-legacy.pt", path: "models.yolo.Model", params: 462536, modules: 282,
			layers: []string{"Focus", "Conv", "BottleneckCSP"}, strides: []float64{32, 16, 8}, classes: []string{"a", "b", "c"}, nc: 3, width: 8},
		{name: "yolov5-v3.1-w0125-zip.pt", path: "models.yolo.Model", params: 462536, modules: 283,
			layers: []string{"Focus", "Conv", "BottleneckCSP"}, strides: []float64{8, 16, 32}, anchors: small, classes: []string{"a", "b", "c"}, nc: 3, width: 8},
		{name: "yolov5-v5.0-w0125-zip.pt", path: "models.yolo.Model", params: 450168, modules: 283,
			layers: []string{"Focus", "Conv", "C3"}, strides: []float64{8, 16, 32}, anchors: small, classes: []string{"a", "b", "c"}, nc: 3, width: 8},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ck := real(t, tt.name)
			if ck.Model.Path != tt.path {
				t.Errorf("root is a %s, want %s", ck.Model.Path, tt.path)
			}
			params := 0
			distinct := map[*Module]bool{}
			walk(ck.Model, "", func(name string, m *Module) {
				distinct[m] = true
				for p, v := range m.Params {
					if len(v.Data) != v.Len() {
						t.Errorf("%s.%s: %v with %d numbers", name, p, v, len(v.Data))
					}
					if !m.Buffers[p] {
						params += v.Len()
					}
				}
			})
			if params != tt.params || len(distinct) != tt.modules {
				t.Errorf("%d parameters in %d modules, want %d in %d", params, len(distinct), tt.params, tt.modules)
			}
			seq := ck.Model.Child("model")
			for i, class := range tt.layers {
				if got := seq.Children[i].Module.Class; got != class {
					t.Errorf("layer %d is a %s, want %s", i, got, class)
				}
			}
			first := seq.Children[0].Module
			if first.Class == "Focus" {
				first = first.Child("conv")
			}
			if got := first.Child("conv").Params["weight"].Shape[0]; got != tt.width {
				t.Errorf("the first convolution gives %d channels, want %d", got, tt.width)
			}
			if got := first.Child("bn").Float("eps", 0); tt.eps != 0 && got != tt.eps {
				t.Errorf("eps %v, want %v", got, tt.eps)
			}
			detect := seq.Children[len(seq.Children)-1].Module
			if detect.Class != "Detect" || detect.Int("nc", 0) != tt.nc {
				t.Fatalf("the last layer is a %s of %d classes", detect.Class, detect.Int("nc", 0))
			}
			if got := detect.Floats("stride"); !slices.Equal(got, tt.strides) {
				t.Errorf("strides %v, want %v", got, tt.strides)
			}
			anchors := detect.Params["anchors"]
			if !slices.Equal(anchors.Shape, []int{3, 3, 2}) {
				t.Fatalf("anchors %v", anchors)
			}
			for i, want := range tt.anchors { // stored in units of the stride
				if got := float64(anchors.Data[i]) * tt.strides[0]; math.Abs(got-want) > 0.01 {
					t.Errorf("anchor number %d is %v, want %v", i, got, want)
				}
			}
			names := ck.Model.Strings("names")
			if len(names) != tt.nc || tt.classes != nil && !slices.Equal(names, tt.classes) {
				t.Errorf("class names %q", names)
			}
			if ck.Values["epoch"] != any(int64(-1)) {
				t.Errorf("epoch %v", ck.Values["epoch"])
			}
		})
	}
}

func TestContainersAgree(t *testing.T) {
	a := real(t, "yolov5-v1.0-w0125-zip.pt")
	b := real(t, "yolov5-v1.0-w0125-legacy.pt")
	if !reflect.DeepEqual(a, b) {
		t.Error("the zip and the legacy file of one model differ")
	}
}

// example is a small tree that has one of everything Write stores.
func example() *Checkpoint {
	weight := &tensor.Tensor{Shape: []int{2, 1, 1, 3}, Data: []float32{1, -2, 0.5, 4, 5e-20, 6}}
	act := &Module{Class: "SiLU", Path: "torch.nn.modules.activation.SiLU", Attr: map[string]any{"inplace": true},
		Params: map[string]*tensor.Tensor{}, Buffers: map[string]bool{}}
	conv := &Module{
		Class: "Conv2d", Path: "torch.nn.modules.conv.Conv2d",
		Attr: map[string]any{
			"stride": []any{int64(2), int64(2)}, "eps": 1e-3, "padding_mode": "zeros", "training": false,
			"names": map[any]any{int64(0): "a", int64(1): "b"}, "none": nil, "empty": []any{},
			"_non_persistent_buffers_set": Set{"mean"}, "scale": weight,
		},
		Params:  map[string]*tensor.Tensor{"weight": weight, "mean": {Shape: []int{}, Data: []float32{7}}},
		Buffers: map[string]bool{"mean": true},
	}
	conv.Children = []Child{{"z", act}, {"a", act}}
	return &Checkpoint{Model: conv, Values: map[string]any{"epoch": int64(-1), "date": "today", "best": 0.25}}
}

func TestWriteRead(t *testing.T) {
	want := example()
	got := reread(t, want)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got.Model, want.Model)
	}
	if got.Model.Attr["scale"] != any(got.Model.Params["weight"]) {
		t.Error("a shared tensor was read twice")
	}
	if got.Model.Child("a") != got.Model.Child("z") {
		t.Error("a shared module was read twice")
	}
}

func TestWriteReadReal(t *testing.T) {
	want := real(t, "yolov5n-pruned25.pt")
	got := reread(t, want)
	if !reflect.DeepEqual(got, want) {
		t.Error("writing and reading changed the checkpoint")
	}
}

func reread(t *testing.T, ck *Checkpoint) *Checkpoint {
	t.Helper()
	var buf bytes.Buffer
	if err := Write(&buf, ck); err != nil {
		t.Fatal(err)
	}
	got, err := Read(bytes.NewReader(buf.Bytes()), int64(buf.Len()))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestWriteErrors(t *testing.T) {
	tests := map[string]*Checkpoint{
		"no model":  {},
		"no path":   {Model: &Module{Class: "Conv"}},
		"an object": {Model: &Module{Path: "a.B", Attr: map[string]any{"x": &Object{Path: "a.C", Args: []any{}}}}},
		"no data":   {Model: &Module{Path: "a.B", Attr: map[string]any{"x": &tensor.Tensor{Shape: []int{2}}}}},
	}
	for name, ck := range tests {
		if err := Write(&bytes.Buffer{}, ck); err == nil {
			t.Errorf("%s: written", name)
		}
	}
}

func TestGetters(t *testing.T) {
	m := &Module{Attr: map[string]any{
		"i": int64(3), "f": 2.5, "whole": 4.0, "same": []any{int64(3), int64(3)}, "pair": []any{int64(1), int64(2)},
		"b": true, "s": "x", "t": &tensor.Tensor{Shape: []int{2}, Data: []float32{8, 16}},
		"dict": map[any]any{int64(0): "a", int64(1): "b"}, "gap": map[any]any{int64(0): "a", int64(2): "b"},
	}}
	ints := map[string]int{"i": 3, "whole": 4, "same": 3, "pair": -1, "f": -1, "missing": -1, "s": -1}
	for name, want := range ints {
		if got := m.Int(name, -1); got != want {
			t.Errorf("Int(%s) = %d, want %d", name, got, want)
		}
	}
	if got := m.Ints("pair"); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("Ints = %v", got)
	}
	if got := m.Floats("t"); !slices.Equal(got, []float64{8, 16}) {
		t.Errorf("Floats = %v", got)
	}
	if got := m.Strings("dict"); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("Strings = %v", got)
	}
	if got := m.Strings("gap"); got != nil {
		t.Errorf("Strings of a dict with a gap = %v", got)
	}
	if m.Float("f", 0) != 2.5 || m.Float("i", 0) != 3 || m.Float("s", -1) != -1 || !m.Bool("b", false) || !m.Bool("s", true) || m.Text("s", "") != "x" || m.Text("i", "d") != "d" {
		t.Error("Float, Bool or Text")
	}
}
