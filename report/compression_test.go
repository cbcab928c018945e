package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"ultrafast/box"
	"ultrafast/picture"
	"ultrafast/scene"
)

// sample is a compression with everything that a page can show, and so many pictures.
func sample(t *testing.T, pictures int) *Compression {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	names := slices.Clone(scene.Names) // tests change them
	accuracy := func(level float64) *Accuracy {
		r := box.Report{Pictures: 383, Labels: 1402, Precision: level + 0.1, Recall: level, MAP50: level, MAP5095: level * 0.45, Confidence: 0.31}
		for c := range names {
			pr := make([]float64, 1000)
			for i := range pr {
				pr[i] = max(0, 1-math.Pow(float64(i)/1000/(level+0.1), 6)*0.8)
			}
			r.Classes = append(r.Classes, box.ClassReport{Class: c, Labels: 700 + c, Precision: level, Recall: level, AP50: level + 0.05*float64(c), AP5095: level * 0.45, Curves: box.Curves{PR: pr}})
		}
		for i := range r.Sizes {
			r.Sizes[i] = box.SizeReport{Labels: 400 - 200*i, MAP50: level - 0.2 + 0.2*float64(i), MAP5095: level / 2}
		}
		return AccuracyOf(names, r)
	}
	model := func(name, role string, parameters int, ms, level float64) Model {
		m := Model{Name: name, Role: role, HandedOut: role == Child, File: "runs/compress/exp/" + strings.ReplaceAll(name, " ", "-") + ".safetensors",
			Bytes: int64(parameters)*4 + 20000, Parameters: parameters, GFLOP: Number(ms / 5), Accuracy: accuracy(level)}
		for _, runtime := range []string{"native", "ONNX Runtime"} {
			for threads := 1; threads <= 2; threads++ {
				v := Number(ms / float64(threads))
				if runtime != "native" {
					v *= 1.9
				}
				m.Times = append(m.Times, Time{runtime, threads, "fp32", v, v * 0.98, v * 1.03})
			}
		}
		return m
	}
	c := &Compression{
		Title: "Faces and masks in photographs", Created: "2020-11-28T17:20:00Z",
		Machine: Machine{Processor: "AMD EPYC 9R14", Cores: 2, System: "linux/amd64", Versions: map[string]string{"ultrafast": "v0.3.0", "libtorch": "1.13.1", "ONNX Runtime": "1.30.0"}},
		Data:    Data{File: "mask/data.yaml", Train: 1898, Val: 383, Classes: names},
		Input:   Input{416, 416, 640},
		Models: []Model{
			model("YOLOv5n", Parent, 1766623, 11.2, 0.684),
			model("pruned child", Child, 98211, 1.13, 0.671),
			model("thin YOLOv5, same latency", Control, 104522, 1.16, 0.643),
			model("child's shape from scratch", Control, 98211, 1.13, 0.662),
		},
		Commands: []string{"ultrafast compress --weights yolov5n.safetensors --data mask/data.yaml --img 416 --target 10x", "ultrafast val --weights runs/compress/exp/child.safetensors --data mask/data.yaml --img 416"},
		Notes:    []string{"One seed: differences of a point are within what another seed may change."},
	}
	c.Precisions, c.Int8 = precisions(c.Models)
	ms, level, params := 11.2, 0.308, 1766623
	for i := range 8 {
		r := Round{Name: fmt.Sprintf("round %d", i+1), Done: "25 % of the milliseconds cut, 12 epochs", Before: Number(level), AfterCut: Number(level * 0.6), Epochs: 12, Seconds: Number(600 + 200*i)}
		next := level - 0.001
		if r.RolledBack = i == 5; r.RolledBack {
			next, r.Why = level-0.04, "lost 4.0 points, 1.0 allowed"
		} else {
			ms, params, level = ms*0.72, params*66/100, next
		}
		r.Parameters, r.Milliseconds, r.Predicted, r.GFLOP, r.AfterTraining = params, Number(ms), Number(ms*0.95), Number(ms/5), Number(next)
		c.Rounds = append(c.Rounds, r)
	}
	c.Layers = LayerTimes{Runtime: "native", Threads: 1}
	for i := range 57 {
		from := 16 << min(i/12, 4)
		to := max(4, int(float64(from)*(0.1+0.5*rng.Float64())))
		name := fmt.Sprintf("model.%d.cv%d.conv", i/3, 1+i%3)
		c.Plan = append(c.Plan, PlanRow{name, from, to, Number(rng.Float64() / 3), Number(rng.Float64() / 100)})
		c.Layers.Rows = append(c.Layers.Rows, LayerTime{name, "winograd 4x4", "winograd rows", Number(0.1 + 0.3*rng.Float64()), Number(0.02 * (1 + rng.Float64()))})
	}
	c.Plan[40].To, c.Layers.Rows[40].Child, c.Layers.Rows[40].ChildKernel = 0, Unknown(), ""
	for k, name := range []string{"pruned child", "thin YOLOv5, same latency", "child's shape from scratch"} {
		l := LearningCurve{Name: name}
		for e := range 60 {
			v := Number((0.66 - 0.02*float64(k)) * (1 - math.Exp(-float64(e+1)*(0.25-0.09*float64(k)))))
			l.MAP50, l.MAP5095 = append(l.MAP50, v), append(l.MAP5095, v*0.45)
		}
		c.Curves = append(c.Curves, l)
	}
	dir := t.TempDir()
	for i := range pictures {
		img, faces := scene.Draw(rng, 640, 360+40*(i%4))
		e := Example{File: filepath.Join(dir, fmt.Sprintf("street %02d.jpg", i))}
		if err := img.SaveJPEG(e.File, 90); err != nil {
			t.Fatal(err)
		}
		for _, f := range faces {
			b := ExampleBox{f.Class, 0, Number(f.X1), Number(f.Y1), Number(f.X2), Number(f.Y2)}
			e.Labels = append(e.Labels, b)
			b.Conf, b.X1, b.Y2 = 0.87, b.X1-3, b.Y2+2
			e.Parent = append(e.Parent, b)
			if b.Conf, b.X2 = 0.71, b.X2+5; rng.IntN(5) > 0 {
				e.Child = append(e.Child, b)
			}
		}
		c.Pictures = append(c.Pictures, e)
	}
	return c
}

