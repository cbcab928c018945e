package main

import (
	"flag"
	"fmt"
	"os"
	"runtime/pprof"
	"strings"
	"time"

	"ultrafast/engine"
	"ultrafast/safetensors"
	"ultrafast/graph"
	"ultrafast/tensor"
	"ultrafast/yolo"
)

func main() {
	cfg := flag.String("cfg", "yolov5n", "")
	width := flag.Float64("width", 0, "")
	w := flag.Int("w", 640, "")
	h := flag.Int("h", 640, "")
	threads := flag.Int("t", 1, "")
	secs := flag.Float64("s", 2, "")
	prec := flag.String("p", "fp32", "")
	grep := flag.String("g", "", "")
	cpu := flag.String("cpu", "", "")
	flag.Parse()
	var g *graph.Graph
	if strings.HasSuffix(*cfg, ".safetensors") {
		f, err := safetensors.Open(*cfg)
		if err != nil {
			panic(err)
		}
		g = f.Graph
	} else {
		c, err := yolo.Standard(*cfg)
		if err != nil {
			panic(err)
		}
		if *width != 0 {
			c.Width = *width
		}
		if g, err = yolo.New(c, nil, 0); err != nil {
			panic(err)
		}
	}
	for i, n := range g.Outputs {
		if d, ok := n.Op.(*graph.Detect); ok {
			_ = d
			g.Outputs = append(g.Outputs[:i:i], n.In...)
			break
		}
	}
	p, err := engine.Compile(g, engine.Options{Batch: 1, Height: *h, Width: *w, Threads: *threads, Precision: *prec, CPU: *cpu})
	if err != nil {
		panic(err)
	}
	if pf := os.Getenv("PROF"); pf != "" {
		f, _ := os.Create(pf)
		pprof.StartCPUProfile(f)
		defer pprof.StopCPUProfile()
	}
	s := p.NewSession()
	x := tensor.New(1, 3, *h, *w)
	for i := range x.Data {
		x.Data[i] = float32(i%256) / 255
	}
	least := make([]time.Duration, len(p.Steps()))
	for i := range least {
		least[i] = time.Hour
	}
	best := time.Duration(time.Hour)
	s.Time(func(i int, d time.Duration) { least[i] = min(least[i], d) })
	for end := time.Now().Add(time.Duration(*secs * 1e9)); time.Now().Before(end); {
		start := time.Now()
		if _, err := s.Run(x); err != nil {
			panic(err)
		}
		best = min(best, time.Since(start))
	}
	cls := map[string]time.Duration{}
	var sum time.Duration
	for i, st := range p.Steps() {
		sum += least[i]
		k := st.Kernel
		if j := strings.LastIndexByte(k, ' '); j >= 0 && st.MACs > 0 {
			k = strings.TrimSuffix(k, " pixels outer")
			k = k[:strings.LastIndexByte(k, ' ')]
		}
		if strings.HasSuffix(st.Name, "transformed") {
			k = "transformed"
		}
		cls[k] += least[i]
		if *grep != "" && (strings.Contains(st.Name, *grep) || strings.Contains(st.Kernel, *grep)) {
			fmt.Printf("  %-40s %-26s %7.3f ms %6.1f GF/s\n", st.Name, st.Kernel, least[i].Seconds()*1e3, 2*float64(st.MACs)/least[i].Seconds()/1e9)
		}
	}
	fmt.Fprintf(os.Stdout, "min total %.2f ms; sum of step minima %.2f;", best.Seconds()*1e3, sum.Seconds()*1e3)
	for k, v := range cls {
		fmt.Printf(" %s %.2f;", k, v.Seconds()*1e3)
	}
	fmt.Println()
}
