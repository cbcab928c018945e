package train

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/google/renameio/v2"
)

// Columns are those of YOLOv5's results.csv.
var Columns = []string{
	"epoch", "train/box_loss", "train/obj_loss", "train/cls_loss",
	"metrics/precision", "metrics/recall", "metrics/mAP_0.5", "metrics/mAP_0.5:0.95",
	"val/box_loss", "val/obj_loss", "val/cls_loss", "x/lr0", "x/lr1", "x/lr2",
}

// results is results.csv. Each line is kept as it was written, so that a resumed run ends
// with the same file.
type results struct {
	path  string
	lines []string
}

// openResults reads the lines of epochs before epoch; later ones are of epochs that a
// killed program did not finish.
func openResults(path string, epoch int) (*results, error) {
	r := &results{path: path}
	if epoch == 0 {
		return r, nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil // somebody took it away
	}
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		first, _, _ := strings.Cut(line, ",")
		if n, err := strconv.Atoi(strings.TrimSpace(first)); err == nil && n < epoch {
			r.lines = append(r.lines, strings.TrimSuffix(line, "\n"))
		}
	}
	return r, nil
}

// Results are the numbers at the end of an epoch, where Validated is set: those of Columns
// after the first, which is Epoch-1.
func (p Progress) Results() []float64 {
	v, b := p.Validated.Loss, p.Validated.Report
	return []float64{
		p.Loss.Box, p.Loss.Obj, p.Loss.Cls, b.Precision, b.Recall, b.MAP50, b.MAP5095,
		v.Box, v.Obj, v.Cls, p.Rate[Bias], p.Rate[Weight], p.Rate[Gamma],
	}
}

// add appends an epoch and writes the file.
func (r *results) add(epoch int, numbers []float64) error {
	line := fmt.Sprintf("%20d", epoch)
	for _, x := range numbers {
		line += fmt.Sprintf(",%20.5g", x)
	}
	r.lines = append(r.lines, line)
	var text bytes.Buffer
	for i, c := range Columns {
		if i > 0 {
			text.WriteByte(',')
		}
		fmt.Fprintf(&text, "%20s", c)
	}
	for _, line := range r.lines {
		text.WriteString("\n" + line)
	}
	text.WriteByte('\n')
	return replace(r.path, text.Bytes())
}

// replace writes a file so that at any moment either the old one or the new one is there,
// whole.
func replace(path string, data []byte) error {
	return renameio.WriteFile(path, data, 0o644, renameio.WithTempDir(filepath.Dir(path)), renameio.WithStaticPermissions(0o644))
}
