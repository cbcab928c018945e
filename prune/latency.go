package prune

import (
	"fmt"
	"sync"

	"ultrafast/graph"
)

// A Latency says what layers take on a device: a table measured there (Measure), or written
// by hand (ReadLatency), from which the time of a network follows that was never there.
// It may be used from several goroutines, and must not be changed once it has predicted.
type Latency struct {
	Machine, Runtime, Precision string // what was measured, for people
	Threads                     int    // 0 where it is not known
	Width, Height               int    // of the network's input; 0 where it is not known
	// Scale is what a whole network takes, of the sum of its layers: threads start, and
	// layers by themselves find their input nearer. 0 means 1.
	Scale float64
	Rows  []LatencyRow

	once sync.Once
	laws map[Kind]*law
}

// A LatencyRow is what one layer takes. Two rows differ in kind or channels.
type LatencyRow struct {
	Kind
	In, Out int     // channels; those of all that a concatenation reads
	Ms      float64 // milliseconds, for one picture; 0 where the runtime has nothing to do
}

// A Prediction is what a network is thought to take for one picture, from the input to the
// raw maps of its head.
type Prediction struct {
	Ms     float64   `json:"ms"`     // the sum of the layers
	Layers []LayerMs `json:"layers"` // in order of execution
}

// A LayerMs is the part of a prediction that one layer has.
type LayerMs struct {
	Node string  `json:"node"` // the node that it begins with
	Kind Kind    `json:"kind"`
	In   int     `json:"in"`
	Out  int     `json:"out"`
	Ms   float64 `json:"ms"`
}

// Predict says what g takes for pictures of w x h, and each of its layers. g may have no
// data. Where the table has no row of a layer's kind, the error names the layer and says
// what to measure.
func (l *Latency) Predict(g *graph.Graph, w, h int) (Prediction, error) {
	all, _, err := layers(g, w, h)
	if err != nil {
		return Prediction{}, err
	}
	p := Prediction{Layers: make([]LayerMs, len(all))}
	for i, y := range all {
		ms, err := l.layer(y, w, h)
		if err != nil {
			return Prediction{}, err
		}
		p.Layers[i] = LayerMs{y.node.Name, y.kind, y.in, y.out, ms}
		p.Ms += ms
	}
	return p, nil
}

// Ms is Predict's whole time, in milliseconds.
func (l *Latency) Ms(g *graph.Graph, w, h int) (float64, error) {
	all, _, err := layers(g, w, h)
	if err != nil {
		return 0, err
	}
	sum := 0.0
	for _, y := range all {
		ms, err := l.layer(y, w, h)
		if err != nil {
			return 0, err
		}
		sum += ms
	}
	return sum, nil
}

func (l *Latency) layer(y layer, w, h int) (float64, error) {
	l.once.Do(l.fit)
	law := l.laws[y.kind]
	if law == nil && y.kind.Groups == "1" && y.in == 1 && y.out == 1 { // what is left of a depthwise convolution, perhaps
		kind := y.kind
		kind.Groups = depthwiseGroups
		law = l.laws[kind]
	}
	if law != nil {
		return law.at(y.in, y.out) * l.scale(), nil
	}
	if l.Width > 0 && l.Height > 0 && (l.Width != w || l.Height != h) {
		return 0, fmt.Errorf("prune: the latency table is for pictures of %dx%d, not %dx%d: measure one with that size", l.Width, l.Height, w, h)
	}
	return 0, fmt.Errorf("prune: the latency table has no layer like %s: measure this network, or add a row %s,%d,%d,MILLISECONDS",
		y.node.Name, y.kind, y.in, y.out)
}

func (l *Latency) scale() float64 {
	if l.Scale == 0 {
		return 1
	}
	return l.Scale
}

// fit finds the law of each kind.
func (l *Latency) fit() {
	rows := map[Kind][]LatencyRow{}
	for _, r := range l.Rows {
		rows[r.Kind] = append(rows[r.Kind], r)
	}
	l.laws = make(map[Kind]*law, len(rows))
	for k, rs := range rows {
		l.laws[k] = newLaw(k.dense(), rs)
	}
}
