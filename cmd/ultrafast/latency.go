package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"text/tabwriter"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"ultrafast/detect"
	"ultrafast/engine"
	"ultrafast/graph"
	"ultrafast/prune"
	"ultrafast/tensor"
	"ultrafast/yolo"
)

type latencyFlags struct {
	modelFlags
	img, runtime, provider, precision, cpu, out string
	threads, networks, check                    int
	asJSON                                      bool
}

func latencyCommand() *cobra.Command {
	f := &latencyFlags{}
	c := &cobra.Command{
		Use:   "latency --weights MODEL | --cfg yolov5n|FILE.yaml",
		Short: "Measure what a model's layers take on this machine, and predict what networks take",
		Long: fmt.Sprintf(`Measure a latency table (-o TABLE.csv): milliseconds of every kind of layer of a model at
many numbers of channels. They are measured where they are at work, in networks that are
the model with random numbers of channels, %d runs each, three times with all others in between;
the least time counts, so that other work on the machine does little harm.

Or predict (--runtime TABLE.csv) what a model takes on the device where the table was
measured: any model made of the same kinds of layers, with any numbers of channels.

To prune here for another device, measure there: copy this program, built for it
(GOOS=linux GOARCH=arm64 go build -tags static ./cmd/ultrafast), and the model. Or write a
table by hand: a row for each layer that matters, as the table of any machine shows it.

With --check N, N more random networks are measured and compared with the prediction.
Times are the least of several runs, from the input to the raw maps, for one picture.`, latencyRuns),
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	fl := c.Flags()
	f.addModel(fl)
	fl.StringVar(&f.img, "img", "640", "network input: a side, or WIDTHxHEIGHT")
	fl.StringVar(&f.runtime, "runtime", "native", "what to measure in: native, or ort (ONNX Runtime); or a table to predict from")
	addProvider(fl, &f.provider)
	fl.StringVar(&f.precision, "precision", "", "what the engine computes in: fp32, bf16 where the processor can, or int8, which ultrafast quantize makes of a network (default fp32)")
	addCPU(fl, &f.cpu)
	fl.IntVar(&f.threads, "threads", 0, "threads to run with; 0 means all cores")
	fl.IntVar(&f.networks, "networks", tableNetworks, "how many networks to measure the table with")
	fl.IntVar(&f.check, "check", 0, "networks to compare the prediction with")
	fl.StringVarP(&f.out, "output", "o", "", "table to write, .csv")
	fl.BoolVar(&f.asJSON, "json", false, "print JSON")
	return c
}

// tableNetworks is how many networks a table is measured with.
const tableNetworks = 30

// latencyRuns is how often a network is run at a time.
const latencyRuns = 8

func (f *latencyFlags) measures() bool { return f.runtime == "native" || f.runtime == "ort" }

func (f *latencyFlags) verify() error {
	switch {
	case f.threads < 0 || f.threads > 1024:
		return fmt.Errorf("--threads %d: want 1 to 1024, or 0 for all cores", f.threads)
	case f.networks < 1 || f.networks > 10000:
		return fmt.Errorf("--networks %d: want 1 to 10000", f.networks)
	case f.check < 0 || f.check > 10000:
		return fmt.Errorf("--check %d: want 0 to 10000", f.check)
	case f.measures() && f.out == "":
		return errors.New("-o is not given: name the table to write, such as -o table.csv, or the one to predict from, --runtime table.csv")
	case !f.measures() && f.out != "":
		return fmt.Errorf("-o %s: only a measurement writes a table, and --runtime %s is one already; want native or ort", f.out, f.runtime)
	case !f.measures() && f.check == 0 && (f.cpu != "" || f.provider != "cpu"):
		return fmt.Errorf("--cpu and --provider are for measuring: --runtime %s says its own", f.runtime)
	case !f.measures() && f.networks != tableNetworks:
		return fmt.Errorf("--networks is for measuring a table, and --runtime %s is one", f.runtime)
	case !f.measures() && (f.precision != "" || f.threads != 0):
		return fmt.Errorf("--precision and --threads are for measuring: --runtime %s says its own", f.runtime)
	case f.out != "":
		if err := checkOutput(f.out, f.weights, f.cfg); err != nil {
			return err
		}
		if filepath.Ext(f.out) != ".csv" {
			return fmt.Errorf("-o %s: want a name that ends in .csv", f.out)
		}
		if err := checkReplaced(f.out); err != nil {
			return err
		}
	}
	return f.modelFlags.check()
}

// checkReplaced refuses to write over what a measurement here does not make again.
func checkReplaced(path string) error {
	if missing(path) {
		return nil
	}
	t, err := readLatency(path)
	switch {
	case err != nil:
		return fmt.Errorf("-o %s: is there and no latency table: choose another name (%w)", path, err)
	case t.Machine != processor():
		return fmt.Errorf("-o %s: is there, and written by hand or of another machine (%.200q): choose another name", path, t.Machine)
	}
	return nil
}

func (f *latencyFlags) run(c *cobra.Command) error {
	if err := f.verify(); err != nil {
		return err
	}
	var table *prune.Latency
	var err error
	if !f.measures() {
		if table, err = readLatency(f.runtime); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("--runtime: want native, ort, or a latency table: %w", err)
		}
		if err != nil {
			return err
		}
	}
	g, w, h, err := f.modelAt(f.img, c.ErrOrStderr())
	if err != nil {
		return err
	}
	r := latencyReport{Model: f.title(), Width: w, Height: h}
	var d *device
	if f.measures() || f.check > 0 {
		if d, err = f.device(c, table, w, h); err != nil {
			return err
		}
		defer d.Close()
	}
	bar := newProgress(c.ErrOrStderr())
	defer bar.clear()
	if table == nil {
		if table, err = f.measure(c.Context(), d, g, bar); err != nil {
			return err
		}
		r.Table = f.out
	} else {
		r.Table = f.runtime
	}
	r.Machine, r.Runtime, r.Precision, r.Threads, r.Rows = table.Machine, table.Runtime, table.Precision, table.Threads, len(table.Rows)
	if r.Prediction, err = table.Predict(g, w, h); err != nil {
		return fmt.Errorf("%s: %w", r.Table, err)
	}
	r.Prediction.Ms = roundTo(r.Prediction.Ms, 4)
	for i := range r.Prediction.Layers {
		r.Prediction.Layers[i].Ms = roundTo(r.Prediction.Layers[i].Ms, 4)
	}
	if f.check > 0 {
		if r.Check, err = checkLatency(d, table, g, f.check, bar); err != nil {
			return err
		}
	}
	bar.clear()
	if f.asJSON {
		e := json.NewEncoder(c.OutOrStdout())
		e.SetIndent("", " ")
		return e.Encode(r)
	}
	return r.print(c.OutOrStdout(), !f.measures())
}

