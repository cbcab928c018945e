package yolo

import (
	"strings"
	"testing"

	"ultrafast/graph"
	"ultrafast/pt"
	"ultrafast/tensor"
)

// tree makes the modules of the classic description, and a way to reach into them.
func tree(t *testing.T) (*pt.Module, func(path ...string) *pt.Module) {
	t.Helper()
	cfg, err := ParseConfig(strings.NewReader(classic))
	if err != nil {
		t.Fatal(err)
	}
	act, err := activation("")
	if err != nil {
		t.Fatal(err)
	}
	d := &describer{c: cfg, classes: 3, act: act}
	root, err := d.model()
	if err != nil {
		t.Fatal(err)
	}
	return root, func(path ...string) *pt.Module {
		m := root
		for _, p := range path {
			if m = m.Child(p); m == nil {
				t.Fatalf("no module %v", path)
			}
		}
		return m
	}
}

func drop(m *pt.Module, child string) {
	for i, c := range m.Children {
		if c.Name == child {
			m.Children = append(m.Children[:i:i], m.Children[i+1:]...)
			return
		}
	}
}

// What a stored model may be like, and what is said about it; "" where it is read.
func TestFromModuleMeetsOddModels(t *testing.T) {
	type at = func(path ...string) *pt.Module
	for _, c := range []struct {
		name   string
		change func(at at)
		want   string
	}{
		{"as it is", func(at at) {}, ""},
		{"f missing", func(at at) { delete(at("model", "1").Attr, "f") }, ""},
		{"f of another kind", func(at at) { at("model", "1").Attr["f"] = "x" }, ""},
		{"f far away", func(at at) { at("model", "1").Attr["f"] = int64(-1 << 63) }, "does not come before it"},
		{"fused", func(at at) { drop(at("model", "1"), "bn") }, ""},
		{"no activation", func(at at) { drop(at("model", "1"), "act") }, ""},
		{"no convolution", func(at at) { drop(at("model", "1"), "conv") }, "model.1 (Conv) has no conv"},
		{"no weight", func(at at) { delete(at("model", "1", "conv").Params, "weight") }, "model.1.conv (Conv2d) has no weight"},
		{"no parameters", func(at at) { at("model", "1", "conv").Params = nil }, "model.1.conv (Conv2d) has no weight"},
		{"flat weight", func(at at) { at("model", "1", "conv").Params["weight"] = tensor.New(4) }, "4 dimensions"},
		{"empty weight", func(at at) { at("model", "1", "conv").Params["weight"] = tensor.New(16, 0, 3, 3) }, "at least one channel"},
		{"short data", func(at at) { at("model", "1", "conv").Params["weight"].Data = make([]float32, 3) }, "holds 3 numbers"},
		{"long bias", func(at at) { at("model", "1", "conv").Params["bias"] = tensor.New(99) }, "bias [99]"},
		{"stride a word", func(at at) { at("model", "1", "conv").Attr["stride"] = "two" }, "has stride two"},
		{"pad same", func(at at) { at("model", "1", "conv").Attr["padding"] = "same" }, "has padding same"},
		{"groups overflow", func(at at) { at("model", "1", "conv").Attr["groups"] = int64(1 << 62) }, "does not fit"},
		{"no mean", func(at at) { delete(at("model", "1", "bn").Params, "running_mean") }, "model.1.bn: has no running_mean"},
		{"short mean", func(at at) { at("model", "1", "bn").Params["running_mean"] = tensor.New(3) }, "running_mean has 3 channels"},
		{"eps negative", func(at at) { at("model", "1", "bn").Attr["eps"] = -1.0 }, "eps -1"},
		{"bottleneck in half", func(at at) { drop(at("model", "4"), "cv2") }, "model.4 (Bottleneck) has no cv2"},
		{"C3 without its chain", func(at at) { drop(at("model", "8"), "m") }, "model.8 (C3) has no m"},
		{"CSP without its norm", func(at at) { drop(at("model", "2"), "bn") }, "model.2 (BottleneckCSP) has no bn"},
		{"attention in a C3", func(at at) {
			m := at("model", "8")
			m.Children = append(m.Children, pt.Child{Name: "att", Module: module("Identity", nil)})
		}, "model.8 (C3) holds att, so it is no C3"},
		{"foreign C3", func(at at) { at("model", "8").Class = "C3Mine" }, ""},
		{"foreign CSP", func(at at) { at("model", "2").Class = "CSPStage" }, ""},
		{"C3 of v3", func(at at) { at("model", "2").Class = "C3" }, ""},
		{"foreign SPP", func(at at) { at("model", "5").Class = "SPPMine" }, ""},
		{"C2f is no SPP", func(at at) {
			m := at("model", "5")
			m.Class, m.Path = "C2f", "models.common.C2f"
			m.Child("m").Children[0].Module.Class = "Bottleneck"
		}, "model.5 is a C2f (models.common.C2f), which this program does not know"},
		{"a pool that averages", func(at at) { at("model", "5", "m").Children[0].Module.Class = "AvgPool2d" }, "is a AvgPool2d"},
		{"shared modules", func(at at) { at("model", "4").Children[1].Module.Children[1] = at("model", "3").Children[1] }, ""},
		{"no classes", func(at at) { delete(at("model", "10").Attr, "nc") }, "0 classes"},
		{"too many classes", func(at at) { at("model", "10").Attr["nc"] = int64(1 << 40) }, "classes, want 1 to"},
		{"classes that overflow", func(at at) { at("model", "10").Attr["nc"] = int64(1<<63-1) - 4 }, "classes, want 1 to"},
		{"no anchors", func(at at) { at("model", "10").Params = nil }, "has no anchors"},
		{"odd anchors", func(at at) { at("model", "10").Params["anchor_grid"] = tensor.New(7) }, "has anchors f32[7]"},
		{"anchors of nothing", func(at at) { at("model", "10").Params["anchor_grid"] = tensor.New(2, 2, 2) }, "anchor of 0 x 0 pixels"},
		{"stored strides", func(at at) {
			d := at("model", "10")
			d.Params["anchors"] = d.Params["anchor_grid"]
			d.Attr["stride"], _ = tensor.From([]float32{4, 8}, 2)
		}, ""},
		{"broken strides", func(at at) {
			d := at("model", "10")
			d.Params["anchors"] = d.Params["anchor_grid"]
			d.Attr["stride"] = []any{4.5, 8.0}
		}, "has stride 4.5"},
		{"one stride", func(at at) {
			d := at("model", "10")
			d.Params["anchors"] = d.Params["anchor_grid"]
			d.Attr["stride"] = 8.0
		}, "strides [8] for 2 levels"},
		{"a head of one level", func(at at) { drop(at("model", "10", "m"), "1") }, "1 convolutions for 2 levels"},
		{"layers behind the head", func(at at) {
			list := at("model")
			list.Children = append(list.Children, pt.Child{Name: "11", Module: module("Identity", nil, "f", 9)})
		}, "model.10 is not the last layer"},
		{"names of other classes", func(at at) { at().Attr = map[string]any{"names": []any{"a"}} }, "3 classes and 1 class names"},
		{"two layers of one name", func(at at) { at("model").Children[3].Name = "1" }, "two nodes are called"},
		{"a name with a line break", func(at at) { at("model").Children[1].Name = "1\n" }, "no place for"},
		{"no layers", func(at at) { at("model").Children = nil }, "not a YOLOv5"},
	} {
		root, reach := tree(t)
		c.change(reach)
		g, err := FromModule(root)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want an error with %q", c.name, err, c.want)
		}
		if err == nil {
			own := map[*tensor.Tensor]bool{}
			for _, p := range g.Params() {
				if own[p.Tensor()] {
					t.Errorf("%s: %s is shared", c.name, p.Name)
				}
				own[p.Tensor()] = true
			}
			if _, err := graph.Parse(g.String()); err != nil {
				t.Errorf("%s: its text does not read back: %v", c.name, err)
			}
		}
	}
}

