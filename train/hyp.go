package train

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"ultrafast/dataset"
	"ultrafast/graph"
)

// Hyp are YOLOv5's hyperparameters under its names, which its YAML files have too. Start
// from DefaultHyp.
type Hyp struct {
	LR0            float64 // learning rate after warm-up
	LRF            float64 // last learning rate, as a share of LR0
	Momentum       float64 // of SGD
	WeightDecay    float64 // at a batch of NBS
	NBS            float64 // nominal batch: smaller ones add up to it before each update
	WarmupEpochs   float64 // fractions are fine
	WarmupMomentum float64 // at the first step
	WarmupBiasLR   float64 // of biases at the first step; the others start from 0

	Box            float64 // gain of the box loss
	Cls            float64 // gain of the class loss, at 80 classes
	ClsPW          float64 // weight of positives in it
	Obj            float64 // gain of the objectness loss, at 640 pixels
	ObjPW          float64 // weight of positives in it
	IoUT           float64 // read for the sake of YOLOv5's files; nothing uses it there either
	AnchorT        float64 // a label and an anchor match below this ratio of their sides
	FocalGamma     float64 // of the focal loss; 0 is none
	LabelSmoothing float64 // of the class loss

	HSVH        float64 // change of hue, a fraction
	HSVS        float64 // of saturation
	HSVV        float64 // of value
	Degrees     float64 // rotation, either way
	Translate   float64 // shift, a fraction either way
	Scale       float64 // gain, 1 ± Scale
	Shear       float64 // degrees, either way
	Perspective float64 // fraction, up to 0.001
	FlipUD      float64 // probability
	FlipLR      float64 // probability
	Mosaic      float64 // probability of four pictures in one
	Mosaic9     float64 // probability that these are nine; not among YOLOv5's, where it is 0
	Mixup       float64 // probability of a second mosaic over the first
	CopyPaste   float64 // share of the outlined objects of a mosaic that come twice
}

// DefaultHyp returns the values that YOLOv5 v7.0 trains small models from scratch with.
func DefaultHyp() Hyp {
	return Hyp{
		LR0: 0.01, LRF: 0.01, Momentum: 0.937, WeightDecay: 0.0005, NBS: 64,
		WarmupEpochs: 3, WarmupMomentum: 0.8, WarmupBiasLR: 0.1,
		Box: 0.05, Cls: 0.5, ClsPW: 1, Obj: 1, ObjPW: 1, IoUT: 0.2, AnchorT: 4,
		HSVH: 0.015, HSVS: 0.7, HSVV: 0.4, Translate: 0.1, Scale: 0.5, FlipLR: 0.5, Mosaic: 1,
	}
}

//go:embed hyps
var hyps embed.FS

// OpenHyp reads a file as ReadHyp does; errors name it. YOLOv5's own sets go by the names
// scratch-low, scratch-med and scratch-high.
func OpenHyp(path string) (Hyp, error) {
	if f, err := hyps.Open("hyps/" + path + ".yaml"); err == nil {
		defer f.Close()
		return ReadHyp(f)
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Hyp{}, fmt.Errorf("%s: there is no such file; YOLOv5's own sets are scratch-low, scratch-med and scratch-high", path)
	}
	if err != nil {
		return Hyp{}, err
	}
	defer f.Close()
	h, err := ReadHyp(f)
	if err != nil {
		return Hyp{}, fmt.Errorf("%s: %w", path, err)
	}
	return h, nil
}

// maxHyp bounds a file of hyperparameters; YOLOv5's have 1.6 kB.
const maxHyp = 1 << 14

// ReadHyp reads hyperparameters as YAML, a number a key. What it does not name keeps
// DefaultHyp's value. The error names the line and the key: unknown, given twice, not a
// number, or out of range.
func ReadHyp(r io.Reader) (h Hyp, err error) {
	defer func() { // a hostile file must not take the program down through a library
		if p := recover(); p != nil {
			h, err = Hyp{}, fmt.Errorf("hyperparameters: not readable as YAML: %v", p)
		}
	}()
	text, err := io.ReadAll(io.LimitReader(r, maxHyp+1))
	if err != nil {
		return Hyp{}, err
	}
	if len(text) > maxHyp {
		return Hyp{}, fmt.Errorf("hyperparameters: more than %d bytes", maxHyp)
	}
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return Hyp{}, hypError(err)
	}
	h = DefaultHyp()
	if len(file.Docs) > 1 {
		return Hyp{}, fmt.Errorf("hyperparameters: %d YAML documents in one file, want one", len(file.Docs))
	}
	for _, doc := range file.Docs {
		if err := h.set(doc.Body); err != nil {
			return Hyp{}, err
		}
	}
	return h, h.check()
}

// hypError puts the library's error, with its excerpt of the file, into one line.
func hypError(err error) error {
	var at yaml.Error
	if !errors.As(err, &at) || at.GetToken() == nil {
		return fmt.Errorf("hyperparameters: not readable as YAML: %q", err)
	}
	return fmt.Errorf("hyperparameters, line %d: %q", at.GetToken().Position.Line, at.GetMessage())
}

