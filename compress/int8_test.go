package compress

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"ultrafast/dataset"
	"ultrafast/engine"
	"ultrafast/graph"
	"ultrafast/prune"
	"ultrafast/report"
	"ultrafast/tensor"
	"ultrafast/train"
)

// values runs a network for its values as the command does.
func values(g *graph.Graph) (func(*tensor.Tensor) ([]*tensor.Tensor, error), error) {
	p, err := engine.Compile(g, engine.Options{Batch: 1, Height: 64, Width: 64, Threads: 1})
	if err != nil {
		return nil, err
	}
	return p.NewSession().Run, nil
}

// eightBits is a backend that takes quantised networks too. In them it learns one number: each
// update adds a step to the first bias.
type eightBits struct {
	train.Backend
	step float32
}

func (b eightBits) Load(g *graph.Graph, o train.LoadOptions) (train.Network, error) {
	if g.Quantized() == nil {
		return b.Backend.Load(g, o)
	}
	if o.Precision != train.FP32 {
		return nil, fmt.Errorf("8 bits are learned in %s", o.Precision)
	}
	return &eightBitNet{live: g.Clone(), step: b.step}, nil
}

type eightBitNet struct {
	train.Network // of which nothing else is called
	live          *graph.Graph
	step          float32
}

// firstBias is where an eightBitNet learns.
func firstBias(g *graph.Graph) *float32 {
	for _, n := range g.Nodes {
		if c, ok := n.Op.(*graph.Conv); ok && c.Bias != nil {
			return &c.Bias.Data[0]
		}
	}
	return nil
}

func (n *eightBitNet) Step(x *tensor.Tensor, loss train.Loss) error {
	shapes, err := n.live.Shapes(x.Shape[0], x.Shape[2], x.Shape[3])
	if err != nil {
		return err
	}
	var maps []*tensor.Tensor
	for _, m := range train.MapsOf(n.live) {
		maps = append(maps, tensor.New(shapes[m]...))
	}
	_, err = loss(maps)
	return err
}

func (n *eightBitNet) Update(train.Update) error {
	*firstBias(n.live) += n.step
	return nil
}

// Momentum has the floats that weights of 8 bits are rounded from, which stay what they are.
func (n *eightBitNet) Momentum() (map[string]*tensor.Tensor, error) {
	m := map[string]*tensor.Tensor{}
	for _, p := range n.live.Params() {
		if c, ok := p.Node.Op.(*graph.Conv); ok && c.WeightScale != nil && p.At == &c.Weight {
			m[p.Name+"/latent"], m[p.Name+"/latent_average"] = c.Weight.Clone(), c.Weight.Clone()
		}
	}
	return m, nil
}

func (n *eightBitNet) SetState(live, _ *graph.Graph, _ map[string]*tensor.Tensor) error {
	n.live = live.Clone()
	return nil
}

func (n *eightBitNet) Penalize(train.Penalty) error              { return nil }
func (n *eightBitNet) Graph(train.Weights) (*graph.Graph, error) { return n.live.Clone(), nil }
func (n *eightBitNet) Close() error                              { return nil }

// chosen is a run that has a child, which is its parent and is said to find so many points of
// mAP50-95 more than it does.
func chosen(t *testing.T, data *dataset.Data, o Options, job Job, more float64) *run {
	t.Helper()
	r := quiet(t, job, data, o)
	r.state = newState(job)
	g, err := o.Model()
	if err != nil {
		t.Fatal(err)
	}
	m, err := r.measure(t.Context(), "parent", "final.safetensors", g)
	if err != nil {
		t.Fatal(err)
	}
	m.Epochs = 2
	m.Accuracy.MAP5095 += report.Number(more / 100)
	if err := errors.Join(r.saveState(), r.save("child.safetensors", g), r.save(m.File, g), r.writeJSON("parent.json", m), r.writeJSON("final.json", m),
		r.writeJSON("ended.json", Rounds{Cost: m.Cost}), r.writeJSON("choice.json", Choice{File: m.File})); err != nil {
		t.Fatal(err)
	}
	return r
}

// int8Stages carries out the stages from the child to its files.
func (r *run) int8Stages(ctx context.Context) error {
	all := r.way()
	from := slices.IndexFunc(all, func(s stage) bool { return s.name == bf16Name })
	to := slices.IndexFunc(all, func(s stage) bool { return s.name == "report" })
	return r.stages(ctx, all[from:to])
}

// hidden finds something but in quantised networks that have not learned as far.
func hidden(far float32) func(*graph.Graph) (train.Predict, error) {
	return func(g *graph.Graph) (train.Predict, error) {
		if g.Quantized() != nil && *firstBias(g) < far {
			return constant(g, -20), nil
		}
		return constant(g, 1), nil
	}
}

