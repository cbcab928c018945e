package yolo

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"ultrafast/graph"
	"ultrafast/pt"
	"ultrafast/tensor"
)

// transposedNeck is a description whose neck learns to enlarge.
const transposedNeck = `
nc: 3
depth_multiple: 0.33
width_multiple: 0.25
anchors:
  - [10,13, 16,30]
  - [30,61, 62,45]
backbone:
  [[-1, 1, Conv, [32, 6, 2, 2]],
   [-1, 1, Conv, [64, 3, 2]],
   [-1, 1, Conv, [128, 3, 2]],
  ]
head:
  [[-1, 1, nn.ConvTranspose2d, [64, 4, 2, 1]],
   [[-1, 1], 1, Concat, [1]],
   [-1, 1, Conv, [48, 1, 1]],
   [[5, 2], 1, Detect, [nc, anchors]],
  ]
`

func neck(t *testing.T, row string) (*graph.Graph, error) {
	t.Helper()
	cfg, err := ParseConfig(strings.NewReader(strings.Replace(transposedNeck, "nn.ConvTranspose2d, [64, 4, 2, 1]", row, 1)))
	if err != nil {
		t.Fatal(err)
	}
	return New(cfg, nil, 1)
}

func TestTransposedDescription(t *testing.T) {
	for _, c := range []struct{ row, want string }{ // what the graph's text says, or the error
		{"nn.ConvTranspose2d, [64, 4, 2, 1]", "w=f32[32,16,4,4] bias stride=2 pad=1\n"},
		{"nn.ConvTranspose2d, [64, 2, 2]", "w=f32[32,16,2,2] bias stride=2\n"},
		{"nn.ConvTranspose2d, [32, 32, 2, 2]", "w=f32[32,32,2,2] bias stride=2\n"}, // as before v6.2
		{"nn.ConvTranspose2d, [64, 3, 2, 1, 1, 4, False]", "w=f32[32,4,3,3] stride=2 pad=1 outpad=1 groups=4\n"},
		{"nn.ConvTranspose2d, [64, 2, 2, 1, 1, 1, True, 2]", "w=f32[32,16,2,2] bias stride=2 pad=1 outpad=1 dilation=2\n"},
		{"DWConvTranspose2d, [192, 4, 2, 1]", "w=f32[32,3,4,4] bias stride=2 pad=1 groups=16\n"},
		{"nn.ConvTranspose2d, [64]", "kernel of 0"},
		{"nn.ConvTranspose2d, [64, 256, 2]", "kernel of 256"},
		{"nn.ConvTranspose2d, [64, 2, 2, 0, 0, 3]", "3 groups"},
		{"nn.ConvTranspose2d, [64, 2, 2, 0, 2]", "outpad [2 2]"},
		{"nn.ConvTranspose2d, [64, 2, 2, 0, 0, 1, 7]", "argument 6 is 7, want true or false"},
		{"nn.ConvTranspose2d, [64, 2, 2, 0, 0, 1, True, 1, 'reflect']", "argument 8 is reflect"},
		{"nn.ConvTranspose2d, [65536, 64]", "more than 268435456 weights"},
		{"nn.ConvTranspose2d, [64, 2]", "joins maps of unlike size"},
	} {
		g, err := neck(t, c.row)
		switch {
		case strings.HasPrefix(c.want, "w="):
			if err != nil {
				t.Errorf("%s: %v", c.row, err)
			} else if line := "model.3 = convtranspose model.2.act " + c.want; !strings.Contains(g.String(), line) {
				t.Errorf("%s gives\n%s\nwant %s", c.row, g, line)
			}
		case err == nil || !strings.Contains(err.Error(), c.want):
			t.Errorf("%s: %v, want an error with %q", c.row, err, c.want)
		}
	}
}

// TestTransposedWeights: PyTorch takes the kernels of a group's outputs for the fan in.
func TestTransposedWeights(t *testing.T) {
	g, err := neck(t, "nn.ConvTranspose2d, [64, 4, 2, 1]")
	if err != nil {
		t.Fatal(err)
	}
	op := g.Node("model.3").Op.(*graph.ConvTranspose)
	bound := 1 / math.Sqrt(16*4*4)
	for _, v := range []*tensor.Tensor{op.Weight, op.Bias} {
		most := 0.0
		for _, x := range v.Data {
			most = max(most, math.Abs(float64(x)))
		}
		if most > bound || most < 0.8*bound {
			t.Errorf("%v reaches %v, want little less than %v", v, most, bound)
		}
	}
}

