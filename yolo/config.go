package yolo

import (
	"cmp"
	"embed"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// A Config describes a model that does not exist yet: what a YAML file says.
type Config struct {
	Classes    int
	Depth      float64     // multiplies repeats
	Width      float64     // multiplies channels
	Activation string      // SiLU if empty; as nn.LeakyReLU(0.1) in YOLOv5's files
	Anchors    [][]float64 // per level: width, height, width, height … in pixels
	Unsized    bool        // Anchors are stand-ins: the file says how many, and training is to fit them
	Layers     []Layer
}

// A Layer is one line of a description.
type Layer struct {
	From   []int // layers it takes; negative ones count back from here
	Repeat int   // before the depth multiple
	Block  string
	Args   []any // as YOLOv5's: output channels first, for blocks that have them
}

//go:embed models/*.yaml
var models embed.FS

// standard names a released size, with the release whose shape it has where that is not
// the latest: yolov5n, yolov5x-v5, yolov5s-v3.
var standard = regexp.MustCompile(`^yolov5([nsmlx])(?:-(v3|v5|v6))?$`)

// Light are the names of this program's own small models, for Standard.
var Light = []string{"thin", "ghost", "shuffle", "mobile"}

// Standard returns the description of a released YOLOv5: yolov5n, s, m, l, x in the shape
// of v6.0 to v7.0, with -v5 (v4.0, v5.0) or -v3 (v3.1) behind in an older one; or one of
// Light.
func Standard(name string) (*Config, error) {
	m := standard.FindStringSubmatch(strings.TrimSuffix(name, ".yaml"))
	if slices.Contains(Light, name) {
		m = []string{name, "", name}
	}
	if m == nil {
		return nil, fmt.Errorf("no model is called %q: there are yolov5n, yolov5s, yolov5m, yolov5l, yolov5x, each also with -v5 or -v3 behind, and %s, or name a YAML file", name, strings.Join(Light, ", "))
	}
	if m[2] == "" {
		m[2] = "v6"
	}
	text, err := models.ReadFile("models/" + m[2] + ".yaml")
	if err != nil {
		return nil, err
	}
	return parse(text, m[1])
}

// maxConfig bounds a description; the released ones have 2 kB, and the library needs time
// that grows with the square of the size.
const maxConfig = 128 << 10

// ParseConfig reads a description: a YAML file of YOLOv5 (nc, depth_multiple,
// width_multiple, anchors, backbone, head) or one in this program's form, as in models/.
// Errors name the line or the layer.
func ParseConfig(r io.Reader) (*Config, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxConfig+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxConfig {
		return nil, fmt.Errorf("model description of more than %d bytes", maxConfig)
	}
	return parse(text, "")
}

// file is the union of both forms.
type file struct {
	Sizes                  map[string]struct{ Depth, Width float64 }
	Classes, NC, Ch        int
	Depth, Width           float64
	DepthMultiple          float64 `yaml:"depth_multiple"`
	WidthMultiple          float64 `yaml:"width_multiple"`
	Activation             string
	Anchors                any
	Layers, Backbone, Head []any
}

func parse(text []byte, size string) (c *Config, err error) {
	defer func() { // a hostile file must not take the program down through a library
		if r := recover(); r != nil {
			c, err = nil, fmt.Errorf("model description: not readable as YAML: %v", r)
		}
	}()
	if err := refuseAliases(text); err != nil {
		return nil, fmt.Errorf("model description: %w", err)
	}
	var f file
	if err := yaml.UnmarshalWithOptions(text, &f, yaml.DisallowUnknownField()); err != nil {
		return nil, fmt.Errorf("model description: %s", oneLine(err))
	}
	if f.Ch != 0 && f.Ch != 3 {
		return nil, fmt.Errorf("model description: ch is %d: pictures have 3 channels here", f.Ch)
	}
	c = &Config{
		Classes: max(f.Classes, f.NC), Depth: cmp.Or(f.Depth, f.DepthMultiple), Width: cmp.Or(f.Width, f.WidthMultiple),
		Activation: f.Activation,
	}
	if s, ok := f.Sizes[size]; ok {
		c.Depth, c.Width = s.Depth, s.Width
	}
	c.Depth, c.Width = cmp.Or(c.Depth, 1), cmp.Or(c.Width, 1)
	if !(c.Depth > 0 && c.Depth <= 10 && c.Width > 0 && c.Width <= 10) {
		return nil, fmt.Errorf("model description: depth %v and width %v, want above 0 and at most 10", c.Depth, c.Width)
	}
	if c.Classes < 1 || c.Classes > 10000 {
		return nil, fmt.Errorf("model description: %d classes, want 1 to 10000", c.Classes)
	}
	lines := append(append(f.Layers, f.Backbone...), f.Head...)
	if len(lines) == 0 || len(lines) > 1000 {
		return nil, fmt.Errorf("model description: %d layers, want 1 to 1000", len(lines))
	}
	for i, line := range lines {
		l, err := parseLayer(line)
		if err != nil {
			return nil, fmt.Errorf("model description: layer %d: %w", i, err)
		}
		c.Layers = append(c.Layers, l)
	}
	if err := c.setAnchors(f.Anchors); err != nil {
		return nil, fmt.Errorf("model description: anchors: %w", err)
	}
	return c, nil
}

const maxAnchors = 20 // of a level

// setAnchors takes over sizes, or how many there are a level, for as many levels as the
// last layer takes.
func (c *Config) setAnchors(v any) (err error) {
	n, ok := whole(v)
	if !ok {
		c.Anchors, err = parseAnchors(v)
		return err
	}
	if n < 1 || n > maxAnchors {
		return fmt.Errorf("%d a level, want 1 to %d", n, maxAnchors)
	}
	c.Unsized = true
	for level := range c.Layers[len(c.Layers)-1].From {
		var sides []float64
		for i := range n {
			side := float64((i + 1) * 16 << level)
			sides = append(sides, side, side)
		}
		c.Anchors = append(c.Anchors, sides)
	}
	return nil
}

func parseAnchors(v any) ([][]float64, error) {
	levels, ok := v.([]any)
	if !ok || len(levels) == 0 || len(levels) > 8 {
		return nil, fmt.Errorf("are %s, want a list of widths and heights for each of 1 to 8 levels", brief(v))
	}
	out := make([][]float64, len(levels))
	for i, l := range levels {
		list, _ := l.([]any)
		if len(list) == 0 || len(list)%2 != 0 || len(list) > 2*maxAnchors {
			return nil, fmt.Errorf("level %d: want 1 to %d pairs of width and height", i, maxAnchors)
		}
		for _, e := range list {
			x, ok := float(e)
			if !ok || !(x > 0 && x < 1e5) {
				return nil, fmt.Errorf("level %d: %s is no size in pixels", i, brief(e))
			}
			out[i] = append(out[i], x)
		}
	}
	return out, nil
}

// parseLayer reads [from, repeat, block, args] or {block, from, repeat, args}.
func parseLayer(v any) (Layer, error) {
	var from, repeat, block, args any = -1, 1, nil, []any{}
	switch v := v.(type) {
	case []any:
		if len(v) != 4 {
			return Layer{}, fmt.Errorf("has %d fields, want [from, repeat, block, args]", len(v))
		}
		from, repeat, block, args = v[0], v[1], v[2], v[3]
	case map[string]any:
		for key, value := range v {
			switch key {
			case "from":
				from = value
			case "repeat":
				repeat = value
			case "block":
				block = value
			case "args":
				args = value
			default:
				return Layer{}, fmt.Errorf("unknown key %q, want block, from, repeat, args", brief(key))
			}
		}
	default:
		return Layer{}, fmt.Errorf("is %s, want {block, from, repeat, args}", brief(v))
	}
	l := Layer{}
	var ok bool
	if l.Block, ok = block.(string); !ok {
		return l, fmt.Errorf("block %s is no name", brief(block))
	}
	l.Block = strings.TrimPrefix(l.Block, "nn.")
	if l.Repeat, ok = whole(repeat); !ok || l.Repeat < 1 || l.Repeat > 100 {
		return l, fmt.Errorf("%s: repeat %s, want 1 to 100", l.Block, brief(repeat))
	}
	list, isList := from.([]any)
	if !isList {
		list = []any{from}
	}
	for _, e := range list {
		i, ok := whole(e)
		if !ok || i < -1000 || i > 1000 {
			return l, fmt.Errorf("%s: from %s is no layer", l.Block, brief(e))
		}
		l.From = append(l.From, i)
	}
	if l.Args, ok = args.([]any); !ok {
		return l, fmt.Errorf("%s: args %s is no list", l.Block, brief(args))
	}
	return l, nil
}

func whole(v any) (int, bool) {
	f, ok := float(v)
	return int(f), ok && f == float64(int(f)) && f >= -1e6 && f <= 1e6
}

func float(v any) (float64, bool) {
	switch v := v.(type) {
	case int:
		return float64(v), true
	case int64:
		return float64(v), true
	case uint64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

// brief shows a value of a file in an error, without letting it fill the screen.
func brief(v any) string { return clip(fmt.Sprint(v), 40) }

// clip puts a text on one line of at most that many characters.
func clip(s string, most int) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
