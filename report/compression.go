package report

import (
	"encoding/json"
	"math"

	"ultrafast/box"
)

// CompressionVersion is what report.json says it is; it grows when a field changes its
// meaning, not when one is added.
const CompressionVersion = 1

// A Compression is what one compression did and found. As JSON it is report.json, whose
// contract the comments of these types are: average precision, precision, recall and
// confidence are 0..1, times are medians in milliseconds unless they say seconds, sizes are
// bytes. A number that is not known is null or, where it cannot be 0 - a time, a count of
// parameters or FLOP, the size of a file -, 0. Lists keep their order on the page. What is left
// empty is left out there, with the reason that Missing gives.
type Compression struct {
	Version int     `json:"version"` // CompressionVersion, set when it is written
	Title   string  `json:"title"`   // "faces and masks"
	Verdict string  `json:"verdict"` // what it came to, in a sentence; empty means Outcome's
	Created string  `json:"created"` // RFC 3339
	Machine Machine `json:"machine"`
	Data    Data    `json:"data"`
	Input   Input   `json:"input"`
	Target  Target  `json:"target"`
	Models  []Model `json:"models"` // the parent, the child, then its controls

	Precisions []Variant `json:"precisions"` // the parent, and the result in each precision
	Int8       *Int8     `json:"int8"`       // how the result came into 8 bits; null where it did not

	Rounds   []Round           `json:"rounds"`
	Plan     []PlanRow         `json:"plan"` // parent to child, in network order
	Layers   LayerTimes        `json:"layers"`
	Curves   []LearningCurve   `json:"curves"`
	Pictures []Example         `json:"pictures"` // the page shows the first twelve
	Commands []string          `json:"commands"` // that make it again, in order
	Notes    []string          `json:"notes"`    // what a reader has to know: "the control was better and is what is handed out"
	Missing  map[string]string `json:"missing"`  // why a part is not there, by the name of the part
}

// Parts of the page that may be missing.
const (
	PartTimes      = "times"    // milliseconds of whole networks
	PartRuntime    = "runtime"  // of another runtime, which is to be compared with
	PartAccuracy   = "accuracy" // also by class and by size, and the curves
	PartControls   = "controls"
	PartPrecisions = "precisions"
	PartRounds     = "rounds"
	PartPlan       = "plan"
	PartLayers     = "layers"
	PartCurves     = "curves"
	PartPictures   = "pictures"
	PartCommands   = "commands"
)

// A Target is what was asked for, and whether it came to that.
type Target struct {
	Limits  string  `json:"limits"`   // "speedup=20x,params=0.33M"; empty is not known
	MaxDrop float64 `json:"max_drop"` // points of mAP50-95 that it might cost
	Reached bool    `json:"reached"`  // the limits are kept; measured milliseconds may be 5 % above
	Within  bool    `json:"within"`   // it cost no more
}

// A Machine is where it was done.
type Machine struct {
	Processor string            `json:"processor"`
	Cores     int               `json:"cores"`    // that the program may use
	System    string            `json:"system"`   // "linux/amd64"
	Versions  map[string]string `json:"versions"` // of what took part: "ultrafast", "libtorch", "ONNX Runtime"
}

// Data is the data set.
type Data struct {
	File    string   `json:"file"` // as given to --data
	Train   int      `json:"train"`
	Val     int      `json:"val"`
	Classes []string `json:"classes"` // names by number
}

// Input is the size of the network's input, in pixels: where it is to run, which times are for.
type Input struct {
	Width     int `json:"width"`
	Height    int `json:"height"`
	Validated int `json:"validated"` // side of the squares that accuracy was measured on; 0 is not known
}

// Roles of a Model.
const (
	Parent  = "parent"
	Child   = "child"
	Control = "control" // trained as long as the child, to tell what the cutting was worth
)

// A Model is one network that was measured.
type Model struct {
	Name       string    `json:"name"` // "thin YOLOv5 of the same latency"
	Role       string    `json:"role"`
	HandedOut  bool      `json:"handed_out"` // it is the result: the child, or the control that was better
	File       string    `json:"file"`
	Bytes      int64     `json:"bytes"` // of the file
	Parameters int       `json:"parameters"`
	GFLOP      Number    `json:"gflop"` // at Input
	Times      []Time    `json:"times"`
	Accuracy   *Accuracy `json:"accuracy"` // nil where it was not validated
}

