package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"ultrafast"
	"ultrafast/engine"
	"ultrafast/graph"
	"ultrafast/yolo"
)

type infoFlags struct {
	img, cpu       string
	threads        int
	engine, asJSON bool
}

func infoCommand() *cobra.Command {
	f := &infoFlags{}
	c := &cobra.Command{
		Use:   "info MODEL",
		Short: "Print a model's layers with shapes, parameters and GFLOP",
		Long: `Print a model's layers, in YOLOv5's names, with shapes, parameters and GFLOP.

MODEL is a .pt, .safetensors or .onnx file, a YAML model description, or the name
of a released YOLOv5 (yolov5n, s, m, l, x; -v5 or -v3 behind for older shapes) or
of a small model (see ultrafast models).
GFLOP count convolutions only, two per multiply-accumulate, as YOLOv5 prints them
for fused models.

With --engine it prints the program that detection runs instead: each step with its
kernel, its multiply-accumulates and the time it takes here (the median of up to
` + fmt.Sprint(profileRuns) + ` runs; Winograd's kernels need fewer FLOP than are counted), what runs in plain
Go for want of machine code, and the memory that a session takes.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("info takes one MODEL, %d are given; see --help", len(args))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error { return f.run(c, args[0]) },
	}
	fl := c.Flags()
	fl.StringVar(&f.img, "img", "640", "network input: a side, or WIDTHxHEIGHT")
	fl.BoolVar(&f.engine, "engine", false, "print and measure the program that the engine makes of the model")
	fl.IntVar(&f.threads, "threads", 0, "with --engine, threads to run with; 0 means all cores")
	addCPU(fl, &f.cpu)
	fl.BoolVar(&f.asJSON, "json", false, "print JSON, with every node")
	return c
}

func (f *infoFlags) run(c *cobra.Command, model string) error {
	w, h, err := parseSize(f.img)
	if err != nil {
		return err
	}
	switch {
	case !f.engine && (f.cpu != "" || f.threads != 0):
		return errors.New("--cpu and --threads say how a program is run: they go with --engine")
	case f.threads < 0 || f.threads > 1024:
		return fmt.Errorf("--threads %d: want 1 to 1024, or 0 for all cores", f.threads)
	}
	if err := checkCPU(f.cpu, "native"); err != nil {
		return err
	}
	g, err := loadOrDescribe(model)
	if err != nil {
		return err
	}
	var info interface{ print(io.Writer) error }
	if f.engine {
		info, err = f.program(c, model, g, w, h)
	} else {
		info, err = summarize(g, w, h)
	}
	if err != nil {
		return err
	}
	if f.asJSON {
		e := json.NewEncoder(c.OutOrStdout())
		e.SetIndent("", " ")
		return e.Encode(info)
	}
	return info.print(c.OutOrStdout())
}

func (f *infoFlags) program(c *cobra.Command, model string, g *graph.Graph, w, h int) (*programInfo, error) {
	w, h, note := fitSize(g, w, h)
	if note != "" {
		fmt.Fprintln(c.ErrOrStderr(), note)
	}
	o := engine.Options{Batch: 1, Width: w, Height: h, Threads: cmp.Or(f.threads, runtime.GOMAXPROCS(0)), CPU: f.cpu}
	info, err := newProgramInfo(c.Context(), g, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", model, err)
	}
	info.Model = model
	return info, nil
}

// loadOrDescribe takes a model file, a YAML description or the name of a released model.
func loadOrDescribe(name string) (*graph.Graph, error) {
	cfg, err := description(name)
	switch {
	case err == nil:
		g, err := yolo.New(cfg, nil, 0)
		if err == nil {
			enliven(g)
		}
		return g, err
	case isYAML(name):
		return nil, err
	}
	return ultrafast.Load(name)
}

// A summary is what info prints.
type summary struct {
	Width      int            `json:"width"`
	Height     int            `json:"height"`
	Names      []string       `json:"names"`
	Strides    []int          `json:"strides,omitempty"`
	Anchors    [][][2]float32 `json:"anchors,omitempty"`
	Layers     []layerSummary `json:"layers"`
	Parameters int            `json:"parameters"`
	EightBit   int            `json:"parameters_8bit,omitempty"` // of these, in a quantised network
	GFLOP      float64        `json:"gflop"`
}

type layerSummary struct {
	Name       string        `json:"name"`
	Block      string        `json:"block"`
	From       []string      `json:"from"`
	Shape      graph.Shape   `json:"shape"`
	Parameters int           `json:"parameters"`
	GFLOP      float64       `json:"gflop"`
	Nodes      []nodeSummary `json:"nodes"`
}

type nodeSummary struct {
	Name       string      `json:"name"`
	Op         string      `json:"op"`
	Shape      graph.Shape `json:"shape"`
	Parameters int         `json:"parameters"`
	MACs       int64       `json:"macs"`
}

func summarize(g *graph.Graph, w, h int) (*summary, error) {
	shapes, err := g.Shapes(1, h, w)
	if err != nil {
		return nil, err
	}
	s := &summary{Width: w, Height: h, Names: g.Names, Parameters: g.ParamCount()}
	if d := g.Detect(); d != nil {
		op := d.Op.(*graph.Detect)
		s.Strides, s.Anchors = op.Strides, op.Anchors
	}
	for _, l := range g.Layers() {
		ls := layerSummary{Name: l.Name, Block: l.Kind, From: l.From, Shape: shapes[l.Nodes[len(l.Nodes)-1]]}
		for _, n := range l.Nodes {
			ns := nodeSummary{n.Name, n.Op.Word(), shapes[n], n.ParamCount(), n.MACs(shapes)}
			ls.Nodes = append(ls.Nodes, ns)
			if conv, ok := n.Op.(*graph.Conv); ok && conv.WeightScale != nil {
				s.EightBit += conv.Weight.Len()
			}
			ls.Parameters += ns.Parameters
			ls.GFLOP += 2 * float64(ns.MACs) / 1e9
		}
		s.GFLOP += ls.GFLOP
		s.Layers = append(s.Layers, ls)
	}
	return s, nil
}

func (s *summary) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "layer\tfrom\tblock\tshape\tparameters\tGFLOP\t")
	for _, l := range s.Layers {
		from := make([]string, len(l.From))
		for i, f := range l.From {
			from[i] = strings.TrimPrefix(f, "model.")
		}
		dims := make([]string, len(l.Shape)-1)
		for i, d := range l.Shape[1:] {
			dims[i] = fmt.Sprint(d)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%.3f\t\n", l.Name, strings.Join(from, ","), l.Block, strings.Join(dims, "x"), l.Parameters, l.GFLOP)
	}
	fmt.Fprintf(w, "total\t\t\t%dx%d input\t%d\t%.2f\t\n", s.Width, s.Height, s.Parameters, s.GFLOP)
	if err := w.Flush(); err != nil {
		return err
	}
	if len(s.Strides) > 0 {
		fmt.Fprintf(out, "\nclasses %d: %s\n", len(s.Names), shorten(strings.Join(s.Names, ", "), 100))
		for i, a := range s.Anchors {
			fmt.Fprintf(out, "anchors at stride %d: %v\n", s.Strides[i], a)
		}
	}
	if s.EightBit > 0 {
		_, err := fmt.Fprintf(out, "weights: %.2f MB, %d in 8 bits and the others in fp32\n", float64(4*(s.Parameters-s.EightBit)+s.EightBit)/1e6, s.EightBit)
		return err
	}
	_, err := fmt.Fprintf(out, "fp32 weights: %.2f MB\n", float64(s.Parameters)*4/1e6)
	return err
}

func shorten(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + " …"
	}
	return s
}
