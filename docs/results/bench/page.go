package main

import (
	"fmt"
	"strings"
)

// A report is what ultrafast benchmark --json prints, as far as the page needs it.
type report struct {
	Parameters int
	GFLOP      float64
	Width      int
	Height     int
	Processor  string
	Cores      int
	Runtimes   map[string]string
	Rows       []row
}

type row struct {
	Runtime   string
	Threads   int
	Precision string
	Network   times
	Frame     times
	Ratio     struct{ Median, Q1, Q3 float64 }
	Differs   struct{ Rel float64 }
}

type times struct{ Median, Q1, Q3 float64 }

func (t times) String() string { return fmt.Sprintf("%.2f (%.2f-%.2f)", t.Median, t.Q1, t.Q3) }

// page writes the reports, each with rows of native and ort in turn, as Markdown.
func page(reports []report, seconds float64) string {
	var b strings.Builder
	first := reports[0]
	fmt.Fprintf(&b, `# Speed

    make bench

Machine: %s, %d cores. native: %s; ort: %s. Both in fp32,
in turn in one run, for %g seconds a row; weights are random, and the maps of both were
compared before. Milliseconds: median (quartiles). The ratio is ort's time over native's,
taken round by round. A frame is a drawn picture of 1920x1080 in memory to its boxes:
scaling, network, decoding, NMS.

| model | input | parameters | GFLOP | threads | native, ms | ort, ms | ort / native | native, GFLOP/s | frame, native | frame, ort | largest difference |
|---|---|---|---|---|---|---|---|---|---|---|---|
`, first.Processor, first.Cores, first.Runtimes["native"], first.Runtimes["ort"], seconds)
	for i, r := range reports {
		for at := 0; at+1 < len(r.Rows); at += 2 {
			native, ort := r.Rows[at], r.Rows[at+1]
			fmt.Fprintf(&b, "| %s | %dx%d | %d | %.2f | %d | %s | %s | %.2f (%.2f-%.2f) | %.0f | %s | %s | %.1e |\n",
				models[i].name, r.Width, r.Height, r.Parameters, r.GFLOP, native.Threads, native.Network, ort.Network,
				ort.Ratio.Median, ort.Ratio.Q1, ort.Ratio.Q3, r.GFLOP/native.Network.Median*1000, native.Frame, ort.Frame, ort.Differs.Rel)
		}
	}
	b.WriteString(`
The largest difference between the maps of both is given as a share of the largest number
in them.

Single lines are made again by:

`)
	for _, m := range models {
		fmt.Fprintf(&b, "    ultrafast benchmark %s --seconds %g\n", strings.Join(m.args, " "), seconds)
	}
	fmt.Fprintf(&b, "\n%s is made by [bench](bench/main.go): every group of channels of yolov5n cut to an odd\nnumber, by package prune.\n", odd)
	return b.String()
}
