package yolo

import (
	"fmt"
	"slices"
	"strings"

	"ultrafast/graph"
)

// A Transfer says which tensors of a model were taken from another one.
type Transfer struct {
	Taken, Of int      // of the model's tensors
	Left      []string // those that were not, with the reason
}

// String is for a person: "348 of 352 tensors taken; not: model.24.m.0.weight …".
func (t Transfer) String() string {
	const most = 6
	s := fmt.Sprintf("%d of %d tensors taken", t.Taken, t.Of)
	if len(t.Left) == 0 {
		return s
	}
	s += "; not: " + strings.Join(t.Left[:min(most, len(t.Left))], ", ")
	if more := len(t.Left) - most; more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s
}

// Take copies into g the numbers of every tensor of from that has the same name and shape.
// from is not changed, and shares nothing with g afterwards.
func Take(g, from *graph.Graph) Transfer {
	have := map[string]graph.Param{}
	for _, p := range from.Params() {
		have[p.Name] = p
	}
	var t Transfer
	for _, p := range g.Params() {
		t.Of++
		q, ok := have[p.Name]
		switch {
		case !ok:
			t.Left = append(t.Left, p.Name+", which is not there")
		case !slices.Equal(q.Tensor().Shape, p.Tensor().Shape):
			t.Left = append(t.Left, fmt.Sprintf("%s %s against %s", p.Name, shape(q.Tensor().Shape), shape(p.Tensor().Shape)))
		default:
			copy(p.Tensor().Data, q.Tensor().Data)
			t.Taken++
		}
	}
	return t
}

func shape(s []int) string { return strings.ReplaceAll(fmt.Sprint(s), " ", ",") }
