package dataset

import (
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// vocText is an annotation of a picture of 20 x 10 pixels.
func vocText(objects string) string {
	return "<annotation><folder>x</folder><filename>wrong.jpg</filename><size><width>20</width><height>10</height><depth>3</depth></size>" + objects + "</annotation>"
}

// vocBox is an object whose box is given as Pascal gives it.
func vocBox(name string, xmin, ymin, xmax, ymax any) string {
	return fmt.Sprintf("<object><name>%s</name><bndbox><xmin>%v</xmin><ymin>%v</ymin><xmax>%v</xmax><ymax>%v</ymax></bndbox></object>", name, xmin, ymin, xmax, ymax)
}

func TestVOC(t *testing.T) {
	class := map[string]int{"cat": 0, "dog": 1}
	tests := []struct {
		name, text string
		want       []Label
		err        string // without the path
	}{
		{"none", vocText(""), nil, ""},
		// Pixels 1..10 of 20 are the left half.
		{"left half", vocText(vocBox("dog", 1, 1, 10, 10)), []Label{{1, 0.25, 0.5, 0.5, 1}}, ""},
		{"one pixel", vocText(vocBox("dog", 20, 10, 20, 10)), []Label{{1, 0.975, 0.95, 0.05, 0.1}}, ""},
		{"clipped", vocText(vocBox("cat", -5, 0, 30, 10)), []Label{{0, 0.5, 0.5, 1, 1}}, ""},
		{"with digits after the point", vocText(vocBox("cat", " 1.5 ", "1", "10.5\n", 10)), []Label{{0, 0.275, 0.5, 0.5, 1}}, ""},
		{"mark, CRLF, a declaration", bom + "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n" + vocText("\r\n"+vocBox("cat", 1, 1, 20, 10)+"\r\n"), []Label{{0, 0.5, 0.5, 1, 1}}, ""},
		{"difficult", vocText(strings.Replace(vocBox("cat", 1, 1, 20, 10), "<name>", "<difficult>1</difficult><name>", 1)), nil, ""},
		{"parts", vocText(strings.Replace(vocBox("cat", 1, 1, 20, 10), "</object>", "<part><name>head</name><bndbox><xmin>3</xmin></bndbox></part></object>", 1)), []Label{{0, 0.5, 0.5, 1, 1}}, ""},

		{"empty", "", nil, ":1: the file is empty, want an annotation of Pascal VOC"},
		{"cut short", "<annotation>\n<object>", nil, ":2: the XML is broken: unexpected EOF"},
		{"another root", "<html></html>", nil, `:1: the element "html", want annotation, as in Pascal VOC`},
		{"no number", vocText("\n" + vocBox("cat", "left", 1, 2, 2)), nil, `:2: xmin "left" is not a number`},
		{"not finite", vocText(vocBox("cat", "NaN", 1, 2, 2)), nil, `:1: xmin "NaN" is not finite`},
		{"lacks an edge", vocText("\n<object><name>cat</name><bndbox><xmin>1</xmin></bndbox></object>"), nil, ":2: the object lacks its name or one of xmin, ymin, xmax, ymax"},
		{"inside out", vocText(vocBox("cat", 9, 1, 2, 2)), nil, ":1: xmax or ymax is below xmin or ymin"},
		{"outside", vocText(vocBox("cat", 21, 1, 30, 2)), nil, ":1: the box lies outside the picture of 20 x 10 pixels"},
		{"unknown class", vocText(vocBox("cow", 1, 1, 2, 2)), nil, `:1: class "cow" is not in classes.txt`},
		{"another picture", strings.Replace(vocText(""), ">20<", ">21<", 1), nil, ": is for a picture of 21 x 10 pixels, and the picture has 20 x 10"},
		{"deep", strings.Repeat("<annotation>", 30), nil, ":1: nested more than 20 deep"},
		{"long name", vocText(vocBox(strings.Repeat("a", 250), 1, 1, 2, 2)), nil, ":1: the name of an object has 250 bytes, want 1 to 200"},
		{"large", strings.Repeat(" ", maxLabelBytes+1), nil, ": an annotation is at most 10 MB"},
		{"an entity", `<!DOCTYPE a [<!ENTITY b "c">]>` + vocText("&b;"), nil, ":1: the XML is broken: invalid character entity &b;"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f, err := parseVOC(strings.NewReader(test.text))
			var out labelFile
			if err == nil {
				out = f.labels("", 20, 10, class)
				if len(out.bad) > 0 {
					err = at(out.bad[0].Line, "%s", out.bad[0].Reason)
					if out.bad[0].Line == 0 {
						err = fmt.Errorf(": %s", out.bad[0].Reason)
					}
				}
			}
			if got := fmt.Sprint(err); test.err != "" && got != test.err || test.err == "" && err != nil {
				t.Fatalf("error %s, want %s", got, test.err)
			}
			if test.err == "" && (len(out.labels) != len(test.want) || !alike(out.labels, test.want)) {
				t.Errorf("%v, want %v", out.labels, test.want)
			}
		})
	}
}

