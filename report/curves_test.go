package report

import (
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const results = `               epoch,      train/box_loss,      train/obj_loss,      train/cls_loss,   metrics/precision,      metrics/recall,     metrics/mAP_0.5,metrics/mAP_0.5:0.95,        val/box_loss,        val/obj_loss,        val/cls_loss
                   0,              0.1063,            0.031981,             0.02691,           0.0014978,             0.14155,          0.00089458,          0.00024663,            0.097992,            0.029186,            0.026406
                   1,              0.1,                  0.03,                0.0269,                0.5,                 0.4,                 0.3,                 0.1,                0.09,               0.029,               0.026
`

func TestCurves(t *testing.T) {
	run, err := ReadRun("a", strings.NewReader(results))
	if err != nil {
		t.Fatal(err)
	}
	if y := run.Columns["metrics/mAP_0.5"]; len(y) != 2 || y[1] != 0.3 {
		t.Errorf("mAP50 is %v", y)
	}
	path := filepath.Join(t.TempDir(), "results.png")
	if err := Curves(path, run, run); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil || img.Bounds().Dx() < 1000 {
		t.Errorf("%v, %v", img.Bounds(), err)
	}
}

func TestReadRunRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "no epoch",
		"epoch, a\n":                    "no epoch",
		"epoch, a\n0, x\n":              `line 2: column "a": "x" is no number`,
		"epoch, a\n\n0, 1\n\n1, NaN1\n": "line 5: column",
		"epoch, a\n0\n":                 "line 2",
	} {
		if _, err := ReadRun("a", strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one with %q", text, err, want)
		}
	}
}
