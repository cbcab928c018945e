package yolo

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"testing"

	"ultrafast/graph"
)

// goldenAnchors is what YOLOv5 v7.0 measured.
type goldenAnchors struct {
	WH, Anchors, Best []float32
	BPR, AAT, Fitness float64
}

func sizesOf(flat []float32) (out [][2]float32) {
	for p := range slices.Chunk(flat, 2) {
		out = append(out, [2]float32{p[0], p[1]})
	}
	return out
}

func readGoldenAnchors(t *testing.T) (g goldenAnchors) {
	path := filepath.Join("..", "..", "shared", "golden", "anchors.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Skipf("the recorded truth is not there: %v", err)
	}
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

func TestScoreAnchorsIsYOLOv5s(t *testing.T) {
	g := readGoldenAnchors(t)
	sizes, anchors := sizesOf(g.WH), sizesOf(g.Anchors)
	s := ScoreAnchors(sizes, [][][2]float32{anchors[:3], anchors[3:6], anchors[6:]}, AnchorThreshold)
	for name, v := range map[string][2]float64{"BPR": {s.BPR, g.BPR}, "above": {s.Above, g.AAT}, "fitness": {s.Fitness, g.Fitness}} {
		if math.Abs(v[0]-v[1]) > 1e-6 {
			t.Errorf("%s is %v, YOLOv5 has %v", name, v[0], v[1])
		}
	}
	for i, size := range sizes {
		one := ScoreAnchors(sizes[i:i+1], [][][2]float32{anchors}, AnchorThreshold)
		if math.Abs(one.Best-float64(g.Best[i])) > 1e-6 {
			t.Errorf("best ratio of %v is %v, YOLOv5 has %v", size, one.Best, g.Best[i])
		}
	}
	search, err := newSearch(t.Context(), AnchorSearch{}, sizes)
	if err != nil {
		t.Fatal(err)
	}
	var logs [][2]float64
	for _, a := range anchors {
		logs = append(logs, [2]float64{math.Log(float64(a[0])), math.Log(float64(a[1]))})
	}
	if f := search.fitness(logs); math.Abs(f-g.Fitness) > 1e-6 {
		t.Errorf("the search's fitness is %v, YOLOv5 has %v", f, g.Fitness)
	}
}

// YOLOv5's own anchors are a fair start; a fit to the labels has to beat them.
func TestKMeansBeatsTheStandard(t *testing.T) {
	g := readGoldenAnchors(t)
	sizes := sizesOf(g.WH)
	levels, err := AnchorSearch{}.KMeans(t.Context(), sizes, []int{8, 16, 32}, []int{3, 3, 3})
	if err != nil {
		t.Fatal(err)
	}
	if s := ScoreAnchors(sizes, levels, AnchorThreshold); s.Fitness < g.Fitness+0.05 || s.BPR < g.BPR-1e-6 {
		t.Errorf("fitness %v and BPR %v, want well above %v and %v", s.Fitness, s.BPR, g.Fitness, g.BPR)
	}
}

func TestScoreAnchors(t *testing.T) {
	levels := [][][2]float32{{{10, 10}}, {{30, 30}, {100, 20}}}
	sizes := [][2]float32{{10, 10}, {20, 20}, {40, 10}, {1, 1}} // the third is 4 times the first anchor's width: no match
	s := ScoreAnchors(sizes, levels, AnchorThreshold)
	want := AnchorScore{
		BPR: 3. / 4, Above: 6. / 4,
		Mean:    (1 + 1./3 + 1./10 + 1./2 + 2./3 + 1./5 + 1./4 + 1./3 + 2./5 + 1./10 + 1./30 + 1./100) / 12,
		Best:    (1 + 2./3 + 2./5 + 1./10) / 4,
		Fitness: (1 + 2./3 + 2./5) / 4,
		Levels:  []LevelScore{{Labels: 2. / 4, Matches: 2. / 6}, {Labels: 3. / 4, Matches: 4. / 6}},
	}
	for i, v := range [][2]float64{{s.BPR, want.BPR}, {s.Above, want.Above}, {s.Mean, want.Mean}, {s.Best, want.Best}, {s.Fitness, want.Fitness},
		{s.Levels[0].Labels, want.Levels[0].Labels}, {s.Levels[0].Matches, want.Levels[0].Matches},
		{s.Levels[1].Labels, want.Levels[1].Labels}, {s.Levels[1].Matches, want.Levels[1].Matches}} {
		if math.Abs(v[0]-v[1]) > 1e-6 {
			t.Errorf("number %d is %v, want %v: %+v", i, v[0], v[1], s)
		}
	}
	if s := ScoreAnchors(nil, levels, AnchorThreshold); !reflect.DeepEqual(s, AnchorScore{Levels: make([]LevelScore, 2)}) {
		t.Errorf("without labels: %+v", s)
	}
}

// clusters draws labels around sizes.
func clusters(n int, around ...[2]float64) (sizes [][2]float32) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		c := around[i%len(around)]
		spread := math.Exp(0.1 * r.NormFloat64())
		sizes = append(sizes, [2]float32{float32(c[0] * spread), float32(c[1] * spread)})
	}
	return sizes
}

