package graph

import (
	"regexp"
	"slices"
)

// A Layer is a run of nodes that belong to one block of the model's description.
type Layer struct {
	Block
	Nodes []*Node
	From  []string // names of the layers it takes, in order of first use
}

// numbered finds the layer in a node's name where the file kept no blocks (ONNX).
var numbered = regexp.MustCompile(`^model\.\d+`)

// Layers groups the nodes, the input left out, as YOLOv5 numbers them: by block, else by
// the number in the name, else each for itself.
func (g *Graph) Layers() []Layer {
	var layers []Layer
	at := map[string]int{}
	home := map[*Node]string{}
	for _, n := range g.Nodes {
		if _, ok := n.Op.(*Input); ok {
			home[n] = n.Name
			continue
		}
		b := g.BlockOf(n.Name)
		if b.Name == "" {
			if b.Name = numbered.FindString(n.Name); b.Name == "" {
				b.Name, b.Kind = n.Name, n.Op.Word()
			}
		}
		i, ok := at[b.Name]
		if !ok {
			i = len(layers)
			at[b.Name] = i
			layers = append(layers, Layer{Block: b})
		}
		layers[i].Nodes = append(layers[i].Nodes, n)
		home[n] = b.Name
		for _, in := range n.In {
			if from := home[in]; from != b.Name && !slices.Contains(layers[i].From, from) {
				layers[i].From = append(layers[i].From, from)
			}
		}
	}
	return layers
}
