package report

import (
	"bytes"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// sparsityPoints are those of some epochs.
func sparsityPoints(epochs int) (all []SparsityPoint) {
	for e := 1; e <= epochs; e++ {
		for _, q := range Quantiles {
			all = append(all, SparsityPoint{e, SparsityGamma, q, q * float64(e)}, SparsityPoint{e, SparsityNorm, q, 2 * q})
		}
		for keep := 1.0; keep > 0.15; keep -= 0.1 {
			all = append(all, SparsityPoint{e, SparsityMAP50, math.Round(keep*10) / 10, keep * keep / float64(e)})
		}
	}
	return all
}

func TestSparsity(t *testing.T) {
	for _, epochs := range []int{0, 1, 3} {
		want := sparsityPoints(epochs)
		csv, figure := filepath.Join(t.TempDir(), "sparsity.csv"), filepath.Join(t.TempDir(), "sparsity.png")
		if err := WriteSparsity(csv, want); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(csv)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ReadSparsity(bytes.NewReader(text))
		if err != nil || len(got) != len(want) {
			t.Fatalf("%d points come back as %d, error %v", len(want), len(got), err)
		}
		for i, p := range got {
			if math.Abs(p.Value-want[i].Value) > 1e-5 {
				t.Errorf("point %+v comes back as %+v", want[i], p)
			}
			p.Value = want[i].Value
			if !reflect.DeepEqual(p, want[i]) {
				t.Errorf("point %+v comes back as %+v", want[i], p)
			}
		}
		if err := Sparsity(figure, got); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(figure)
		if err != nil {
			t.Fatal(err)
		}
		img, err := png.Decode(f)
		f.Close()
		if err != nil || img.Bounds().Dx() < 1000 {
			t.Errorf("%d epochs: figure of %v, %v", epochs, img.Bounds(), err)
		}
	}
}

func TestReadSparsityRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                               "line 1",
		"a,b,c,d\n":                      "line 1",
		"epoch,what,at,value\n1,norm,0,": "line 2",
		"epoch,what,at,value\n1,norm,0,1\n0,norm,0,1\n":     "line 3",
		"epoch,what,at,value\n1,loss,0,1\n":                 "line 2",
		"epoch,what,at,value\n1,norm,1.5,1\n":               "line 2",
		"epoch,what,at,value\n1,norm,NaN,1\n":               "line 2",
		"epoch,what,at,value\n1,norm,0.5,Inf\n":             "line 2",
		"epoch,what,at,value\n1,norm,0.5\n":                 "line 2",
		"epoch,what,at,value\n\n1,norm,0,1\n\n0,norm,0,1\n": "line 5",
	} {
		if _, err := ReadSparsity(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one with %q", text, err, want)
		}
	}
}

func FuzzReadSparsity(f *testing.F) {
	f.Add("epoch,what,at,value\n1,norm,0.5,1\n2,mAP50,0.3,0.25\n")
	f.Add("epoch,what,at,value\n1,\"norm\",0.5,1e300\n")
	f.Fuzz(func(t *testing.T, text string) {
		points, err := ReadSparsity(strings.NewReader(text))
		if err != nil {
			return
		}
		path := filepath.Join(t.TempDir(), "s.csv")
		if err := WriteSparsity(path, points); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		again, err := ReadSparsity(file)
		if err != nil || len(again) != len(points) {
			t.Errorf("%d points come back as %d, error %v", len(points), len(again), err)
		}
	})
}
