package graph

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"ultrafast/tensor"
)

// String gives the text form: a header, one line a node, the outputs. See Parse.
func (g *Graph) String() string {
	var b strings.Builder
	b.WriteString("ultrafast graph 1\n")
	if len(g.Names) > 0 {
		names, err := json.Marshal(g.Names)
		if err != nil {
			panic("BUG: strings that do not marshal: " + err.Error())
		}
		fmt.Fprintf(&b, "names %s\n", names)
	}
	for _, k := range g.Blocks {
		fmt.Fprintf(&b, "block %s %s\n", k.Name, k.Kind)
	}
	for _, n := range g.Nodes {
		b.WriteString(n.Name + " = " + n.Op.Word())
		for _, in := range n.In {
			b.WriteString(" " + in.Name)
		}
		for _, a := range n.Op.attrs() {
			b.WriteString(" " + a)
		}
		b.WriteByte('\n')
	}
	b.WriteString("output")
	for _, o := range g.Outputs {
		b.WriteString(" " + o.Name)
	}
	b.WriteByte('\n')
	return b.String()
}

func number[T int | float32 | float64](v T) string {
	switch v := any(v).(type) {
	case float32:
		return strconv.FormatFloat(float64(v), 'g', -1, 32)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return fmt.Sprint(v)
}

func numbers[T int | float32 | float64](v []T) string {
	s := make([]string, len(v))
	for i, x := range v {
		s[i] = number(x)
	}
	return strings.Join(s, ",")
}

// pair appends "key=v" or "key=v,w", and nothing for the default.
func pair(to []string, key string, v [2]int, usual int) []string {
	switch {
	case v == [2]int{usual, usual}:
		return to
	case v[0] == v[1]:
		return append(to, key+"="+number(v[0]))
	}
	return append(to, key+"="+numbers(v[:]))
}

func (o *Input) attrs() []string { return []string{"shape=" + numbers(o.Shape[:])} }

func (o *Conv) attrs() []string {
	a := weights(o.Weight, o.Bias)
	if o.WeightScale != nil {
		a[0] = strings.Replace(a[0], "f32", "i8", 1)
	}
	a = pair(a, "stride", o.Stride, 1)
	a = pair(a, "pad", o.Pad, 0)
	a = pair(a, "dilation", o.Dilation, 1)
	return groups(a, o.Groups)
}

func (o *ConvTranspose) attrs() []string {
	a := weights(o.Weight, o.Bias)
	a = pair(a, "stride", o.Stride, 1)
	a = pair(a, "pad", o.Pad, 0)
	a = pair(a, "outpad", o.OutPad, 0)
	a = pair(a, "dilation", o.Dilation, 1)
	return groups(a, o.Groups)
}

func weights(weight, bias *tensor.Tensor) []string {
	if bias == nil {
		return []string{"w=" + weight.String()}
	}
	return []string{"w=" + weight.String(), "bias"}
}

func groups(to []string, n int) []string {
	if n == 1 {
		return to
	}
	return append(to, "groups="+number(n))
}

func (o *BatchNorm) attrs() []string {
	return []string{"c=" + number(o.Gamma.Shape[0]), "eps=" + number(o.Eps), "momentum=" + number(o.Momentum)}
}

func (o *Activation) attrs() []string {
	if o.Kind == LeakyReLU {
		return []string{"slope=" + number(o.Slope)}
	}
	return nil
}

func (*Add) attrs() []string    { return nil }
func (*Concat) attrs() []string { return nil }

func (o *MaxPool) attrs() []string {
	return []string{"kernel=" + number(o.Kernel), "stride=" + number(o.Stride), "pad=" + number(o.Pad)}
}

func (o *Upsample) attrs() []string { return []string{"scale=" + number(o.Scale)} }

func (o *Slice) attrs() []string {
	return []string{"axis=" + number(o.Axis), "start=" + number(o.Start), "end=" + number(o.End), "step=" + number(o.Step)}
}

// attrs separates levels by semicolons: anchors=10,13,16,30;30,61,62,45.
func (o *Detect) attrs() []string {
	levels := make([]string, len(o.Anchors))
	for i, level := range o.Anchors {
		var flat []float32
		for _, a := range level {
			flat = append(flat, a[0], a[1])
		}
		levels[i] = numbers(flat)
	}
	return []string{"classes=" + number(o.Classes), "strides=" + numbers(o.Strides), "anchors=" + strings.Join(levels, ";")}
}
