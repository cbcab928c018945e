package prune_test

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"ultrafast/graph"
	"ultrafast/prune"
)

func TestScores(t *testing.T) {
	g := parse(t, `
		a = conv x w=f32[2,3,1,1]
		n = batchnorm a c=2 eps=0.001 momentum=0.03
		b = conv n w=f32[2,2,1,1] bias
		c = conv b w=f32[1,2,1,1]
		output c`)
	set := func(name string, v ...float32) {
		for _, p := range g.Params() {
			if p.Name == name {
				copy(p.Tensor().Data, v)
				return
			}
		}
		t.Fatalf("there is no %s", name)
	}
	set("a.weight", 1, 2, 2, 0, 3, 4) // rows of square sum 9 and 25
	set("n.weight", -3, 1)            // gamma adds 9 and 1
	set("b.weight", 1, 2, 3, 4)       // columns of a: 10 and 20; rows: 5 and 25
	set("c.weight", 2, 0)
	groups, err := prune.Groups(g)
	if err != nil {
		t.Fatal(err)
	}
	a0, a1 := math.Sqrt(9+9+10), math.Sqrt(25+1+20)
	b0, b1 := math.Sqrt(5+4), math.Sqrt(25)
	for score, want := range map[prune.Score][][]float64{
		"":          {{a0 * 2 / (a0 + a1), a1 * 2 / (a0 + a1)}, {b0 * 2 / (b0 + b1), b1 * 2 / (b0 + b1)}},
		prune.L2:    {{a0 * 2 / (a0 + a1), a1 * 2 / (a0 + a1)}, {b0 * 2 / (b0 + b1), b1 * 2 / (b0 + b1)}},
		prune.Gamma: {{1.5, 0.5}, {b0 * 2 / (b0 + b1), b1 * 2 / (b0 + b1)}}, // b has no batch norm
	} {
		got, err := prune.Scores(groups, score, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := range want {
			for c := range want[i] {
				if math.Abs(got[i][c]-want[i][c]) > 1e-12 {
					t.Errorf("%q: scores of group %d are %v, want %v", score, i, got[i], want[i])
				}
			}
		}
	}
	if _, err := prune.Scores(groups, "l3", nil); err == nil || !strings.Contains(err.Error(), "only [l2 gamma taylor fisher]") {
		t.Errorf("unknown score: %v", err)
	}
	set("a.weight", float32(math.NaN()))
	if _, err := prune.Scores(groups, prune.L2, nil); err == nil || !strings.Contains(err.Error(), "around a hold") {
		t.Errorf("NaN: %v", err)
	}
}

// left applies a plan and returns the share of parameters that stays.
func left(t *testing.T, p *prune.Plan, g *graph.Graph) float64 {
	t.Helper()
	small, err := p.Apply(g)
	if err != nil {
		t.Fatal(err)
	}
	return float64(small.ParamCount()) / float64(g.ParamCount())
}

func TestNewMeetsKeep(t *testing.T) {
	for _, name := range []string{"yolov5n", "yolov5n-v3"} {
		g := standard(t, name)
		for _, s := range []prune.Target{
			{Keep: 0.5}, {Keep: 0.5, Score: prune.Gamma}, {Keep: 0.9}, {Keep: 0.1}, {Keep: 1},
		} {
			t.Run(fmt.Sprintf("%s/%v%s", name, s.Keep, s.Score), func(t *testing.T) {
				p, err := prune.New(g, s)
				if err != nil {
					t.Fatal(err)
				}
				if got := left(t, p, g); got > s.Keep || got < s.Keep-0.01 {
					t.Errorf("%.4f of the parameters stay, want %v and no more than 0.01 below", got, s.Keep)
				}
				for _, c := range p.Cuts {
					if stay := c.From - len(c.Drop); stay < min(c.From, max(4, c.From/10)) {
						t.Errorf("%s keeps %d of %d, below the floor", c.Group, stay, c.From)
					}
				}
				again, err := prune.New(g, s)
				if err != nil || !reflect.DeepEqual(p, again) {
					t.Errorf("a second plan differs, error %v", err)
				}
			})
		}
	}
}

func TestNewRounds(t *testing.T) {
	g := standard(t, "yolov5n")
	p, err := prune.New(g, prune.Target{Keep: 0.5, Round: 8})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range p.Cuts {
		if stay := c.From - len(c.Drop); stay%8 != 0 && stay != c.From {
			t.Errorf("%s keeps %d of %d, want a multiple of 8", c.Group, stay, c.From)
		}
	}
	if got := left(t, p, g); got > 0.5 || got < 0.45 {
		t.Errorf("%.4f of the parameters stay, want 0.5 or little less", got)
	}
}

func TestNewTellsWhatIsPossible(t *testing.T) {
	g := standard(t, "yolov5n")
	for _, target := range []prune.Target{{Keep: 0.001}, {Keep: 0.0001, Floor: 1}, {Keep: 0.02, Round: 16}} {
		_, err := prune.New(g, target)
		if err == nil {
			t.Fatalf("%+v gave a plan", target)
		}
		_, tail, _ := strings.Cut(err.Error(), "allow is ")
		var least float64
		if _, scan := fmt.Sscanf(tail, "%f", &least); scan != nil {
			t.Fatalf("no share in %q", err)
		}
		target.Keep = least
		p, err := prune.New(g, target)
		if err != nil {
			t.Fatalf("the share that the error tells is not reached: %v", err)
		}
		if got := left(t, p, g); got > least {
			t.Errorf("%v stays, want %v", got, least)
		}
	}
}

// No convolution of a group, and no slice, is left without channels, however low it
// scores.
func TestNewLeavesEveryNodeSomething(t *testing.T) {
	for _, s := range small {
		g := parse(t, s.text)
		for _, p := range g.Params() {
			if p.Name == "a.weight" || p.Name == "b.weight" {
				clear(p.Tensor().Data[:p.Tensor().Len()/2])
			}
		}
		_, err := prune.New(g, prune.Target{Keep: 0.01, Floor: 1})
		if err == nil {
			t.Fatalf("%s: a hundredth was reached", s.name)
		}
		_, tail, _ := strings.Cut(err.Error(), "allow is ")
		var least float64
		if _, scan := fmt.Sscanf(tail, "%f", &least); scan != nil {
			t.Fatal(err)
		}
		p, err := prune.New(g, prune.Target{Keep: least, Floor: 1})
		if err != nil {
			t.Fatal(err)
		}
		if got := left(t, p, g); got > least {
			t.Errorf("%s: %v stays, want %v", s.name, got, least)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	g := parse(t, small[0].text)
	empty, err := graph.Parse(g.String())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []struct {
		g    *graph.Graph
		t    prune.Target
		want string
	}{
		{g, prune.Target{}, "keep is 0"},
		{g, prune.Target{Keep: 1.1}, "keep is 1.1"},
		{g, prune.Target{Keep: math.NaN()}, "keep is NaN"},
		{g, prune.Target{Keep: 0.5, Floor: -1}, "floor -1"},
		{g, prune.Target{Keep: 0.5, Round: -8}, "round -8"},
		{g, prune.Target{Keep: 0.5, Score: "l3"}, `no score "l3"`},
		{empty, prune.Target{Keep: 0.5}, "a.weight has no numbers"},
		{&graph.Graph{}, prune.Target{Keep: 0.5}, "0 inputs"},
	} {
		if _, err := prune.New(s.g, s.t); err == nil || !strings.Contains(err.Error(), s.want) {
			t.Errorf("%+v: error is %v, want one with %q", s.t, err, s.want)
		}
	}
}

func TestPlanPrintsAndReadsBack(t *testing.T) {
	p := &prune.Plan{Cuts: []prune.Cut{
		{Group: "model.0.conv", From: 16, Drop: []int{1, 5, 6, 15}},
		{Group: "model.1.conv", From: 128, Drop: []int{}},
	}}
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"cuts":[{"group":"model.0.conv","from":16,"drop":[1,5,6,15]},{"group":"model.1.conv","from":128,"drop":[]}]}`
	if string(text) != want {
		t.Errorf("plan is %s, want %s", text, want)
	}
	var again prune.Plan
	if err := json.Unmarshal(text, &again); err != nil || !reflect.DeepEqual(&again, p) {
		t.Errorf("plan comes back as %+v, error %v", again, err)
	}
	const table = "" +
		"  before  after   kept group\n" +
		"      16     12   75 % model.0.conv\n" +
		"     128    128  100 % model.1.conv\n" +
		"     144    140   97 % all channels\n"
	if got := p.String(); got != table {
		t.Errorf("table is\n%swant\n%s", got, table)
	}
}
