package prune_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"ultrafast/graph"
	"ultrafast/prune"
	"ultrafast/tensor"
)

// tiny is a network with a block, quick to plan.
func tiny(t *testing.T) *graph.Graph {
	return parse(t, `
		a = conv x w=f32[12,3,3,3] pad=1
		aa = silu a
		m.0.cv1 = conv aa w=f32[10,12,1,1]
		m.0.act = silu m.0.cv1
		m.0.cv2 = conv m.0.act w=f32[12,10,3,3] pad=1
		m.0.add = add aa m.0.cv2
		b = conv m.0.add w=f32[16,12,3,3] pad=1
		ba = silu b
		o = conv ba w=f32[4,16,1,1]
		output o`)
}

func draft(t *testing.T, g *graph.Graph, target prune.Target) (*prune.File, string) {
	t.Helper()
	f, err := prune.Draft(g, target, "params=half")
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if _, err := f.WriteTo(&text); err != nil {
		t.Fatal(err)
	}
	return f, text.String()
}

func TestFileReadsBack(t *testing.T) {
	g := tiny(t)
	for _, target := range []prune.Target{
		{Keep: 0.5, Blocks: true}, {Keep: 0.5, Clock: stair{}, Table: exampleTable(t, g, "b"), Width: 64, Height: 32},
	} {
		f, text := draft(t, g, target)
		again, err := prune.ReadFile(strings.NewReader(text))
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if !reflect.DeepEqual(f, again.WithoutLines()) {
			t.Errorf("comes back as\n%+v\nwant\n%+v", again, f)
		}
		p, err := again.Plan(g)
		if err != nil {
			t.Fatal(err)
		}
		small, err := p.Apply(g)
		if err != nil {
			t.Fatal(err)
		}
		if got := small.ParamCount(); got != f.Estimate.Params {
			t.Errorf("%d parameters are left, the estimate was %d", got, f.Estimate.Params)
		}
	}
}

// A person edits how many stay, and which blocks.
func TestFileEdited(t *testing.T) {
	g := tiny(t)
	f, text := draft(t, g, prune.Target{Keep: 0.9, Floor: 1})
	edited := strings.Replace(text, "group: b, from: 16, to: 1", "group: b, from: 16, to: 5 #", 1) // was 10 to 16
	if edited == text {
		t.Fatalf("no line to edit in\n%s", text)
	}
	edited = strings.Replace(strings.Replace(edited, " #", ", #", 1), "remove: false", "remove: true", 1)
	line := edited[strings.Index(edited, ", #"):]
	edited = strings.Replace(edited, line[:strings.Index(line, "kept")], ", ", 1)
	f, err := prune.ReadFile(strings.NewReader(edited))
	if err != nil {
		t.Fatalf("%v\n%s", err, edited)
	}
	if err := f.Assess(g, prune.Target{}); err != nil {
		t.Fatal(err)
	}
	p, err := f.Plan(g)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Cuts[slices.IndexFunc(p.Cuts, func(c prune.Cut) bool { return c.Group == "b" })]; got.From-len(got.Drop) != 5 || !slices.Equal(p.Blocks, []string{"m.0"}) {
		t.Errorf("the plan is %+v, blocks %v", got, p.Blocks)
	}
	small, err := p.Apply(g)
	if err != nil || small.ParamCount() != f.Estimate.Params {
		t.Errorf("%d parameters, the new estimate is %d, %v", small.ParamCount(), f.Estimate.Params, err)
	}
}

