package onnx

import (
	"fmt"
	"regexp"
	"strings"

	"ultrafast/graph"
)

// printable replaces what a graph's names may not hold by underscores.
func printable(name string) string {
	name = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' || strings.ContainsRune(`,="'`, r) {
			return '_'
		}
		return r
	}, name)
	if name == "" || name == "bias" {
		name += "_"
	}
	return name[:min(len(name), maxName)]
}

const maxName = 180 // leaves room for a number; a graph takes 200

// numbered is how exporters before PyTorch 1.13 call every node: "Conv_0".
var numbered = regexp.MustCompile(`^[A-Z][A-Za-z0-9]*_[0-9]+$`)

// short is how this program's writer names what follows from other names, and quantisedSuffix what is
// behind that of a map in quantised ones.
var short = regexp.MustCompile(`^[0-9a-z]{1,4}$`)

const quantisedSuffix = ".q"

// moduleName makes "model.2.m.0.cv1.conv" of PyTorch's "/model.2/m/m.0/cv1/conv/Conv":
// the last word is the operator, and a list of modules is named again by its members.
func moduleName(path string) string {
	words := strings.Split(strings.Trim(path, "/"), "/")
	if len(words) > 1 {
		words = words[:len(words)-1]
	}
	var kept []string
	for i, w := range words {
		if i+1 < len(words) && strings.HasPrefix(words[i+1], w+".") {
			continue
		}
		kept = append(kept, w)
	}
	return strings.Join(kept, ".")
}

// name calls a graph node as YOLOv5 would, if the ONNX node tells; the node's inputs have
// their names already.
func (r *reader) name(n *graph.Node) string {
	src := r.source[n]
	weight := ""
	if len(src.in) > 1 {
		weight = strings.TrimSuffix(src.in[1], ".weight")
	}
	switch {
	case strings.HasPrefix(src.name, "/"):
		return moduleName(src.name)
	case (src.op == "Conv" || src.op == "ConvTranspose" || src.op == "BatchNormalization") && weight != "" && weight != src.in[1]:
		return weight
	case isQuantize(n) && src.name == "" && len(src.out) > 0 && short.MatchString(src.out[0]):
		return n.In[0].Name + quantisedSuffix
	case src.name == "" || numbered.MatchString(src.name):
		if _, ok := n.Op.(*graph.Activation); ok {
			for _, suffix := range []string{".conv", ".bn", ".conv" + quantisedSuffix} {
				if module, ok := strings.CutSuffix(n.In[0].Name, suffix); ok {
					return module + ".act"
				}
			}
		}
		if src.name == "" && len(src.out) > 0 {
			return src.out[0]
		}
	}
	return src.name
}

// rename gives every node its name, with a number behind it where the name is taken.
func (r *reader) rename() {
	taken := map[string]bool{}
	next := map[string]int{} // the number to try, so that many equal names stay cheap
	for _, n := range r.g.Nodes {
		base := printable(r.name(n))
		name := base
		for taken[name] {
			next[base]++
			name = fmt.Sprintf("%s_%d", base, next[base])
		}
		taken[name] = true
		n.Name = name
	}
}