// precisions are the first of these models in fp32 and the second in all precisions.
func precisions(models []Model) ([]Variant, *Int8) {
	rows := []Variant{
		{Name: "the parent", Precision: "fp32", File: models[0].File, Bytes: models[0].Bytes, Accuracy: models[0].Accuracy, Times: models[0].Times},
		{Name: "the child", Precision: "fp32", File: models[1].File, Bytes: models[1].Bytes, Accuracy: models[1].Accuracy, Times: models[1].Times},
		{Name: "the child", Precision: "bf16"},
		{Name: "the child", Precision: "int8", Bytes: 120_000},
	}
	for i, faster := range []Number{2, 4} {
		v := &rows[2+i]
		found := *models[1].Accuracy
		found.MAP5095 -= 0.001 * faster
		v.Accuracy = &found
		for _, t := range models[1].Times {
			if t.Precision = v.Precision; v.Precision == "int8" || t.Runtime == Native {
				t.Milliseconds /= faster
				v.Times = append(v.Times, t)
			}
		}
	}
	return rows, &Int8{Pictures: 300, Method: "mse", Child: models[1].Accuracy.MAP5095, Calibrated: 0.29, Trained: rows[3].Accuracy.MAP5095, Epochs: 8,
		Float: []string{"model.24.m.0", "model.24.m.1"}}
}