func TestFileRefuses(t *testing.T) {
	g := tiny(t)
	f, text := draft(t, g, prune.Target{Keep: 0.5, Blocks: true})
	group := f.Groups[0]
	for _, s := range []struct{ name, old, new, want string }{
		{"not YAML", "groups:", "groups: [", "plan"},
		{"unknown key", "target:", "tarket:", "line 11: unknown field \"tarket\""},
		{"another version", "plan 1", "plan 2", `"plan 2", want "plan 1"`},
		{"no input", "width: 8", "width: 0", "input of 0 x"},
		{"other weights", f.Model, strings.Repeat("0", 32), "another network: its groups are alike"},
		{"other group", "group: a,", "group: z,", "group 1 is z in the plan and a here"},
		{"none stays", fmt.Sprintf("from: 12, to: %d", group.To), "from: 12, to: 0", "group a keeps 0 of 12: want 1 to 12"},
		{"more than there are", fmt.Sprintf("from: 12, to: %d", group.To), "from: 12, to: 13", "group a keeps 13 of 12: want 1 to 12"},
		{"deep", "score: l2", "score: " + strings.Repeat("[", 1<<18), "within each other"},
		{"deep without brackets", "score: l2", "score:\n " + strings.Repeat(" -", 1<<18), "within each other"},
		{"large", "score: l2", "score: " + strings.Repeat("l", 1<<20), "more than 1048576 bytes"},
		{"other width", "{group: a, from: 12", "{group: a, from: 13", "a has 13 channels in the plan and 12 here"},
		{"half a channel", fmt.Sprintf("to: %d,", group.To), "to: 7.5,", `to: "7.5": want a whole number`},
		{"octal", fmt.Sprintf("to: %d,", group.To), "to: 010,", `to: "010": want a whole number`},
		{"order with a word", `"a": "`, `"a": "one `, `"one"`},
		{"order too short", `"a": "` + f.Order["a"], `"a": "`, "can keep no fewer than 12"},
		{"order twice", `"a": "`, `"a": "` + strings.Fields(f.Order["a"])[1] + " ", "want different channels"},
		{"no such block", "block: m.0", "block: m.1", "no block m.1 here"},
	} {
		t.Run(s.name, func(t *testing.T) {
			edited := strings.Replace(text, s.old, s.new, 1)
			if s.name == "no such block" {
				edited = strings.Replace(edited, "remove: false", "remove: true", 1)
			}
			if edited == text {
				t.Fatalf("%q is not in\n%s", s.old, text)
			}
			file, err := prune.ReadFile(strings.NewReader(edited))
			if err == nil {
				_, err = file.Plan(g)
			}
			if err == nil || !strings.Contains(err.Error(), s.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error is %v, want one line with %q (group %+v)", err, s.want, group)
			}
		})
	}
}

// An order that was edited by hand is looked at before an estimate is made of it.
func TestFileRefusesWhatNoCutCanBe(t *testing.T) {
	g := parse(t, `
		a = conv x w=f32[12,3,3,3] pad=1
		s = slice a axis=1 start=0 end=2
		q = slice a axis=1 start=2 end=12
		r = concat s q
		o = conv r w=f32[4,12,1,1]
		output o`)
	f, _ := draft(t, g, prune.Target{Keep: 1})
	f.Groups[0].To, f.Order["a"] = 9, "0 1 2"
	if err := f.Assess(g, prune.Target{}); err == nil || !strings.Contains(err.Error(), "leaves s without channels") {
		t.Errorf("error is %v", err)
	}
}

// An input without whole cells is refused with its line, wherever a person moved that.
func TestFileRefusesInputs(t *testing.T) {
	g := parse(t, `
		a = conv x w=f32[12,3,3,3] stride=2 pad=1
		o = conv a w=f32[7,12,1,1]
		boxes = detect o classes=2 strides=2 anchors=4,4
		output boxes`)
	_, text := draft(t, g, prune.Target{Keep: 0.5, Width: 8, Height: 16})
	for _, s := range []struct{ old, new, want string }{
		{"width: 8", "width: 8", ""},
		{"width: 8", "width: 9", "plan line 12: width is 9, want a multiple of the model's stride 2"},
		{"width: 8", "# a remark\nwidth: 8 # another\n", ""},
		{"height: 16", "# a remark\nheight: 15", "plan line 14: height is 15, want a multiple of the model's stride 2"},
	} {
		f, err := prune.ReadFile(strings.NewReader(strings.Replace(text, s.old, s.new, 1)))
		if err == nil {
			_, err = f.Plan(g)
		}
		if s.want == "" && err != nil || s.want != "" && (err == nil || err.Error() != s.want) {
			t.Errorf("%s: error %v, want %q in\n%s", s.new, err, s.want, text)
		}
	}
}

// Names of ONNX that mean something in YAML are names all the same.
func TestFileNames(t *testing.T) {
	for _, name := range []string{"123", "0x10", "null", "~", "onnx::Conv_3", "/model.0/conv/Conv", "*a", "&a", "@x", "<<", "-", "a:"} {
		g := parse(t, strings.ReplaceAll("NAME = conv x w=f32[12,3,3,3] pad=1\no = conv NAME w=f32[4,12,1,1]\noutput o", "NAME", name))
		f, text := draft(t, g, prune.Target{Keep: 0.5, Floor: 1})
		again, err := prune.ReadFile(strings.NewReader(text))
		if err != nil || !reflect.DeepEqual(f, again.WithoutLines()) {
			t.Errorf("%s: comes back as %+v, %v\n%s", name, again, err, text)
		}
	}
}