func readLatency(path string) (*prune.Latency, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	t, err := prune.ReadLatency(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// measure measures a table and writes it. What there is when ctx ends is written too, but not
// over a table that was there.
func (f *latencyFlags) measure(ctx context.Context, d *device, g *graph.Graph, bar *progress) (*prune.Latency, error) {
	t, err := prune.Measure(ctx, g, prune.Measurement{Width: d.o.Width, Height: d.o.Height, Networks: f.networks,
		Progress: func(done, of int) { bar.set("latency", done, of) }}, d.profile)
	if t == nil {
		return nil, err
	}
	if _, there := os.Stat(f.out); err != nil && there == nil {
		return nil, fmt.Errorf("%s is as it was: %w", f.out, err)
	}
	t.Machine, t.Runtime, t.Precision, t.Threads = processor(), d.describe(), d.precision(), d.o.Threads
	var text bytes.Buffer
	if err := t.Write(&text); err != nil {
		return nil, err
	}
	if err := renameio.WriteFile(f.out, text.Bytes(), 0o644); err != nil {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("%s has what was measured until then, %d rows: %w", f.out, len(t.Rows), err)
	}
	return t, nil
}

// A device is the runtime that networks are measured in, and how.
type device struct {
	runner
	ctx   context.Context // of the command
	name  string          // native or ort
	int8  bool            // networks run in 8 bits, those in float quantised first
	o     detect.Options
	input *tensor.Tensor
}

// device opens the runtime that the flags say or, if there is one, the table.
func (f *latencyFlags) device(c *cobra.Command, table *prune.Latency, w, h int) (*device, error) {
	name, precision, threads, cpu := f.runtime, cmp.Or(f.precision, engine.FP32), f.threads, f.cpu
	if table != nil {
		if table.Machine != processor() {
			return nil, fmt.Errorf("--check: the table was measured on %q, this is %q", table.Machine, processor())
		}
		name, _, _ = strings.Cut(table.Runtime, ",")
		precision, threads = cmp.Or(table.Precision, engine.FP32), table.Threads
		if of := engineCPU(table.Runtime); of != "" {
			if cpu != "" && cpu != of {
				return nil, fmt.Errorf("--cpu %s: the table was measured with %s", cpu, of)
			}
			cpu = of
		}
	}
	if err := checkAnyPrecision(precision, name); err != nil {
		if table != nil {
			return nil, fmt.Errorf("--check: the table is of %.40q: only %s, %s and %s can be measured here", precision, engine.FP32, engine.BF16, engine.Int8)
		}
		return nil, err
	}
	int8 := precision == engine.Int8
	if int8 {
		if name != "native" {
			return nil, fmt.Errorf("--precision %s: is for the engine (native)", precision)
		}
		precision = engine.FP32 // of the layers that stay in float
	}
	rf := runtimeFlags{runtime: name, provider: f.provider, precision: precision, engineFlags: engineFlags{cpu: cpu}}
	r, err := rf.openRuntime(c.Context(), c.ErrOrStderr())
	if err != nil {
		return nil, err
	}
	return &device{ctx: c.Context(), runner: r, name: name, int8: int8, input: ramp(w, h),
		o: detect.Options{Width: w, Height: h, Threads: cmp.Or(threads, runtime.GOMAXPROCS(0)), Sessions: 1, Precision: precision}}, nil
}

// ramp is a picture of every shade.
func ramp(w, h int) *tensor.Tensor {
	x := tensor.New(1, 3, h, w)
	for i := range x.Data {
		x.Data[i] = float32(i%256) / 255
	}
	return x
}

// describe says what a latency table was measured in.
func (d *device) describe() string { return d.name + ", " + d.String() }

// engineCPU is what processor's kernels a runtime used that describe has described; empty where
// that was not the engine, or the table was written by hand.
func engineCPU(runtime string) string {
	rest, ok := strings.CutPrefix(runtime, "native, engine of ultrafast ")
	if _, cpu, found := strings.Cut(rest, ", "); ok && found {
		return cpu
	}
	return ""
}

func (d *device) precision() string {
	if d.int8 {
		return engine.Int8
	}
	return d.o.Precision
}

func (d *device) profile(g *graph.Graph) (prune.Profile, error) {
	if d.int8 && g.Quantized() == nil {
		var err error
		if g, err = timedInEightBits(d.ctx, g); err != nil {
			return prune.Profile{}, err
		}
	}
	raw, _, err := yolo.Raw(g)
	if err != nil {
		return prune.Profile{}, err
	}
	whole, steps, err := d.Profile(raw, d.o, d.input, latencyRuns)
	if err != nil {
		return prune.Profile{}, err
	}
	p := prune.Profile{Ms: whole.least.Seconds() * 1e3}
	for _, s := range steps {
		// Behind the name of a node steps say what they do for it.
		name := s.Name
		if i := strings.IndexAny(name, " /"); i >= 0 {
			name = name[:i]
		}
		for n := raw.Node(name); n != nil; n = n.In[0] { // a table knows no Quantize
			if name = n.Name; !isQuantize(n) {
				break
			}
		}
		p.Steps = append(p.Steps, prune.StepMs{Node: name, Kernel: s.Kernel, Ms: s.Time.least.Seconds() * 1e3})
	}
	return p, nil
}

// inTurns returns the milliseconds of networks: the least of a few measurements of each with all
// others in between, so that what else the machine does by now does little harm.
func (d *device) inTurns(networks int, network func(int) (*graph.Graph, error), bar *progress) ([]float64, error) {
	const passes = 3
	bar.clear()
	defer bar.clear()
	least := make([]float64, networks)
	for k := range passes * networks {
		if err := d.ctx.Err(); err != nil {
			return nil, err
		}
		bar.set("measuring", k, passes*networks)
		i := k % networks
		g, err := network(i)
		if err != nil {
			return nil, err
		}
		p, err := d.profile(g)
		if err != nil {
			return nil, err
		}
		if k < networks || p.Ms < least[i] {
			least[i] = p.Ms
		}
	}
	return least, nil
}

// engineTimes returns the milliseconds of models in the engine, measured in turns.
func engineTimes(c *cobra.Command, precision string, threads, w, h int, models ...*graph.Graph) ([]float64, error) {
	f := latencyFlags{runtime: "native", provider: "cpu", precision: precision, threads: threads}
	d, err := f.device(c, nil, w, h)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.inTurns(len(models), func(i int) (*graph.Graph, error) { return models[i], nil }, newProgress(c.ErrOrStderr()))
}

func isQuantize(n *graph.Node) bool {
	_, ok := n.Op.(*graph.Quantize)
	return ok
}

// A latencyReport is what latency prints. Times are in milliseconds.
type latencyReport struct {
	Model      string           `json:"model"`
	Width      int              `json:"width"`
	Height     int              `json:"height"`
	Table      string           `json:"table"`
	Rows       int              `json:"rows"`
	Machine    string           `json:"machine"`
	Runtime    string           `json:"runtime"`
	Precision  string           `json:"precision"`
	Threads    int              `json:"threads"`
	Prediction prune.Prediction `json:"prediction"`
	Check      *latencyCheck    `json:"check,omitempty"`
}

// print leaves out the layers where only a table was made.
func (r *latencyReport) print(out io.Writer, layers bool) error {
	fmt.Fprintf(out, "%s: %d rows", r.Table, r.Rows)
	for _, s := range []string{r.Machine, r.Runtime, r.Precision} {
		if s != "" {
			fmt.Fprintf(out, "; %s", s)
		}
	}
	if r.Threads > 0 {
		fmt.Fprintf(out, "; threads: %d", r.Threads)
	}
	fmt.Fprintln(out)
	if layers {
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(w, "\nms\tof the time\tin\tout\tmap\tkernel\t  layer")
		for _, y := range r.Prediction.Layers {
			kernel := y.Kind.Kernel
			if y.Kind.Groups == "depthwise" {
				kernel += " depthwise"
			}
			fmt.Fprintf(w, "%.3f\t%.1f %%\t%d\t%d\t%dx%d\t%s\t  %s\n", y.Ms, 100*y.Ms/max(r.Prediction.Ms, 1e-9), y.In, y.Out, y.Kind.Width, y.Kind.Height, kernel, y.Node)
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintf(out, "%s at %dx%d: %.2f ms predicted\n", r.Model, r.Width, r.Height, r.Prediction.Ms); err != nil || r.Check == nil {
		return err
	}
	return r.Check.print(out)
}
