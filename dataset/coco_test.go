package dataset

import (
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// cocoText has one picture of 20 x 10 pixels and the given annotations, which come first,
// as they may.
func cocoText(file, annotations string) string {
	return `{"info": {"year": [2017, {"a": null}]}, "annotations": [` + annotations + `], "images": [{"id": 9, "file_name": "` + file +
		`", "width": 20, "height": 10, "coco_url": "x"}], "categories": [{"id": 18, "name": "dog", "supercategory": "animal"}, {"id": 3, "name": "car"}]}`
}

func cocoBoxText(category int, box, more string) string {
	return fmt.Sprintf(`{"id": 7, "image_id": 9, "category_id": %d, "bbox": %s, "area": 4.5, "segmentation": [[1, 2]]%s}`, category, box, more)
}

func TestCOCO(t *testing.T) {
	class := map[int64]int{3: 0, 18: 1}
	tests := []struct {
		name, text string
		want       []Label
		err        string
	}{
		{"none", cocoText("a.png", ""), nil, ""},
		{"left half", cocoText("a.png", cocoBoxText(18, "[0, 0, 10, 10.0]", "")), []Label{{1, 0.25, 0.5, 0.5, 1}}, ""},
		{"byte order mark", bom + cocoText("a.png", cocoBoxText(3, "[0, 0, 10, 10]", `, "iscrowd": 0`)), []Label{{0, 0.25, 0.5, 0.5, 1}}, ""},
		{"clipped", cocoText("a.png", cocoBoxText(18, "[-10, -1, 20, 100]", "")), []Label{{1, 0.25, 0.5, 0.5, 1}}, ""},
		{"crowd", cocoText("a.png", cocoBoxText(18, "[0, 0, 10, 10]", `, "iscrowd": 1`)), nil, ""},
		{"another picture's", cocoText("a.png", strings.Replace(cocoBoxText(18, "[0, 0, 9, 9]", ""), `"image_id": 9`, `"image_id": 8`, 1)), nil, ""},

		{"outside", cocoText("a.png", cocoBoxText(18, "[20, 0, 10, 10]", "")), nil, "annotation 7: the box lies outside the picture of 20 x 10 pixels"},
		{"negative", cocoText("a.png", cocoBoxText(18, "[2, 0, -1, 10]", "")), nil, "annotation 7: bbox is not left, top, width, height"},
		{"infinite", cocoText("a.png", cocoBoxText(18, "[-1e300, 0, 1e300, 10]", "")), nil, "annotation 7: bbox is not left, top, width, height"},
		{"three numbers", cocoText("a.png", cocoBoxText(18, "[2, 0, 1]", "")), nil, "annotation 7: bbox is not left, top, width, height"},
		{"unknown category", cocoText("a.png", cocoBoxText(4, "[2, 0, 1, 1]", "")), nil, "annotation 7: category 4 is not among the categories"},
		{"another size", strings.Replace(cocoText("a.png", ""), `"width": 20`, `"width": 21`, 1), nil, "image 9 is said to have 21 x 10 pixels, and has 20 x 10"},

		{"empty", "", nil, ": the file ends too early (at byte 0)"},
		{"cut short", `{"images": [{"id": 1`, nil, ": the file ends too early (at byte 12)"},
		{"a list", `[]`, nil, ": an object with images, annotations and categories is wanted (at byte 1)"},
		{"no pictures", `{"categories": [{"id": 1, "name": "a"}]}`, nil, ": there are no images in it: want COCO's instances, with images, annotations and categories"},
		{"no categories", `{"images": [{"id": 1, "file_name": "a"}]}`, nil, ": there are no categories in it: want COCO's instances, with images, annotations and categories"},
		{"images is text", `{"images": "a"}`, nil, ": images is a list (at byte 14)"},
		{"text for a number", cocoText("a.png", cocoBoxText(18, `["a", 0, 1, 1]`, "")), nil, "annotations: json: cannot unmarshal string into Go struct field cocoAnnotation.bbox of type float64"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f, err := parseCOCO(strings.NewReader(test.text), func(int64) {})
			var out labelFile
			if err == nil {
				if out = f.images[0].labels("", 20, 10, class); len(out.bad) > 0 {
					err = fmt.Errorf("%s", out.bad[0].Reason)
				}
			}
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("error %v, want %s", err, test.err)
				}
				return
			}
			if err != nil || len(out.labels) != len(test.want) || !alike(out.labels, test.want) {
				t.Errorf("%v (%v), want %v", out.labels, err, test.want)
			}
		})
	}
}