func TestInt8(t *testing.T) {
	data := drawn(t)
	never := float32(math.Inf(1))
	for name, c := range map[string]struct {
		predictor func(*graph.Graph) (train.Predict, error)
		spoil     func(*graph.Graph)
		trained   bool
		learned   bool   // the one that is handed out
		why       string // it was not trained, or is not there
	}{
		"nothing is lost": {predictor: found, why: "8 bits cost 0.00 points of mAP50-95, and training begins above 0.5"},
		"trained":         {predictor: hidden(50), trained: true, learned: true},
		"trained in vain": {predictor: hidden(never), trained: true},
		"cannot be had":   {predictor: found, spoil: func(g *graph.Graph) { *firstWeight(g) = float32(math.NaN()) }, why: "quant: "},
	} {
		t.Run(name, func(t *testing.T) {
			job, o := task(data)
			o.Predictor, o.Backend, job.Precision = c.predictor, eightBits{o.Backend, 10}, "bf16"
			if c.spoil != nil {
				model := o.Model
				o.Model = func() (*graph.Graph, error) {
					g, err := model()
					c.spoil(g)
					return g, err
				}
			}
			more := 0.0
			if c.trained {
				more = Int8Drop + 0.1
			}
			r := chosen(t, data, o, job, more)
			if err := r.int8Stages(t.Context()); err != nil {
				t.Fatal(err)
			}
			res, err := ReadResult(r.dir)
			if err != nil {
				t.Fatal(err)
			}
			if res.BF16 == nil || res.BF16.Accuracy == nil || res.BF16.Measured == 0 {
				t.Errorf("bf16 is %+v", res.BF16)
			}
			if m := res.Int8Trained; m == nil || (m.Accuracy != nil) != c.trained || !strings.HasPrefix(m.Missing, c.why) {
				t.Errorf("the training came to %+v, want %q", m, c.why)
			}
			text, err := os.ReadFile(r.path("commands.txt"))
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Contains(string(text), "ultrafast train --qat"); got != c.learned {
				t.Errorf("commands are\n%s", text)
			}
			judged := " -o " + Quote(r.path("child-int8-judged.safetensors"))
			if got := strings.Contains(string(text), judged); got != (c.spoil == nil && !c.learned) {
				t.Errorf("commands are\n%s", text)
			}
			if c.spoil != nil {
				if res.HandedInt8() != nil || r.done(int8File) || r.done("child-int8.onnx") || !r.done("child.onnx") {
					t.Errorf("a network that cannot be quantised: %+v", res.Int8)
				}
				return
			}
			handed, child := res.HandedInt8(), res.Handed()
			if handed == nil || (handed == res.Int8Trained) != c.learned || c.trained && handed.Epochs != child.Epochs && handed.Epochs != child.Epochs+int8Epochs {
				t.Fatalf("handed out is %+v", handed)
			}
			if c.trained && (child.points()-res.Int8.points() <= Int8Drop || res.Int8Trained.Epochs != child.Epochs+int8Epochs) {
				t.Errorf("trained: %+v, before %+v", res.Int8Trained, res.Int8)
			}
			g, err := r.open(int8File)
			if err != nil {
				t.Fatal(err)
			}
			if g.Quantized() == nil || (*firstBias(g) > 50) != c.learned {
				t.Errorf("%s holds a first bias of %v", int8File, *firstBias(g))
			}
			if handed.Bytes >= child.Bytes/2 || !r.done("child-int8.onnx") || !r.done("child.onnx") {
				t.Errorf("%d bytes of %d", handed.Bytes, child.Bytes)
			}
			if float := inFloat(g); !slices.Equal(float, []string{"model.4.m.0", "model.4.m.1"}) {
				t.Errorf("in float stay %v", float)
			}
		})
	}
}

func firstWeight(g *graph.Graph) *float32 { return &g.Params()[0].Tensor().Data[0] }

