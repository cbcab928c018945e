package train

import (
	"math"
	"strings"
	"testing"

	"ultrafast/graph"
)

func TestReadHyp(t *testing.T) {
	h, err := ReadHyp(strings.NewReader("lr0: 2e-2  # higher\nfliplr: 0\niou_t: 0.3\nmixup: 0.0\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := DefaultHyp()
	want.LR0, want.FlipLR, want.IoUT = 0.02, 0, 0.3
	if h != want {
		t.Errorf("got %+v, want %+v", h, want)
	}
	if h, err := ReadHyp(strings.NewReader("")); err != nil || h != DefaultHyp() {
		t.Errorf("an empty file gives %+v, %v", h, err)
	}
}

// The named sets differ from the default in what v7.0's files do.
func TestNamedHyps(t *testing.T) {
	med := DefaultHyp()
	med.LRF, med.Cls, med.Obj, med.Scale, med.Mixup = 0.1, 0.3, 0.7, 0.9, 0.1
	high := med
	high.CopyPaste = 0.1
	for name, want := range map[string]Hyp{"scratch-low": DefaultHyp(), "scratch-med": med, "scratch-high": high} {
		if got, err := OpenHyp(name); err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, want)
		}
	}
	if _, err := OpenHyp("scratch-none"); err == nil || !strings.Contains(err.Error(), "scratch-none: there is no such file; YOLOv5's own sets are scratch-low") {
		t.Errorf("a set that is not there: %v", err)
	}
}

func TestHypComesBack(t *testing.T) {
	h := DefaultHyp()
	h.LR0, h.Degrees, h.LabelSmoothing = 1.0/3, 1e-7, 0.1
	back, err := ReadHyp(strings.NewReader(h.String()))
	if err != nil || back != h {
		t.Errorf("got %+v, %v, want %+v", back, err, h)
	}
}

func TestReadHypRefuses(t *testing.T) {
	for _, test := range []struct {
		text string
		want []string // parts of the error
	}{
		{"lr0: 0.01\nlr_f: 0.1\n", []string{"line 2", "lr_f"}},
		{"lr0: 0.01\nmomentum: much\n", []string{"line 2", "much"}},
		{"lr0: 0.01\nlr0: 0.02\n", []string{"line 2", "lr0"}},
		{"lr0: [1, 2]\n", []string{"line 1"}},
		{"- 1\n- 2\n", []string{"line 1"}},
		{"lr0: 0.1\nmixup: 1.1\n", []string{"line 2", "mixup", "want 0 to 1"}},
		{"momentum: 1.5\n", []string{"momentum", "1.5"}},
		{"lr0:\nlrf: 0.1\n", []string{"line 1", "lr0"}},
		{"lr0: 0.1\n---\nlr0: 0.2\n", []string{"2 YAML documents"}},
		{"lr0: .nan\n", []string{"lr0", "nan"}},
		{"lr0: .inf\n", []string{"lr0", "inf"}},
		{"anchor_t: 0\n", []string{"anchor_t"}},
		{"giou: 0.05\n", []string{"giou"}},
		{"lr0: {\n", []string{"line 1"}},
		{"a: " + strings.Repeat("x", maxHyp), []string{"more than"}},
	} {
		_, err := ReadHyp(strings.NewReader(test.text))
		if err == nil {
			t.Errorf("%.40q: no error", test.text)
			continue
		}
		for _, part := range test.want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%.40q: error %q does not say %q", test.text, err, part)
			}
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("%.40q: error of several lines: %q", test.text, err)
		}
	}
}

func TestLossScaling(t *testing.T) {
	d := &graph.Detect{Classes: 2, Anchors: make([][][2]float32, 2)}
	got := DefaultHyp().Loss(d, 320)
	near(t, "box", got.Box, 0.05*1.5, 1e-12)
	near(t, "cls", got.Cls, 0.5*1.5*2/80, 1e-12)
	near(t, "obj", got.Obj, 1.5*0.25, 1e-12)
	if got.AnchorT != 4 || got.ObjPW != 1 || got.ClsPW != 1 {
		t.Errorf("got %+v", got)
	}
}

func FuzzHyp(f *testing.F) {
	for _, s := range []string{"lr0: 0.01\n", "lr0: 1e400", "mosaic: .nan", "a: &a [*a]", "lr0: !!float x", "{lr0: 1, lrf: 0.1}", "lr0:\n\t1", "? lr0\n: 1", "<<: {lr0: 1}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		h, err := ReadHyp(strings.NewReader(text))
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error of several lines: %q", err)
			}
			return
		}
		if math.IsNaN(h.LR0+h.Momentum) || h.Mosaic > 1 {
			t.Errorf("%q gives %+v", text, h)
		}
		if back, err := ReadHyp(strings.NewReader(h.String())); err != nil || back != h {
			t.Errorf("%+v comes back as %+v, %v", h, back, err)
		}
	})
}