// TestCOCOStray: annotations of pictures that the file has not are told.
func TestCOCOStray(t *testing.T) {
	box := cocoBoxText(18, "[0, 0, 9, 9]", "")
	stray := strings.Replace(strings.Replace(box, `"image_id": 9`, `"image_id": 8`, 1), `"id": 7`, `"id": 5`, 1)
	root := tree(t, map[string]string{"train.json": cocoText("a.png", box+","+stray), "a.png": "20x10"})
	file := filepath.Join(root, "train.json")
	d, err := Open(file, OpenOptions{Splits: []string{"train"}})
	want := []Problem{{Kind: Stray, Path: file, Reason: "1 annotations are of images that are not in the file, such as annotation 5"}}
	if err != nil || len(d.Train) != 1 || !reflect.DeepEqual(d.Notes, want) {
		t.Errorf("%+v, %v", d, err)
	}
}

// TestCOCOElement: no element is read into memory beyond the limit.
func TestCOCOElement(t *testing.T) {
	in := &endless{head: `{"info": "`}
	_, err := parseCOCO(in, func(int64) {})
	if err == nil || !strings.Contains(err.Error(), "one element is larger than 64 MB") || in.read > 200<<20 {
		t.Errorf("%d bytes were read, error %v", in.read, err)
	}
}

// An endless text begins with head.
type endless struct {
	head string
	read int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.head)
	e.head = e.head[n:]
	for i := n; i < len(p); i++ {
		p[i] = 'a'
	}
	e.read += len(p)
	return len(p), nil
}

// TestCOCOFolders has the layouts of COCO.
func TestCOCOFolders(t *testing.T) {
	a := cocoText("a.png", cocoBoxText(18, "[0, 0, 10, 10]", ""))
	b := cocoText("b.png", cocoBoxText(3, "[0, 0, 10, 10]", ""))
	tests := []struct {
		name  string
		files map[string]string
		open  string
		want  string
	}{
		{"COCO's", map[string]string{"annotations/instances_train2017.json": a, "annotations/instances_val2017.json": b, "annotations/captions_val2017.json": "{}",
			"train2017/a.png": "20x10", "val2017/b.png": "20x10"}, "",
			"COCO: train from annotations/instances_train2017.json; val from annotations/instances_val2017.json"},
		{"in images", map[string]string{"[x]/annotations/instances_train.json": a, "[x]/annotations/instances_val.json": b, "[x]/images/a.png": "20x10", "[x]/images/b.png": "20x10"}, "",
			"COCO: train from annotations/instances_train.json; val from annotations/instances_val.json"},
		{"beside", map[string]string{"train/_annotations.coco.json": a, "train/a.png": "20x10", "valid/_annotations.coco.json": b, "valid/b.png": "20x10"}, "",
			"COCO: train from train/_annotations.coco.json; val from valid/_annotations.coco.json"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d, err := Open(tree(t, test.files), OpenOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if d.Describe() != test.want || !reflect.DeepEqual(d.Names, []string{"car", "dog"}) {
				t.Errorf("%s with %q, want %s", d.Describe(), d.Names, test.want)
			}
			if len(d.Train) != 1 || len(d.Val) != 1 || d.Train[0].Labels[0].Class != 1 || d.Val[0].Labels[0].Class != 0 {
				t.Errorf("train %v, val %v, problems %v", d.Train, d.Val, d.Problems)
			}
		})
	}
	root := tree(t, tests[0].files)
	d, err := Open(filepath.Join(root, "annotations", "instances_val2017.json"), OpenOptions{Splits: []string{"val"}})
	if err != nil || len(d.Val) != 1 {
		t.Errorf("a file alone: %v, %v", d, err)
	}
}

func TestCOCOPaths(t *testing.T) {
	for _, name := range []string{"../a.png", "/etc/a.png", "", "a\\u0000.png"} {
		root := tree(t, map[string]string{"annotations/instances_train.json": cocoText(name, "")})
		_, err := Open(root, OpenOptions{Splits: []string{"train"}})
		if err == nil || !strings.Contains(err.Error(), "is no path below the folder of the pictures") {
			t.Errorf("%q: error %v", name, err)
		}
	}
	other := strings.Replace(cocoText("a.png", ""), "car", "bus", 1)
	_, err := Open(tree(t, map[string]string{"annotations/instances_train.json": cocoText("a.png", ""), "annotations/instances_val.json": other}), OpenOptions{})
	if err == nil || !strings.Contains(err.Error(), `instances_val.json: category 3 is "bus" here and "car" in another file of the set`) {
		t.Errorf("error %v", err)
	}
}

func FuzzCOCO(f *testing.F) {
	f.Add(cocoText("a.png", cocoBoxText(18, "[0, 0, 10, 10]", "")))
	f.Add(`{"images": [{"id": 9}], "categories": [{"id": 18}], "annotations": [{"image_id": 9, "category_id": 18, "bbox": [1e300, 0, -1e300, 1]}]}`)
	f.Add(`{"images": [null, {}], "categories": [null], "annotations": [{}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseCOCO(strings.NewReader(text), func(int64) {})
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error of more than one line: %q", err)
			}
			return
		}
		for i := range c.images {
			inside(t, c.images[i].labels("f.json", 20, 10, map[int64]int{18: 0, 0: 1}))
		}
	})
}
