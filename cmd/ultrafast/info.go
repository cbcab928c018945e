package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"ultrafast"
	"ultrafast/graph"
	"ultrafast/yolo"
)

func infoCommand() *cobra.Command {
	var img string
	var asJSON bool
	c := &cobra.Command{
		Use:   "info MODEL",
		Short: "Print a model's layers with shapes, parameters and GFLOP",
		Long: `Print a model's layers, in YOLOv5's names, with shapes, parameters and GFLOP.

MODEL is a .pt, .safetensors or .onnx file, a YAML model description, or the name
of a released YOLOv5 (yolov5n, s, m, l, x; -v5 or -v3 behind for older shapes).
GFLOP count convolutions only, two per multiply-accumulate, as YOLOv5 prints them
for fused models.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("info takes one MODEL, %d are given; see --help", len(args))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			w, h, err := parseSize(img)
			if err != nil {
				return err
			}
			g, err := loadOrDescribe(args[0])
			if err != nil {
				return err
			}
			s, err := summarize(g, w, h)
			if err != nil {
				return err
			}
			if asJSON {
				e := json.NewEncoder(c.OutOrStdout())
				e.SetIndent("", " ")
				return e.Encode(s)
			}
			return s.print(c.OutOrStdout())
		},
	}
	c.Flags().StringVar(&img, "img", "640", "network input: a side, or WIDTHxHEIGHT")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON, with every node")
	return c
}

// loadOrDescribe takes a model file, a YAML description or the name of a released model.
func loadOrDescribe(name string) (*graph.Graph, error) {
	cfg, err := description(name)
	switch {
	case err == nil:
		return yolo.New(cfg, nil, 0)
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
	_, err := fmt.Fprintf(out, "fp32 weights: %.2f MB\n", float64(s.Parameters)*4/1e6)
	return err
}

func shorten(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + " …"
	}
	return s
}