// What a person wrote beside the lines of a plan stays there.
func TestFileKeepsRemarks(t *testing.T) {
	g := tiny(t)
	_, text := draft(t, g, prune.Target{Keep: 0.5, Blocks: true})
	edited := strings.Replace(text, "groups:\n", "# by Ann\ngroups: # all of them\n", 1)
	edited = strings.Replace(edited, "  - {group: b", "  # b # is wide\n\n  - {group: b", 1)
	edited = strings.Replace(edited, "\nblocks:", " # 'narrow'\nblocks:", 1)
	edited = strings.Replace(edited, "order: #", "order: # mine; #", 1) + "# the end\n"
	edited = strings.Replace(edited, "score: l2", "score: l2 # \"norm\"\r", 1)
	mine := []string{"# by Ann\ngroups: # all of them\n", "# b # is wide\n  - {group: b", "}} # 'narrow'\nblocks:", "# mine; #", "score: l2 # \"norm\"\n", "# the end\n"}
	for range 2 { // writing it again adds nothing
		f, err := prune.ReadFile(strings.NewReader(edited))
		if err != nil {
			t.Fatalf("%v\n%s", err, edited)
		}
		if err := f.Assess(g, prune.Target{}); err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		f.WriteTo(&b)
		edited = b.String()
		for _, m := range mine {
			if strings.Count(edited, m) != 1 {
				t.Errorf("%q is not there once in\n%s", m, edited)
			}
		}
		if strings.Count(edited, "#") != strings.Count(text, "#")+9 {
			t.Errorf("other comments than before in\n%s", edited)
		}
	}
	gone := strings.Replace(text, "  - {block: m.0", "  # not m.0\n  - {block: m.0", 1)
	f, err := prune.ReadFile(strings.NewReader(gone))
	if err != nil {
		t.Fatal(err)
	}
	f.Blocks = nil
	var b bytes.Buffer
	f.WriteTo(&b)
	if !strings.HasSuffix(b.String(), "\n# not m.0\n") {
		t.Errorf("what was said of a line that is gone is not at the end of\n%s", &b)
	}
}

func FuzzReadFile(f *testing.F) {
	f.Add("ultrafast: plan 1\nmodel: \"00\"\nwidth: 8\nheight: 8\ngroups:\n  - {group: a, from: 3, to: 1}\norder:\n  a: \"2 0\"\n")
	f.Add("a: &a [*a]\n")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := prune.ReadFile(strings.NewReader(text))
		if err != nil {
			return
		}
		if p, err := file.Plan(parse(t, small[0].text)); err == nil && p == nil {
			t.Error("neither a plan nor an error")
		}
		var b strings.Builder
		file.WriteTo(&b) // puts comments back
	})
}

// A fake judge finds that channels of group a matter twice as much as all others.
func fakeJudge(g *graph.Graph, calls *int) prune.Judge {
	return func(_ context.Context, small *graph.Graph) (prune.Worth, error) {
		*calls++
		lost := 0.0
		for _, n := range g.Nodes {
			op, ok := n.Op.(*graph.Conv)
			if !ok {
				continue
			}
			left := 0
			if m := small.Node(n.Name); m != nil {
				left = m.Op.(*graph.Conv).Weight.Shape[0]
			}
			w := 0.001
			if n.Name == "a" {
				w = 0.002
			}
			lost += w * float64(op.Weight.Shape[0]-left)
		}
		return prune.Worth{MAP: 0.4 - lost, Box: 0.05 + lost/10, Obj: 0.02, Cls: 0.01}, nil
	}
}

func newTable(g *graph.Graph) *prune.Table {
	return &prune.Table{Model: g.Fingerprint(), Size: 16, Pictures: 3, Score: prune.L2, Data: "d5", Precision: "bf16"}
}

