package train

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"
)

func TestEvolve(t *testing.T) {
	trials := []Trial{{DefaultHyp(), 0.3}}
	for i := range 200 {
		h := Evolve(trials, 7)
		if again := Evolve(trials, 7); again != h {
			t.Fatal("the same trials give another child")
		}
		if err := h.check(); err != nil {
			t.Fatal(err)
		}
		if h == trials[len(trials)-1].Hyp {
			t.Error("nothing has changed")
		}
		for _, f := range h.fields() {
			if g := genomes[f.name]; g.gain > 0 && f.high > 0 && (*f.at < g.low || *f.at > g.high) {
				t.Errorf("trial %d: %s is %v, want %v to %v", i, f.name, *f.at, g.low, g.high)
			}
		}
		if h.FlipLR != 0.5 || h.NBS != 64 || h.IoUT != DefaultHyp().IoUT {
			t.Errorf("trial %d changes what does not evolve: %v", i, h)
		}
		trials = append(trials, Trial{h, 1 - math.Abs(h.LR0-0.03)}) // as if a rate of 0.03 were best
	}
	best := slices.MaxFunc(trials[1:], func(a, b Trial) int {
		if a.Fitness < b.Fitness {
			return -1
		}
		return 1
	})
	if math.Abs(best.Hyp.LR0-0.03) > 0.003 {
		t.Errorf("200 trials came to a rate of %v, 0.03 is best", best.Hyp.LR0)
	}
}

func TestTrials(t *testing.T) {
	trials := []Trial{{DefaultHyp(), 0.25}, {Evolve([]Trial{{DefaultHyp(), 0.25}}, 1), 1. / 3}}
	var b bytes.Buffer
	if err := WriteTrials(&b, trials); err != nil {
		t.Fatal(err)
	}
	got, err := ReadTrials(bytes.NewReader(b.Bytes()))
	if err != nil || !slices.Equal(got, trials) {
		t.Errorf("%v, %v, want %v", got, err, trials)
	}
	text := b.String()
	for name, c := range map[string]struct{ text, want string }{
		"empty":   {"", "first line"},
		"other":   {"a,b\n1,2\n", "first line"},
		"word":    {strings.Replace(text, "0.25,", "much,", 1), `line 2: "much" is no number`},
		"NaN":     {strings.Replace(text, "0.25,", "NaN,", 1), "line 2"},
		"unknown": {strings.Replace(text, "lr0", "lr9", 1), `"lr9" is unknown`},
		"short":   {text + "1,2\n", "wrong number of fields"},
		"range":   {strings.Replace(text, "0.25,0.01,", "0.25,77,", 1), "line 2"},
	} {
		if _, err := ReadTrials(strings.NewReader(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func FuzzTrials(f *testing.F) {
	var b bytes.Buffer
	WriteTrials(&b, []Trial{{DefaultHyp(), 0.25}})
	f.Add(b.String())
	f.Fuzz(func(t *testing.T, text string) {
		if trials, err := ReadTrials(strings.NewReader(text)); err == nil {
			for _, trial := range trials {
				if err := trial.Hyp.check(); err != nil {
					t.Error(err)
				}
			}
		}
	})
}
