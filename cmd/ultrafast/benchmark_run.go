package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"

	"ultrafast/detect"
	"ultrafast/engine"
	"ultrafast/graph"
	"ultrafast/internal/peak"
	"ultrafast/picture"
	"ultrafast/scene"
	"ultrafast/tensor"
	"ultrafast/yolo"
)

const (
	rounds      = 10   // turns that each runtime gets
	frameWidth  = 1920 // of the picture of a whole frame
	frameHeight = 1080
	profileRuns = 20
)

// pause lets the threads of the runtime whose turn is over go to sleep: they look for work
// for a while (ONNX Runtime's for about a millisecond), which would slow the next.
const pause = 20 * time.Millisecond

// A benchmark is a model and the runtimes to run it in.
type benchmark struct {
	g, raw  *graph.Graph
	w, h    int
	frame   *picture.RGB
	input   *tensor.Tensor
	names   []string
	runners []runner
	peaks   map[int]float64 // by threads
}

func newBenchmark(g *graph.Graph, w, h int) (*benchmark, error) {
	raw, _, err := yolo.Raw(g)
	if err != nil {
		return nil, err
	}
	b := &benchmark{g: g, raw: raw, w: w, h: h, input: tensor.New(1, 3, h, w), peaks: map[int]float64{}}
	b.frame, _ = scene.Draw(rand.New(rand.NewPCG(1, 0)), frameWidth, frameHeight)
	boxed, _ := picture.Letterbox(b.frame, w, h)
	boxed.CHW(b.input.Data)
	return b, nil
}

func (b *benchmark) open(ctx context.Context, out io.Writer, name, provider string, f engineFlags) error {
	r, err := openRunner(ctx, out, name, provider, f)
	if err != nil {
		return fmt.Errorf("--runtimes %s: %w", name, err)
	}
	b.names, b.runners = append(b.names, name), append(b.runners, r)
	return nil
}

func (b *benchmark) close() {
	for _, r := range b.runners {
		r.Close()
	}
}

// inInt8 is the benchmark of the network in 8 bits, with the ranges of the drawn picture.
func (b *benchmark) inInt8(ctx context.Context) (*benchmark, error) {
	g, err := inEightBits(ctx, b.g, b.input)
	if err != nil {
		return nil, err
	}
	raw, _, err := yolo.Raw(g)
	if err != nil {
		return nil, err
	}
	eight := *b
	eight.g, eight.raw = g, raw
	return &eight, nil
}

// alone is the benchmark in its first runtime only.
func (b *benchmark) alone() *benchmark {
	first := *b
	first.names, first.runners = b.names[:1], b.runners[:1]
	return &first
}

// A side is one runtime's network and what was measured of it.
type side struct {
	name          string
	precision     string
	net           detect.Network
	detector      *detect.Detector
	network       [][]time.Duration // by round
	frames        []time.Duration
	before, after []time.Duration // parts of the frames
	within        []time.Duration // and their networks
}

// cell measures all runtimes with one number of threads, for that many seconds each, half
// of them for the network alone. step is called after every turn.
func (b *benchmark) cell(ctx context.Context, threads int, precision string, seconds float64, profile bool, step func()) ([]benchRow, error) {
	var sides []*side
	defer func() {
		for _, s := range sides {
			s.detector.Close()
		}
	}()
	for i, r := range b.runners {
		s, err := b.side(b.names[i], r, threads, precision)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", b.names[i], err)
		}
		sides = append(sides, s)
	}
	differs, err := b.compare(sides, tolerances[b.computed(precision)])
	if err != nil {
		return nil, err
	}
	turn := time.Duration(seconds / 2 / rounds * float64(time.Second))
	for range rounds {
		for _, s := range sides {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			time.Sleep(pause)
			if err := b.turn(ctx, s, turn); err != nil {
				return nil, fmt.Errorf("%s: %w", s.name, err)
			}
			step()
		}
	}
	rows := make([]benchRow, len(sides))
	for i, s := range sides {
		rows[i] = s.row(sides[0], threads)
		rows[i].Precision = s.precision
		rows[i].Differs = differs[i]
		if profile {
			time.Sleep(pause)
			if err := b.profile(b.runners[i], &rows[i]); err != nil {
				return nil, fmt.Errorf("%s: profile: %w", s.name, err)
			}
		}
		rows[i].Precision = b.computed(s.precision)
	}
	return rows, nil
}

// computed is what is computed in where precision is asked for: a quantised network has its own.
func (b *benchmark) computed(precision string) string {
	if b.raw.Quantized() != nil {
		return engine.Int8
	}
	return precision
}

func (b *benchmark) options(threads int, precision string) detect.Options {
	return detect.Options{Width: b.w, Height: b.h, Threads: threads, Sessions: 1, Precision: precision}
}

func (b *benchmark) side(name string, r runner, threads int, precision string) (*side, error) {
	s := &side{name: name, precision: engine.FP32}
	if name == "native" && b.raw.Quantized() == nil {
		s.precision = precision
	}
	o := b.options(threads, s.precision)
	o.Compile = func(raw *graph.Graph, o detect.Options) (func() (detect.Network, error), error) {
		connect, err := r.Compile(raw, o)
		return func() (detect.Network, error) {
			s.net, err = connect()
			return s.net, err
		}, err
	}
	var err error
	s.detector, err = detect.New(b.g, o)
	return s, err
}