// A Variant is a network in one precision.
type Variant struct {
	Name      string    `json:"name"`      // "the child"
	Precision string    `json:"precision"` // "fp32", "bf16", "int8"
	File      string    `json:"file"`
	Bytes     int64     `json:"bytes"`    // of the file
	Accuracy  *Accuracy `json:"accuracy"` // nil where it was not measured
	Times     []Time    `json:"times"`
	Missing   string    `json:"missing"` // why something of it was not measured
}

// Int8 is how a network came into 8 bits. Calibrated, Trained and Child are mAP50-95: with the
// ranges that were measured, after a training in 8 bits, and in fp32.
type Int8 struct {
	Pictures   int      `json:"pictures"` // that ranges were measured on
	Method     string   `json:"method"`   // how ranges follow from values
	Child      Number   `json:"child"`
	Calibrated Number   `json:"calibrated"`
	Trained    Number   `json:"trained"` // null where it was not
	Epochs     int      `json:"epochs"`  // of that training
	Why        string   `json:"why"`     // there was none
	Float      []string `json:"float"`   // layers that multiply in float
}

// What Time.Runtime calls this program's engine and its peer.
const (
	Native      = "native"
	ONNXRuntime = "ONNX Runtime"
)

// A Time is how long a picture takes the network, from its input to the raw maps. Models
// are compared by their times of the same runtime, threads and precision; the first that
// parent and result share is the one in large print.
type Time struct {
	Runtime      string `json:"runtime"` // Native, ONNXRuntime, or what measured it elsewhere
	Threads      int    `json:"threads"`
	Precision    string `json:"precision"` // "fp32", "bf16", "int8"
	Milliseconds Number `json:"milliseconds"`
	Q1           Number `json:"q1"` // the quartiles
	Q3           Number `json:"q3"`
}

// Accuracy is what a validation found.
type Accuracy struct {
	Pictures   int             `json:"pictures"`
	Labels     int             `json:"labels"`
	Precision  Number          `json:"precision"` // at IoU .5 and Confidence
	Recall     Number          `json:"recall"`
	Confidence Number          `json:"confidence"`
	MAP50      Number          `json:"map50"`
	MAP5095    Number          `json:"map50_95"`
	Classes    []ClassAccuracy `json:"classes"` // that have labels
	Sizes      []SizeAccuracy  `json:"sizes"`
	PR         []Number        `json:"pr"` // mean precision of the classes at IoU .5, at evenly spaced recalls from 0 to 1
}

// A ClassAccuracy is one class.
type ClassAccuracy struct {
	Class     int    `json:"class"`
	Name      string `json:"name"`
	Labels    int    `json:"labels"`
	Precision Number `json:"precision"`
	Recall    Number `json:"recall"`
	AP50      Number `json:"ap50"`
	AP5095    Number `json:"ap50_95"`
}

// A SizeAccuracy is the boxes of one size, as COCO has them.
type SizeAccuracy struct {
	Size    string `json:"size"` // "small", "medium" or "large"
	Labels  int    `json:"labels"`
	MAP50   Number `json:"map50"`
	MAP5095 Number `json:"map50_95"`
}

// A Round is one step of the way from parent to child.
type Round struct {
	Name          string `json:"name"` // "trim", "round 3"
	Done          string `json:"done"` // "30 % of the milliseconds cut, 12 epochs"
	Parameters    int    `json:"parameters"`
	GFLOP         Number `json:"gflop"`
	Milliseconds  Number `json:"milliseconds"` // measured, as the first of the parent's Times; null where they were not
	Predicted     Number `json:"predicted"`    // milliseconds that the plan had expected
	Before        Number `json:"before"`       // mAP50-95
	AfterCut      Number `json:"after_cut"`
	AfterTraining Number `json:"after_training"`
	Epochs        int    `json:"epochs"`
	RolledBack    bool   `json:"rolled_back"` // it cost too much, and the network before it was taken
	Why           string `json:"why"`         // it was kept or rolled back
	Seconds       Number `json:"seconds"`
}

// A PlanRow is one group of channels, or one level or block as a whole.
type PlanRow struct {
	Group string `json:"group"` // its first convolution
	From  int    `json:"from"`  // channels of the parent
	To    int    `json:"to"`    // of the child; 0 where it is gone
	Saved Number `json:"saved"` // milliseconds, by the latency table; of all rounds, as the next
	Cost  Number `json:"cost"`  // mAP50-95 that this cut alone was measured to lose, by the rounds' tables
}

