package yolo

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"ultrafast/graph"
)

// classic is a description as YOLOv5's users have them: lists, None, nn. and quotes.
const classic = `
nc: 3  # classes
depth_multiple: 0.33
width_multiple: 0.25
anchors:
  - [10,13, 16,30]
  - [30,61, 62,45]
backbone:
  [[-1, 1, Focus, [32, 3]],
   [-1, 1, Conv, [64, 3, 2]],
   [-1, 3, BottleneckCSP, [64]],
   [-1, 1, Conv, [128, 3, 2]],
   [-1, 2, Bottleneck, [128]],
   [-1, 1, SPP, [128, [5, 9]]],
  ]
head:
  [[-1, 1, nn.Upsample, [None, 2, 'nearest']],
   [[-1, 2], 1, Concat, [1]],
   [-1, 3, C3, [64, False]],
   [-1, 1, DWConv, [64, 3, 2]],
   [[8, 9], 1, Detect, [nc, anchors]],
  ]
`

// Levels may have different numbers of anchors, which YOLOv5's heads cannot.
func TestAnchorsOfDifferentNumbers(t *testing.T) {
	cfg, err := ParseConfig(strings.NewReader(strings.Replace(classic, "[10,13, 16,30]", "[10,13]", 1)))
	if err != nil {
		t.Fatal(err)
	}
	g, err := New(cfg, []string{"a", "b"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	want := [][][2]float32{{{10, 13}}, {{30, 61}, {62, 45}}}
	if d := g.Detect().Op.(*graph.Detect); !reflect.DeepEqual(d.Anchors, want) {
		t.Errorf("anchors are %v, want %v", d.Anchors, want)
	}
	for name, channels := range map[string]int{"model.10.m.0": 7, "model.10.m.1": 14} {
		if c := g.Node(name).Op.(*graph.Conv); c.Weight.Shape[0] != channels || c.Bias.Len() != channels {
			t.Errorf("%s has weights %v, want %d channels", name, c.Weight, channels)
		}
	}
}

func TestClassicDescription(t *testing.T) {
	cfg, err := ParseConfig(strings.NewReader(classic))
	if err != nil {
		t.Fatal(err)
	}
	g, err := New(cfg, []string{"a", "b"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	d := g.Detect().Op.(*graph.Detect)
	if d.Classes != 2 || d.Strides[0] != 4 || d.Strides[1] != 8 || d.Anchors[1][0] != [2]float32{30, 61} {
		t.Errorf("head is %+v", d)
	}
	if n := g.Node("model.8.m.0.add"); n != nil {
		t.Error("C3 with shortcut False has a shortcut")
	}
	if n := g.Node("model.2.m.0.add"); n == nil {
		t.Error("BottleneckCSP has no shortcut")
	}
	again, err := New(cfg, []string{"a", "b"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	w, v := g.Params()[0].Tensor().Data, again.Params()[0].Tensor().Data
	for i := range w {
		if w[i] != v[i] {
			t.Fatal("the same seed gives other weights")
		}
	}
}

// A file may say how many anchors a level has, and leave their sizes to training.
func TestAnchorsWithoutSizes(t *testing.T) {
	cfg, err := ParseConfig(strings.NewReader(strings.Replace(classic, "\n  - [10,13, 16,30]\n  - [30,61, 62,45]", " 3", 1)))
	if err != nil {
		t.Fatal(err)
	}
	g, err := New(cfg, []string{"a"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if d := g.Detect().Op.(*graph.Detect); !cfg.Unsized || len(d.Anchors) != 2 || len(d.Anchors[0]) != 3 || len(d.Anchors[1]) != 3 {
		t.Errorf("unsized %v, anchors %v, want three on each of two levels", cfg.Unsized, d.Anchors)
	}
}

func TestDescriptionRefuses(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{"nc: 3", "nc: 0", "0 classes"},
		{"nc: 3", "nc: 99999999", "99999999 classes"},
		{"nc: 3", "nc: [", "model description"},
		{"0.33", "-1", "depth"},
		{"width_multiple: 0.25", "width_multiple: 1e9", "width"},
		{"- [10,13, 16,30]", "- [10,13, 16]", "level 0"},
		{"- [10,13, 16,30]", "- [10,13, x,30]", "no size in pixels"},
		{"- [10,13, 16,30]", "- [10,13, -1,30]", "no size in pixels"},
		{"- [10,13, 16,30]", "- [10,13, 16]", "level 0: want 1 to 20 pairs"},
		{"Focus, [32, 3]", "Fokus, [32, 3]", "layer 0 (Fokus): this program makes Conv"},
		{"Focus, [32, 3]", "Focus, [x, 3]", "argument 0 is x, want a whole number"},
		{"Focus, [32, 3]", "Focus, [32, 0]", "kernel of 0 (want 1 to 64)"},
		{"Focus, [32, 3]", "Focus, []", "0 output channels"},
		{"[-1, 1, Conv, [64, 3, 2]]", "[-1, 1, Conv]", "layer 1: has 3 fields"},
		{"[-1, 1, Conv, [64, 3, 2]]", "[7, 1, Conv, [64, 3, 2]]", "layer 1 takes layer 7"},
		{"[-1, 1, Conv, [64, 3, 2]]", "[-9, 1, Conv, [64, 3, 2]]", "layer 1 takes layer -9"},
		{"[-1, 1, Conv, [64, 3, 2]]", "[-1, 5000, Conv, [64, 3, 2]]", "repeat 5000"},
		{"[-1, 1, Conv, [64, 3, 2]]", "{block: Conv, channels: 64}", `unknown key "channels"`},
		{"[[-1, 2], 1, Concat", "[[-1, 3], 1, Concat", "joins maps of unlike size"},
		{"[[8, 9], 1, Detect", "[[8], 1, Detect", "anchors for 2 levels"},
		{"'nearest'", "'bilinear'", `mode "bilinear"`},
		{"nearest'", "nearest', True", "argument 3 is true"},
		{"DWConv, [64, 3, 2]", "Conv, [64, 3, 2, None, 1, False]", ""},
		{"DWConv, [64, 3, 2]", "Conv, [64, 3, 2, None, 1, 2]", "argument 5 is 2, want true or false"},
		{"DWConv, [64, 3, 2]", "Conv, [64, 3, 2, None, 3]", "3 groups"},
		{"DWConv, [64, 3, 2]", "Conv, [65536, 64]", "more than 268435456 weights"},
		{"Concat, [1]", "Concat, [2]", "dimension 2"},
		{"nc: 3", "nc: 3\nch: 1", "ch is 1"},
		{"nc: 3", "nc: 3\nch: 3", ""},
		{"nc: 3", "nc: three", "line 2: "},
		{"nc: 3", "nc: 3\nactivation: nn.LeakyReLU(0.1)", ""},
		{"nc: 3", "nc: 3\nactivation: nn.SiLU(inplace=True)", ""},
		{"nc: 3", "nc: 3\nactivation: nn.GELU()", `activation "nn.GELU()": want one of`},
		{"nc: 3", "nc: 3\nactivation: nn.SiLU(0.1)", "SiLU takes no 0.1"},
		{"width_multiple", "widht_multiple", `line 4: unknown field "widht_multiple"`},
		{"nc: 3", "x: &x [1]\nnc: *x", "line 3: an alias"},
		{"\n  - [10,13, 16,30]\n  - [30,61, 62,45]", " 2", ""},
		{"\n  - [10,13, 16,30]\n  - [30,61, 62,45]", " 0", "anchors: 0 a level, want 1 to 20"},
		{"\n  - [10,13, 16,30]\n  - [30,61, 62,45]", " 21", "anchors: 21 a level, want 1 to 20"},
		{"\n  - [10,13, 16,30]\n  - [30,61, 62,45]", " 1.5", "anchors: are 1.5, want"},
	} {
		cfg, err := ParseConfig(strings.NewReader(strings.Replace(classic, c.old, c.new, 1)))
		if err == nil {
			_, err = New(cfg, nil, 1)
		}
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("with %q: %v, want an error with %q", c.new, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("with %q: error of several lines: %v", c.new, err)
		}
	}
}

func FuzzConfig(f *testing.F) {
	f.Add(classic)
	f.Add(transposedNeck)
	files, err := filepath.Glob("models/*.yaml")
	if err != nil || len(files) == 0 {
		f.Fatal("no descriptions", err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		cfg, err := ParseConfig(strings.NewReader(text))
		if err != nil {
			return
		}
		cfg.Width = min(cfg.Width, 0.1) // the weights' size is not what is tested
		if g, err := New(cfg, nil, 1); err == nil {
			if err := g.Verify(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