// written writes the files of c, checks what holds for every page and returns them. The
// page's elements are counted by name.
func written(t *testing.T, dir string, c *Compression) (page, data string, elements map[string]int) {
	t.Helper()
	if err := WriteCompression(dir, c); err != nil {
		t.Fatal(err)
	}
	var files [2]string
	for i, name := range []string{"report.html", "report.json"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		files[i] = string(b)
	}
	if n := len(files[0]); n > 3_000_000 {
		t.Errorf("the page has %d bytes", n)
	}
	var again Compression
	if err := json.Unmarshal([]byte(files[1]), &again); err != nil {
		t.Fatal(err)
	}
	if b, err := json.MarshalIndent(&again, "", "\t"); err != nil || string(b)+"\n" != strings.ReplaceAll(files[1], `\ufffd`, "\uFFFD") {
		t.Errorf("report.json is another after it was read (%v)", err)
	}
	// The page is written as XHTML could be, so a strict parser tells whether it is whole.
	elements = map[string]int{}
	ids := map[string]bool{}
	var targets []string
	d := xml.NewDecoder(strings.NewReader(files[0]))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("the page is not well-formed: %v", err)
		}
		switch e := token.(type) {
		case xml.CharData:
			if bytes.Contains(e, []byte("NaN")) || bytes.Contains(e, []byte("ZgotmplZ")) {
				t.Errorf("the page says %q", e)
			}
		case xml.StartElement:
			elements[e.Name.Local]++
			for _, a := range e.Attr {
				switch {
				case strings.HasPrefix(a.Name.Local, "on"), a.Name.Local == "src":
					t.Errorf("<%s> has %s=%q", e.Name.Local, a.Name.Local, a.Value)
				case a.Name.Local == "id" && ids[a.Value]:
					t.Errorf("id %q is there twice", a.Value)
				case a.Name.Local == "id":
					ids[a.Value] = true
				case a.Name.Local == "href" && strings.HasPrefix(a.Value, "#"):
					targets = append(targets, a.Value[1:])
				case a.Name.Local == "href" && !strings.HasPrefix(a.Value, "data:image/jpeg;base64,"):
					t.Errorf("<%s> refers to %q", e.Name.Local, a.Value)
				}
				if !strings.HasPrefix(a.Value, "data:") && (strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") || strings.Contains(a.Value, "ZgotmplZ")) {
					t.Errorf("<%s> has %s=%q", e.Name.Local, a.Name.Local, a.Value)
				}
			}
		}
	}
	for _, id := range targets {
		if !ids[id] {
			t.Errorf("nothing has the id %q", id)
		}
	}
	for _, name := range []string{"script", "iframe", "object", "link", "form"} {
		if elements[name] > 0 {
			t.Errorf("the page has a <%s>", name)
		}
	}
	return files[0], files[1], elements
}

