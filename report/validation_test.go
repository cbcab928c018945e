package report

import (
	"encoding/csv"
	"fmt"
	"image"
	_ "image/jpeg"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ultrafast/box"
	"ultrafast/dataset"
	"ultrafast/picture"
	"ultrafast/tensor"
)

// items writes pictures of one colour and says that each has a box of each class.
func items(t *testing.T, n int, classes ...int) []dataset.Item {
	t.Helper()
	dir := t.TempDir()
	var all []dataset.Item
	for i := range n {
		p := picture.New(96, 64)
		for k := range p.Pix {
			p.Pix[k] = uint8(40 * i)
		}
		item := dataset.Item{Path: filepath.Join(dir, fmt.Sprint(i, ".jpg")), W: 96, H: 64}
		for k, c := range classes {
			item.Labels = append(item.Labels, dataset.Label{Class: c, CX: 0.25 + 0.5*float32(k%2), CY: 0.5, W: 0.25, H: 0.5})
		}
		if err := p.SaveJPEG(item.Path, 95); err != nil {
			t.Fatal(err)
		}
		all = append(all, item)
	}
	return all
}

// rows reads a CSV.
func rows(t *testing.T, path string) [][]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// size decodes a picture and returns its size.
func size(t *testing.T, path string) image.Point {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, _, err := image.Decode(f)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return img.Bounds().Size()
}

// Two validations of three pictures, of which the second counts: the face is found in each,
// the mask is taken for a face in the first and missed in the others. A fourth is lost.
func TestValidation(t *testing.T) {
	dir := t.TempDir()
	v := Validation{Names: []string{"face", `the "mask", worn`}, Items: items(t, 4, 0, 1)}
	if err := os.Remove(v.Items[3].Path); err != nil {
		t.Fatal(err)
	}
	var e *box.Evaluator
	for range 2 {
		e = box.NewEvaluator(2)
		for _, picked := range [][]int{{3, 0, 2}, {1}} {
			var found [][]box.Box
			lost := make([]bool, len(picked))
			for k, i := range picked {
				if lost[k] = i == 3; lost[k] {
					found = append(found, nil)
					continue
				}
				truth := dataset.TruthOf(v.Items[i])
				boxes := []box.Box{{X1: truth[0].X1, Y1: truth[0].Y1, X2: truth[0].X2, Y2: truth[0].Y2, Conf: 0.9}}
				if i == 0 {
					boxes = append(boxes, box.Box{X1: truth[1].X1, Y1: truth[1].Y1, X2: truth[1].X2, Y2: truth[1].Y2, Conf: 0.8})
				}
				e.Add(truth, boxes)
				found = append(found, boxes)
			}
			v.Found(&dataset.Batch{Items: picked, Lost: lost}, found)
		}
	}
	r := e.Report()
	if err := v.Write(dir, r); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprint(rows(t, filepath.Join(dir, "confusion_matrix.csv")))
	if want := `[[predicted\true face the "mask", worn background] [face 3 1 0] [the "mask", worn 0 0 0] [background 0 2 0]]`; text != want {
		t.Errorf("the matrix is %s, want %s", text, want)
	}
	curves := rows(t, filepath.Join(dir, "curves.csv"))
	if len(curves) != 1+2*1000 {
		t.Fatalf("curves of %d rows", len(curves))
	}
	// Found at .9 with precision 3/3, at .8 with 3/4, and on a line in between.
	for at, want := range map[int]string{850: "face,0.8509,0.8771,1,0.9345,1", 500: "face,0.5005,0.75,1,0.8571,1", 1850: `the "mask", worn,0.8509,0,0,0,0`} {
		if got := strings.Join(curves[1+at], ","); got != want {
			t.Errorf("point %d is %s, want %s", at, got, want)
		}
	}
	for _, name := range []string{"P_curve.png", "R_curve.png", "F1_curve.png", "PR_curve.png", "confusion_matrix.png"} {
		if s := size(t, filepath.Join(dir, name)); s.X < 500 || s.Y < 500 {
			t.Errorf("%s is %v", name, s)
		}
	}
	for _, name := range []string{"val_batch0_labels.jpg", "val_batch0_pred.jpg"} {
		if s := size(t, filepath.Join(dir, name)); s != image.Pt(1280, 640) {
			t.Errorf("%s is %v, want two pictures side by side", name, s)
		}
	}
	if err := v.Write(filepath.Join(dir, "nowhere"), r); err == nil || strings.Count(err.Error(), "nowhere") < 6 {
		t.Errorf("in a folder that is not there: %v", err)
	}
	if err := (&Validation{}).Write(dir, box.Report{}); err != nil {
		t.Errorf("nothing validated: %v", err)
	}
}

func TestShares(t *testing.T) {
	c := &box.Confusion{Classes: 2, Counts: []int{3, 1, 0, 0, 1, 0, 1, 2, 0}}
	for r, want := range [][]float64{{0.75, 0.25, 0}, {0, 0.25, 0}, {0.25, 0.5, 0}} {
		for k, w := range want {
			if got := shares(c)[r][k]; math.Abs(got-w) > 1e-12 {
				t.Errorf("row %d column %d is %v, want %v", r, k, got, w)
			}
		}
	}
}

func TestLabels(t *testing.T) {
	path := filepath.Join(t.TempDir(), "labels.png")
	for _, test := range []struct{ classes, pictures int }{{1, 0}, {2, 3}, {80, 3}, {300, 1}} {
		names := make([]string, test.classes)
		for i := range names {
			names[i] = fmt.Sprint("name", i)
		}
		if err := Labels(path, names, items(t, test.pictures, 0)); err != nil {
			t.Errorf("%+v: %v", test, err)
		}
		if s := size(t, path); s.X != 3*s.Y {
			t.Errorf("%+v: %v", test, s)
		}
	}
	g := bins()
	g.count(0.5, 0)
	g.count(1, 1)
	if g.z[0][25] != 1 || g.z[49][49] != 1 {
		t.Error("a point is in another bin")
	}
}

// The box of a picture is drawn where it is, in the colour of its class.
func TestTrainBatch(t *testing.T) {
	x := tensor.New(2, 3, 64, 64)
	for i := range x.Data {
		x.Data[i] = 0.5
	}
	path := filepath.Join(t.TempDir(), "train_batch0.jpg")
	b := &dataset.Batch{X: x, Targets: []dataset.Target{{Image: 1, Class: 1, CX: 0.5, CY: 0.5, W: 0.5, H: 0.5}}}
	if err := TrainBatch(path, []string{"face", "mask"}, b); err != nil {
		t.Fatal(err)
	}
	p, err := picture.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []struct {
		x, y int
		box  bool
	}{{160, 320, false}, {640 + 160, 320, true}, {640 + 480, 320, true}, {640 + 320, 480, true}, {640 + 320, 320, false}} {
		r, _, blue, _ := p.At(at.x, at.y).RGBA()
		if colour := blue > r+0x4000; colour != at.box {
			t.Errorf("at %d, %d there is a box: %v, want %v", at.x, at.y, colour, at.box)
		}
	}
}
