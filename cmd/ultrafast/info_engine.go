package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"text/tabwriter"
	"time"

	"ultrafast/engine"
	"ultrafast/engine/tuned"
	"ultrafast/graph"
	"ultrafast/picture"
	"ultrafast/scene"
	"ultrafast/yolo"
)

// A programInfo is what info --engine prints. Times are in milliseconds.
type programInfo struct {
	Model        string        `json:"model"`
	Width        int           `json:"width"`
	Height       int           `json:"height"`
	CPU          string        `json:"cpu"`
	Threads      int           `json:"threads"`
	Compile      float64       `json:"compile"`
	SessionBytes int64         `json:"session_bytes"`
	Ms           float64       `json:"ms"` // of all steps
	GFLOPS       float64       `json:"gflops"`
	Steps        []programStep `json:"steps"`
	PlainGo      []plainOp     `json:"plain_go"`
}

type programStep struct {
	Name        string  `json:"name"`
	Kernel      string  `json:"kernel"`
	MACs        int64   `json:"macs"`
	Ms          float64 `json:"ms"`
	GFLOPS      float64 `json:"gflops"`
	ShareOfTime float64 `json:"share_of_time"`
}

// A plainOp is what an op costs that runs in plain Go.
type plainOp struct {
	Op          string  `json:"op"`
	Steps       int     `json:"steps"`
	Ms          float64 `json:"ms"`
	ShareOfTime float64 `json:"share_of_time"`
}

// newProgramInfo compiles what detection runs of a model and measures its steps.
func newProgramInfo(ctx context.Context, g *graph.Graph, o engine.Options) (*programInfo, error) {
	raw, _, err := yolo.Raw(g)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	p, err := tuned.Compile(raw, o)
	if err != nil {
		return nil, err
	}
	info := &programInfo{Width: o.Width, Height: o.Height, CPU: p.CPU(), Threads: o.Threads, Compile: inMillis(time.Since(start)), SessionBytes: p.Memory()}
	frame, _ := scene.Draw(rand.New(rand.NewPCG(1, 0)), frameWidth, frameHeight)
	boxed, _ := picture.Letterbox(frame, o.Width, o.Height)
	_, times, err := stepTimes(p, profileRuns, func(s *engine.Session) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		_, err := s.RunRGB(boxed.Pix)
		return err
	})
	if err != nil {
		return nil, err
	}
	medians := make([]time.Duration, len(times))
	for i, t := range times {
		medians[i] = t.median
	}
	info.fill(p.Steps(), medians)
	return info, nil
}

func (p *programInfo) fill(steps []engine.StepInfo, times []time.Duration) {
	var total time.Duration
	for _, t := range times {
		total += t
	}
	share := func(t time.Duration) float64 { return roundTo(float64(t)/float64(max(total, 1)), 4) }
	speed := func(macs int64, t time.Duration) float64 {
		return roundTo(2*float64(macs)/max(t.Seconds(), 1e-9)/1e9, 2)
	}
	var macs int64
	var plain []plainOp
	spent := map[string]time.Duration{}
	for i, s := range steps {
		t := times[i]
		macs += s.MACs
		p.Steps = append(p.Steps, programStep{s.Name, s.Kernel, s.MACs, inMillis(t), speed(s.MACs, t), share(t)})
		if s.Kernel != engine.PlainGo {
			continue
		}
		op := opOf(s)
		at := slices.IndexFunc(plain, func(o plainOp) bool { return o.Op == op })
		if at < 0 {
			at, plain = len(plain), append(plain, plainOp{Op: op})
		}
		plain[at].Steps++
		spent[op] += t
	}
	for i := range plain {
		plain[i].Ms, plain[i].ShareOfTime = inMillis(spent[plain[i].Op]), share(spent[plain[i].Op])
	}
	slices.SortStableFunc(plain, func(a, b plainOp) int { return cmp.Compare(b.Ms, a.Ms) })
	p.PlainGo = append([]plainOp{}, plain...) // [] in JSON where there is none
	p.Ms, p.GFLOPS = inMillis(total), speed(macs, total)
}

// opOf names the op that a step is for.
func opOf(s engine.StepInfo) string {
	if len(s.Nodes) == 0 {
		return "copying" // to another layout, or to add padding
	}
	op := s.Nodes[0].Op
	if _, ok := op.(*graph.Activation); ok && s.MACs > 0 {
		op = &graph.Conv{} // which has taken the activation along
	}
	return op.Word()
}

func (p *programInfo) print(out io.Writer) error {
	fmt.Fprintf(out, "%s at %dx%d for %s, %d threads: compiled in %.0f ms, a session takes %.1f MB\n\n",
		p.Model, p.Width, p.Height, p.CPU, p.Threads, p.Compile, float64(p.SessionBytes)/1e6)
	kernels := len("kernel")
	for _, s := range p.Steps {
		kernels = max(kernels, len(s.Kernel))
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "ms\tof the time\tmillion MACs\tGFLOP/s\t  %-*s  name\n", kernels, "kernel")
	for _, s := range p.Steps {
		work := "\t"
		if s.MACs > 0 {
			work = fmt.Sprintf("%.2f\t%.1f", float64(s.MACs)/1e6, s.GFLOPS)
		}
		fmt.Fprintf(w, "%.3f\t%.1f %%\t%s\t  %-*s  %s\n", s.Ms, 100*s.ShareOfTime, work, kernels, s.Kernel, s.Name)
	}
	fmt.Fprintf(w, "%.3f\t100.0 %%\t\t%.1f\t  %-*s  all\n", p.Ms, p.GFLOPS, kernels, "")
	if err := w.Flush(); err != nil {
		return err
	}
	if len(p.PlainGo) == 0 {
		_, err := fmt.Fprintln(out, "\nnothing runs in plain Go")
		return err
	}
	fmt.Fprintln(w, "\nin plain Go:\nms\tof the time\tsteps\t  op")
	for _, o := range p.PlainGo {
		fmt.Fprintf(w, "%.3f\t%.1f %%\t%d\t  %s\n", o.Ms, 100*o.ShareOfTime, o.Steps, o.Op)
	}
	return w.Flush()
}