// Stopped again and again, and once between its file and its numbers, the training in 8 bits
// ends as undisturbed.
func TestInt8Stops(t *testing.T) {
	data := drawn(t)
	job, o := task(data)
	o.Predictor, o.Backend = hidden(50), eightBits{o.Backend, 10}
	whole := chosen(t, data, o, job, 1)
	if err := whole.int8Stages(t.Context()); err != nil {
		t.Fatal(err)
	}
	stopped, stops := chosen(t, data, o, job, 1), 0
	for steps := 1; ; steps += 7 {
		ctx, cancel := context.WithCancel(t.Context())
		left := steps
		stopped.o.Progress = func(Progress) {
			if left--; left == 0 {
				cancel()
			}
		}
		err := stopped.int8Stages(ctx)
		cancel()
		if err == nil {
			break
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if stops++; stops > 100 {
			t.Fatal("it does not come to an end")
		}
	}
	if stops < 3 {
		t.Errorf("stopped only %d times", stops)
	}
	same(t, results(t, stopped.dir), results(t, whole.dir))
	// What is lost is made again, and is the same.
	for _, lost := range [][]string{{int8Folder + ".json"}, {int8File}, {int8File, "child-int8.onnx"}, {calibrated}, {int8Folder}, {int8Folder, int8File, calibrated}} {
		for _, name := range lost {
			if err := os.RemoveAll(whole.path(name)); err != nil {
				t.Fatal(err)
			}
		}
		if err := whole.int8Stages(t.Context()); err != nil {
			t.Fatalf("without %v: %v", lost, err)
		}
		same(t, results(t, whole.dir), results(t, stopped.dir))
	}
}

// Ranges that are there are not measured again, and those of a broken file are an error.
func TestRanges(t *testing.T) {
	data := drawn(t)
	job, o := task(data)
	var said strings.Builder
	o.Log = slog.New(slog.NewTextHandler(&said, nil))
	r := chosen(t, data, o, job, 0)
	g, err := r.open("child.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	first, err := r.ranges(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	if first.Pictures != len(data.Train) || !strings.Contains(said.String(), "few pictures to measure ranges on") || !strings.Contains(said.String(), "pictures=6 wanted=300") {
		t.Errorf("%d pictures: %s", first.Pictures, said.String())
	}
	r.o.Values = nil
	if again, err := r.ranges(t.Context(), g); err != nil || !slices.Equal(again.Values, first.Values) {
		t.Errorf("the second time: %v", err)
	}
	if err := r.write(rangesFile, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	r.o.Values = values
	if _, err := r.ranges(t.Context(), g); err == nil || errors.As(err, new(unfit)) || !strings.Contains(err.Error(), rangesFile) {
		t.Errorf("a broken file: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.calibrate(ctx, g); !errors.Is(err, context.Canceled) || errors.As(err, new(unfit)) {
		t.Errorf("stopped: %v", err)
	}
}

// A row says its precision, and why it is empty.
func TestPrecisionRows(t *testing.T) {
	data := drawn(t)
	job, o := task(data)
	o.BF16 = Precision{Missing: "no bf16 on this processor"}
	o.Benchmark = func(_ context.Context, g *graph.Graph, precision string) ([]report.Time, string, error) {
		if (g.Quantized() != nil) != (precision == "int8") {
			t.Errorf("a network is measured in %s", precision)
		}
		return []report.Time{{Runtime: "fake", Threads: 1, Precision: precision, Milliseconds: 3}, {Runtime: report.ONNXRuntime, Threads: 1, Precision: precision, Milliseconds: 9}}, "not all", nil
	}
	r := chosen(t, data, o, job, 0)
	if err := r.int8Stages(t.Context()); err != nil {
		t.Fatal(err)
	}
	res, err := ReadResult(r.dir)
	if err != nil {
		t.Fatal(err)
	}
	models := []report.Model{{Role: report.Parent, File: "parent.safetensors", Bytes: 9}, {Role: report.Child, File: "final.safetensors", HandedOut: true}, {Role: report.Control}}
	rows, err := r.precisions(t.Context(), res, models)
	if err != nil || len(rows) != 4 {
		t.Fatalf("%+v, %v", rows, err)
	}
	for i, want := range []struct {
		name, precision, missing string
		times                    int
	}{{"the parent", "fp32", "", 0}, {"the child", "fp32", "", 0}, {"the child", "bf16", "no bf16 on this processor", 0}, {"the child", "int8", "not all", 2}} {
		if v := rows[i]; v.Name != want.name || v.Precision != want.precision || v.Missing != want.missing || len(v.Times) != want.times {
			t.Errorf("row %d is %+v, want %+v", i, v, want)
		}
	}
	if v := rows[3]; v.Bytes == 0 || v.Accuracy == nil || v.Times[0].Milliseconds != 3 || v.Times[0].Precision != "int8" {
		t.Errorf("int8 is %+v", v)
	}
	said, err := r.reportInt8(res)
	if err != nil || said.Pictures != 6 || said.Trained.Known() || !strings.HasPrefix(said.Why, "8 bits cost") || len(said.Float) != 2 {
		t.Errorf("int8 came to %+v, %v", said, err)
	}
	r.limits = prune.Limits{}
	if text := strings.Join(r.lines(res), "\n"); !strings.Contains(text, "ultrafast quantize --weights "+Quote(r.path("child.safetensors"))) {
		t.Errorf("commands are %s", text)
	}
}
