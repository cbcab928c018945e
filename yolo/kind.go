package yolo

import (
	"slices"
	"strings"

	"ultrafast/graph"
	"ultrafast/pt"
)

// A block says how modules of one kind become nodes.
type block struct {
	// parts are the names of its children. Those with ? may be missing; * stands for any.
	parts string
	make  func(b *builder, name string, m *pt.Module, in []*graph.Node) (*graph.Node, error)
}

// blocks is filled by init because blocks contain blocks.
var blocks map[string]block

func init() {
	blocks = map[string]block{
		"Conv":             {"conv bn? act?", (*builder).conv},
		"Focus":            {"conv", (*builder).focus},
		"Bottleneck":       {"cv1 cv2", (*builder).bottleneck},
		"BottleneckCSP":    {"cv1 cv2 cv3 cv4 bn act m", (*builder).csp},
		"C3":               {"cv1 cv2 cv3 m", (*builder).c3},
		"SPP":              {"cv1 cv2 m", (*builder).spp},
		"SPPF":             {"cv1 cv2 m", (*builder).sppf},
		"GhostConv":        {"cv1 cv2", (*builder).ghost},
		"GhostBottleneck":  {"conv shortcut", (*builder).ghostBottleneck},
		"ShuffleUnit":      {"branch1? branch2", (*builder).shuffle},
		"InvertedResidual": {"expand? depthwise project", (*builder).invertedResidual},
		"Concat":           {"", (*builder).concat},
		"Upsample":         {"", (*builder).upsample},
		"MaxPool2d":        {"", (*builder).maxpool},
		"Sequential":       {"*", (*builder).sequential},
		"Identity":         {"", (*builder).identity},
		"Conv2d":           {"", (*builder).conv2d},
		"ConvTranspose2d":  {"", (*builder).convTranspose2d},
		"BatchNorm2d":      {"", (*builder).batchnorm},
		"Activation":       {"", (*builder).activation},
		"Detect":           {"m?", (*builder).detect},
	}
}

// unlike says what m lacks of the block, or holds beyond it: an attention module under a
// familiar name must not be lost in silence. It is empty where m fits.
func (k block) unlike(m *pt.Module) string {
	if k.parts == "*" {
		return ""
	}
	known := strings.Fields(k.parts)
	for _, part := range known {
		if name, optional := strings.CutSuffix(part, "?"); !optional && m.Child(name) == nil {
			return "has no " + name
		}
	}
	for _, c := range m.Children {
		if !slices.Contains(known, c.Name) && !slices.Contains(known, c.Name+"?") {
			return "holds " + c.Name
		}
	}
	return ""
}

// aliases are class names whose modules are built like those of another name.
var aliases = map[string]string{
	"Conv": "Conv", "DWConv": "Conv",
	"Focus":      "Focus",
	"Bottleneck": "Bottleneck", "CrossConv": "Bottleneck",
	"BottleneckCSP": "BottleneckCSP",
	"C3":            "C3", "C3x": "C3", "C3Ghost": "C3", "C3SPP": "C3",
	"SPP": "SPP", "SPPF": "SPPF",
	"GhostConv": "GhostConv", "GhostBottleneck": "GhostBottleneck",
	"ShuffleUnit": "ShuffleUnit", "InvertedResidual": "InvertedResidual",
	"Concat": "Concat", "Upsample": "Upsample", "MaxPool2d": "MaxPool2d",
	"Sequential": "Sequential", "Identity": "Identity", "Dropout": "Identity",
	"ConvTranspose2d": "ConvTranspose2d", "DWConvTranspose2d": "ConvTranspose2d",
	"Conv2d": "Conv2d", "BatchNorm2d": "BatchNorm2d", "SyncBatchNorm": "BatchNorm2d",
	"Detect": "Detect",
}

// kindOf says how to build a module: by its class, else by what it holds.
func kindOf(m *pt.Module) string {
	if m.Class == "C3" && blocks["BottleneckCSP"].unlike(m) == "" {
		return "BottleneckCSP" // what v2.0 to v3.1 called C3: a BottleneckCSP of CrossConvs
	}
	if k, ok := aliases[m.Class]; ok {
		return k
	}
	if _, ok := activations[m.Class]; ok {
		return "Activation"
	}
	like := func(kind string) bool { return blocks[kind].unlike(m) == "" }
	_, add := m.Attr["add"].(bool)
	switch {
	case like("BottleneckCSP"):
		return "BottleneckCSP"
	case like("C3"):
		return "C3"
	case like("SPPF") && pools(m.Child("m")):
		return "SPPF"
	case like("SPP") && allPools(m.Child("m")):
		return "SPP"
	case like("Bottleneck") && add:
		return "Bottleneck"
	case like("Conv") && m.Child("conv").Class == "Conv2d":
		return "Conv"
	}
	return m.Class
}

func pools(m *pt.Module) bool { return m.Class == "MaxPool2d" }

func allPools(list *pt.Module) bool {
	return list.Class == "ModuleList" && !slices.ContainsFunc(list.Children, func(c pt.Child) bool { return !pools(c.Module) })
}