// LayerTimes is how long each layer takes, in parent and child.
type LayerTimes struct {
	Runtime   string      `json:"runtime"`
	Threads   int         `json:"threads"`
	Precision string      `json:"precision"` // "fp32", "bf16", "int8"
	Rows      []LayerTime `json:"rows"`      // in network order
}

// A LayerTime is one step of the engine.
type LayerTime struct {
	Name         string `json:"name"`
	ParentKernel string `json:"parent_kernel"`
	ChildKernel  string `json:"child_kernel"`
	Parent       Number `json:"parent"` // milliseconds; null where the network has no such layer
	Child        Number `json:"child"`
}

// A LearningCurve is a training, one value an epoch.
type LearningCurve struct {
	Name    string   `json:"name"` // that of a Model where it is its training: then both look alike
	MAP50   []Number `json:"map50"`
	MAP5095 []Number `json:"map50_95"`
}

// An Example is a picture of the validation and what was found in it. The page shows its
// pixels where File can be read.
type Example struct {
	File   string       `json:"file"`
	Labels []ExampleBox `json:"labels"`
	Parent []ExampleBox `json:"parent"`
	Child  []ExampleBox `json:"child"` // of the model that is handed out
}

// An ExampleBox is one box, in pixels of the picture.
type ExampleBox struct {
	Class int    `json:"class"`
	Conf  Number `json:"conf"` // 0 for a label
	X1    Number `json:"x1"`
	Y1    Number `json:"y1"`
	X2    Number `json:"x2"`
	Y2    Number `json:"y2"`
}

// A Number may be unknown: what is not Known, as NaN, is null in JSON.
type Number float64

// Unknown is a Number that is not known.
func Unknown() Number { return Number(math.NaN()) }

// Known tells whether n is a number that can have been measured: below 1e15 either way.
func (n Number) Known() bool { return math.Abs(float64(n)) < 1e15 }

// MarshalJSON implements json.Marshaler.
func (n Number) MarshalJSON() ([]byte, error) {
	if !n.Known() {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

// UnmarshalJSON implements json.Unmarshaler.
func (n *Number) UnmarshalJSON(data []byte) error {
	v := math.NaN()
	if string(data) != "null" {
		if err := json.Unmarshal(data, &v); err != nil {
			return err
		}
	}
	*n = Number(v)
	return nil
}

// prPoints is how many points of a curve of precision over recall are kept.
const prPoints = 101

// AccuracyOf is a validation's result, of classes with these names.
func AccuracyOf(names []string, r box.Report) *Accuracy {
	a := &Accuracy{Pictures: r.Pictures, Labels: r.Labels, Precision: Number(r.Precision), Recall: Number(r.Recall),
		Confidence: Number(r.Confidence), MAP50: Number(r.MAP50), MAP5095: Number(r.MAP5095)}
	if len(r.Classes) > 0 && len(r.Classes[0].Curves.PR) > 0 {
		a.PR = make([]Number, prPoints)
	}
	for _, c := range r.Classes {
		a.Classes = append(a.Classes, ClassAccuracy{c.Class, className(names, c.Class), c.Labels, Number(c.Precision), Number(c.Recall), Number(c.AP50), Number(c.AP5095)})
		for i := range a.PR {
			at := float64(i) / (prPoints - 1) * float64(len(c.Curves.PR)-1)
			a.PR[i] += Number(c.Curves.PR[int(math.Round(at))] / float64(len(r.Classes)))
		}
	}
	for i, name := range []string{box.Small: "small", box.Medium: "medium", box.Large: "large"} {
		s := SizeAccuracy{name, r.Sizes[i].Labels, Number(r.Sizes[i].MAP50), Number(r.Sizes[i].MAP5095)}
		if s.Labels == 0 {
			s.MAP50, s.MAP5095 = Unknown(), Unknown()
		}
		a.Sizes = append(a.Sizes, s)
	}
	return a
}

// ExampleBoxes are boxes as an Example has them.
func ExampleBoxes(boxes []box.Box) []ExampleBox {
	e := make([]ExampleBox, len(boxes))
	for i, b := range boxes {
		e[i] = ExampleBox{b.Class, Number(b.Conf), Number(b.X1), Number(b.Y1), Number(b.X2), Number(b.Y2)}
	}
	return e
}