// With -artifacts the sample page stays, to be looked at.
func TestCompressionPage(t *testing.T) {
	c := sample(t, 12)
	page, _, elements := written(t, t.ArtifactDir(), c)
	for _, want := range []string{
		"17.2×", "9.91×", "−0.6", "11.2 ms", "1.13 ms", // in large print
		"17.2 times smaller (7.09 MB to 413 kB) and 9.91 times faster (11.2 ms to 1.13 ms, native, 1 thread, fp32); mAP50-95 went from 0.308 to 0.302. The best control, child&#39;s shape from scratch, reached 0.298.",
		"the child, int8</th><td>120 kB</td>", "75.3×", // ONNX Runtime's 1.9 times 11.2 ms, by a quarter of 1.13
		"In 8 bits mAP50-95 went from 0.302 to 0.298 (−0.40 points).", "8 epochs of training in 8 bits", "In float stay model.24.m.0, model.24.m.1.",
		"One seed:", "AMD EPYC 9R14", "1,766,623", "model.18.cv3.conv", "rolled back: lost 4.0 points", "street 11.jpg", "ultrafast compress",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(page, `class="missing"`) {
		t.Error("something is missing on a page that has everything")
	}
	for name, want := range map[string]int{"h1": 1, "section": 10, "figure": 20, "table": 8, "image": 12, "use": 12, "details": 2} {
		if elements[name] != want {
			t.Errorf("the page has %d <%s>, want %d", elements[name], name, want)
		}
	}
}

// Where report.json is, the page is too.
func TestCompressionOrder(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "report.html"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := WriteCompression(dir, &Compression{}); err == nil {
		t.Error("a page that cannot be written is no error")
	}
	if _, err := os.Stat(filepath.Join(dir, "report.json")); err == nil {
		t.Error("report.json is there without its page")
	}
}

func TestCompressionEmpty(t *testing.T) {
	page, _, elements := written(t, t.TempDir(), &Compression{Missing: map[string]string{PartLayers: "the engine cannot time them"}})
	for _, want := range []string{"A compression", "There is no parent and child to compare.", "No model was measured.", "There were no rounds.", "the engine cannot time them"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if n := strings.Count(page, `class="missing"`); n < elements["section"] {
		t.Errorf("%d sections are empty and %d lines say why", elements["section"], n)
	}
}

// A machine without ONNX Runtime and a compression without controls say so.
func TestCompressionMissing(t *testing.T) {
	c := sample(t, 0)
	c.Models = c.Models[:2]
	for i := range c.Models {
		c.Models[i].Times = c.Models[i].Times[:2]
	}
	c.Missing = map[string]string{PartRuntime: "ONNX Runtime's library is not on this machine."}
	c.Pictures = []Example{{File: filepath.Join(t.TempDir(), "gone.jpg")}}
	page, _, _ := written(t, t.TempDir(), c)
	for _, want := range []string{"library is not on this machine.", "No control was trained", "gone.jpg is not shown"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

// The numbers are the control's where it is handed out, and columns of which nothing is known
// are not there.
func TestCompressionControl(t *testing.T) {
	c := sample(t, 0)
	c.Models[1].HandedOut, c.Models[3].HandedOut = false, true
	for i := range c.Plan {
		c.Plan[i].Cost = Unknown()
	}
	for i := range 20 {
		c.Curves = append(c.Curves, LearningCurve{Name: fmt.Sprint("round ", i+1), MAP50: []Number{0.5, 0.6}})
	}
	c.Curves = append(c.Curves, c.Curves[2])
	page, _, _ := written(t, t.TempDir(), c)
	for _, want := range []string{"YOLOv5n (parent) to child&#39;s shape from scratch (control, handed out)", "0.298</span>", "ms saved", "16 others between"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(page, "change of mAP50-95, alone") {
		t.Error("the page has a column in which nothing is known")
	}
}

// Where no round was measured the page shows what was predicted and says so, or neither.
func TestCompressionPredicted(t *testing.T) {
	c := sample(t, 1)
	for i := range c.Rounds {
		c.Rounds[i].Milliseconds = Unknown()
	}
	page, _, _ := written(t, t.TempDir(), c)
	for _, want := range []string{"Predicted milliseconds by round", "predicted, not measured", "the rounds, predicted"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for i := range c.Rounds {
		c.Rounds[i].Predicted = Unknown()
	}
	page, _, _ = written(t, t.TempDir(), c)
	if !strings.Contains(page, "Parameters by round") || strings.Contains(page, "redicted milliseconds") || strings.Contains(page, "the rounds, predicted") {
		t.Error("the page shows milliseconds that nobody knows")
	}
}

// each calls f with every value of type T in v.
func each[T any](v reflect.Value, f func(reflect.Value)) {
	switch {
	case v.Type() == reflect.TypeFor[T]():
		f(v)
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			each[T](v.Field(i), f)
		}
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			each[T](v.Index(i), f)
		}
	case v.Kind() == reflect.Pointer && !v.IsNil():
		each[T](v.Elem(), f)
	}
}

func TestCompressionNumbers(t *testing.T) {
	for _, n := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, -1, 1, math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64, 1 + 1e-15} {
		c := sample(t, 1)
		each[Number](reflect.ValueOf(c), func(v reflect.Value) { v.SetFloat(n) })
		written(t, t.TempDir(), c)
	}
	for _, n := range []int64{0, -1, math.MaxInt, math.MinInt} {
		c := sample(t, 1)
		each[int](reflect.ValueOf(c), func(v reflect.Value) { v.SetInt(n) })
		each[int64](reflect.ValueOf(c), func(v reflect.Value) { v.SetInt(n) })
		written(t, t.TempDir(), c)
	}
}

func TestCompressionHostile(t *testing.T) {
	for _, name := range []string{
		"</title></style></svg><script>alert(1)</script>", `"><img src=x onerror=alert(1)>`, "' onmouseover='alert(1)", "{{.Title}}<!-- -->", "]]>&amp;&#0;",
		"javascript:alert(1)", "a\x00b\x1b[31m\u202egnp.exe", "\xff\xfe", "", strings.Repeat("long ", 4000),
	} {
		c := sample(t, 1)
		file := c.Pictures[0].File
		each[string](reflect.ValueOf(c), func(v reflect.Value) { v.SetString(name) })
		c.Pictures[0].File = file
		c.Models[0].Role, c.Models[1].Role = Parent, Child
		c.Machine.Versions = map[string]string{name: name}
		c.Missing = map[string]string{name: name, PartRuntime: name}
		page, _, elements := written(t, t.TempDir(), c)
		if strings.ContainsAny(page, "\x00\x1b\u202e") || elements["img"] > 0 {
			t.Errorf("%.40q came through", name)
		}
	}
}

// noise is what JPEG cannot compress.
func noise(t *testing.T, path string) {
	t.Helper()
	rng := rand.New(rand.NewPCG(3, 4))
	p := picture.New(480, 480)
	for i := range p.Pix {
		p.Pix[i] = uint8(rng.Uint32())
	}
	if err := p.SaveJPEG(path, 90); err != nil {
		t.Fatal(err)
	}
}

func TestCompressionLarge(t *testing.T) {
	c := sample(t, 12)
	path := filepath.Join(t.TempDir(), "noise.jpg")
	noise(t, path)
	for i := range c.Pictures {
		e := &c.Pictures[i]
		e.File = path
		e.Parent = slices.Repeat(e.Parent, 40)
	}
	c.Pictures = append(c.Pictures, c.Pictures...)
	c.Plan, c.Layers.Rows, c.Rounds = slices.Repeat(c.Plan, 8), slices.Repeat(c.Layers.Rows, 8), slices.Repeat(c.Rounds, 60)
	for i := range c.Models {
		c.Models[i].Accuracy.Classes = slices.Repeat(c.Models[i].Accuracy.Classes, 220)
	}
	c.Models = append(c.Models, slices.Repeat(c.Models[2:], 4)...)
	page, _, _ := written(t, t.TempDir(), c)
	for _, want := range []string{"12 more pictures are in report.json", "56 more rows are in report.json", "40 more rows are in report.json"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

// What is not there is said, and nothing is compared with it.
func TestPrecisions(t *testing.T) {
	c := sample(t, 0)
	c.Precisions[2] = Variant{Name: "the child", Precision: "bf16", Missing: "no bf16 on this processor"}
	for i := range c.Precisions { // no ONNX Runtime
		c.Precisions[i].Times = c.Precisions[i].Times[:min(2, len(c.Precisions[i].Times))]
	}
	c.Int8.Trained, c.Int8.Epochs, c.Int8.Why = Unknown(), 0, "8 bits cost 0.10 points"
	c.Int8.Float = slices.Repeat(c.Int8.Float, 20)
	s := c.precisions()
	if len(s.Tables) != 1 || len(s.Tables[0].Rows) != 4 || len(s.Tables[0].Head) != 7 {
		t.Fatalf("the table is %+v", s.Tables)
	}
	for i, want := range []string{"the parent, fp32", "the child, fp32", "the child, bf16", "the child, int8"} {
		if r := s.Tables[0].Rows[i]; r.Head != want || len(r.Cells) != 6 {
			t.Errorf("row %d is %+v, want %s", i, r, want)
		}
	}
	if r := s.Tables[0].Rows[2]; r.Cells[3].Text != unknown || r.Cells[4].Text != unknown {
		t.Errorf("what was not measured is %+v", r)
	}
	if !slices.Contains(s.Missing, "the child, bf16: no bf16 on this processor.") {
		t.Errorf("missing is %q", s.Missing)
	}
	for _, want := range []string{"It was not trained in them: 8 bits cost 0.10 points.", "and 28 more."} {
		if !strings.Contains(s.Text, want) {
			t.Errorf("%q lacks %q", s.Text, want)
		}
	}
	c.Int8.Trained, c.Int8.Epochs = 0.1, 8
	if text := c.Int8.text(); !strings.Contains(text, "8 epochs of training in 8 bits reached 0.100, which is no more, and are not used.") {
		t.Errorf("a training that was worse: %q", text)
	}
}

func TestOutcome(t *testing.T) {
	ms := func(v Number) []Time { return []Time{{Runtime: "native", Threads: 2, Milliseconds: v}} }
	accuracy := func(v Number) *Accuracy { return &Accuracy{MAP5095: v} }
	for _, test := range []struct {
		models []Model
		want   string
	}{
		{nil, "There is no parent and child to compare."},
		{[]Model{{Role: Parent}, {Role: Child}}, "Nothing was measured."},
		{[]Model{{Role: Parent, Parameters: 900}, {Role: Child, Parameters: 300}}, "3.00 times smaller (900 to 300 parameters)."},
		{[]Model{{Role: Parent, Times: ms(1)}, {Role: Child, Times: ms(2)}}, "2.00 times slower (1.00 ms to 2.00 ms, native, 2 threads)."},
		{[]Model{{Role: Parent, Accuracy: accuracy(0.5)}, {Role: Child, Accuracy: accuracy(0.4)}}, "MAP50-95 went from 0.500 to 0.400."},
		{[]Model{{Role: Parent, Bytes: 4e6, Times: ms(8)}, {Role: Child, Bytes: 1e6, Times: ms(4)}, {Role: Control, HandedOut: true, Bytes: 5e5, Times: ms(2)}},
			"8.00 times smaller (4.00 MB to 500 kB) and 4.00 times faster (8.00 ms to 2.00 ms, native, 2 threads)."},
	} {
		if got := (&Compression{Models: test.models}).Outcome(); got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
	worse := &Compression{Models: []Model{{Role: Parent, Bytes: 1e6, Times: ms(1)}, {Role: Child, Bytes: 2e6, Times: ms(3)}}}
	if f := worse.bigFigures(); f[0].Value != "2.00×" || f[0].Unit != "larger" || f[1].Value != "3.00×" || f[1].Unit != "slower" {
		t.Errorf("of a result that is larger and slower: %+v", f)
	}
}

func TestFormats(t *testing.T) {
	for got, want := range map[string]string{
		digits(0.00012): "0.000", digits(0.9996): "1.00", digits(9.996): "10.0", digits(99.96): "100", digits(1234567.4): "1,234,567", digits(Unknown()): "—",
		inBytes(999): "0.999 kB", inBytes(1_650_000): "1.65 MB", signed(-0.04, "%.1f"): "±0.0", signed(-0.4, "%.1f"): "−0.4", signed(2, "%.1f"): "+2.0",
		times(10, 4): "2.50×", times(1, 0): "—", duration(59): "59 s", duration(600): "10 min", duration(5400): "1.5 h", thousands(-1234): "-1,234",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