// set takes over what a document says.
func (h *Hyp) set(doc ast.Node) error {
	var pairs []*ast.MappingValueNode
	switch doc := doc.(type) {
	case nil, *ast.NullNode, *ast.CommentGroupNode:
	case *ast.MappingNode:
		pairs = doc.Values
	case *ast.MappingValueNode:
		pairs = append(pairs, doc)
	default:
		return fmt.Errorf("hyperparameters, line %d: a %s, want lines such as lr0: 0.01", doc.GetToken().Position.Line, doc.Type())
	}
	seen := map[string]bool{}
	for _, p := range pairs {
		key, line := p.Key.GetToken().Value, p.Key.GetToken().Position.Line
		fields := h.fields()
		i := slices.IndexFunc(fields, func(f hypField) bool { return f.name == key })
		if i < 0 {
			return fmt.Errorf("hyperparameters, line %d: %q is unknown", line, key)
		}
		if seen[key] {
			return fmt.Errorf("hyperparameters, line %d: %s is given twice", line, key)
		}
		seen[key] = true
		switch v := p.Value.(type) {
		case *ast.IntegerNode, *ast.FloatNode, *ast.StringNode: // 1e-3 is a string to YAML
			x, err := strconv.ParseFloat(v.GetToken().Value, 64)
			if err != nil {
				return fmt.Errorf("hyperparameters, line %d: %s is %q, want a number", line, key, v.GetToken().Value)
			}
			*fields[i].at = x
		default:
			return fmt.Errorf("hyperparameters, line %d: %s is %q, want a number", line, key, p.Value.String())
		}
		if err := fields[i].check(); err != nil {
			return fmt.Errorf("hyperparameters, line %d: %w", line, err)
		}
	}
	return nil
}

// A hypField is one hyperparameter and what it may be.
type hypField struct {
	name      string // YOLOv5's
	at        *float64
	low, high float64
}

func (f hypField) check() error {
	v := *f.at
	if !(v >= f.low && v <= f.high) { // NaN neither
		return fmt.Errorf("%s is %v, want %v to %v", f.name, v, f.low, f.high)
	}
	return nil
}

// fields lists all of them, in the order of YOLOv5's files where they have them.
func (h *Hyp) fields() []hypField {
	const gain = 1e6
	return []hypField{
		{"lr0", &h.LR0, 0, 10},
		{"lrf", &h.LRF, 0, 10},
		{"momentum", &h.Momentum, 0, 0.9999},
		{"weight_decay", &h.WeightDecay, 0, 1},
		{"nbs", &h.NBS, 1, 65536},
		{"warmup_epochs", &h.WarmupEpochs, 0, 1000},
		{"warmup_momentum", &h.WarmupMomentum, 0, 0.9999},
		{"warmup_bias_lr", &h.WarmupBiasLR, 0, 10},
		{"box", &h.Box, 0, gain},
		{"cls", &h.Cls, 0, gain},
		{"cls_pw", &h.ClsPW, 0, gain},
		{"obj", &h.Obj, 0, gain},
		{"obj_pw", &h.ObjPW, 0, gain},
		{"iou_t", &h.IoUT, 0, 1},
		{"anchor_t", &h.AnchorT, 1, 1000},
		{"fl_gamma", &h.FocalGamma, 0, 10},
		{"label_smoothing", &h.LabelSmoothing, 0, 1},
		{"hsv_h", &h.HSVH, 0, 1},
		{"hsv_s", &h.HSVS, 0, 1},
		{"hsv_v", &h.HSVV, 0, 1},
		{"degrees", &h.Degrees, 0, 180},
		{"translate", &h.Translate, 0, 1},
		{"scale", &h.Scale, 0, 1},
		{"shear", &h.Shear, 0, 89},
		{"perspective", &h.Perspective, 0, 0.001},
		{"flipud", &h.FlipUD, 0, 1},
		{"fliplr", &h.FlipLR, 0, 1},
		{"mosaic", &h.Mosaic, 0, 1},
		{"mosaic9", &h.Mosaic9, 0, 1},
		{"mixup", &h.Mixup, 0, 1},
		{"copy_paste", &h.CopyPaste, 0, 1},
	}
}

// check refuses values that make no sense.
func (h Hyp) check() error {
	for _, f := range h.fields() {
		if err := f.check(); err != nil {
			return fmt.Errorf("hyperparameters: %w", err)
		}
	}
	return nil
}

// String gives the hyperparameters as YAML, which ReadHyp takes back exactly.
func (h Hyp) String() string {
	var b strings.Builder
	for _, f := range h.fields() {
		fmt.Fprintf(&b, "%s: %s\n", f.name, strconv.FormatFloat(*f.at, 'f', -1, 64))
	}
	return b.String()
}

// Loss scales the gains to a head and an input size as YOLOv5 does: the settings hold for
// three levels, 80 classes and 640 pixels.
func (h Hyp) Loss(d *graph.Detect, size int) LossHyp {
	levels := 3 / float64(len(d.Anchors))
	side := float64(size) / 640
	return LossHyp{
		Box: h.Box * levels, Cls: h.Cls * levels * float64(d.Classes) / 80, Obj: h.Obj * levels * side * side,
		ObjPW: h.ObjPW, ClsPW: h.ClsPW, AnchorT: h.AnchorT,
		FocalGamma: h.FocalGamma, LabelSmoothing: h.LabelSmoothing,
	}
}

// Augment returns the part that varies training pictures.
func (h Hyp) Augment() dataset.Augment {
	return dataset.Augment{
		Mosaic: h.Mosaic, Mosaic9: h.Mosaic9, Mixup: h.Mixup, CopyPaste: h.CopyPaste,
		FlipLR: h.FlipLR, FlipUD: h.FlipUD, HSVh: h.HSVH, HSVs: h.HSVS, HSVv: h.HSVV,
		Scale: h.Scale, Translate: h.Translate, Degrees: h.Degrees, Shear: h.Shear, Perspective: h.Perspective,
	}
}

// accumulation is the number of batches before each update, after warm-up.
func (h Hyp) accumulation(batch int) int {
	return max(int(math.RoundToEven(h.NBS/float64(batch))), 1)
}
