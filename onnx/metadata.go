package onnx

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"ultrafast/graph"
)

// metadata lists the model's properties. stride and names are as YOLOv5 writes them, the
// names therefore as Python prints a dictionary: {0: 'face', 1: 'mask'}.
func metadata(g *graph.Graph, o WriteOptions) []property {
	all := []property{{"author", "ultrafast"}}
	if o.Version != "" {
		all = append(all, property{"version", o.Version})
	}
	all = append(all, property{"batch", fmt.Sprint(o.Batch)}, property{"imgsz", fmt.Sprintf("[%d, %d]", o.Height, o.Width)})
	if len(g.Names) > 0 {
		all = append(all, property{"names", formatNames(g.Names)})
	}
	if len(g.Blocks) > 0 {
		words := make([]string, len(g.Blocks))
		for i, b := range g.Blocks {
			words[i] = b.Name + " " + b.Kind
		}
		all = append(all, property{"blocks", strings.Join(words, ", ")})
	}
	if n := g.Detect(); n != nil {
		d := n.Op.(*graph.Detect)
		flat := make([][]float32, len(d.Anchors))
		for i, level := range d.Anchors {
			for _, a := range level {
				flat[i] = append(flat[i], a[0], a[1])
			}
		}
		anchors, err := json.Marshal(flat)
		if err != nil { // not a number; Verify does not look at the values
			anchors = []byte("[]")
		}
		strides := strings.Join(strings.Fields(fmt.Sprint(d.Strides)), ", ")
		all = append(all, property{"task", "detect"}, property{"stride", fmt.Sprint(slices.Max(d.Strides))},
			property{"strides", strides}, property{"anchors", string(anchors)}, property{"classes", fmt.Sprint(d.Classes)})
	}
	return all
}

// property returns the value of a metadata key, "" if there is none.
func (m *model) property(key string) string {
	for _, p := range m.meta {
		if p.key == key {
			return p.value
		}
	}
	return ""
}

// describe fills in what the metadata says about names and blocks.
func (m *model) describe(g *graph.Graph) {
	g.Names = parseNames(m.property("names"))
	for _, pair := range strings.Split(m.property("blocks"), ", ") {
		if name, kind, ok := strings.Cut(pair, " "); ok && printable(name) == name && printable(kind) == kind {
			g.Blocks = append(g.Blocks, graph.Block{Name: name, Kind: kind})
		}
	}
}

// usualSize returns the batch, height and width that the metadata records, else 1x640x640,
// YOLOv5's own.
func (m *model) usualSize() (batch, height, width int) {
	var size []int
	if json.Unmarshal([]byte(m.property("imgsz")), &size) != nil || len(size) != 2 || slices.Min(size) < 1 || slices.Max(size) > maxSide {
		size = []int{640, 640}
	}
	batch, err := strconv.Atoi(m.property("batch"))
	if err != nil || batch < 1 || batch > maxSide {
		batch = 1
	}
	return batch, size[0], size[1]
}

// detection returns the Detect op that the metadata describes, nil if it does not.
func (m *model) detection() *graph.Detect {
	var flat [][]float32
	d := &graph.Detect{}
	if json.Unmarshal([]byte(m.property("anchors")), &flat) != nil || json.Unmarshal([]byte(m.property("strides")), &d.Strides) != nil ||
		len(flat) == 0 || len(flat) != len(d.Strides) {
		return nil
	}
	for _, level := range flat {
		if len(level) == 0 || len(level)%2 != 0 {
			return nil
		}
		var pairs [][2]float32
		for i := 0; i < len(level); i += 2 {
			pairs = append(pairs, [2]float32{level[i], level[i+1]})
		}
		d.Anchors = append(d.Anchors, pairs)
	}
	var err error
	if d.Classes, err = strconv.Atoi(m.property("classes")); err != nil {
		return nil
	}
	return d
}

// formatNames prints names as Python would print the dictionary of them.
func formatNames(names []string) string {
	var b strings.Builder
	for i, name := range names {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%d: ", i)
		quote := `'`
		if strings.Contains(name, `'`) && !strings.Contains(name, `"`) {
			quote = `"`
		}
		b.WriteString(quote)
		for _, r := range name {
			switch {
			case r == '\\' || string(r) == quote:
				b.WriteString(`\` + string(r))
			case r == '\n':
				b.WriteString(`\n`)
			case r == '\r':
				b.WriteString(`\r`)
			case r == '\t':
				b.WriteString(`\t`)
			case r < ' ' || r == 0x7f:
				fmt.Fprintf(&b, `\x%02x`, r)
			default:
				b.WriteRune(r)
			}
		}
		b.WriteString(quote)
	}
	return "{" + b.String() + "}"
}

// maxClasses bounds the list of names; no data set comes near it.
const maxClasses = 1 << 16

// parseNames reads a Python dictionary of numbers to strings, or a list of strings, as
// YOLOv5's exports have it. Anything else gives no names.
func parseNames(s string) []string {
	p := literal{strings.TrimSpace(s)}
	dict := p.skip("{")
	if !dict && !p.skip("[") {
		return nil
	}
	byClass := map[int]string{}
	for i := 0; !p.skip("}") && !p.skip("]"); i++ {
		key := i
		if dict {
			digits := len(p.s) - len(strings.TrimLeft(p.s, "0123456789"))
			k, err := strconv.Atoi(p.s[:digits])
			p.s = p.s[digits:]
			if err != nil || !p.skip(":") {
				return nil
			}
			key = k
		}
		name, ok := p.text()
		if !ok || i >= maxClasses {
			return nil
		}
		byClass[key] = name
		p.skip(",")
	}
	names := make([]string, len(byClass))
	for i := range names {
		name, ok := byClass[i]
		if !ok {
			return nil // a class in between is missing
		}
		names[i] = name
	}
	return names
}

// A literal is what is left of a Python literal.
type literal struct{ s string }

func (p *literal) skip(token string) bool {
	rest, ok := strings.CutPrefix(strings.TrimLeft(p.s, " \n"), token)
	if ok {
		p.s = strings.TrimLeft(rest, " \n")
	}
	return ok
}

func (p *literal) text() (string, bool) {
	if p.s == "" || p.s[0] != '\'' && p.s[0] != '"' {
		return "", false
	}
	quote := p.s[0]
	p.s = p.s[1:]
	var b strings.Builder
	for p.s != "" {
		if p.s[0] == quote {
			p.s = p.s[1:]
			return b.String(), true
		}
		r, _, rest, err := strconv.UnquoteChar(p.s, quote)
		if err != nil { // an escape that Go does not know: take it as it stands
			r, rest = rune(p.s[0]), p.s[1:]
		}
		b.WriteRune(r)
		p.s = rest
	}
	return "", false
}