func TestTransposedModules(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(m *pt.Module)
		want   string
	}{
		{"as it is", func(m *pt.Module) {}, ""},
		{"YOLOv5's own", func(m *pt.Module) { m.Class, m.Path = "DWConvTranspose2d", "models.common.DWConvTranspose2d" }, ""},
		{"pairs", func(m *pt.Module) {
			for _, k := range []string{"stride", "padding", "output_padding", "dilation"} {
				m.Attr[k] = []any{m.Attr[k], m.Attr[k]}
			}
		}, ""},
		{"no bias", func(m *pt.Module) { delete(m.Params, "bias") }, ""},
		{"no weight", func(m *pt.Module) { delete(m.Params, "weight") }, "model.3 (ConvTranspose2d) has no weight"},
		{"other channels", func(m *pt.Module) { m.Params["weight"] = tensor.New(31, 16, 4, 4) }, "does not fit 32 input channels"},
		{"reflected", func(m *pt.Module) { m.Attr["padding_mode"] = "reflect" }, `model.3 pads with "reflect", want zeros`},
		{"no output padding", func(m *pt.Module) { delete(m.Attr, "output_padding") }, "model.3 has output_padding"},
		{"output padding of three", func(m *pt.Module) { m.Attr["output_padding"] = []any{int64(0), int64(0), int64(0)} }, "model.3 has output_padding"},
		{"far output padding", func(m *pt.Module) { m.Attr["output_padding"] = int64(1 << 62) }, "out of range"},
		{"groups that overflow", func(m *pt.Module) { m.Attr["groups"] = int64(1 << 62) }, "does not fit"},
		{"something in it", func(m *pt.Module) { m.Children = []pt.Child{{Name: "bn", Module: batchnorm(16)}} }, "model.3 (ConvTranspose2d) holds bn"},
	} {
		cfg, err := ParseConfig(strings.NewReader(transposedNeck))
		if err != nil {
			t.Fatal(err)
		}
		d := &describer{c: cfg, classes: 3, act: module("SiLU", nil)}
		root, err := d.model()
		if err != nil {
			t.Fatal(err)
		}
		c.change(root.Child("model").Child("3"))
		g, err := FromModule(root)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want an error with %q", c.name, err, c.want)
		}
		if err == nil {
			if b := g.BlockOf("model.3"); b.Kind != "ConvTranspose2d" {
				t.Errorf("%s: the block is a %s", c.name, b.Kind)
			}
		}
	}
}

// TestTransposedFirst has a transposed convolution tell the picture's channels.
func TestTransposedFirst(t *testing.T) {
	d := &describer{c: &Config{}}
	up := d.convTranspose2d(transposed{in: 3, out: 8, kernel: 2, stride: 2, groups: 1, dilation: 1})
	g, err := FromModule(module("Model", []pt.Child{{Name: "model", Module: module("Sequential", []pt.Child{{Name: "0", Module: up}})}}))
	if err != nil || g.Input().Op.(*graph.Input).Shape[1] != 3 {
		t.Errorf("%v, %v", g, err)
	}
}

// TestTransposedCheckpoint goes through a file.
func TestTransposedCheckpoint(t *testing.T) {
	cfg, err := ParseConfig(strings.NewReader(transposedNeck))
	if err != nil {
		t.Fatal(err)
	}
	d := &describer{c: cfg, classes: 3, act: module("SiLU", nil)}
	root, err := d.model()
	if err != nil {
		t.Fatal(err)
	}
	giveName(root)
	var b bytes.Buffer
	if err := pt.Write(&b, &pt.Checkpoint{Model: root}); err != nil {
		t.Fatal(err)
	}
	ck, err := pt.Read(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	want, err := FromModule(root)
	if err != nil {
		t.Fatal(err)
	}
	got, err := FromModule(ck.Model)
	if err != nil || got.String() != want.String() {
		t.Errorf("%v\n%v\nwant\n%v", err, got, want)
	}
}

// giveName gives modules the paths that files have.
func giveName(m *pt.Module) {
	m.Path = "models.common." + m.Class
	if m.Class == "ConvTranspose2d" {
		m.Path = "torch.nn.modules.conv.ConvTranspose2d"
	}
	for _, c := range m.Children {
		giveName(c.Module)
	}
}
