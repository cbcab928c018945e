package quant

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"

	"ultrafast/graph"
)

// Ranges is what calibration has measured, for the network that it has measured. Written down
// it is JSON with a line for each value, of which a person may edit Low and High.
type Ranges struct {
	Model    string  // Fingerprint of the float network, its batch norms folded
	Method   Method  // that gave Low and High
	Pictures int     // that were measured
	Values   []Range // in order of execution
}

// A Range is that of one node's values.
type Range struct {
	Name string  `json:"name"`
	Min  float64 `json:"min"` // that was seen
	Max  float64 `json:"max"`
	Low  float64 `json:"low"` // what the 8 bits cover, Low <= 0 <= High
	High float64 `json:"high"`
}

// Values that differ by less than deadSpread say nothing of what 8 bits should cover; those of
// networks that nobody has trained differ by 1e-9. deadWidth is what 8 bits then cover of what is
// above 0: a scale far below those of other values, so that it spoils none that it shares one
// with, and large enough for a bias of 80 to be an int32 in products with weights of a scale of
// 0.001.
const (
	deadSpread = 1e-20
	deadWidth  = 0.01
)

// Dead reports whether the pictures say nothing of the value: it was the same everywhere, as
// behind a ReLU that lets nothing through, or as good as that.
func (v Range) Dead() bool { return v.Max-v.Min < deadSpread }

// Of reports whether r was measured with g.
func (r *Ranges) Of(g *graph.Graph) (bool, error) {
	net, err := prepare(g, nil)
	if err != nil {
		return false, err
	}
	return r.Model == net.Fingerprint(), nil
}

const rangesVersion = "ranges 1"

// Limits of a file; YOLOv5x has 200 values in 30 kB.
const (
	maxRanges     = 100_000
	maxRangesFile = 32 << 20
)

// rangesHead is the file.
type rangesHead struct {
	Version  string  `json:"ultrafast"`
	Model    string  `json:"model"`
	Method   Method  `json:"method"`
	Pictures int     `json:"pictures"`
	Values   []Range `json:"values"`
}

// Write writes the file.
func (r *Ranges) Write(w io.Writer) error {
	if err := r.check(); err != nil {
		return err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "{\n \"ultrafast\": %q,\n \"model\": %q,\n \"method\": %q,\n \"pictures\": %d,\n \"values\": [\n", rangesVersion, r.Model, r.Method, r.Pictures)
	for i, v := range r.Values {
		line, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("ranges: %s: %w", v.Name, err)
		}
		end := ",\n"
		if i == len(r.Values)-1 {
			end = "\n"
		}
		b.WriteString("  " + string(line) + end)
	}
	b.WriteString(" ]\n}\n")
	_, err := w.Write(b.Bytes())
	return err
}

// lineOf is " line N", of an error of encoding/json that says where it is.
func lineOf(text []byte, err error) string {
	at := int64(len(text))
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		at = syntax.Offset - 1 // of the byte that is wrong
	} else if kind, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		at = kind.Offset - 1
	} else if !errors.Is(err, io.ErrUnexpectedEOF) {
		return ""
	}
	return fmt.Sprintf(" line %d", 1+bytes.Count(text[:min(max(at, 0), int64(len(text)))], []byte("\n")))
}

// ReadRanges reads what Write has written. Errors say what is wrong with the file, and where it
// is no JSON, or a value of another kind, in which line.
func ReadRanges(r io.Reader) (*Ranges, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxRangesFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxRangesFile {
		return nil, fmt.Errorf("ranges: a file above %d MB", maxRangesFile>>20)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	var head rangesHead
	if err := d.Decode(&head); err != nil {
		return nil, fmt.Errorf("ranges%s: not a file of ranges: %w", lineOf(text, err), err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("ranges: the file goes on behind its last brace")
	}
	if head.Version != rangesVersion {
		return nil, fmt.Errorf("ranges: it is %.40q, this program reads %q", head.Version, rangesVersion)
	}
	all := &Ranges{head.Model, head.Method, head.Pictures, head.Values}
	return all, all.check()
}

// check is what Write and ReadRanges ask of the numbers.
func (r *Ranges) check() error {
	if err := r.Method.Check(); err != nil {
		return err
	}
	if fp, err := hex.DecodeString(r.Model); err != nil || len(fp) != 16 {
		return fmt.Errorf("ranges: model %.40q is no fingerprint", r.Model)
	}
	if r.Pictures < 1 || len(r.Values) < 1 || len(r.Values) > maxRanges {
		return fmt.Errorf("ranges: %d values of %d pictures, want 1 to %d of one or more", len(r.Values), r.Pictures, maxRanges)
	}
	seen := make(map[string]bool, len(r.Values))
	for _, v := range r.Values {
		if v.Name == "" || seen[v.Name] {
			return fmt.Errorf("ranges: the value %.200q comes twice or has no name", v.Name)
		}
		seen[v.Name] = true
		if !(v.Min <= v.Max && finite(v.Min) && finite(v.Max)) {
			return fmt.Errorf("ranges: %.200q was seen from %g to %g", v.Name, v.Min, v.Max)
		}
		if !(v.Low <= 0 && v.High >= 0 && v.Low < v.High && finite(v.Low) && finite(v.High)) {
			return fmt.Errorf("ranges: %.200q has the range %g to %g, want one that includes 0", v.Name, v.Low, v.High)
		}
	}
	return nil
}

func finite(v float64) bool { return math.Abs(v) <= math.MaxFloat32 }
