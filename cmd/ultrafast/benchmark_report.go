package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
)

// A benchReport is what benchmark prints. Times are in milliseconds.
type benchReport struct {
	Model      string            `json:"model"`
	Parameters int               `json:"parameters"`
	GFLOP      float64           `json:"gflop"`
	Width      int               `json:"width"` // of the network's input
	Height     int               `json:"height"`
	Processor  string            `json:"processor"`
	Cores      int               `json:"cores"` // that this program may use
	Runtimes   map[string]string `json:"runtimes"`
	Seconds    float64           `json:"seconds"` // for each row
	Rows       []benchRow        `json:"rows"`
	Notes      []string          `json:"notes,omitempty"` // of what was not measured
}

// note adds a note that is not there yet.
func (r *benchReport) note(s string) {
	if !slices.Contains(r.Notes, s) {
		r.Notes = append(r.Notes, s)
	}
}

type benchRow struct {
	Runtime    string      `json:"runtime"`
	Threads    int         `json:"threads"`
	Precision  string      `json:"precision"`
	Network    benchTime   `json:"network"`
	Frame      benchTime   `json:"frame"`
	Before     float64     `json:"before"`                // of a frame: scaling and padding
	Within     float64     `json:"within"`                // of a frame: the network, from its pixels
	After      float64     `json:"after"`                 // of a frame: decoding and NMS
	Ratio      benchRatio  `json:"ratio"`                 // the network's time, of the first runtime's
	Differs    difference  `json:"differs"`               // from the first runtime
	PeakGFLOPS float64     `json:"peak_gflops,omitempty"` // of this machine, in fp32
	Profile    []benchStep `json:"profile,omitempty"`
}

type benchTime struct {
	Median float64 `json:"median"`
	Q1     float64 `json:"q1"`
	Q3     float64 `json:"q3"`
	Min    float64 `json:"min"`
	Runs   int     `json:"runs"`
}

// benchRatio spreads over rounds.
type benchRatio struct {
	Median float64 `json:"median"`
	Q1     float64 `json:"q1"`
	Q3     float64 `json:"q3"`
}

type benchStep struct {
	Name        string  `json:"name"`
	Kernel      string  `json:"kernel"`
	Ms          float64 `json:"ms"`
	GFLOPS      float64 `json:"gflops"`
	ShareOfPeak float64 `json:"share_of_peak"`
	ShareOfTime float64 `json:"share_of_time"`
}

func benchTimes(s spread) benchTime {
	return benchTime{inMillis(s.median), inMillis(s.q1), inMillis(s.q3), inMillis(s.least), s.count}
}

func (r *benchReport) print(out io.Writer) error {
	fmt.Fprintf(out, "%s at %dx%d: %d parameters, %.2f GFLOP\n%s, %d cores\n", r.Model, r.Width, r.Height, r.Parameters, r.GFLOP, r.Processor, r.Cores)
	for _, name := range slices.Sorted(maps.Keys(r.Runtimes)) {
		fmt.Fprintf(out, "%s: %s\n", name, r.Runtimes[name])
	}
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "threads\truntime\tprecision\tnetwork ms\tquartiles\tGFLOP/s\tof %s\tquartiles\tfrom pixels\tframe ms\tquartiles\tabs. diff.\trel. diff.\t\n", r.Rows[0].Runtime)
	for _, b := range r.Rows {
		fmt.Fprintf(w, "%d\t%s\t%s\t%.2f\t%.2f-%.2f\t%.1f\t%.2f\t%.2f-%.2f\t%.2f\t%.2f\t%.2f-%.2f\t%.1e\t%.1e\t\n", b.Threads, b.Runtime, b.Precision,
			b.Network.Median, b.Network.Q1, b.Network.Q3, r.GFLOP/b.Network.Median*1000, b.Ratio.Median, b.Ratio.Q1, b.Ratio.Q3,
			b.Within, b.Frame.Median, b.Frame.Q1, b.Frame.Q3, b.Differs.Abs, b.Differs.Rel)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, `
Medians and quartiles of %g seconds a row in %d rounds, the runtimes in turn. network: input to
raw maps, from float32. of %s: the network's time over that of %s, by rounds. frame: a picture of
%dx%d in memory to its boxes. from pixels: the network in a frame, whose input has 8 bits; ONNX
Runtime's becomes float32 before. diff.: largest difference from the maps of %s, absolute and
over the largest number.
`, r.Seconds, rounds, r.Rows[0].Runtime, r.Rows[0].Runtime, frameWidth, frameHeight, r.Rows[0].Runtime)
	if err != nil {
		return err
	}
	for _, s := range r.Notes {
		fmt.Fprintln(out, s)
	}
	for _, b := range r.Rows {
		if err := b.printProfile(out); err != nil {
			return err
		}
	}
	return nil
}

func (b *benchRow) printProfile(out io.Writer) error {
	if b.Profile == nil {
		return nil
	}
	fmt.Fprintf(out, "\n%s, threads: %d; measured peak %.1f GFLOP/s in fp32 (Winograd's kernels need fewer FLOP than are counted)\n",
		b.Runtime, b.Threads, b.PeakGFLOPS)
	kernels := len("kernel")
	total := 0.0
	for _, s := range b.Profile {
		kernels = max(kernels, len(s.Kernel))
		total += s.Ms
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "ms\tof the time\tGFLOP/s\tof the peak\t  %-*s  name\n", kernels, "kernel")
	for _, s := range b.Profile {
		speed := "\t"
		if s.GFLOPS > 0 {
			speed = fmt.Sprintf("%.1f\t%.0f %%", s.GFLOPS, 100*s.ShareOfPeak)
		}
		fmt.Fprintf(w, "%.3f\t%.1f %%\t%s\t  %-*s  %s\n", s.Ms, 100*s.ShareOfTime, speed, kernels, s.Kernel, s.Name)
	}
	fmt.Fprintf(w, "%.3f\t100.0 %%\t\t\t  %-*s  all\n", total, kernels, "")
	return w.Flush()
}