func TestMeasure(t *testing.T) {
	g := tiny(t)
	calls := 0
	judge := fakeJudge(g, &calls)
	whole := newTable(g)
	if err := whole.Measure(t.Context(), g, prune.Ratios, stair{}, nil, judge, func(int, int) error { return nil }); err != nil {
		t.Fatal(err)
	}
	all := calls
	cuts := map[[3]any]bool{}
	for _, r := range whole.Rows {
		cuts[[3]any{r.Group, r.From, r.To}] = true
	}
	if all != len(cuts)+1 {
		t.Errorf("%d networks were judged, there are %d cuts and the whole network", all, len(cuts))
	}
	for _, r := range whole.Rows {
		if r.Group == "b" && (math.Abs(r.Change.MAP+0.001*float64(r.From-r.To)) > 1e-9 || r.Params >= 0 || r.GFLOP >= 0) {
			t.Errorf("row %+v", r)
		}
	}

	// Stopped after any row, written, read and gone on with, it ends the same.
	stop := errors.New("stop")
	for _, at := range []int{0, 1, 7, all - 2} {
		calls = 0
		part := newTable(g)
		err := part.Measure(t.Context(), g, prune.Ratios, stair{}, nil, judge, func(judged, _ int) error {
			if judged == at+1 {
				return stop
			}
			return nil
		})
		if err != stop {
			t.Fatal(err)
		}
		if at == 0 { // of what was not measured nothing is said
			f, err := prune.Draft(g, prune.Target{Keep: 0.6, Table: part, Blocks: true}, "")
			if err != nil || f.Estimate.MAP != 0 || f.Estimate.Unmeasured == 0 {
				t.Errorf("by a table that is not finished: %+v, %v", f, err)
			}
		}
		var text bytes.Buffer
		part.WriteTo(&text)
		again, err := prune.ReadTable(&text)
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Measure(t.Context(), g, prune.Ratios, stair{}, nil, judge, func(int, int) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if calls != all {
			t.Errorf("%d networks were judged in all, want %d", calls, all)
		}
		var a, b bytes.Buffer
		whole.WriteTo(&a)
		again.WriteTo(&b)
		if a.String() != b.String() {
			t.Errorf("stopped at %d it ends as\n%s\nwant\n%s", at, &b, &a)
		}
	}
	// To go on without a clock needs no judgement, and leaves the milliseconds.
	calls = 0
	again := *whole
	again.Rows = slices.Clone(whole.Rows)
	if err := again.Measure(t.Context(), g, prune.Ratios, nil, nil, judge, func(int, int) error { return nil }); err != nil || calls != 0 || !reflect.DeepEqual(again.Rows, whole.Rows) || again.Cost != whole.Cost {
		t.Errorf("%v, %d judgements, row %+v", err, calls, again.Rows[3])
	}

	// Cuts whose harm adds up are predicted well, whatever their mix.
	f, err := prune.Draft(g, prune.Target{Keep: 0.6, Table: whole, Blocks: true}, "")
	if err != nil {
		t.Fatal(err)
	}
	p, _ := f.Plan(g)
	small, err := p.Apply(g)
	if err != nil {
		t.Fatal(err)
	}
	w, _ := judge(t.Context(), small)
	if f.Estimate.Low > w.MAP || f.Estimate.High < w.MAP {
		t.Errorf("%+v, measured %v", f.Estimate, w.MAP)
	}
}

// An only is a stair that knows one size of pictures.
type only struct{ w, h int }

func (o only) Ms(g *graph.Graph, w, h int) (float64, error) {
	if w != o.w || h != o.h {
		return 0, fmt.Errorf("%dx%d", w, h)
	}
	return stair{}.Ms(g, w, h)
}

// Milliseconds are those of the device's input, whatever accuracy is measured at.
func TestMeasureElsewhere(t *testing.T) {
	g := tiny(t)
	calls := 0
	judge, never := fakeJudge(g, &calls), func(int, int) error { return nil }
	table := newTable(g)
	if err := table.Measure(t.Context(), g, prune.Ratios, only{32, 24}, nil, judge, never); err == nil || calls > 0 {
		t.Errorf("a clock for another size: error %v after %d judgements", err, calls)
	}
	table.Width, table.Height = 32, 24
	if err := table.Measure(t.Context(), g, prune.Ratios, only{32, 24}, nil, judge, never); err != nil {
		t.Fatal(err)
	}
	square := newTable(g)
	if err := square.Measure(t.Context(), g, prune.Ratios, stair{}, nil, judge, never); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(table.Rows, square.Rows) || table.Cost != square.Cost {
		t.Error("a clock that takes the same everywhere gives other rows")
	}
	var text bytes.Buffer
	table.WriteTo(&text)
	if again, err := prune.ReadTable(&text); err != nil || again.Width != 32 || again.Height != 24 || again.Data != table.Data {
		t.Errorf("read again: %+v, %v", again, err)
	}
}

// Which channels leave follows from the evidence where the score needs it.
func TestMeasureByEvidence(t *testing.T) {
	g := tiny(t)
	e, err := prune.NewEvidence(g)
	if err != nil {
		t.Fatal(err)
	}
	gradients := map[string]*tensor.Tensor{}
	for _, p := range g.Params() {
		gradients[p.Name] = p.Tensor()
	}
	if err := e.Add(gradients); err != nil {
		t.Fatal(err)
	}
	calls := 0
	table := newTable(g)
	table.Score = prune.Taylor
	never := func(int, int) error { return nil }
	if err := table.Measure(t.Context(), g, prune.Ratios, nil, e, fakeJudge(g, &calls), never); err != nil || len(table.Rows) == 0 {
		t.Errorf("%d rows, error %v", len(table.Rows), err)
	}
	table = newTable(g)
	table.Score = prune.Fisher
	if err := table.Measure(t.Context(), g, prune.Ratios, nil, nil, fakeJudge(g, &calls), never); err == nil || !strings.Contains(err.Error(), "needs evidence") {
		t.Errorf("without evidence: %v", err)
	}
}

func TestReadTableRefuses(t *testing.T) {
	g := tiny(t)
	var b bytes.Buffer
	exampleTable(t, g, "b").WriteTo(&b)
	text := b.String()
	if again, err := prune.ReadTable(strings.NewReader(text)); err != nil || !reflect.DeepEqual(again.Base, exampleTable(t, g, "b").Base) {
		t.Fatalf("%v: %+v", err, again)
	}
	on, err := prune.ReadTable(strings.NewReader(strings.Replace(text, "score=l2", "score=l2 data=d5 precision=bf16", 1)))
	if err != nil || on.Data != "d5" || on.Precision != "bf16" || on.Score != prune.L2 {
		t.Errorf("with data and precision: %v: %+v", err, on)
	}
	for _, s := range []struct{ old, new, want string }{
		{"sensitivity 1", "sensitivity 2", "line 1"},
		{"score=l2", "score=l2 data=d5", "line 2"},
		{"img=64", "img=0", "none that a network has"},
		{"pictures=10", "pictures=many", "line 2"},
		{"box_loss=0.05", "box_loss=NaN", "none that a network has"},
		{"group,ratio", "groop,ratio", "columns are"},
		{"a,0.1,", "a,ten,", "line 5: ratio"},
		{"a,0.1,12,11,", "a,0.1,12,13,", "line 5: ratio 0.1 leaves 13 of 12"},
		{"a,0.1,12,11,", "a,0.1,12,", "record on line 5"},
		{"a,0.1,12,11,", "a,0.2,12,11,", "line 6: is the same cut as line 5"},
		{"group,ratio", strings.Repeat("#", 16<<20), "more than 16777216 bytes"},
	} {
		edited := strings.Replace(text, s.old, s.new, 1)
		if edited == text {
			t.Fatalf("%q is not in\n%.600s", s.old, text)
		}
		if _, err := prune.ReadTable(strings.NewReader(edited)); err == nil || !strings.Contains(err.Error(), s.want) {
			t.Errorf("%q: error is %v, want one with %q", s.new, err, s.want)
		}
	}
}

func FuzzReadTable(f *testing.F) {
	f.Add("# ultrafast sensitivity 1\n# model=00 img=64 pictures=1 score=l2\n# uncut: map50_95=0.5 box_loss=1 obj_loss=1 cls_loss=1 parameters=9 bytes=36 gflop=1 ms=0\n" +
		"group,ratio,from,to,map50_95,box_loss,obj_loss,cls_loss,parameters,gflop,ms\na,0.5,8,4,-0.1,0,0,0,-3,-0.1,0\n")
	f.Add("# ultrafast sensitivity 1\n# model=00 img=64 pictures=1 score=l2 data=d5 precision=bf16\n# uncut: map50_95=0.5 box_loss=1 obj_loss=1 cls_loss=1 parameters=9 bytes=36 gflop=1 ms=0\n" +
		"group,ratio,from,to,map50_95,box_loss,obj_loss,cls_loss,parameters,gflop,ms\n")
	f.Fuzz(func(t *testing.T, text string) {
		table, err := prune.ReadTable(strings.NewReader(text))
		if err != nil {
			return
		}
		var b bytes.Buffer
		table.WriteTo(&b)
		if _, err := prune.ReadTable(&b); err != nil {
			t.Errorf("what was read is written as\n%s\n%v", &b, err)
		}
	})
}