// TestVOCFolders has the layouts of VOC. In each, a (class dog) is for training and b, with
// a class that stands before it in the alphabet, for validation.
func TestVOCFolders(t *testing.T) {
	a, b := vocText(vocBox("dog", 1, 1, 10, 10)), vocText(vocBox("cat", 1, 1, 10, 10))
	tests := []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"Pascal's", map[string]string{"VOCdevkit/VOC2007/JPEGImages/a.png": "20x10", "VOCdevkit/VOC2007/JPEGImages/b.png": "20x10",
			"VOCdevkit/VOC2007/Annotations/a.xml": a, "VOCdevkit/VOC2007/Annotations/b.xml": b,
			"VOCdevkit/VOC2007/ImageSets/Main/trainval.txt": "a\r\n", "VOCdevkit/VOC2007/ImageSets/Main/val.txt": "b -1\n\n"},
			"Pascal VOC: train from ImageSets/Main/trainval.txt; val from ImageSets/Main/val.txt"},
		{"side by side", map[string]string{"train/a.png": "20x10", "train/a.xml": a, "valid/b.png": "20x10", "valid/b.xml": b},
			"Pascal VOC: train from train; val from valid"},
		{"folders within", map[string]string{"images/train/a.png": "20x10", "images/val/b.png": "20x10", "annotations/train/a.xml": a, "annotations/val/b.xml": b},
			"Pascal VOC: train from images/train; val from images/val"},
		{"names with spaces", map[string]string{"JPEGImages/ein Bär.png": "20x10", "JPEGImages/zwei  猫.png": "20x10",
			"Annotations/ein Bär.xml": a, "Annotations/zwei  猫.xml": b,
			"ImageSets/Main/train.txt": "ein Bär\n", "ImageSets/Main/val.txt": "zwei  猫\n"},
			"Pascal VOC: train from ImageSets/Main/train.txt; val from ImageSets/Main/val.txt"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d, err := Open(tree(t, test.files), OpenOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if d.Describe() != test.want || !reflect.DeepEqual(d.Names, []string{"cat", "dog"}) {
				t.Errorf("%s with %q, want %s", d.Describe(), d.Names, test.want)
			}
			if len(d.Train) != 1 || len(d.Val) != 1 || len(d.Problems) > 0 {
				t.Fatalf("train %v, val %v, problems %v", d.Train, d.Val, d.Problems)
			}
			if d.Train[0].Labels[0].Class != 1 || d.Val[0].Labels[0].Class != 0 {
				t.Errorf("train %v, val %v", d.Train, d.Val)
			}
		})
	}
}

// TestVOCSets: what a list names and is not there is named, and classes.txt has the order.
func TestVOCSets(t *testing.T) {
	root := tree(t, map[string]string{"JPEGImages/a.png": "20x10", "Annotations/a.xml": vocText(vocBox("dog", 1, 1, 10, 10)),
		"JPEGImages/b.png": "20x10", "Annotations/b.xml": vocText(vocBox("cow", 1, 1, 10, 10)), "JPEGImages/c.png": "20x10",
		"JPEGImages/d.png": "20x10", "Annotations/d.xml": "<annotation>\n<object>",
		"ImageSets/Main/train.txt": "a\nb\nc\nd\n../../gone\n", "classes.txt": bom + "dog\r\ncat\r\n"})
	d, err := Open(root, OpenOptions{Splits: []string{"train"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Train) != 2 || d.Train[0].Labels[0].Class != 0 || len(d.Notes) != 1 || d.Skipped() != 3 {
		t.Errorf("%v, %v, %v", d.Train, d.Notes, d.Problems)
	}
	var got []string
	for _, p := range d.Problems {
		got = append(got, strings.ReplaceAll(p.String(), root, "ROOT"))
	}
	if want := []string{`ROOT/Annotations/b.xml:1: class "cow" is not in classes.txt`,
		"ROOT/Annotations/d.xml:2: the XML is broken: unexpected EOF",
		"ROOT/ImageSets/Main/train.txt:5: open ROOT/JPEGImages/gone.jpg: no such file or directory"}; !reflect.DeepEqual(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if d.Train[0].LabelPath != filepath.Join(root, "Annotations", "a.xml") {
		t.Error(d.Train[0].LabelPath)
	}
}

func FuzzVOC(f *testing.F) {
	f.Add(vocText(vocBox("cat", 1, 1, 10.5, 10)))
	f.Add("<annotation><object><bndbox></xmin></bndbox></object></annotation>")
	f.Add("<annotation><object/><object><name>cat</name><bndbox><xmin>1e300</xmin></bndbox></object></annotation>")
	f.Fuzz(func(t *testing.T, text string) {
		v, err := parseVOC(strings.NewReader(text))
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error of more than one line: %q", err)
			}
			return
		}
		inside(t, v.labels("f.xml", 20, 10, map[string]int{"cat": 0}))
	})
}

// inside fails where a label is not within its picture.
func inside(t *testing.T, f labelFile) {
	t.Helper()
	for _, l := range f.labels {
		for _, v := range []float32{l.CX, l.CY, l.W, l.H} {
			if !(v >= 0 && v <= 1) {
				t.Fatalf("%v is outside 0..1", l)
			}
		}
	}
}