func TestKMeansFindsClusters(t *testing.T) {
	around := [][2]float64{{12, 30}, {40, 20}, {90, 100}, {300, 150}}
	sizes := clusters(20000, around...) // several chunks
	found, err := AnchorSearch{Seed: 3}.KMeans(t.Context(), sizes, []int{32, 8}, []int{2, 2})
	if err != nil {
		t.Fatal(err)
	}
	got := append(slices.Clone(found[1]), found[0]...) // the second level has the smaller stride
	for i, a := range got {
		if l := likeness(a, [2]float32{float32(around[i][0]), float32(around[i][1])}); l < 0.9 {
			t.Errorf("anchor %d is %v, want about %v", i, a, around[i])
		}
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	again, err := AnchorSearch{Seed: 3}.KMeans(t.Context(), sizes, []int{32, 8}, []int{2, 2})
	if err != nil || !reflect.DeepEqual(again, found) {
		t.Errorf("the same seed on one core gives %v, %v; before %v", again, err, found)
	}
}

func TestAnchorsOfFewSizes(t *testing.T) {
	one := [][2]float32{{20, 40}}
	for name, fit := range map[string]func() ([][][2]float32, error){
		"k-means": func() ([][][2]float32, error) {
			return AnchorSearch{}.KMeans(t.Context(), one, []int{8, 16}, []int{2, 2})
		},
		"by stride": func() ([][][2]float32, error) { return AnchorSearch{}.ByStride(t.Context(), one, []int{8, 16}) },
	} {
		levels, err := fit()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if s := ScoreAnchors(one, levels, AnchorThreshold); s.BPR != 1 || s.Best < 0.95 {
			t.Errorf("%s: %v fit %v as %+v", name, levels, one, s)
		}
	}
	for _, none := range [][][2]float32{nil, {{1, 1.5}}} {
		if _, err := (AnchorSearch{}).KMeans(t.Context(), none, []int{8}, []int{1}); err == nil {
			t.Errorf("anchors are fitted to %v", none)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (AnchorSearch{}).ByStride(ctx, one, []int{8}); !errors.Is(err, context.Canceled) {
		t.Errorf("after the context's end: %v", err)
	}
}

func TestByStride(t *testing.T) {
	for name, test := range map[string]struct {
		sizes  [][2]float32
		counts []int
		bpr    float64
	}{
		"a size for each level":    {clusters(3000, [2]float64{20, 20}, [2]float64{90, 110}, [2]float64{350, 300}), []int{1, 1, 1}, 0.99},
		"two shapes on one level":  {clusters(3000, [2]float64{8, 160}, [2]float64{160, 8}), []int{2, 1, 1}, 0.99},
		"small ones only":          {clusters(3000, [2]float64{14, 18}), []int{1, 1, 1}, 0.99},
		"half are out of reach":    {clusters(3000, [2]float64{2.5, 2.5}, [2]float64{30, 30}), []int{1, 1, 1}, 0.45},
		"larger than every anchor": {clusters(300, [2]float64{1900, 2000}), []int{1, 1, 1}, 0.4},
	} {
		done, steps := 0, 0
		search := AnchorSearch{Progress: func(d, s int) {
			if d < done || d > s {
				t.Fatalf("%s: progress %d of %d after %d", name, d, s, done)
			}
			done, steps = d, s
		}}
		strides := []int{8, 16, 32}
		levels, err := search.ByStride(t.Context(), test.sizes, strides)
		if err != nil {
			t.Fatal(err)
		}
		if done < steps*9/10 {
			t.Errorf("%s: progress ends at %d of %d", name, done, steps)
		}
		for l, anchors := range levels {
			if len(anchors) != test.counts[l] {
				t.Errorf("%s: stride %d has anchors %v, want %d", name, strides[l], anchors, test.counts[l])
			}
			for _, a := range anchors {
				if n := math.Sqrt(float64(a[0]*a[1])) / float64(strides[l]); n < leastStrides-1e-4 || n > mostStrides+1e-4 {
					t.Errorf("%s: anchor %v is %.2f strides of %d", name, a, n, strides[l])
				}
			}
		}
		if s := ScoreAnchors(test.sizes, levels, AnchorThreshold); s.BPR < test.bpr {
			t.Errorf("%s: BPR %v of %v, want %v", name, s.BPR, levels, test.bpr)
		}
	}
}

func TestUsableSizes(t *testing.T) {
	usable, small := UsableSizes([][2]float32{{1.9, 1.9}, {2, 0.5}, {2.9, 9}, {3, 3}})
	if len(usable) != 3 || small != 3 {
		t.Errorf("got %v, %d", usable, small)
	}
}

func TestOrderAnchors(t *testing.T) {
	small, large, two := [][2]float32{{10, 10}}, [][2]float32{{50, 50}}, [][2]float32{{50, 50}, {60, 60}}
	for name, test := range map[string]struct {
		anchors [][][2]float32
		strides []int
		turned  bool
	}{
		"in order":             {[][][2]float32{small, large}, []int{8, 16}, false},
		"reversed":             {[][][2]float32{large, small}, []int{8, 16}, true},
		"strides fall as well": {[][][2]float32{large, small}, []int{16, 8}, false},
		"equal":                {[][][2]float32{small, small}, []int{8, 16}, false},
		"different numbers":    {[][][2]float32{two, small}, []int{8, 16}, false},
		"one level":            {[][][2]float32{small}, []int{8}, false},
	} {
		d := &graph.Detect{Anchors: slices.Clone(test.anchors), Strides: test.strides}
		if got := OrderAnchors(d); got != test.turned || got == reflect.DeepEqual(d.Anchors, test.anchors) {
			t.Errorf("%s: turned %v, anchors %v", name, got, d.Anchors)
		}
	}
}
