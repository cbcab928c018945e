package quant

import (
	"bytes"
	"strings"
	"testing"
)

func sampleRanges() *Ranges {
	return &Ranges{Model: strings.Repeat("0af9", 8), Method: MSE, Pictures: 3, Values: []Range{
		{Name: "model.0.conv", Min: -3.5, Max: 4.25, Low: -3, High: 4}, {Name: "model.0.act", Min: -0.278, Max: 1e-7, Low: -0.278, High: 0}}}
}

func TestRangesReadBack(t *testing.T) {
	var b bytes.Buffer
	if err := sampleRanges().Write(&b); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	if n := strings.Count(text, "\n"); n != 10 || !strings.Contains(text, "\n  {\"name\":\"model.0.conv\",\"min\":-3.5,\"max\":4.25,\"low\":-3,\"high\":4},\n") {
		t.Errorf("the file has %d lines:\n%s", n, text)
	}
	back, err := ReadRanges(&b)
	if err != nil {
		t.Fatal(err)
	}
	var again bytes.Buffer
	if err := back.Write(&again); err != nil || again.String() != text {
		t.Errorf("written again, it is\n%s\n%v", again.String(), err)
	}
}

func TestReadRangesRefuses(t *testing.T) {
	var b bytes.Buffer
	if err := sampleRanges().Write(&b); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ old, new, want string }{
		{"{", "", "ranges line 2: not a file of ranges"},
		{`"low":-3`, `"low":-3,,`, "ranges line 7: not a file of ranges"},
		{`"min":-0.278`, `"min":"-0.278"`, "ranges line 8: not a file of ranges"},
		{`"model.0.act"`, "\"model.0\n.act\"", "ranges line 8: not a file of ranges"},
		{"\n ]\n}\n", "\n ]", "ranges line 9: not a file of ranges"},
		{"ranges 1", "ranges 2", `reads "ranges 1"`},
		{"0af9", "zaf9", "no fingerprint"},
		{`"mse"`, `"best"`, `method "best"`},
		{`"pictures": 3`, `"pictures": 0`, "2 values of 0 pictures"},
		{`"pictures": 3`, `"pictures": 3.5`, "not a file of ranges"},
		{`"pictures"`, `"picture"`, "unknown field"},
		{`"low":-3,`, `"low":-3,"log":1,`, "unknown field"},
		{"model.0.act", "model.0.conv", `"model.0.conv" comes twice`},
		{`"min":-3.5`, `"min":5`, "was seen from 5 to 4.25"},
		{`"low":-3`, `"low":1`, "has the range 1 to 4"},
		{`"low":-3,"high":4`, `"low":0,"high":0`, "has the range 0 to 0"},
		{`"high":4`, `"high":1e39`, "to 1e+39"},
		{`"high":4`, `"high":1e999`, "not a file of ranges"},
		{"\n}\n", "\n}\n{}", "behind its last brace"},
	} {
		text := strings.Replace(b.String(), c.old, c.new, 1)
		if _, err := ReadRanges(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("with %q: %v, want an error with %q", c.new, err, c.want)
		}
	}
	if _, err := ReadRanges(strings.NewReader(strings.Repeat(" ", maxRangesFile+2))); err == nil || !strings.Contains(err.Error(), "above 32 MB") {
		t.Errorf("a large file: %v", err)
	}
}

func FuzzReadRanges(f *testing.F) {
	var b bytes.Buffer
	if err := sampleRanges().Write(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.String())
	f.Add(`{"ultrafast":"ranges 1","model":"","method":"mse","pictures":1,"values":[]}`)
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ReadRanges(strings.NewReader(text))
		if err != nil {
			return
		}
		var once, twice bytes.Buffer
		if err := r.Write(&once); err != nil {
			t.Fatal(err)
		}
		again, err := ReadRanges(bytes.NewReader(once.Bytes()))
		if err != nil {
			t.Fatalf("does not read its own file: %v\n%s", err, once.String())
		}
		if err := again.Write(&twice); err != nil || twice.String() != once.String() {
			t.Fatalf("writes\n%s\nthen\n%s", once.String(), twice.String())
		}
	})
}
