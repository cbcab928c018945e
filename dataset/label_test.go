package dataset

import (
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"
)

// parseLabels gives the first problem of a label file as an error.
func parseLabels(name string, r io.Reader, classes int) ([]Label, int, error) {
	f := readLabels(name, r, classes)
	if len(f.bad) > 0 {
		return nil, 0, errors.New(f.bad[0].String())
	}
	return f.labels, f.duplicates, nil
}

func TestLabels(t *testing.T) {
	box := Label{1, 0.5, 0.25, 0.5, 0.125}
	tests := []struct {
		name, text string
		want       []Label
		duplicates int
		err        string
	}{
		{name: "empty", text: ""},
		{name: "blank lines", text: "\n  \n\t\n"},
		{name: "one", text: "1 0.5 0.25 0.5 0.125\n", want: []Label{box}},
		{name: "no newline, tabs, CRLF", text: "1\t0.5  0.25 0.5 0.125\r\n0 1 1 0 0", want: []Label{box, {0, 1, 1, 0, 0}}},
		{name: "class as a float, exponents", text: "1.0 5e-1 .25 0.5 1.25e-01", want: []Label{box}},
		{name: "one after rounding", text: "0 1.00000001 0 1 1", want: []Label{{0, 1, 0, 1, 1}}},
		{name: "byte order mark", text: "\ufeff1 0.5 0.25 0.5 0.125\r\n", want: []Label{box}},
		{name: "duplicates", text: "1 0.5 0.25 0.5 0.125\n0 1 1 0 0\n1.0 0.50 0.25 0.5 0.125\n1 0.5 0.25 0.5 0.125", want: []Label{box, {0, 1, 1, 0, 0}}, duplicates: 2},
		{name: "polygon", text: "1 0.25 0.1875 0.75 0.3125 0.5 0.2", want: []Label{box}},
		{name: "polygon beside a box", text: "1 0.5 0.25 0.5 0.125\n0 0 0 1 0 1 0.5 0 0.5", want: []Label{box, {0, 0.5, 0.25, 1, 0.5}}},

		{name: "four columns", text: "1 0.5 0.25 0.5", err: "f.txt:1: 4 columns, a box has 5: class cx cy w h"},
		{name: "six columns", text: "1 0.5 0.25 0.5 0.1 0.9", err: "f.txt:1: 6 columns, a box has 5: class cx cy w h"},
		{name: "odd polygon", text: "1 0 0 1 0 1 0.5 0", err: "f.txt:1: 8 columns, a polygon has the class and pairs of x and y"},
		{name: "not a number", text: "1 0.5 0.25 0.5 0.1\n\n0 0.5 abc 0.5 0.1", err: `f.txt:3: cy "abc" is not a number`},
		{name: "control characters", text: "0 \x00 0.5 0.5 0.1", err: `f.txt:1: cx "\x00" is not a number`},
		{name: "long word", text: "0 " + strings.Repeat("a", 1000) + " 0 0 0", err: `f.txt:1: cx "` + strings.Repeat("a", 40) + `…" is not a number`},
		{name: "NaN", text: "0 0.5 0.5 NaN 0.1", err: `f.txt:1: w "NaN" is not finite`},
		{name: "infinite", text: "0 0.5 0.5 0.5 inf", err: `f.txt:1: h "inf" is not finite`},
		{name: "overflow", text: "0 1e999 0.5 0.5 0.5", err: `f.txt:1: cx "1e999" is not finite`},
		{name: "negative", text: "0 -0.1 0.5 0.5 0.5", err: "f.txt:1: cx -0.1 is below 0"},
		{name: "pixels", text: "0 120 60 20 20", err: "f.txt:1: cx 120 is above 1: coordinates are fractions of the picture"},
		{name: "a little too far", text: "0 0.5 0.5 1.0001 0.5", err: "f.txt:1: w 1.0001 is above 1: coordinates are fractions of the picture"},
		{name: "polygon in pixels", text: "0 0 0 1 0 1 50", err: "f.txt:1: y 50 is above 1: coordinates are fractions of the picture"},
		{name: "class is a fraction", text: "0.5 0.5 0.5 0.5 0.5", err: "f.txt:1: class 0.5 is not a whole number"},
		{name: "class is a name", text: "face 0.5 0.5 0.5 0.5", err: `f.txt:1: class "face" is not a number`},
		{name: "class too high", text: "2 0.5 0.5 0.5 0.5", err: "f.txt:1: class 2, the data set has 2 classes (0..1)"},
		{name: "class far too high", text: "1e300 0.5 0.5 0.5 0.5", err: "f.txt:1: class 1e300, the data set has 2 classes (0..1)"},
		{name: "class below 0", text: "-1 0.5 0.5 0.5 0.5", err: "f.txt:1: class -1, the data set has 2 classes (0..1)"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, duplicates, err := parseLabels("f.txt", strings.NewReader(test.text), 2)
			if test.err != "" {
				if err == nil || err.Error() != test.err {
					t.Fatalf("error %v, want %s", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != len(test.want) || len(got) > 0 && !alike(got, test.want) || duplicates != test.duplicates {
				t.Errorf("got %v and %d duplicates, want %v and %d", got, duplicates, test.want, test.duplicates)
			}
		})
	}
}

func alike(a, b []Label) bool {
	near := func(x, y float32) bool { return math.Abs(float64(x-y)) < 1e-6 }
	for i := range a {
		if a[i].Class != b[i].Class || !near(a[i].CX, b[i].CX) || !near(a[i].CY, b[i].CY) || !near(a[i].W, b[i].W) || !near(a[i].H, b[i].H) {
			return false
		}
	}
	return true
}

func TestLabelLimits(t *testing.T) {
	_, _, err := parseLabels("f.txt", strings.NewReader(strings.Repeat(" ", maxLabelBytes+1)), 2)
	if err == nil || err.Error() != "f.txt: a label file is at most 10 MB" {
		t.Errorf("error %v", err)
	}
	var b strings.Builder
	for i := range maxLabels + 1 {
		fmt.Fprintf(&b, "0 .%06d 0 0 0\n", i)
	}
	_, _, err = parseLabels("f.txt", strings.NewReader(b.String()), 2)
	if err == nil || err.Error() != "f.txt:100001: more than 100000 boxes in one picture" {
		t.Errorf("error %v", err)
	}
}

func FuzzLabels(f *testing.F) {
	f.Add("1 0.5 0.25 0.5 0.125\n0 1 1 0 0")
	f.Add("0 0 0 1 0 1 0.5 0 0.5\r\n")
	f.Add("0 nan 1e999 -0 0x1p-2")
	f.Add("1.0 0.5 0.25 0.5 0.125\n1 0.5 0.25 0.5 0.125")
	f.Fuzz(func(t *testing.T, text string) {
		labels, _, err := parseLabels("f.txt", strings.NewReader(text), 3)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error of more than one line: %q", err)
			}
			return
		}
		var again strings.Builder
		for _, l := range labels {
			for _, v := range []float32{l.CX, l.CY, l.W, l.H} {
				if !(v >= 0 && v <= 1) {
					t.Fatalf("%v is outside 0..1", l)
				}
			}
			if l.Class < 0 || l.Class > 2 {
				t.Fatalf("class of %v", l)
			}
			fmt.Fprintln(&again, l.Class, l.CX, l.CY, l.W, l.H)
		}
		same, duplicates, err := parseLabels("f.txt", strings.NewReader(again.String()), 3)
		if err != nil || duplicates > 0 || !reflect.DeepEqual(labels, same) {
			t.Errorf("%v became %v (%d duplicates, %v)", labels, same, duplicates, err)
		}
	})
}
