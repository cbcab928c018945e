package compress

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A Target says how small or fast the result has to be.
type Target struct {
	Kind  Kind
	Value float64 // in Kind's unit, or a share of the parent's where Share is set
	Share bool
}

// A Kind is what a Target counts.
type Kind string

const (
	Params  Kind = "params"  // parameters
	Flops   Kind = "flops"   // GFLOP at the input's size
	Size    Kind = "size"    // MB of the ONNX file in fp32
	Latency Kind = "latency" // ms of the network on this machine
)

// units are what a value may end in, and what that multiplies it by.
var units = map[Kind]map[string]float64{
	Params:  {"": 1, "k": 1e3, "M": 1e6},
	Flops:   {"G": 1, "M": 1e-3, "": 1},
	Size:    {"MB": 1, "kB": 1e-3, "": 1},
	Latency: {"ms": 1, "": 1},
}

// TargetHelp says how a target is written.
const TargetHelp = "latency=5ms, speedup=4, params=300k, size=1.3MB, flops=1.2G, or a share of the parent's such as params=20%"

// ParseTarget reads a target as TargetHelp says.
func ParseTarget(s string) (Target, error) {
	bad := fmt.Errorf("target %q: want %s", s, TargetHelp)
	kind, text, ok := strings.Cut(s, "=")
	if !ok {
		return Target{}, bad
	}
	if kind == "speedup" {
		v, err := strconv.ParseFloat(strings.TrimSuffix(text, "x"), 64)
		if err != nil || !(v > 1 && v <= 1e4) {
			return Target{}, fmt.Errorf("target %q: want a speedup above 1, such as speedup=4", s)
		}
		return Target{Latency, 1 / v, true}, nil
	}
	unit := strings.TrimLeft(text, "0123456789.")
	t := Target{Kind: Kind(kind)}
	v, err := strconv.ParseFloat(strings.TrimSuffix(text, unit), 64)
	factor, known := units[t.Kind][unit]
	if unit == "%" && units[t.Kind] != nil {
		factor, known, t.Share = 0.01, true, true
	}
	if err != nil || !known || !(v > 0) || math.IsInf(v, 0) {
		return Target{}, bad
	}
	if t.Value = v * factor; t.Share && t.Value >= 1 {
		return Target{}, fmt.Errorf("target %q: want a share below 100%%", s)
	}
	return t, nil
}

// of is what the target counts of a model.
func (t Target) of(m Cost) float64 {
	switch t.Kind {
	case Params:
		return float64(m.Parameters)
	case Flops:
		return m.GFLOP
	case Size:
		return float64(m.Bytes) / 1e6
	}
	return m.Milliseconds
}

// goal is how much of it the result may have.
func (t Target) goal(parent Cost) float64 {
	if t.Share {
		return t.Value * t.of(parent)
	}
	return t.Value
}

// say is a number of what the target counts, for people.
func (t Target) say(v float64) string {
	switch t.Kind {
	case Params:
		return fmt.Sprintf("%.0f parameters", v)
	case Flops:
		return fmt.Sprintf("%.2f GFLOP", v)
	case Size:
		return fmt.Sprintf("%.2f MB", v)
	}
	return fmt.Sprintf("%.2f ms", v)
}