func TestFromModuleUnwraps(t *testing.T) {
	root, _ := tree(t)
	for _, wrapped := range []*pt.Module{
		module("DataParallel", []pt.Child{{Name: "module", Module: root}}),
		module("AutoShape", []pt.Child{{Name: "model", Module: module("DetectMultiBackend", []pt.Child{{Name: "model", Module: root}})}}),
	} {
		if _, err := FromModule(wrapped); err != nil {
			t.Errorf("in %s: %v", wrapped.Class, err)
		}
	}
}

// A ghost block and the rest of what only stored models hold.
func TestStoredBlocks(t *testing.T) {
	act, err := activation("nn.ReLU()")
	if err != nil {
		t.Fatal(err)
	}
	d := &describer{c: &Config{}, act: act}
	ghost := func(in, out int) *pt.Module {
		return module("GhostConv", []pt.Child{{Name: "cv1", Module: d.conv(in, out/2, 1, 1, -1, 1)}, {Name: "cv2", Module: d.conv(out/2, out/2, 5, 1, -1, out/2)}})
	}
	list := func(ms ...*pt.Module) *pt.Module {
		s := module("Sequential", nil)
		for i, m := range ms {
			s.Children = append(s.Children, pt.Child{Name: string(rune('0' + i)), Module: m})
		}
		return s
	}
	bottleneck := module("GhostBottleneck", []pt.Child{
		{Name: "conv", Module: list(ghost(8, 4), module("Identity", nil), ghost(4, 8))},
		{Name: "shortcut", Module: module("Identity", nil)}})
	cross := module("CrossConv", []pt.Child{{Name: "cv1", Module: d.conv(8, 8, 3, 1, -1, 1)}, {Name: "cv2", Module: d.conv(8, 8, 3, 1, -1, 1)}}, "add", true)
	chain := func(class string, m *pt.Module) *pt.Module {
		return module(class, []pt.Child{{Name: "cv1", Module: d.conv(8, 8, 1, 1, -1, 1)}, {Name: "cv2", Module: d.conv(8, 8, 1, 1, -1, 1)},
			{Name: "cv3", Module: d.conv(16, 8, 1, 1, -1, 1)}, {Name: "m", Module: m}})
	}
	spp := d.spp("SPP", 8, 8, &arguments{})
	root := module("Model", []pt.Child{{Name: "model", Module: list(d.conv(3, 8, 3, 1, -1, 1), ghost(8, 8), bottleneck,
		chain("C3Ghost", list(bottleneck)), chain("C3x", list(cross)), chain("C3SPP", spp))}})
	g, err := FromModule(root)
	if err != nil {
		t.Fatal(err)
	}
	adds := 0
	for _, n := range g.Nodes {
		if _, ok := n.Op.(*graph.Add); ok {
			adds++
		}
	}
	if adds != 3 {
		t.Errorf("%d shortcuts, want 3: two ghost bottlenecks and a CrossConv", adds)
	}
}
