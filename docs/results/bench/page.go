package main

import (
	"fmt"
	"maps"
	"slices"
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
	Notes      []string
}

type row struct {
	Runtime   string
	Threads   int
	Precision string
	Network   times
	Frame     times
	Ratio     struct{ Median, Q1, Q3 float64 }
	Differs   struct{ Rel float64 }
	Peak      float64 `json:"peak_gflops"`
	Profile   []step
}

type times struct{ Median, Q1, Q3 float64 }

func (t times) String() string { return fmt.Sprintf("%.2f (%.2f-%.2f)", t.Median, t.Q1, t.Q3) }

type step struct {
	Kernel string
	Ms     float64
	GFLOPS float64
}

// page writes the reports, each with rows of native and ort in turn, as Markdown.
func page(reports []report, precision string, seconds float64) string {
	var b strings.Builder
	first := reports[0]
	fmt.Fprintf(&b, `# Speed

    make bench

Machine: %s, %d cores. native: %s; ort: %s, in int8 where native is, else in fp32.
Both in turn in one run, for %g seconds a row; weights are random, and the maps of both were
compared before. Milliseconds: median (quartiles). The ratio is ort's time over native's,
taken round by round; the last one is that of ort in fp32, in a row above, to native. A frame is a drawn picture of 1920x1080 in memory to its boxes:
scaling, network, decoding, NMS.

| model | input | parameters | GFLOP | threads | native in | native, ms | ort, ms | ort / native | native, GFLOP/s | frame, native | frame, ort | largest difference | ort in fp32 / native |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
`, first.Processor, first.Cores, first.Runtimes["native"], first.Runtimes["ort"], seconds)
	for i, r := range reports {
		inFP32 := map[int]float64{} // ort's milliseconds by threads
		for at, native := range r.Rows {
			if native.Runtime != "native" {
				continue
			}
			ort := row{Threads: native.Threads}
			if at+1 < len(r.Rows) && r.Rows[at+1].Runtime == "ort" { // else its maps are others: see the notes
				ort = r.Rows[at+1]
			}
			beside := ""
			if ort.Precision == "fp32" {
				inFP32[ort.Threads] = ort.Network.Median
			}
			if ms := inFP32[ort.Threads]; ms > 0 {
				beside = fmt.Sprintf("%.1f", ms/native.Network.Median)
			}
			fmt.Fprintf(&b, "| %s | %dx%d | %d | %.2f | %d | %s | %s | %s | %.2f (%.2f-%.2f) | %.0f | %s | %s | %.1e | %s |\n",
				models[i].name, r.Width, r.Height, r.Parameters, r.GFLOP, native.Threads, native.Precision, native.Network, ort.Network,
				ort.Ratio.Median, ort.Ratio.Q1, ort.Ratio.Q3, r.GFLOP/native.Network.Median*1000, native.Frame, ort.Frame, ort.Differs.Rel, beside)
		}
	}
	for i, r := range reports {
		for _, note := range r.Notes {
			fmt.Fprintf(&b, "\n%s at %dx%d: %s.\n", models[i].name, r.Width, r.Height, note)
		}
	}
	b.WriteString(`
The largest difference between the maps of both is given as a share of the largest number
in them.

`)
	classes(&b, reports)
	b.WriteString("\nSingle lines are made again by:\n\n")
	for _, m := range models {
		fmt.Fprintf(&b, "    ultrafast benchmark %s --precision %s --seconds %g --profile\n", strings.Join(m.args, " "), precision, seconds)
	}
	fmt.Fprintf(&b, "\n%s is made by [bench](bench/main.go): every group of channels of yolov5n cut to an odd\nnumber, by package prune.\n", odd)
	return b.String()
}

// classes writes what the kinds of kernels reach on one thread, and their shares of the time.
func classes(b *strings.Builder, reports []report) {
	fmt.Fprintf(b, `What the kinds of kernels reach on one thread, as a share of the %.0f GFLOP/s in fp32 that
this machine was measured to multiply and add at. Winograd's kernels need fewer operations
than are counted, by which they can be beyond it; in parentheses, the share with what they
need. bf16 multiplies two pairs at a time, int8 four, and tiles of AMX many more.

| model | input | in | kernels | ms | share of the time | GFLOP/s | share of the peak |
|---|---|---|---|---|---|---|---|
`, reports[0].Rows[0].Peak)
	for i, r := range reports {
		for _, row := range r.Rows {
			if row.Runtime != "native" || row.Threads != 1 {
				continue
			}
			sum := map[string]step{}
			total := 0.0
			for _, s := range row.Profile {
				class := strings.TrimRight(strings.TrimSuffix(s.Kernel, " pixels outer"), "0123456789x ")
				sum[class] = step{class, sum[class].Ms + s.Ms, sum[class].GFLOPS + s.GFLOPS*s.Ms}
				total += s.Ms
			}
			for _, class := range slices.Sorted(maps.Keys(sum)) {
				s := sum[class]
				speed, share := "", ""
				if s.GFLOPS > 0 {
					rate := s.GFLOPS / s.Ms
					speed, share = fmt.Sprintf("%.0f", rate), fmt.Sprintf("%.0f %%", 100*rate/row.Peak)
					if strings.HasPrefix(class, "Winograd") && class != "Winograd squares" {
						share += fmt.Sprintf(" (%.0f to %.0f %%)", 50*rate/row.Peak, 75*rate/row.Peak)
					} else if class == "Winograd squares" {
						share += fmt.Sprintf(" (%.0f to %.0f %%)", 25*rate/row.Peak, 56*rate/row.Peak)
					}
				}
				fmt.Fprintf(b, "| %s | %dx%d | %s | %s | %.2f | %.0f %% | %s | %s |\n",
					models[i].name, r.Width, r.Height, row.Precision, class, s.Ms, 100*s.Ms/total, speed, share)
			}
		}
	}
}
