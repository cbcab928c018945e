package main

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"text/tabwriter"

	"ultrafast/graph"
	"ultrafast/prune"
)

// A latencyCheck compares predictions with measurements.
type latencyCheck struct {
	Networks    []checkedNetwork `json:"networks"`
	MedianError float64          `json:"median_error"` // of the errors' magnitudes
	WorstError  float64          `json:"worst_error"`
}

type checkedNetwork struct {
	Parameters int     `json:"parameters"`
	GFLOP      float64 `json:"gflop"`
	Predicted  float64 `json:"predicted"`
	Measured   float64 `json:"measured"`
	Error      float64 `json:"error"` // of the measured time
}

// checkLatency predicts and measures that many random networks, none of which a table is
// made with. They are measured several times, with all others in between.
func checkLatency(d *device, t *prune.Latency, g *graph.Graph, networks int, bar *progress) (*latencyCheck, error) {
	c := &latencyCheck{Networks: make([]checkedNetwork, networks)}
	random := func(i int) (*graph.Graph, error) { return prune.Random(g, rand.New(rand.NewPCG(1, uint64(i)))) }
	measured, err := d.inTurns(networks, random, bar)
	if err != nil {
		return nil, err
	}
	var errs []float64
	for i := range c.Networks {
		n := &c.Networks[i]
		net, err := random(i)
		if err != nil {
			return nil, err
		}
		n.Parameters, n.Measured = net.ParamCount(), measured[i]
		if n.GFLOP, err = net.GFLOP(d.o.Width, d.o.Height); err != nil {
			return nil, err
		}
		if n.Predicted, err = t.Ms(net, d.o.Width, d.o.Height); err != nil {
			return nil, err
		}
		n.Error = n.Predicted/n.Measured - 1
		errs = append(errs, math.Abs(n.Error))
		n.GFLOP, n.Predicted, n.Measured, n.Error = roundTo(n.GFLOP, 4), roundTo(n.Predicted, 4), roundTo(n.Measured, 4), roundTo(n.Error, 4)
	}
	slices.Sort(errs)
	c.MedianError, c.WorstError = roundTo(quantile(errs, 0.5), 4), roundTo(errs[len(errs)-1], 4)
	return c, nil
}

func (c *latencyCheck) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\nparameters\tGFLOP\tpredicted ms\tmeasured ms\terror\t")
	for _, n := range c.Networks {
		fmt.Fprintf(w, "%d\t%.2f\t%.2f\t%.2f\t%+.1f %%\t\n", n.Parameters, n.GFLOP, n.Predicted, n.Measured, 100*n.Error)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "median error %.1f %%, worst %.1f %%\n", 100*c.MedianError, 100*c.WorstError)
	return err
}