// compare returns how far the sides' maps are from those of the first.
func (b *benchmark) compare(sides []*side, tolerance float64) ([]difference, error) {
	all := make([]difference, len(sides))
	var first []*tensor.Tensor
	for i, s := range sides {
		maps, err := s.net.Run(b.input)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		if i == 0 {
			first = maps
		}
		if all[i], err = differ(maps, first); err != nil {
			return nil, fmt.Errorf("%s and %s: %w", s.name, sides[0].name, err)
		}
		if !(all[i].Rel <= tolerance) {
			return nil, &unlikeError{s.name, sides[0].name, all[i]}
		}
	}
	return all, nil
}

// An unlikeError says that two runtimes do not compute the same.
type unlikeError struct {
	runtime, first string
	difference
}

func (e *unlikeError) Error() string {
	return fmt.Sprintf("%s and %s do not compute the same: maps differ by up to %.3g, %.3g of the largest number", e.runtime, e.first, e.Abs, e.Rel)
}

func differ(got, want []*tensor.Tensor) (difference, error) {
	if len(got) != len(want) {
		return difference{}, fmt.Errorf("%d and %d maps", len(got), len(want))
	}
	far, large := 0.0, 0.0
	for i, m := range want {
		if !slices.Equal(got[i].Shape, m.Shape) {
			return difference{}, fmt.Errorf("map %d: shapes %v and %v", i, got[i].Shape, m.Shape)
		}
		for j, v := range m.Data {
			d := math.Abs(float64(got[i].Data[j]) - float64(v))
			if math.IsNaN(d) || math.IsInf(d, 0) {
				return difference{}, errors.New("maps hold numbers that are none")
			}
			far, large = max(far, d), max(large, math.Abs(float64(v)))
		}
	}
	return difference{far, far / max(large, math.SmallestNonzeroFloat64)}, nil
}

// turn measures the network, then whole frames, each for d and at least once.
func (b *benchmark) turn(ctx context.Context, s *side, d time.Duration) error {
	var network []time.Duration
	err := repeat(d, func(measured bool) error {
		start := time.Now()
		_, err := s.net.Run(b.input)
		if measured {
			network = append(network, time.Since(start))
		}
		return err
	})
	if err != nil {
		return err
	}
	s.network = append(s.network, network)
	return repeat(d, func(measured bool) error {
		_, t, err := s.detector.Detect(ctx, b.frame)
		if measured {
			s.frames = append(s.frames, t.Before+t.Network+t.After)
			s.before, s.within, s.after = append(s.before, t.Before), append(s.within, t.Network), append(s.after, t.After)
		}
		return err
	})
}

// repeat calls f once to warm up, then measured for d.
func repeat(d time.Duration, f func(measured bool) error) error {
	if err := f(false); err != nil {
		return err
	}
	for end := time.Now().Add(d); ; {
		if err := f(true); err != nil {
			return err
		}
		if !time.Now().Before(end) {
			return nil
		}
	}
}

func (s *side) row(first *side, threads int) benchRow {
	ratios := make([]float64, len(s.network))
	for i, times := range s.network {
		ratios[i] = float64(newSpread(times).median) / float64(newSpread(first.network[i]).median)
	}
	slices.Sort(ratios)
	return benchRow{
		Runtime: s.name,
		Threads: threads,
		Network: benchTimes(newSpread(slices.Concat(s.network...))),
		Frame:   benchTimes(newSpread(s.frames)),
		Before:  inMillis(newSpread(s.before).median),
		Within:  inMillis(newSpread(s.within).median),
		After:   inMillis(newSpread(s.after).median),
		Ratio: benchRatio{
			Median: roundTo(quantile(ratios, 0.5), 4),
			Q1:     roundTo(quantile(ratios, 0.25), 4),
			Q3:     roundTo(quantile(ratios, 0.75), 4),
		},
	}
}

func (b *benchmark) profile(r runner, row *benchRow) error {
	_, steps, err := r.Profile(b.raw, b.options(row.Threads, row.Precision), b.input, profileRuns)
	if err != nil {
		return err
	}
	flops := b.peak(row.Threads)
	row.PeakGFLOPS = roundTo(flops/1e9, 1)
	total := time.Duration(0)
	for _, s := range steps {
		total += s.Time.median
	}
	for _, s := range steps {
		perSecond := float64(s.FLOP) / max(s.Time.median.Seconds(), 1e-9)
		row.Profile = append(row.Profile, benchStep{
			Name:        s.Name,
			Kernel:      s.Kernel,
			Ms:          inMillis(s.Time.median),
			GFLOPS:      roundTo(perSecond/1e9, 2),
			ShareOfPeak: roundTo(perSecond/flops, 4),
			ShareOfTime: roundTo(float64(s.Time.median)/float64(max(total, 1)), 4),
		})
	}
	return nil
}

// peak returns what so many threads can do at most, in FLOP a second of fp32.
func (b *benchmark) peak(threads int) float64 {
	if b.peaks[threads] == 0 {
		b.peaks[threads] = peak.FLOPS(threads, time.Second)
	}
	return b.peaks[threads]
}

func (b *benchmark) report() (*benchReport, error) {
	work, err := b.g.GFLOP(b.w, b.h)
	if err != nil {
		return nil, err
	}
	r := &benchReport{Parameters: b.g.ParamCount(), GFLOP: roundTo(work, 4), Width: b.w, Height: b.h,
		Processor: processor(), Cores: runtime.GOMAXPROCS(0), Runtimes: map[string]string{}}
	for i, name := range b.names {
		r.Runtimes[name] = b.runners[i].String()
	}
	return r, nil
}
